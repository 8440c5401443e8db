from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tracer1.config.loading import load_config
from tracer1.config.settings import Config
from tracer1.errors import SetupError
from tracer1.results.files import write_json
from tracer1.results.run import PACKAGES, describe_machine, locked, prepare


def test_a_run_directory_says_what_it_is_made_of(tmp_path: Path) -> None:
    config = Config(output_dir=str(tmp_path / "runs/one"), seed=3)
    run = prepare(config)
    assert run == tmp_path / "runs/one"
    assert load_config(run / "config.yaml") == config
    machine = json.loads((run / "env.json").read_text())
    assert machine["cores"] >= 1
    assert machine["memory_gb"] > 0
    assert machine["python"].startswith("3.")
    assert set(PACKAGES) <= machine.keys()
    assert machine["torch"]
    assert machine["cpu"]


def test_preparing_again_keeps_what_is_there(tmp_path: Path) -> None:
    config = Config(output_dir=str(tmp_path))
    prepare(config)
    (tmp_path / "metrics.jsonl").write_text("kept\n")
    prepare(config)
    assert (tmp_path / "metrics.jsonl").read_text() == "kept\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "env.json", "metrics.jsonl"]


def test_a_place_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="file"):
        prepare(Config(output_dir=str(tmp_path / "file" / "run")))
    with pytest.raises(SetupError, match="file"):
        prepare(Config(output_dir=str(tmp_path / "file")))


def test_a_file_of_json_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"a": [math.nan, 1.5, (math.inf, "ä")], "b": {"c": -math.inf, "d": None, "e": True}})
    text = path.read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [None, 1.5, [None, "ä"]],
        "b": {"c": None, "d": None, "e": True},
    }
    assert "ä" in text
    assert text.endswith("\n")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_the_commit_is_told_where_there_is_one() -> None:
    commit = describe_machine()["git_commit"]
    assert commit is None or len(commit) == 40


# ---- one process a run -----------------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from tracer1.results.run import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_with_the_number_of_the_first_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(SetupError) as refused, locked(tmp_path):
            raise AssertionError("two processes are in one run")
        holder.send_signal(signal.SIGKILL)
    assert str(refused.value) == (
        f"{tmp_path} is in use by process {holder.pid}; wait for it, stop it, or choose another output directory"
    )
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    with locked(tmp_path):  # it is free again
        pass


def test_the_first_process_of_a_job_takes_the_lock_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with locked(tmp_path):
            pass
