"""A run directory: what it is made of, and how its parts are written (config.yaml, env.json, checkpoints/ ...)."""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tracer1.config.loading import dump_config
from tracer1.config.settings import Config
from tracer1.errors import SetupError
from tracer1.files import naming, write_atomic
from tracer1.results.files import write_json

PACKAGES = ("tracer1", "torch", "transformers", "trl", "datasets", "accelerate", "playwright", "miniwob", "rapidocr")


def prepare(config: Config) -> Path:
    """Make the run directory and write the resolved configuration and the description of the machine.

    Raises SetupError when the directory cannot be made or written.
    """
    run = Path(config.output_dir)
    write_atomic(run / "config.yaml", dump_config(config).encode())
    write_json(run / "env.json", describe_machine())
    return run


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep other processes out of a run directory for as long as the block lasts; SetupError when one is in it.

    The lock is the operating system's on ``.lock``, which holds the number of its process: it goes with that process,
    however that ends. Of the processes of a torchrun job the first takes it for all.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    path = run / ".lock"
    with naming(path):
        run.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+", encoding="ascii")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise SetupError(
                f"{run} is in use by process {holder}; wait for it, stop it, or choose another output directory"
            ) from error
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def describe_machine() -> dict[str, Any]:
    """Versions, commit and hardware: what a number has to be read with."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in PACKAGES},
        "git_commit": _commit(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    here = Path(__file__).parent
    done = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
