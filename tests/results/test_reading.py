from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import write_json, write_lines, write_run

from tracer1.errors import DataError
from tracer1.results.reading import LAST_STEPS, read_run
from tracer1.results.schema import ConstantPlan


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "demo")


def test_stages_come_in_the_order_of_the_method(run: Path) -> None:
    found = read_run(run)
    assert list(found.live) == ["base", "stage1", "stage2"]
    assert list(found.metrics) == ["stage1", "stage2"]
    assert found.name == "demo"


def test_rollouts_are_those_of_the_last_steps(run: Path) -> None:
    steps = {r.step for r in read_run(run).rollouts["stage2"]}
    assert steps == set(range(81 - LAST_STEPS, 81))


def test_a_step_written_twice_counts_once(tmp_path: Path) -> None:
    rows = [{"stage": "stage1", "step": s, "reward": r} for s, r in ((1, 0.1), (2, 0.2), (2, 0.3), (3, 0.4))]
    write_lines(tmp_path / "metrics.jsonl", rows)
    assert [line.reward for line in read_run(tmp_path).metrics["stage1"]] == [0.1, 0.3, 0.4]


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


def test_a_wrong_kind_is_named_by_its_place(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"stages": [{"live_success": "high"}]})
    with pytest.raises(DataError, match=r"results\.json: 'stages'\[0\]: 'live_success' is not a number"):
        read_run(tmp_path)


def test_the_constant_plan_of_training_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "constant_plan.json", {"action_types": ["click"], "plan_reward": 0.5, "windows": 3})
    (tmp_path / "config.yaml").write_text("seed: 0\n", "utf-8")
    assert read_run(tmp_path).constant_plan == ConstantPlan(("click",), 0.5, 3)
