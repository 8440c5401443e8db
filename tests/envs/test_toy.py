from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from tracer1.envs.experts import demonstrate
from tracer1.envs.toy import BUTTONS, SIZE, TASKS, ToyForm, ToyText
from tracer1.errors import ActionError, UsageError
from tracer1.executors.dom import DomExecutor
from tracer1.executors.instruction import parse_instruction
from tracer1.types import Action, Env, Observation, Point, Task, Transition


@pytest.fixture
def env(tmp_path: Path) -> ToyForm:
    return ToyForm(tmp_path / "images")


def play(env: ToyForm, task: str, seed: int, *instructions: str) -> list[Transition]:
    """Reset, then do as told by the executor that sees the page's structure."""

    async def run() -> list[Transition]:
        _, seen = await env.reset(task, seed)
        transitions = []
        for instruction in instructions:
            transitions.append(await env.step(DomExecutor().ground(parse_instruction(instruction), seen)))
            seen = transitions[-1].observation
        return transitions

    return asyncio.run(run())


def reset(env: Env, task: str, seed: int) -> tuple[Task, Observation]:
    return asyncio.run(env.reset(task, seed))


@pytest.mark.parametrize("task", TASKS)
def test_the_gold_plan_earns_reward_one(env: ToyForm, task: str) -> None:
    for seed in range(20):
        reset(env, task, seed)
        gold = env.gold()
        transitions = play(env, task, seed, *(step.instruction for step in gold))
        assert [t.terminated for t in transitions] == [False] * (len(gold) - 1) + [True]
        assert transitions[-1].reward == 1.0
        assert len(gold) == 2 * TASKS[task] + 1
        assert [step.status for step in gold] == ["not done"] * (len(gold) - 1) + ["done"]


@pytest.mark.parametrize("task", TASKS)
def test_an_episode_is_a_function_of_its_seed(env: ToyForm, tmp_path: Path, task: str) -> None:
    first = [reset(env, task, seed) for seed in range(8)]
    assert first == [reset(ToyForm(tmp_path / "images"), task, seed) for seed in range(8)]
    assert len({asked.goal for asked, _ in first}) > 1


def test_the_screenshot_shows_the_page(env: ToyForm) -> None:
    asked, seen = reset(env, "toy-form", 0)
    assert asked.goal.startswith('Enter "')
    assert seen.size == SIZE
    assert seen.screenshot is not None
    with Image.open(seen.screenshot) as image:
        assert image.size == SIZE
        assert len(image.getcolors(1 << 16) or []) > 2
    assert seen.elements is not None
    assert sorted(e.role for e in seen.elements) == ["button"] * 3 + ["field"] * 2
    for element in seen.elements:
        assert all(0 <= edge <= 1 for edge in element.box)


def test_what_is_typed_goes_where_the_focus_is(env: ToyForm) -> None:
    reset(env, "toy-form", 1)
    first = env.gold()[0].instruction
    before, clicked, typed = [], *play(env, "toy-form", 1, first, "type 'xyz'")
    assert before == []
    assert [e.focused for e in clicked.observation.elements or ()].count(True) == 1
    assert typed.observation.screenshot != clicked.observation.screenshot
    assert env.gold() == ()  # a wrong text cannot be taken back
    unfocused = play(env, "toy-form", 1, "type 'xyz'")
    assert env.gold() != ()
    assert len(unfocused) == 1


def test_tab_moves_the_focus(env: ToyForm) -> None:
    seen = [
        [e.name for e in t.observation.elements or () if e.focused]
        for t in play(env, "toy-form", 2, "press tab", "press tab", "press tab", "wait")
    ]
    assert len(seen[0]) == len(seen[1]) == 1
    assert seen[0] != seen[1]
    assert seen[2:] == [[], []]


def test_a_click_beside_everything_takes_the_focus(env: ToyForm) -> None:
    async def run() -> Transition:
        await env.reset("toy-field", 0)
        return await env.step(Action("click", Point(0.99, 0.99)))

    assert not any(e.focused for e in asyncio.run(run()).observation.elements or ())


def test_the_wrong_button_and_too_early_are_failures(env: ToyForm) -> None:
    asked, _ = reset(env, "toy-press", 3)
    wrong = next(name for name in BUTTONS if name not in asked.goal)
    assert play(env, "toy-press", 3, f"click the '{wrong}' button")[-1].reward == -1.0
    reset(env, "toy-field", 3)
    assert play(env, "toy-field", 3, env.gold()[-1].instruction)[-1].reward == -1.0


def test_giving_up_earns_nothing(env: ToyForm) -> None:
    last = play(env, "toy-press", 0, "finished")[-1]
    assert (last.terminated, last.reward, last.reason) == (True, 0.0, "finished")


@pytest.mark.parametrize(
    "action", [Action("drag"), Action("hotkey", key="ctrl c"), Action("click"), Action("open_app", app_name="x")]
)
def test_what_a_form_cannot_do(env: ToyForm, action: Action) -> None:
    reset(env, "toy-press", 0)
    with pytest.raises(ActionError):
        asyncio.run(env.step(action))


def test_there_must_be_an_episode(env: ToyForm) -> None:
    with pytest.raises(UsageError, match="reset the environment first"):
        asyncio.run(env.step(Action("wait")))
    with pytest.raises(UsageError, match="no toy task 'x'"):
        reset(env, "x", 0)
    play(env, "toy-press", 0, "finished")
    with pytest.raises(UsageError, match="no episode is running"):
        asyncio.run(env.step(Action("wait")))


# ---- the form as text, and its expert --------------------------------------------------------------------------------


def test_the_text_form_has_no_pixels(tmp_path: Path) -> None:
    env = ToyText(tmp_path / "images")
    asked, seen = reset(env, "toy-form", 0)
    assert (seen.screenshot, seen.size, seen.platform, asked.source) == (None, (0, 0), "web", "toy-text")
    first = env.gold()[0].instruction
    name = first.split("'")[1]
    clicked, typed = play(env, "toy-form", 0, first, "type 'xyz'")
    assert f"field '{name}': empty, focused" in (clicked.observation.text or "").splitlines()
    assert f"field '{name}': 'xyz', focused" in (typed.observation.text or "").splitlines()
    assert sorted(line for line in (seen.text or "").splitlines() if "button" in line) == [
        f"button '{name}'" for name in sorted(BUTTONS)
    ]
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize("kind", [ToyForm, ToyText])
@pytest.mark.parametrize("task", TASKS)
def test_the_expert_follows_the_gold_plan(tmp_path: Path, kind: type[ToyForm], task: str) -> None:
    env = kind(tmp_path / "images")
    for seed in range(10):
        asked, _ = reset(env, task, seed)
        gold = env.gold()
        shown = asyncio.run(demonstrate(env, kind.expert(task), task, seed))
        assert (shown.reward, shown.asked) == (1.0, asked)
        steps = [(s.abstraction, s.action.action_type, s.instruction, s.status) for s in shown.steps]
        assert steps == [(s.abstraction, s.action_type, s.instruction, s.status) for s in gold]
