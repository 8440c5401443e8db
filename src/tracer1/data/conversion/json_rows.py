"""Corpora that are one JSON array, or JSON Lines: the files of a raw folder as parts, and their rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracer1.data.conversion.corpus import Note, Part
from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.json_stream import stream_json
from tracer1.errors import DataError


def json_parts(raw: Path, example: str) -> list[Part]:
    """One part for each .json or .jsonl of the folder; DataError, with a file's name for ``example``, if there is none.

    A file is not shared by workers: what belongs together in it is only known by reading it from its beginning.
    """
    files = sorted(path for pattern in ("*.json", "*.jsonl") for path in raw.glob(pattern) if path.is_file())
    if not files:
        raise DataError(f"{raw}: no .json or .jsonl there; put a file such as {example} in it")
    return [Part(f"{i:03d}-{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}", file) for i, file in enumerate(files)]


def json_rows(part: Part) -> Iterator[tuple[str, Any | Note]]:
    """(file and row, row) of each row from 0; a Note stands for one that cannot be read."""
    for number, row in stream_json(part.file):
        where = f"{part.file.name} row {number}"
        yield where, Note("damaged", row.reason, where, row.detail) if isinstance(row, Damaged) else row
