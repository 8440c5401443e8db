from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracer1.checks import doctor


def test_the_browser_is_really_started() -> None:
    item = doctor.browser_works()
    assert item.ok, item.detail
    assert "drew a page" in item.detail


def test_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACER1_BROWSER", "no-such-browser")
    item = doctor.browser_works()
    assert not item.ok
    assert item.detail == "TRACER1_BROWSER=no-such-browser is not a program"
    assert "apt-get install" in item.remedy


def test_a_browser_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("TRACER1_BROWSER", str(program))
    item = doctor.browser_works()
    assert not item.ok
    assert item.detail.startswith(f"{program} fails: ")


def test_a_record_is_written_and_read() -> None:
    item = doctor.converters_work()
    assert item.ok, item.detail


def test_a_drawn_word_is_read() -> None:
    item = doctor.ocr_works()
    assert item.ok, item.detail


def script(folder: Path, text: str) -> None:
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_the_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = doctor.sandbox_works()
    assert (absent.ok, absent.optional) == (False, True)
    assert absent.remedy == "apt-get install -y bubblewrap"
    script(tmp_path, "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    refused = doctor.sandbox_works()
    assert (refused.ok, refused.optional) == (False, True)
    assert "No permissions to create new namespace" in refused.detail
    script(tmp_path, "exit 0")
    assert doctor.sandbox_works().ok


def test_disk_and_memory_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.disk().detail.split()[1] == "GiB"
    assert 0 < doctor._available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(doctor, "MEMORY_NEEDED", 1 << 60)
    monkeypatch.setattr(doctor, "DISK_NEEDED", 1 << 60)
    for item in (doctor.disk(), doctor.memory()):
        assert not item.ok
        assert item.remedy


def test_torch_multiplies_and_the_gpus_are_counted() -> None:
    assert doctor.torch_works().ok
    assert doctor.gpus().ok


def test_a_package_that_is_not_there() -> None:
    item = doctor._imports("no_such_package", "train")()
    assert (item.name, item.ok) == ("no_such_package", False)
    assert item.remedy == "pip install 'tracer1[train]'"


def test_everything_is_tried_and_endpoints_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor.disk,))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    names = [item.name for item in doctor.run_doctor()]
    assert names == ["disk", "OPENAI_BASE_URL"]
