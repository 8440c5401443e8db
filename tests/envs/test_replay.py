"""Recorded episodes as an environment: the recorded actions earn 1, the first other action ends the episode."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tracer1.data.store import EpisodeStore, read_episodes, write_episodes
from tracer1.envs.replay import Recordings, Replay
from tracer1.errors import ActionError, DataError, EnvironmentFailure, UsageError
from tracer1.executors.dom import DomExecutor
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_windows
from tracer1.recipes.record import record
from tracer1.types import Action, Episode, EpisodeStep, HistoryStep, Observation, Point, Step, Task, Transition


@pytest.fixture(scope="module", params=["toy", "toy-text"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    folder = tmp_path_factory.mktemp("store")
    record(request.param, ["toy-form", "toy-press"], 2, 0, folder)
    return EpisodeStore(folder)


def play(env: Replay, task: str, actions: Sequence[Action]) -> tuple[Task, list[Observation], list[Transition]]:
    async def run() -> tuple[Task, list[Observation], list[Transition]]:
        asked, seen = await env.reset(task, 0)
        transitions = [await env.step(action) for action in actions]
        return asked, [seen, *(t.observation for t in transitions)], transitions

    return asyncio.run(run())


def test_the_recorded_actions_earn_reward_one(store: EpisodeStore) -> None:
    for episode in read_episodes(store.directory):
        asked, _, transitions = play(
            Replay(Recordings(store.directory)), episode.episode_id, [step.action for step in episode.steps]
        )
        assert (asked.goal, asked.platform, asked.source) == (episode.goal, episode.platform, episode.source)
        assert [t.terminated for t in transitions] == [False] * (len(episode.steps) - 1) + [True]
        assert [t.reward for t in transitions][-1] == 1.0
        assert transitions[-1].reason == "every action matched the recording"


def test_each_step_shows_the_recorded_screen(store: EpisodeStore) -> None:
    episode = next(iter(read_episodes(store.directory)))
    _, seen, _ = play(Replay(Recordings(store.directory)), "0", [step.action for step in episode.steps])
    assert seen[-1] == seen[-2]  # what came after the last action was not recorded
    for screen, step in zip(seen[:-1], episode.steps, strict=True):
        assert screen.screenshot == (None if step.screenshot is None else str(store.path(step.screenshot)))
        assert (screen.text, screen.size) == (step.text, step.size)
        assert step.elements is not None
        assert screen.elements == store.load_elements(step.elements)


def test_prompts_are_those_of_the_windows_to_the_byte(store: EpisodeStore) -> None:
    spec = replace(PROMPTS["full-1"], history=2, horizon=3)
    for episode in read_episodes(store.directory):
        asked, seen, _ = play(
            Replay(Recordings(store.directory)), episode.episode_id, [step.action for step in episode.steps]
        )
        past = [HistoryStep(s.abstraction, s.action.action_type, s.instruction) for s in episode.steps]
        for t, window in enumerate(episode_windows(episode, spec, 2, 3)):
            prompt = spec.prompt(asked, seen[t], past[:t], t + 1)
            assert [m["content"][-1] for m in prompt] == [m["content"][-1] for m in window.prompt]


def test_what_the_executor_does_matches(store: EpisodeStore) -> None:
    """The words of the recording lead the dom executor through it, on the recorded elements."""
    episode = next(iter(read_episodes(store.directory)))

    async def follow() -> Transition:
        env = Replay(Recordings(store.directory))
        _, seen = await env.reset(episode.episode_id, 0)
        for step in episode.steps:
            words = Step(step.abstraction, step.action.action_type, step.instruction)
            transition = await env.step(await DomExecutor().act(words, seen))
            seen = transition.observation
        return transition

    assert asyncio.run(follow()).reward == 1.0


def test_the_first_other_action_ends_the_episode(store: EpisodeStore) -> None:
    episode = next(iter(read_episodes(store.directory)))
    env = Replay(Recordings(store.directory))
    _, _, transitions = play(env, "0", [episode.steps[0].action, Action("type", content="something else")])
    first, second = transitions
    assert (first.terminated, second.terminated, second.reward) == (False, True, 0.0)
    wanted = episode.steps[1].action.content
    assert second.reason == f"step 2 leaves the recording, where it is type(content={wanted!r})"
    with pytest.raises(UsageError, match="no episode is running"):
        asyncio.run(env.step(Action("wait")))


def test_near_the_recorded_point_is_not_enough_where_the_box_is_known(store: EpisodeStore) -> None:
    episode = next(iter(read_episodes(store.directory)))
    box = episode.steps[0].box
    assert box is not None
    env = Replay(Recordings(store.directory))
    inside, beside = Point(box[0], box[1]), Point(box[0] - 0.02, box[1])
    assert not play(env, "0", [Action("click", inside)])[2][0].terminated
    assert play(env, "0", [Action("click", beside)])[2][0].terminated


def test_an_action_that_the_platform_does_not_have(store: EpisodeStore) -> None:
    env = Replay(Recordings(store.directory))
    with pytest.raises(ActionError, match="action 'press_home' is unknown on web"):
        play(env, "0", [Action("press_home")])
    asyncio.run(env.step(Action("finished")))  # and the episode goes on


@pytest.mark.parametrize("task", ["4", "-1", "no/such/1", "1.0"])
def test_an_unknown_episode(store: EpisodeStore, task: str) -> None:
    with pytest.raises(UsageError, match=r"no episode '.*' in .*: give an id .* or a place below 4"):
        play(Replay(Recordings(store.directory)), task, [])


def test_stores_that_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or directory"):
        Recordings(tmp_path / "nowhere")
    write_episodes(tmp_path, [])
    with pytest.raises(DataError, match="no episodes to replay"):
        Recordings(tmp_path)
    write_episodes(tmp_path, [Episode("a", "toy", "web", "nothing", "train", ())])
    with pytest.raises(DataError, match="episode 'a' has no steps"):
        play(Replay(Recordings(tmp_path)), "", [])


def test_a_record_that_names_no_place_is_nobodys_mistake(tmp_path: Path) -> None:
    step = EpisodeStep(None, (0, 0), "a screen", "click it", Action("click"), text="button 'OK'")
    write_episodes(tmp_path, [Episode("a", "toy", "web", "press", "train", (step,))])
    with pytest.raises(EnvironmentFailure, match="episode 'a', step 1: the recorded 'click' names no place"):
        play(Replay(Recordings(tmp_path)), "a", [Action("click", Point(0.5, 0.5))])


def test_calls_of_tools_are_compared_by_their_arguments(tmp_path: Path) -> None:
    call = Action("ocr", arguments={"image": "a.png"}, content="12.50")
    steps = (
        EpisodeStep(None, (0, 0), "a receipt", "read it", call, observation="12.50"),
        EpisodeStep(None, (0, 0), "the total", "answer", Action("finished", content="12.50"), status="done"),
    )
    write_episodes(tmp_path, [Episode("a", "mm-traj", "tools", "the total?", "train", steps, ("files/a.png",))])
    env = Replay(Recordings(tmp_path))
    asked, seen, transitions = play(env, "a", [Action("ocr", arguments={"image": "a.png"}), steps[1].action])
    assert asked.files == seen[0].files == (str(tmp_path / "files/a.png"),)
    assert seen[1].text == "12.50"  # what the recorded call returned
    assert transitions[-1].reward == 1.0
    assert play(env, "a", [Action("ocr", arguments={"image": "b.png"})])[2][0].terminated
