"""Recording: only what earned its reward is kept, and the same seeds give the same store. Grounding is measured."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from nano_planner import SEEDS
from PIL import Image

from tracer1.bench.env import bench_env
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.store import EpisodeStore, read_episodes
from tracer1.envs import toy
from tracer1.errors import DataError, EnvironmentFailure, ExecutorError, InstructionError, SetupError, UsageError
from tracer1.evaluation.grounding import grounding_report
from tracer1.executors.dom import DomExecutor
from tracer1.executors.instruction import parse_instruction
from tracer1.executors.ocr import OcrExecutor
from tracer1.recipes.record import RecordReport, play, record, record_miniwob, verify_experts
from tracer1.types import Action, Observation, Point, Step, Task

TASKS = ["login-user-popup", "form-sequence-2", "click-button-sequence"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordReport:
    return record_miniwob(TASKS, 2, 42, tmp_path_factory.mktemp("store"), pages=4)


def test_only_rewarded_episodes_are_kept(recorded: RecordReport) -> None:
    ids = [episode.episode_id for episode in read_episodes(recorded.out)]
    assert ids == [f"miniwob/{task}/{seed}" for task in TASKS for seed in (42, 43)][:-1]
    assert (recorded.kept, recorded.failed) == (5, 1)
    assert "no 'ONE' button" in recorded.tasks["click-button-sequence"].failures[43]
    assert recorded.steps == sum(len(episode.steps) for episode in read_episodes(recorded.out))


def test_every_step_is_whole(recorded: RecordReport) -> None:
    store = EpisodeStore(recorded.out)
    agent = DomExecutor()
    for episode in read_episodes(recorded.out):
        assert (episode.source, episode.platform, episode.split) == ("miniwob", "web", "train")
        assert [step.status for step in episode.steps][-1] == "done"
        for step in episode.steps:
            assert step.screenshot is not None
            assert step.elements is not None
            assert Image.open(store.path(step.screenshot)).size == step.size == (160, 210)
            seen = Observation(None, step.size, store.load_elements(step.elements))
            action = agent.ground(parse_instruction(step.instruction), seen)
            assert (action.action_type, action.content) == (step.action.action_type, step.action.content)


def test_the_same_seeds_give_the_same_store(recorded: RecordReport, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    record_miniwob(TASKS, 2, 42, tmp_path, pages=2, progress=lambda *count: done.append(count))
    again = (tmp_path / "episodes.jsonl").read_bytes()
    assert again == (recorded.out / "episodes.jsonl").read_bytes()
    assert done == [(i, 6) for i in range(1, 7)]


def test_recording_more_keeps_what_was_there(tmp_path: Path) -> None:
    record_miniwob(["enter-text"], 2, 0, tmp_path)
    record_miniwob(["enter-text", "click-option"], 1, 1, tmp_path)
    ids = [episode.episode_id for episode in read_episodes(tmp_path)]
    assert ids == ["miniwob/enter-text/0", "miniwob/enter-text/1", "miniwob/click-option/1"]


def test_a_task_without_an_expert_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no expert for task 'chase-circle'"):
        record_miniwob(["enter-text", "chase-circle"], 1, 0, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_experts_are_verified() -> None:
    assert verify_experts(["enter-text", "click-button-sequence"], [42, 43]) == {
        "enter-text": 1.0,
        "click-button-sequence": 0.5,
    }


class Corner:
    """Always points at the upper left corner, and fails on fields."""

    name = "corner"

    async def act(self, step: Step, observation: Observation) -> Action:
        instruction = step.instruction
        assert observation.elements is None
        if "field" in instruction:
            raise ExecutorError("no fields today")
        if "Cancel" in instruction:
            raise InstructionError("never heard of it")
        return Action("click", point=Point(0.0, 0.0))


def test_grounding_is_measured(recorded: RecordReport, tmp_path: Path) -> None:
    agents = [DomExecutor(), OcrExecutor(cache=tmp_path), Corner()]
    report = grounding_report(read_episodes(recorded.out), recorded.out, agents)
    dom, ocr, corner = (report["agents"][agent.name] for agent in agents)
    assert dom["all"] == {"hits": report["steps"], "steps": report["steps"], "rate": 1.0}
    assert ocr["all"]["rate"] >= 0.9
    assert ocr["text"]["rate"] >= 0.9
    assert ocr["role"]["radio button"]["steps"] == 2
    assert corner["all"]["hits"] == 0
    assert corner["unscored"] + corner["all"]["steps"] == report["steps"]
    assert len(corner["misses"]) == corner["all"]["steps"]
    assert grounding_report(read_episodes(recorded.out), recorded.out, [DomExecutor()], limit=3)["steps"] == 3


def test_the_bench_compares_equals() -> None:
    result = bench_env(pages=2, seconds=0.6)
    assert result["name"] == "env"
    assert result["parity"] is True
    assert result["ratio"] > 0
    assert len(result["samples"]["pages"]) == len(result["samples"]["one"]) == 3


# ---- any environment that has experts --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "pixels"), [("toy", True), ("toy-text", False)])
def test_any_environment_with_experts_is_recorded(kind: str, pixels: bool, tmp_path: Path) -> None:
    report = record(kind, ["toy-form", "toy-press"], 2, 5, tmp_path, split="dev")
    episodes = list(read_episodes(tmp_path))
    assert [e.episode_id for e in episodes] == [f"{kind}/{t}/{s}" for t in ("toy-form", "toy-press") for s in (5, 6)]
    assert (report.kept, report.failed, report.steps) == (4, 0, 12)
    for episode in episodes:
        assert (episode.source, episode.platform, episode.split) == (kind, "web", "dev")
        for step in episode.steps:
            assert (step.screenshot is not None, step.text is None) == (pixels, pixels)
            assert step.elements is not None
    assert not inspect_path(tmp_path).problems


def test_the_toy_is_recorded_as_its_gold_plan_says(tmp_path: Path, toy_store: EpisodeStore) -> None:
    """The same steps, screens and boxes as the episodes that the planner of the tests is made from."""
    record("toy", list(toy.TASKS), SEEDS, 0, tmp_path)
    recorded = {e.episode_id: e for e in read_episodes(tmp_path)}
    for episode in read_episodes(toy_store.directory):
        assert recorded[episode.episode_id].steps == episode.steps


def test_environments_without_experts_are_refused(tmp_path: Path) -> None:
    record("toy", ["toy-press"], 1, 0, tmp_path / "store")
    with pytest.raises(UsageError, match="has no scripted experts"):
        record(f"replay:{tmp_path / 'store'}", ["toy/toy-press/0"], 1, 0, tmp_path / "again")


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_damaged_store_is_found_before_anything_is_played(tmp_path: Path) -> None:
    """Defect 23: it used to be read at the end, and everything that had been played was lost."""
    record("toy", ["toy-press"], 2, 0, tmp_path)
    file = tmp_path / "episodes.jsonl"
    damaged = file.read_bytes()[:-40] + b"\n"
    file.write_bytes(damaged)
    played: list[int] = []
    with pytest.raises(DataError, match=r"episodes\.jsonl line 2: not JSON"):
        record("toy", ["toy-field"], 2, 0, tmp_path, progress=lambda done, _: played.append(done))
    assert played == []
    assert file.read_bytes() == damaged


def test_a_half_written_last_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    record("toy", ["toy-press"], 2, 0, tmp_path)
    file = tmp_path / "episodes.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    record("toy", ["toy-field"], 1, 0, tmp_path)
    assert [e.episode_id for e in read_episodes(tmp_path)] == ["toy/toy-press/0", "toy/toy-field/0"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SetupError("the disk is full")])
def test_what_was_recorded_before_an_interruption_is_kept(error: BaseException, tmp_path: Path) -> None:
    """Also, a single error is raised as itself and not as a group of errors."""
    record("toy", ["toy-press"], 1, 9, tmp_path)

    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise error

    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else SetupError):
        record("toy", ["toy-press"], 5, 9, tmp_path, pages=2, progress=interrupt)
    assert [e.episode_id for e in read_episodes(tmp_path)] == [f"toy/toy-press/{seed}" for seed in (9, 10, 11)]
    record("toy", ["toy-press"], 5, 9, tmp_path)
    assert len(list(read_episodes(tmp_path))) == 5


class Breaking(toy.ToyForm):
    """Seed 1 fails once, seed 2 always; seed 3 has a bug."""

    failed = False

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        if seed == 2 or (seed == 1 and not Breaking.failed):
            Breaking.failed = True
            raise EnvironmentFailure("the page crashed")
        if seed == 3:
            raise ZeroDivisionError("a bug")
        return await super().reset(task, seed)


def test_an_environment_that_fails_is_tried_once_more(tmp_path: Path) -> None:
    async def played() -> dict[int, tuple[float, str]]:
        envs = [Breaking(tmp_path) for _ in range(2)]
        shown = play(envs, {"toy-press": toy.fill_in}, [("toy-press", seed) for seed in range(3)])
        return {s.seed: (s.reward, s.reason) async for s in shown}

    outcomes = asyncio.run(played())
    assert [outcomes[seed][0] for seed in range(3)] == [1.0, 1.0, 0.0]
    assert outcomes[2] == (0.0, "the page crashed")


def test_a_bug_is_raised_as_itself_and_leaves_no_tasks(tmp_path: Path) -> None:
    async def played() -> None:
        envs = [Breaking(tmp_path) for _ in range(2)]
        with pytest.raises(ZeroDivisionError):
            async for _ in play(envs, {"toy-press": toy.fill_in}, [("toy-press", seed) for seed in (0, 3, 4)]):
                pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(played())
