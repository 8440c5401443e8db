"""The machine under a run: room on the disk, and a browser where demonstrations must be recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

from tracer1.checks.findings import CheckItem, split_remedy
from tracer1.config.settings import Config, StageSettings
from tracer1.errors import SetupError

GIB = 2**30


def disk_item(config: Config, folder: Path | None) -> CheckItem:
    """Room for the run. A training checkpoint holds the weights and two moments, a finished stage its weights."""
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0
    checkpoints = max(config.stage1.keep_checkpoints, config.stage2.keep_checkpoints) + 1  # one while it is written
    need = GIB + weights * (3 * checkpoints + 2) + sum(map(_rollouts_bytes, (config.stage1, config.stage2)))
    free = free_bytes(Path(config.output_dir))
    beside = "" if weights else " beside the checkpoints, whose size is unknown without the model"
    detail = f"{free / GIB:.1f} GiB free at {config.output_dir}, about {need / GIB:.1f} GiB needed{beside}"
    remedy = "free some space, lower keep_checkpoints or choose another output_dir"
    return CheckItem("disk", free >= need, detail, remedy)


def _rollouts_bytes(stage: StageSettings) -> int:
    """About the largest size of ``rollouts.jsonl``: every completion at its longest, with its terms."""
    return stage.steps * stage.prompts_per_batch * stage.group_size * (4 * stage.max_completion_tokens + 500)


def free_bytes(path: Path) -> int:
    """Free space where ``path`` is or would be made."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def browser_item() -> CheckItem:
    """Whether there is a browser to record demonstrations with."""
    try:
        from tracer1.envs.miniwob.browser import find_browser
    except ImportError as error:
        return CheckItem("browser", False, f"{error.name} is not installed", "pip install 'tracer1[web]'")
    try:
        return CheckItem("browser", True, find_browser())
    except SetupError as error:
        return CheckItem("browser", False, *split_remedy(error))
