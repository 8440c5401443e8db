"""The lines that a training run leaves behind, kept true when it is resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tracer1.data.store import write_atomic


def forget_after(path: Path, stage: str, step: int, offset: int) -> None:
    """Drop this stage's lines that a resumed run will write again, and a half-written last line.

    A line stays when its ``step`` plus ``offset`` is at most ``step``, the steps that were done: ``offset`` is 0 where
    lines count steps from 1, and 1 where they count from 0. Raises SetupError when the disk refuses.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):  # a completion may hold other line ends
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if row.get("stage") != stage or row["step"] + offset <= step:
            kept.append(line + "\n")
    write_atomic(path, "".join(kept).encode())


def lines_of(path: Path, stage: str) -> list[dict[str, Any]]:
    """This stage's lines; none where there is no file."""
    if not path.exists():
        return []
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row.get("stage") == stage]
