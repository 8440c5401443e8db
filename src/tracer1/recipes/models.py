"""Model folders made on this machine: ``tracer1 models``."""

from __future__ import annotations

from pathlib import Path

from tracer1.errors import UsageError
from tracer1.models.smollm2 import write_smollm2
from tracer1.training.checkpoints import publish


def make_smollm2(out: Path) -> bool:
    """Make the folder of SmolLM2-135M-Instruct; False where it is there already. It appears whole or not at all."""
    if (out / "config.json").exists():
        return False
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already and holds no model; name another folder")
    publish(out, write_smollm2)
    return True
