"""Work that the first of two processes does for both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracer1.training.processes import first_does, is_first_process, process_count

WORK = """
import sys
from tracer1.errors import SetupError, TraceR1Error
from tracer1.training.processes import first_does, process_index

def fail():
    raise SetupError("the disk is full")

print(process_index(), first_does(lambda: f"done by {process_index()}"), flush=True)
try:
    first_does(fail)
except TraceR1Error as error:
    sys.exit(f"tracer1: {error}")
"""


def test_a_single_process_does_the_work_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (process_count(), is_first_process(), first_does(lambda: 3)) == (1, True, 3)


def test_both_get_the_first_ones_result_and_its_failure_is_told_once(tmp_path: Path) -> None:
    rendezvous = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29000 + os.getpid() % 2000)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WORK],
            env={**os.environ, **rendezvous, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in running]
    assert [out for out, _ in ended] == ["0 done by 0\n", "1 done by 0\n"]
    assert [process.returncode for process in running] == [1, 1]
    assert "tracer1: the disk is full" in ended[0][1]
    assert "the disk is full" not in ended[1][1]
