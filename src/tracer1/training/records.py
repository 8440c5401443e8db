"""The lines that a training run leaves behind, kept true when it is resumed. Steps are counted from 1."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from itertools import compress
from pathlib import Path
from typing import Any

from tracer1.files import atomic, naming

logger = logging.getLogger(__name__)


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add one line a row, and wait until the disk has them: no checkpoint may outlive the lines before it.

    Raises SetupError when the disk refuses.
    """
    with naming(path), path.open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        out.flush()
        os.fsync(out.fileno())


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


def stage_lines(path: Path, stage: str) -> list[dict[str, Any]]:
    """This stage's lines; none where there is no file."""
    if not path.exists():
        return []
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row.get("stage") == stage]
