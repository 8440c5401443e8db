"""Results files on disk: JSON written whole or not at all, JSON Lines appended to, one reader for both.

A run may be read while it is written: half a last line is passed over.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from tracer1.errors import DataError
from tracer1.files import naming, write_atomic
from tracer1.results.json_records import from_json, to_json, value_from_json

logger = logging.getLogger(__name__)
R = TypeVar("R")


def write_json(path: Path, value: Any) -> None:
    """Write a record or any JSON value whole or not at all; NaN and Infinity become null."""
    write_atomic(path, (json.dumps(to_json(value), indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace"))


def read_json(path: Path, cls: type[R]) -> R:
    """The record in a JSON file; an empty one where there is no file. Raises DataError when it cannot be read."""
    text = read_text(path)
    return from_json(cls, parse(text, str(path), "remove the file or evaluate again") if text else {}, str(path))


def read_value(path: Path, hint: type[R]) -> R:
    """A JSON file's value, such as ``dict[str, float]``; an empty one where there is no file."""
    text = read_text(path)
    return value_from_json(hint, parse(text, str(path), "remove the file") if text else {}, str(path))


def append(path: Path, rows: Iterable[Any]) -> None:
    """Add one line a row and wait until the disk has them: no checkpoint may outlive the lines before it."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        mend(path)
        with path.open("ab") as out:
            out.writelines(
                (json.dumps(to_json(row), ensure_ascii=False) + "\n").encode("utf-8", "replace") for row in rows
            )
            out.flush()
            os.fsync(out.fileno())


def mend(path: Path) -> None:
    """Remove half a last line, which a killed process left; a whole one without its newline gets it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        start = _last_line(file)
        file.seek(start)
        line = file.read()
        if not line or line.endswith(b"\n"):
            return
        try:
            json.loads(line)
            file.write(b"\n")
        except ValueError:  # also of bytes that are no text
            logger.warning("%s: a half-written last line removed", path)
            file.truncate(start)


def _last_line(file: IO[bytes], block: int = 1 << 16) -> int:
    """Where the last line begins; the end of the file where that line has its newline."""
    end = start = file.seek(0, os.SEEK_END)
    while start:
        size = min(block, start)
        start -= size
        file.seek(start)
        if (newline := file.read(size).rfind(b"\n")) >= 0:
            return min(start + newline + 1, end)
    return 0


def read_lines(path: Path, cls: type[R]) -> Iterator[R]:
    """The records of a ``.jsonl``, streaming; nothing where there is no file. Raises DataError for a broken line."""
    for where, value in raw_lines(path):
        yield from_json(cls, value, where)


def raw_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """(place, JSON value) of each whole line; a last line without its end is still being written and passed over."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                if line.strip():
                    where = f"{path} line {number}"
                    yield where, parse(line.decode("utf-8", "replace"), where, "remove the line")
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def read_text(path: Path) -> str:
    """The file's text, "" where there is no file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def parse(text: str, where: str, remedy: str) -> Any:
    """Parse JSON; NaN and Infinity become null."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}; {remedy}") from error
