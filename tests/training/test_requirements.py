"""What stops a stage is found before any starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tracer1.config.settings import StageSettings
from tracer1.errors import SetupError, UsageError
from tracer1.training.requirements import check_batch, check_logger


def test_a_logger_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # as Python has it where an import must fail
    with pytest.raises(SetupError) as error:
        check_logger("stage2", "wandb")
    assert str(error.value).startswith("stage2.report_to: wandb is not installed; ")
    assert str(error.value).endswith("pip install 'tracer1[wandb]', or take it out of stage2.report_to")


def test_a_logger_that_is_broken_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb.py").write_text("import no_such_client\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(SetupError, match=r"wandb cannot be imported \(No module named 'no_such_client'\)"):
        check_logger("stage1", "wandb")


def test_a_batch_is_shared_in_whole_groups() -> None:
    settings = StageSettings(prompts_per_batch=6, group_size=2, updates_per_batch=1, micro_batch=2)
    check_batch("stage1", settings, 1)
    check_batch("stage1", settings, 3)
    with pytest.raises(UsageError, match=r"stage1\.prompts_per_batch \(6\) is not a multiple of the 4 processes"):
        check_batch("stage1", settings, 4)
    with pytest.raises(UsageError, match=r"stage1\.micro_batch \(4\) x 2 processes does not divide an update's 12 "):
        check_batch("stage1", settings.model_copy(update={"micro_batch": 4}), 2)
