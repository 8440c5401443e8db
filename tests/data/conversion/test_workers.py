"""Workers end with their parent, whatever ends that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from corpora import gui_odyssey

from tracer1.data.corpora.gui_odyssey import corpus

SCRIPT = Path(__file__).with_name("slow_conversion.py")


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks /proc for processes")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_a_killed_conversion(tmp_path: Path, how: signal.Signals) -> None:
    raw, pids = tmp_path / "raw", tmp_path / "pids"
    gui_odyssey.make(raw)
    pids.mkdir()
    for number in range(corpus.SHARE):  # a second shard, so that both workers have one
        (raw / "annotations" / f"{number:04d}.json").write_text("[]")
    command = [sys.executable, str(SCRIPT), str(raw), str(tmp_path / "out"), str(pids)]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: len(list(pids.iterdir())) >= 1, 60)
        workers = [int(path.name) for path in pids.iterdir()]
        assert all(map(is_running, workers))
        parent.send_signal(how)
        parent.wait(20)
        assert wait_until(lambda: not any(map(is_running, workers)), 5)
    finally:
        parent.kill()
        parent.wait()
        for path in pids.iterdir():
            if is_running(int(path.name)):
                os.kill(int(path.name), signal.SIGKILL)
