from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import plan_steps, prompt

from tracer1.errors import DataError
from tracer1.plan.text import render_plan
from tracer1.report.rollouts import align, groups, recorded
from tracer1.results.reading import read_run
from tracer1.results.schema import RolloutRow
from tracer1.types import Plan, Step

REFERENCE = (Step("", "click", "click a"), Step("", "type", "type b"), Step("", "click", "click c"))


def line(name: str, overall: float | None, *steps: Step, step: int = 7) -> RolloutRow:
    written = render_plan(Plan(steps, "thought", 1)) if steps else "nothing to read"
    return RolloutRow(step=step, prompt=name, completion=written, overall=overall, terms={"format": 1.0})


def unknown(_: object) -> dict[str, tuple[Step, ...]]:
    return {}


def test_best_typical_and_worst_of_those_with_a_signal() -> None:
    means = {
        "high": (1.0, 0.8),
        "low": (0.0, 0.1),
        "middle": (0.4, 0.6),
        "zero_variance": (1.0, 1.0),
        "lost": (None, None),
    }
    lines = [line(name, value) for name, pair in means.items() for value in pair]
    (stage,) = groups({"stage1": lines}, unknown)
    assert [(g.rank, g.prompt) for g in stage.groups] == [("Best", "high"), ("Typical", "middle"), ("Worst", "low")]
    assert stage.note == "Chosen by mean reward from 3 of 4 groups of step 7: those whose rewards differ."
    assert groups({"stage1": [line("a", None)]}, unknown) == ()
    (stage,) = groups({"stage1": [line("a", 1.0), line("a", 1.0)]}, unknown)
    assert [g.rank for g in stage.groups] == ["Only"]
    assert "none of them carries a signal" in stage.note


def test_steps_are_compared_place_by_place() -> None:
    a, b, c = REFERENCE
    assert align(REFERENCE, REFERENCE) == ("same", "same", "same")
    assert align((a, Step("", "type", "type z")), REFERENCE) == ("same", "type", "missing")
    assert align((b, a, c, c), REFERENCE) == ("different", "different", "same", "")
    assert align((), REFERENCE) == ("missing",) * 3


def test_a_group_stands_beside_its_reference() -> None:
    a, b, c = REFERENCE
    lines = [line("p", 0.2), line("p", 1.0, a, b, c, c), line("p", 0.5, a), line("p", 0.5, a)]
    (stage,) = groups({"stage2": lines}, lambda wanted: {"p": REFERENCE} if "p" in wanted else {})
    (group,) = stage.groups
    assert [(c.overall, c.times, c.hits) for c in group.completions] == [
        ("1.000", 1, "3 of 3 steps"),
        ("0.500", 2, "1 of 3 steps"),
        ("0.200", 1, "0 of 3 steps"),
    ]
    assert [cell.instruction for cell in group.reference] == ["click a", "type b", "click c", ""]
    assert all(len(c.cells) == len(group.reference) for c in group.completions)
    assert group.completions[-1].raw == "nothing to read"


def test_references_come_from_the_windows(run: Path) -> None:
    asked = {prompt(3, 0), "miniwob/nowhere/1#0"}
    assert recorded(read_run(run))(asked) == {prompt(3, 0): tuple(plan_steps(5))}
    kept = run / "data" / "train.parquet"
    elsewhere = run / "elsewhere.parquet"
    kept.rename(elsewhere)
    assert recorded(read_run(run))(asked) == {}
    (run / "config.yaml").write_text(f"data: {{train: '{elsewhere}'}}\n", "utf-8")
    assert list(recorded(read_run(run))(asked)) == [prompt(3, 0)]
    kept.write_bytes(b"no windows")
    with pytest.raises(DataError, match=r"train\.parquet"):
        recorded(read_run(run))(asked)
