"""Windows that were made otherwise than the ``plan`` section says are refused, with both sides named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer1.config.settings import PlanSettings
from tracer1.data.plan_match import plan_mismatch, require_plan
from tracer1.data.windows_file import write_rows
from tracer1.errors import UsageError


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    path = tmp_path / "train.parquet"
    write_rows(path, [], tmp_path, {"horizon": 5, "history": 4, "prompt": "full-1"})
    return path


def test_equal_settings_pass(windows: Path) -> None:
    assert plan_mismatch(windows, PlanSettings(horizon=5, history=4, prompt_version="full-1")) is None


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (PlanSettings(horizon=2, history=4), "horizon 5 where plan.horizon is 2"),
        (PlanSettings(horizon=5, history=0), "history 4 where plan.history is 0"),
        (PlanSettings(history=4, prompt_version="brief-1"), "prompt full-1 where plan.prompt_version is brief-1"),
    ],
)
def test_both_sides_and_the_remedy_are_named(windows: Path, plan: PlanSettings, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        require_plan(windows, plan)
    assert says in str(raised.value)
    assert "set plan.horizon=5 plan.history=4 plan.prompt_version=full-1, or write the file again" in str(raised.value)


def test_all_differences_are_named_at_once(windows: Path) -> None:
    found = plan_mismatch(windows, PlanSettings(horizon=2, history=0, prompt_version="brief-1"))
    assert found is not None
    assert found.count(" where ") == 3


def test_a_file_without_settings_fits_any_plan(tmp_path: Path) -> None:
    write_rows(tmp_path / "own.parquet", [], tmp_path)
    assert plan_mismatch(tmp_path / "own.parquet", PlanSettings(horizon=1)) is None
