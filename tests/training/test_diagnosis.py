"""Reasons of zero_variance groups, from made-up records with a known answer, and plans beside recordings."""

from __future__ import annotations

from typing import Any

import pytest

from tracer1.errors import ExecutorError
from tracer1.plan.text import render_plan
from tracer1.results.schema import GroupSignal, PlanFigures, RolloutRow
from tracer1.rewards.grounded import score_grounded
from tracer1.rewards.trajectory import score_trajectory
from tracer1.training.diagnosis import REASONS, Diagnosis, diagnose, loops, plan_figures, zero_variance_reason
from tracer1.types import Action, Plan, Point, Reference, Score, Step

CLICK, TYPE, DONE = (
    Step("", "click", "click the 'Name' field"),
    Step("", "type", "type 'ada' in the 'Name' field"),
    Step("", "finished", "say that it is done", "done"),
)
REFERENCE = (CLICK, TYPE, DONE)
TARGET = Reference(REFERENCE, Action("click", Point(0.2, 0.2)), (0.1, 0.1, 0.3, 0.3))


def plan(*steps: Step) -> str:
    return render_plan(Plan(steps))


def record(completion: str, score: Score, prompt: str = "login/1#0", step: int = 1) -> RolloutRow:
    """A line of ``rollouts.jsonl`` as the trainer writes it."""
    return RolloutRow(
        stage="stage1",
        step=step,
        prompt=prompt,
        completion=completion,
        overall=score.overall,
        accuracy=score.accuracy,
        terms=dict(score.terms),
        unscored=score.unscored,
    )


def stage_1(completion: str, **place: Any) -> RolloutRow:
    return record(completion, score_trajectory(completion, REFERENCE), **place)


def stage_2(completion: str, x: float = 0.2) -> RolloutRow:
    return record(completion, score_grounded(completion, TARGET, lambda step: Action("click", Point(x, 0.2))))


def down(step: Step) -> Action:
    raise ExecutorError("no answer within 30 s")


RIGHT, WRONG, SHORT, NOTHING = plan(*REFERENCE), plan(*[Step("", "drag", "drag")] * 3), plan(CLICK), "I would\nclick"


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("all_right", stage_1(RIGHT)),
        ("no_plan", stage_1(NOTHING)),
        ("wrong_type", stage_1(WRONG)),
        ("incomplete", stage_1(SHORT)),
        ("all_right", stage_2(RIGHT)),
        ("no_plan", stage_2(NOTHING)),
        ("wrong_target", stage_2(RIGHT, x=0.9)),
        ("unscored", record(RIGHT, score_grounded(RIGHT, TARGET, down))),
    ],
)
def test_each_reason_is_found(reason: str, line: RolloutRow) -> None:
    assert zero_variance_reason([line] * 3) == reason


def test_a_group_with_a_signal_has_no_reason() -> None:
    assert zero_variance_reason([stage_1(RIGHT), stage_1(SHORT)]) is None
    assert zero_variance_reason([stage_2(RIGHT), stage_2(RIGHT, x=0.9)]) is None


def test_different_plans_of_one_worth_are_alike() -> None:
    """Neither right nor wrong in the same way; the catch-all comes last."""
    partly = [RolloutRow(overall=0.5, accuracy=0.5, terms={"alignment": 1.0}, completion=RIGHT)] * 2
    assert zero_variance_reason(partly) == "alike"
    assert list(REASONS)[-1] == "alike"


def test_a_diagnosis_in_words() -> None:
    groups = [[RIGHT, SHORT]] * 38 + [[WRONG, WRONG]] * 41 + [[RIGHT, RIGHT]] * 14 + [[NOTHING, NOTHING]] * 7
    rollouts = [stage_1(c, prompt=f"login/{i}#0", step=5) for i, group in enumerate(groups) for c in group]
    found = diagnose(rollouts)
    assert found.signal == GroupSignal(100, 62, {"wrong_type": 41, "all_right": 14, "no_plan": 7})
    assert str(found).startswith(
        "62 % of 100 groups have zero variance: 41 % all wrong at the action type, 14 % all right, 7 % did not parse; "
        'first bad sample: step 5, login/38#0: "<think>'
    )
    assert "\n" not in str(found)


def test_a_bad_sample_says_what_is_wrong_with_it() -> None:
    said = str(diagnose([stage_1(NOTHING)] * 2))
    assert said.endswith('first bad sample: step 1, login/1#0: "I would\\nclick" (no </think>)')
    unscored = str(diagnose([record(RIGHT, score_grounded(RIGHT, TARGET, down))] * 2))
    assert unscored.endswith("first bad sample: step 1, login/1#0: no answer within 30 s")


def test_groups_of_one_prompt_drawn_twice_in_a_row() -> None:
    rollouts = [stage_1(c) for c in (RIGHT, RIGHT, SHORT, SHORT)]
    assert diagnose(rollouts).zero_variance == 0
    assert diagnose(rollouts, rollouts_per_prompt=2).signal == GroupSignal(2, 2, {"all_right": 1, "incomplete": 1})


def test_nothing_to_diagnose() -> None:
    assert diagnose([]) == Diagnosis(0, {})
    assert str(diagnose([])) == "no groups yet"
    assert str(diagnose([stage_1(RIGHT), stage_1(SHORT)])) == "0 % of 1 groups have zero variance"


# ---- plans beside recordings -----------------------------------------------------------------------------------------


def test_a_loop_is_the_same_step_twice_in_a_row() -> None:
    assert loops([CLICK, TYPE, TYPE])
    assert not loops([CLICK, TYPE, CLICK])
    assert not loops([CLICK, Step("", "click", "click the 'Send' button")])


def test_figures_of_plans() -> None:
    plans = [Plan((CLICK, CLICK, TYPE, DONE)), None, Plan((CLICK, TYPE))]
    assert plan_figures(plans, [REFERENCE] * 3) == PlanFigures(3.0, 0.5, 3.0, 0.0)
    assert plan_figures([None], [REFERENCE]).steps is None
