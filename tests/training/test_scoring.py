from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nano_planner import Nano

from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import read_rows
from tracer1.errors import DataError, ExecutorError
from tracer1.executors.dom import DomExecutor
from tracer1.plan.text import render_plan
from tracer1.rewards import grounded, trajectory
from tracer1.training.scoring import (
    GroundedScorer,
    RewardFunction,
    TrajectoryScorer,
    recorded,
    recorded_observation,
    text_of,
)
from tracer1.types import Action, Observation, Plan, Reference, Score, Step


class Unreachable:
    """An executor that is down."""

    name = "unreachable"

    def act(self, instruction: str, observation: Observation) -> Action:
        raise ExecutorError("no answer within 30 s")


@pytest.fixture(scope="module")
def rows(nano: Nano) -> list[dict[str, Any]]:
    return list(read_rows(nano.windows))


def gold(row: dict[str, Any]) -> str:
    return render_plan(Plan(recorded(row).steps, "", row["step"] + 1))


@pytest.fixture(scope="module")
def stage_2(nano: Nano) -> GroundedScorer:
    return GroundedScorer(grounded.PAPER, DomExecutor(), nano.store)


@pytest.mark.parametrize("profile", ["paper", "prototype"])
def test_the_gold_plan_earns_one_in_stage_1(rows: list[dict[str, Any]], profile: str) -> None:
    scorer = TrajectoryScorer(trajectory.PROFILES[profile])
    for row in rows:
        score = scorer(gold(row), row)
        assert score.overall == pytest.approx(1.0)
        assert score.format == 1.0


@pytest.mark.parametrize("profile", ["paper", "prototype"])
def test_the_gold_step_is_executed_right_in_stage_2(nano: Nano, rows: list[dict[str, Any]], profile: str) -> None:
    scorer = GroundedScorer(grounded.PROFILES[profile], DomExecutor(), nano.store)
    for row in rows:
        score = scorer(gold(row), row)
        assert (score.accuracy, score.overall) == (1.0, pytest.approx(1.0))


def test_stage_2_looks_at_the_first_step_alone(rows: list[dict[str, Any]], stage_2: GroundedScorer) -> None:
    row = next(row for row in rows if len(recorded(row).steps) == 3)
    first = recorded(row).steps[0]
    nonsense = Step("?", "drag", "dance")
    assert stage_2(render_plan(Plan((first, nonsense))), row).accuracy == 1.0
    assert stage_2(render_plan(Plan((nonsense, first))), row).accuracy == 0.0


def test_the_wrong_target_and_no_target_earn_nothing(rows: list[dict[str, Any]], stage_2: GroundedScorer) -> None:
    row = next(row for row in rows if recorded(row).steps[0].instruction.endswith("button"))
    right = recorded(row).steps[0].instruction
    other = next(b for b in ("Send", "Help", "Back") if f"'{b}'" not in right)
    wrong = stage_2(render_plan(Plan((Step("", "click", f"click the '{other}' button"),))), row)
    lost = stage_2(render_plan(Plan((Step("", "click", "click the 'Nowhere' button"),))), row)
    assert (wrong.accuracy, wrong.terms["no_target"]) == (0.0, 0.0)
    assert (lost.accuracy, lost.terms["no_target"]) == (0.0, 1.0)


@pytest.mark.parametrize("completion", ["", "I do not know.", "<think></think><answer></answer>", "Step 1: {"])
def test_garbage_is_scored(rows: list[dict[str, Any]], stage_2: GroundedScorer, completion: str) -> None:
    for scorer in (TrajectoryScorer(trajectory.PAPER), stage_2):
        assert scorer(completion, rows[0]).overall == 0.0


def test_a_tool_agent_that_fails_leaves_the_sample_unscored(nano: Nano, rows: list[dict[str, Any]]) -> None:
    function = RewardFunction(GroundedScorer(grounded.PAPER, Unreachable(), nano.store))
    said = [gold(rows[0]), "no plan at all"]
    columns = {"reference": [row["reference"] for row in rows[:2]], "images": [row["images"] for row in rows[:2]]}
    assert function(said, **columns) == [None, 0.0]
    assert function.last[0].unscored == "no answer within 30 s"
    assert function.last[1].unscored is None


def test_the_reward_function_scores_what_trl_hands_it(rows: list[dict[str, Any]]) -> None:
    function = RewardFunction(TrajectoryScorer(trajectory.PAPER))
    texts = [gold(row) for row in rows[:3]]
    columns = {name: [row[name] for row in rows[:3]] for name in ("reference", "images", "episode_id")}
    spoken = [[{"role": "assistant", "content": text}] for text in texts]
    rewards = function(spoken, prompts=[], completion_ids=[], trainer_state=None, **columns)
    assert rewards == pytest.approx([1.0, 1.0, 1.0])
    assert [score.overall for score in function.last] == rewards
    assert function.__name__ == "tracer1"
    with pytest.raises(ValueError, match="zip"):
        function(spoken[:2], **columns)


def test_a_completion_is_text_or_a_message() -> None:
    assert text_of("a") == text_of([{"role": "assistant", "content": "a"}]) == "a"


def test_the_recorded_screen_is_what_the_tool_agent_sees(nano: Nano, rows: list[dict[str, Any]]) -> None:
    reference = recorded(rows[0])
    seen = recorded_observation(["a.png", "b.png"], reference, nano.store)
    assert seen.screenshot == "b.png"
    assert seen.elements == nano.store.load_elements(reference.elements or "")
    assert recorded_observation([], Reference(()), nano.store) == Observation(None, (0, 0), None, None)


def test_missing_elements_are_an_error_and_no_zero(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    scorer = GroundedScorer(grounded.PAPER, DomExecutor(), EpisodeStore(tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        scorer(gold(rows[0]), rows[0])


def test_a_row_without_an_action_is_an_error_in_stage_2(stage_2: GroundedScorer) -> None:
    row = {"reference": json.dumps(["click"]), "images": []}
    with pytest.raises(DataError, match="nothing to compare with"):
        stage_2("", row)


def test_a_scorer_is_any_function_of_text_and_row() -> None:
    def length(completion: str, row: dict[str, Any]) -> Score:
        return Score(float(len(completion)), 1.0, 1.0)

    assert RewardFunction(length)(["ab", "c"], reference=["", ""], images=[[], []]) == [2.0, 1.0]
