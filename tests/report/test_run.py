from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_run import write_json, write_lines

from tracer1.errors import DataError
from tracer1.report.run import LAST_STEPS, Estimate, Record, read_run


def test_stages_come_in_the_order_of_the_method(run: Path) -> None:
    found = read_run(run)
    assert list(found.live) == ["base", "stage1", "stage2"]
    assert list(found.metrics) == ["stage1", "stage2"]
    assert found.name == "demo"


def test_rollouts_are_those_of_the_last_steps(run: Path) -> None:
    steps = {r.count("step") for r in read_run(run).rollouts["stage2"]}
    assert steps == set(range(81 - LAST_STEPS, 81))


def test_a_step_written_twice_counts_once(tmp_path: Path) -> None:
    rows = [{"stage": "stage1", "step": s, "reward": r} for s, r in ((1, 0.1), (2, 0.2), (2, 0.3), (3, 0.4))]
    write_lines(tmp_path / "metrics.jsonl", rows)
    assert [line.number("reward") for line in read_run(tmp_path).metrics["stage1"]] == [0.1, 0.3, 0.4]


def test_half_a_line_is_still_being_written(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"stage": "stage1", "step": 1}\n{"stage": "st', "utf-8")
    assert len(read_run(tmp_path).metrics["stage1"]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"stage": 1}\n', "metrics.jsonl line 1: 'stage' is not a string"),
        ('{"step": 1}\n{"step": true}\n', "metrics.jsonl line 2: 'step' is not a number"),
        ("[1]\n", "metrics.jsonl line 1: not an object"),
        ('{"a"}\n{}\n', "metrics.jsonl line 1: not JSON"),
        ("[" * 100_000 + "\n", "metrics.jsonl line 1: not JSON"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text, "utf-8")
    with pytest.raises(DataError) as caught:
        read_run(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_estimate_is_read_in_either_form() -> None:
    flat = Record({"a": 0.5, "interval": [0.4, 0.6], "count": 10}, "here")
    nested = Record({"a": {"value": 0.5, "interval": [0.4, 0.6], "count": 10}}, "here")
    assert flat.estimate("a") == nested.estimate("a") == Estimate(0.5, 0.4, 0.6, 10)
    lists = Record({"h": [0.5, {"value": 0.4}, None], "i": [[0.4, 0.6]]}, "here")
    assert lists.estimates("h", "i") == [Estimate(0.5, 0.4, 0.6), Estimate(0.4), None]


def test_a_wrong_kind_is_named_by_its_place(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"stages": [{"live_success": "high"}]})
    stage = read_run(tmp_path).results.records("stages")[0]
    with pytest.raises(DataError, match=r"results\.json: 'stages'\[0\]: 'live_success' is not a number"):
        stage.estimate("live_success")


def test_numbers_that_json_does_not_know_are_absent(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"a": float("nan"), "b": 1}).replace("1", "1e999"), "utf-8")
    results = read_run(tmp_path).results
    assert results.number("a") is None
    assert results.number("b") is None
