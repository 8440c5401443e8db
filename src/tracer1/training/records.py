"""The lines of ``metrics.jsonl`` and ``rollouts.jsonl`` when training is resumed. Steps are counted from 1."""

from __future__ import annotations

import json
import logging
from itertools import compress
from pathlib import Path

from tracer1.files import atomic
from tracer1.results.files import read_lines
from tracer1.results.schema import MetricsRow

logger = logging.getLogger(__name__)


def drop_steps_after(path: Path, stage: str, step: int) -> None:
    """Drop this stage's lines of later steps, which a resumed run writes again, and half-written lines with a warning.

    All other lines stay, byte for byte. The file is replaced at the end or not at all. Raises SetupError when the disk
    refuses.
    """
    if not path.exists():
        return
    with path.open("rb") as lines:
        stay = [_stays(line, path, stage, step) for line in lines]
    with atomic(path) as out, path.open("rb") as lines:
        out.writelines(line.rstrip(b"\n") + b"\n" for line in compress(lines, stay))


def _stays(line: bytes, path: Path, stage: str, last: int) -> bool:
    try:
        row = json.loads(line)
    except ValueError:  # also of bytes that are no text
        logger.warning("%s: a half-written line dropped: %.60r", path, line)
        return False
    return not isinstance(row, dict) or row.get("stage") != stage or "step" not in row or row["step"] <= last


def stage_lines(path: Path, stage: str) -> list[MetricsRow]:
    """This stage's lines of ``metrics.jsonl``; none where there is no file."""
    return [row for row in read_lines(path, MetricsRow) if row.stage == stage]
