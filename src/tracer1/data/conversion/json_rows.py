"""Corpora that are one JSON array, or JSON Lines: the files of a raw folder as shards, and their rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracer1.data.conversion.corpus import Note, Shard
from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.json_stream import is_one_object, stream_json
from tracer1.errors import DataError


def json_shards(raw: Path, example: str) -> list[Shard]:
    """A shard for each .json or .jsonl file of the folder. Raises DataError, naming ``example``, if it has none.

    Workers do not share a file: which rows belong together is known only by reading it from its beginning.
    """
    files = sorted(path for pattern in ("*.json", "*.jsonl") for path in raw.glob(pattern) if path.is_file())
    if not files:
        raise DataError(f"{raw}: no .json or .jsonl there; put a file such as {example} in it")
    return [Shard(f"{i:03d}-{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}", file) for i, file in enumerate(files)]


def json_rows(shard: Shard) -> Iterator[tuple[str, Any | Note]]:
    """(file and row, row) of each row from 0; a Note stands for a row, or a file, that cannot be read."""
    if is_one_object(shard.file):
        detail = "expected a JSON array of records, or JSON Lines with one record in each line"
        yield shard.file.name, Note("damaged", "one JSON object over several lines", shard.file.name, detail)
        return
    for number, row in stream_json(shard.file):
        where = f"{shard.file.name} row {number}"
        yield where, Note("damaged", row.reason, where, row.detail) if isinstance(row, Damaged) else row
