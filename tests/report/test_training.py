from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import plan_steps

from tracer1.plan.text import render_plan
from tracer1.report.training import diagnoses, groups_of, phases, step_times
from tracer1.results.reading import read_run
from tracer1.results.schema import RolloutRow
from tracer1.types import Plan

READABLE = render_plan(Plan(tuple(plan_steps(2)), "", 1))


def group(*rewards: float | None, text: str = READABLE, prompt: str = "p", step: int = 0) -> list[RolloutRow]:
    return [RolloutRow("stage1", step, prompt, text, overall=r, accuracy=r) for r in rewards]


def test_the_diagnosis_in_words() -> None:
    lines = [
        *group(1.0, 1.0, prompt="a"),
        *group(0.0, 1.0, prompt="b"),
        *group(0.0, 0.0, prompt="c", text="first bad <b>sample</b>"),
        *group(1.0, 1.0, prompt="d"),
    ]
    found = diagnoses(lines)
    assert found.keys() == {"stage1"}
    assert found["stage1"].startswith(
        "75 % of 4 groups have zero variance: 50 % all right, 25 % did not parse; first bad"
    )
    assert 'c: "first bad <b>sample</b>"' in found["stage1"]
    assert diagnoses(group(0.0, 1.0)) == {"stage1": "0 % of 1 groups have zero variance"}
    assert diagnoses([]) == {}


def test_a_prompt_drawn_twice_in_a_row_is_two_groups() -> None:
    lines = [*group(1.0, 1.0, prompt="a"), *group(0.0, 0.0, prompt="a"), *group(0.0, 1.0), *group(1.0, 0.0, step=1)]
    lines += group(0.5, 0.5, prompt="b")
    assert [len(lines) for _, lines in groups_of(lines)] == [2, 2, 2, 2, 2]


def test_phases_are_what_lies_between_the_clock_s_readings() -> None:
    assert phases({"generate": 2.0, "rollout": 2.5, "step": 4.0}) == {"generate": 2.0, "score": 0.5, "update": 1.5}
    assert phases({"step": 4.0}) == {}


def test_a_step_s_time_by_phase(run: Path) -> None:
    one, two = step_times(read_run(run).metrics)
    assert [name for name, _, _ in one.parts] == ["generate", "score", "update"]
    assert sum(width for _, _, width in two.parts) == pytest.approx(100)
    assert one.whole.endswith("memory at most 1.5 GB")
