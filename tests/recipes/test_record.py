"""Recording: only what earned its reward is kept, and the same seeds give the same store. Grounding is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tracer1.bench.env import bench_env
from tracer1.data.store import EpisodeStore, read_episodes
from tracer1.errors import ExecutorError, InstructionError, UsageError
from tracer1.evaluation.grounding import grounding_report
from tracer1.executors.dom import DomExecutor
from tracer1.executors.instruction import parse_instruction
from tracer1.executors.ocr import OcrExecutor
from tracer1.recipes.record import RecordReport, record_miniwob, verify_experts
from tracer1.types import Action, Observation, Point, Step

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
