"""Every results file through one schema, one writer and one reader."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tracer1.errors import DataError
from tracer1.results import schema
from tracer1.results.files import append, mend, raw_lines, read_json, read_lines, read_value, write_json
from tracer1.results.json_records import from_json, to_json
from tracer1.results.schema import (
    AgentResult,
    EpisodeRow,
    Estimate,
    GroupSignal,
    MetricsRow,
    PlanFigures,
    PlannedStep,
    Prediction,
    Results,
    RolloutRow,
    SamplerMismatch,
    TurnRow,
)
from tracer1.types import Action, Point

ROWS: list[Any] = [
    MetricsRow(
        stage="stage1",
        step=3,
        reward=0.5,
        terms={"format": 1.0},
        signal=GroupSignal(4, 1, {"alike": 1}),
        plans=PlanFigures(3.0, 0.0, 4.0, 0.0),
        mismatch=SamplerMismatch(0.1, 0.2, 7, "fine"),
        seconds={"step": 1.5},
    ),
    RolloutRow(stage="stage2", step=1, prompt="a#0", completion="\u2028ä", unscored="no answer", terms={"x": 0.0}),
    Prediction("a#0", "text", 0.5, 1.0),
    EpisodeRow(
        "t",
        3,
        "goal",
        (TurnRow("live/images/a.png", "said", (PlannedStep("a", "click", "b"),), Action("click", Point(0.5, 0.25))),),
        1.0,
        True,
        "finished",
    ),
    AgentResult(name="base", live_success=0.5, interval=(0.4, 0.6), episodes=4, hit_rate_by_depth=(0.5, None)),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_comes_back_the_same(row: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append(path, [row, row])
    assert list(read_lines(path, type(row))) == [row, row]


def test_every_class_can_be_read_and_written() -> None:
    classes = [c for c in vars(schema).values() if isinstance(c, type) and c.__module__ == schema.__name__]
    for cls in classes:
        made = from_json(cls, {"value": 1.0} if cls is Estimate else {"id": "a"}, "here")
        assert json.loads(json.dumps(to_json(made))) is not None
        assert {field.name for field in fields(cls)} >= {k for k in to_json(made) if k != "interval"}


def test_results_hold_only_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results = Results(
        stages=(AgentResult(name="base", live_success=math.nan),), gains={"a": Estimate(0.5, 0.4, 0.6, 9)}
    )
    write_json(path, results)
    assert json.loads(path.read_text()) == {
        "stages": [{"name": "base", "live_success": None}],
        "gains": {"a": {"value": 0.5, "interval": [0.4, 0.6], "count": 9}},
    }
    assert read_json(path, Results).gains == results.gains
    assert read_json(tmp_path / "none.json", Results) == Results()


def test_unknown_and_absent_keys(tmp_path: Path) -> None:
    assert from_json(MetricsRow, {"stage": "stage1", "new": 1, "reward": None}, "here") == MetricsRow(stage="stage1")
    with pytest.raises(DataError, match=r"here: 'id' is missing"):
        from_json(Prediction, {}, "here")


@pytest.mark.parametrize(
    ("cls", "value", "message"),
    [
        (MetricsRow, {"stage": 1}, "here: 'stage' is not a string"),
        (MetricsRow, {"step": True}, "here: 'step' is not a number"),
        (MetricsRow, {"terms": {"a": "b"}}, "here: 'terms': 'a' is not a number"),
        (MetricsRow, {"terms": [1]}, "here: 'terms' is not an object"),
        (EpisodeRow, {"success": 1}, "here: 'success' is not true or false"),
        (EpisodeRow, {"turns": {}}, "here: 'turns' is not a list"),
        (EpisodeRow, {"turns": [1]}, r"here: 'turns'\[0\]: not an object"),
        (Results, {"stages": [{"live_success": "high"}]}, r"here: 'stages'\[0\]: 'live_success' is not a number"),
        (Results, [], "here: not an object"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_by_its_place(cls: type, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_json(cls, value, "here")


def test_numbers_that_json_does_not_know_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"reward": NaN, "kl": 1e999, "entropy": Infinity, "terms": {"a": NaN, "b": 1}}\n')
    assert list(read_lines(path, MetricsRow)) == [MetricsRow(terms={"b": 1.0})]


@pytest.mark.parametrize(
    ("data", "estimate"),
    [
        (0.5, Estimate(0.5)),
        ({"value": 0.5, "interval": [0.4, 0.6], "count": 10}, Estimate(0.5, 0.4, 0.6, 10)),
        ({"value": 0.5, "interval": [None, None], "count": 1}, Estimate(0.5, count=1)),
        ({"value": None, "count": 0}, None),
    ],
)
def test_an_estimate_is_read_in_either_form(data: Any, estimate: Estimate | None) -> None:
    assert from_json(AgentResult, {"copied_arguments": data}, "here").copied_arguments == estimate


def test_a_warm_ups_lines_are_metrics(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"stage": "warmup", "step": 1, "loss": 2.5, "grad_norm": 1.0, "seconds": {"step": 0.1}}\n')
    (row,) = read_lines(path, MetricsRow)
    assert (row.stage, row.loss) == ("warmup", 2.5)


# ---- half a line -----------------------------------------------------------------------------------------------------


def test_half_a_last_line_is_passed_over_and_then_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rows.jsonl"
    append(path, [Prediction("a")])
    with path.open("ab") as file:
        file.write(b'{"id": "b", "completion": "\xc3')
    assert [p.id for p in read_lines(path, Prediction)] == ["a"]
    append(path, [Prediction("c")])
    assert [p.id for p in read_lines(path, Prediction)] == ["a", "c"]
    assert "a half-written last line removed" in caplog.text


def test_a_whole_last_line_without_its_end_stays(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "a"}\n' + b'{"id": "b", "completion": "' + b"x" * 200_000 + b'"}')
    mend(path)
    assert [p.id for p in read_lines(path, Prediction)] == ["a", "b"]
    mend(path)
    mend(tmp_path / "none.jsonl")
    assert list(raw_lines(tmp_path / "none.jsonl")) == []


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a"}\n{"id"}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl line 2: not JSON"):
        list(read_lines(path, Prediction))
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl line 1: not JSON"):
        list(read_lines(path, Prediction))


def test_text_that_utf8_cannot_hold_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append(path, [Prediction("a", "\ud800")])
    (row,) = read_lines(path, Prediction)
    assert row.completion == "?"


def test_a_plain_value(tmp_path: Path) -> None:
    path = tmp_path / "minutes.json"
    assert read_value(path, dict[str, float]) == {}
    write_json(path, {"a": 1.5})
    assert read_value(path, dict[str, float]) == {"a": 1.5}
