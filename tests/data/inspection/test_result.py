from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

from rich.console import Console

from tracer1.data.inspection.result import (
    PROBLEMS_KEPT,
    Choice,
    Inspection,
    Place,
    Problem,
    Problems,
    Reservoir,
    kind_of_field,
    ranked,
)
from tracer1.data.inspection.summary import COUNTS_SHOWN, render


def test_a_problem_as_a_line() -> None:
    assert str(Problem("a.jsonl", "line 3", "steps[0].box", "crooked")) == "a.jsonl line 3: steps[0].box: crooked"
    assert str(Problem("a.jsonl", "line 3", "", "not JSON")) == "a.jsonl line 3: not JSON"
    assert str(Problem("conversion.json", "", "", "broken")) == "conversion.json: broken"


def test_problems_beyond_the_cap_are_counted_and_not_kept() -> None:
    problems = Problems()
    assert not problems
    for i in range(3 * PROBLEMS_KEPT):
        problems.add(Problem("a", f"line {i}", f"steps[{i}].box" if i % 3 else "goal", "wrong"))
    assert (len(problems), len(list(problems))) == (3 * PROBLEMS_KEPT, PROBLEMS_KEPT)
    assert problems.fields == {"steps[].box": 2 * PROBLEMS_KEPT, "goal": PROBLEMS_KEPT}


def test_long_tables_are_cut_on_the_terminal() -> None:
    found = Inspection(Path("a.jsonl"), "episodes")
    for i in range(100):
        found.count("task", f"task-{i}")
        found.problems.add(Problem("a.jsonl", f"line {i}", f"steps[{i}].box", "crooked"))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(found))
    shown = console.export_text()
    assert f"... and {100 - COUNTS_SHOWN} more" in shown
    assert "100 problems" in shown
    assert "and 80 more; in all, by field:" in shown
    assert "100  steps[].box" in shown


def test_an_even_sample() -> None:
    drawn: Counter[int] = Counter()
    for seed in range(2000):
        kept = Reservoir(Choice(samples=2, seed=seed))
        for i in range(10):
            kept.offer(Place("a", f"line {i}"), {"i": i})
        rows = [int(sample.place.row.split()[1]) for sample in kept.samples()]
        assert rows == sorted(set(rows))
        drawn.update(rows)
    assert set(drawn) == set(range(10))
    assert all(300 < count < 500 for count in drawn.values())


def test_kinds_of_fields_and_ranks() -> None:
    assert kind_of_field("steps[12].files[0].a") == "steps[].files[].a"
    assert ranked(Counter({"b": 1, "a": 1, "c": 2})) == [("c", 2), ("a", 1), ("b", 1)]
