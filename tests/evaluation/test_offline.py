from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nano_planner import Nano

from tracer1.data.windows_file import absolute_rows, read_windows, row_to_window
from tracer1.evaluation.offline import OfflineResult, copied_exactly, evaluate_windows, goal_of
from tracer1.executors.dom import DomExecutor
from tracer1.executors.instruction import drop_target_name, parse_instruction, render_instruction
from tracer1.models.scripted import ScriptedModel
from tracer1.plan.text import render_plan
from tracer1.results.files import read_lines
from tracer1.results.schema import Prediction
from tracer1.rewards import grounded, trajectory
from tracer1.training.scoring import GroundedScorer, TrajectoryScorer
from tracer1.types import Message, Plan, Step, Window

HORIZON = 3


@pytest.fixture(scope="module")
def windows(nano: Nano) -> list[Window]:
    return list(read_windows(nano.windows))


@pytest.fixture(scope="module")
def evaluate(nano: Nano, windows: list[Window]) -> Callable[..., OfflineResult]:
    """Evaluate a planner that makes of each window's reference what the function says."""

    def run(plan: Callable[[Sequence[Step]], str], known: Sequence[str] = (), **options: Any) -> OfflineResult:
        rows = list(absolute_rows(str(nano.windows)))
        told = {str(w.prompt): w.reference.steps for w in map(row_to_window, rows)}

        def complete(prompt: Sequence[Message]) -> str:
            return plan(told[str(tuple(prompt))])

        return evaluate_windows(
            ScriptedModel(complete),
            rows,
            TrajectoryScorer(trajectory.PAPER),
            GroundedScorer(grounded.PAPER, DomExecutor()),
            horizon=HORIZON,
            known_strings=known,
            **options,
        )

    return run


def test_the_recorded_plans_are_right_in_everything(
    evaluate: Callable[..., OfflineResult], windows: list[Window]
) -> None:
    done: list[int] = []
    result = evaluate(lambda steps: render_plan(Plan(tuple(steps))), on_batch=done.append, batch=50)
    assert (result.plan_reward.value, result.format.value, result.first_step_accuracy.value) == (1.0, 1.0, 1.0)
    assert result.plan_reward.count == result.first_step_accuracy.count == len(windows) == len(result.predictions)
    by_depth = [sum(len(w.reference.steps) > depth for w in windows) for depth in range(HORIZON)]
    assert [(hit.value, hit.count) for hit in result.hit_rate_by_depth] == [(1.0, count) for count in by_depth]
    assert result.copied.value == 1.0
    assert result.copied.count > 100
    assert done == [50, 100, 150, 192]


def test_the_reactive_plan_is_right_at_the_first_depth_alone(evaluate: Callable[..., OfflineResult]) -> None:
    result = evaluate(lambda steps: render_plan(Plan(tuple(steps[:1]))))
    assert result.first_step_accuracy.value == 1.0
    assert [hit.value for hit in result.hit_rate_by_depth] == [1.0, 0.0, 0.0]
    assert result.plan_reward.value < 0.8


def test_garbage_is_counted_as_wrong(evaluate: Callable[..., OfflineResult]) -> None:
    result = evaluate(lambda _: "no plan")
    assert result.plan_reward.value == result.format.value == result.first_step_accuracy.value == 0.0
    assert [hit.value for hit in result.hit_rate_by_depth] == [0.0, 0.0, 0.0]
    assert result.copied.value == 0.0


def test_loose_speech_is_no_miscopying(evaluate: Callable[..., OfflineResult]) -> None:
    def vague(steps: Sequence[Step]) -> str:
        return render_plan(
            Plan(
                tuple(
                    replace(s, instruction=render_instruction(drop_target_name(parse_instruction(s.instruction))))
                    for s in steps
                )
            )
        )

    result = evaluate(vague)
    assert result.plan_reward.value == 1.0
    assert result.first_step_accuracy.value < 1.0
    assert result.copied.value == 1.0
    exact = evaluate(lambda steps: render_plan(Plan(tuple(steps))))
    assert 0 < result.copied.count < exact.copied.count  # what is typed stays, what is clicked is not named


def test_known_strings_are_left_out(nano: Nano, evaluate: Callable[..., OfflineResult]) -> None:
    result = evaluate(lambda steps: render_plan(Plan(tuple(steps))), known=nano.source.quoted())
    assert result.copied.count == 0


def test_a_stopped_evaluation_resumes(evaluate: Callable[..., OfflineResult], tmp_path: Path) -> None:
    out = tmp_path / "heldout/base.jsonl"

    def stop(done: int) -> None:
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(lambda _: "no plan", out=out, on_batch=stop, batch=50)
    done: list[int] = []
    result = evaluate(lambda steps: render_plan(Plan(tuple(steps))), out=out, on_batch=done.append, batch=50)
    assert done == [150, 192]
    assert sum(p.completion == "no plan" for p in result.predictions) == 100
    assert list(read_lines(out, Prediction)) == list(result.predictions)


GOAL = 'Enter "ada" as Name and "bob" as City, then press Send.'


def planned(instruction: str) -> Plan:
    return Plan((Step("", "click", instruction),))


@pytest.mark.parametrize(
    ("plan", "recorded", "known", "verdict"),
    [
        (planned("type 'ada' in the 'Name' field"), "type 'ada' in the 'Name' field", (), True),
        (planned("type 'adda' in the 'Name' field"), "type 'ada' in the 'Name' field", (), False),
        (planned("type 'ada' in the 'City' field"), "type 'ada' in the 'Name' field", (), False),
        (planned("type 'ada' in the 'City' field"), "type 'ada' in the 'Name' field", ("Name",), True),
        (planned("type 'ada'"), "type 'ada' in the 'Name' field", (), True),
        (planned("click the field"), "click the 'Name' field", (), None),
        (planned("click the 'Name' field"), "click the 'Name' field", ("Name",), None),
        (planned("wait"), "wait", (), None),
        (planned("click the 'Nowhere' button"), "click the 'Nowhere' button", (), None),
        (planned("dance"), "click the 'Name' field", (), False),
        (planned('Enter "ada" there'), 'Type "ada" into the box at the top', (), True),
        (planned("type 'ada'"), 'Type "ada" into the box at the top', (), True),
        (planned('Enter "eve" there'), 'Type "ada" into the box at the top', (), False),
        (planned("Fill in the box"), 'Type "ada" into the box at the top', (), None),
        (planned("Fill in the box"), "Don't touch the user's box", (), None),
        (None, "click the 'Name' field", (), False),
        (None, "wait", (), None),
    ],
)
def test_what_counts_as_copied(plan: Plan | None, recorded: str, known: Sequence[str], verdict: bool | None) -> None:
    assert copied_exactly(plan, recorded, GOAL, known) is verdict


def test_the_goal_is_all_text_of_the_prompt() -> None:
    parts = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Task: b"}]
    assert goal_of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]) == (
        "Be brief.\nTask: b"
    )
