"""Files on disk: written whole or not at all, and JSON read strictly.

A refusal of the disk becomes one line with its remedy.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from tracer1.errors import DataError, SetupError

log = logging.getLogger(__name__)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn the disk's refusals inside the block into one line that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise SetupError(f"{path}: the disk is full; free some space and run the same command again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise SetupError(
                f"{path}: cannot be written ({error.strerror}); choose another output directory"
            ) from error
        raise


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under ``path`` whole, when the block ends well, or not at all.

    Raises SetupError when the disk is full or the place cannot be written.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False)  # noqa: SIM115
        try:
            with handle:
                yield handle
                handle.flush()
                os.fchmod(handle.fileno(), 0o644)  # a temporary file's 0600 would hide the result from other users
            os.replace(handle.name, path)
        except BaseException:
            os.unlink(handle.name)
            raise


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or none of it; SetupError when the disk refuses."""
    with atomic(path) as handle:
        handle.write(data)


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, parsed JSON) of each line of a ``.jsonl``, streaming; blank lines are passed over.

    A last line without its newline that does not parse is what a crash leaves: it is dropped with a logged warning.
    Any other line that does not parse raises DataError.
    """
    try:
        with path.open("rb") as handle:
            for number, line in enumerate(handle, start=1):
                if not line.strip():
                    continue
                try:
                    yield number, parse_json(line)
                except ValueError as error:
                    if not line.endswith(b"\n"):
                        log.warning("%s: 1 half-written last line dropped (line %d)", path, number)
                        return
                    raise DataError(f"{path} line {number}: not JSON: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def parse_json(text: str | bytes) -> Any:
    """Parse strict JSON; ValueError on anything else, NaN and Infinity included."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number")

    try:
        return from_json(text, allow_inf_nan=False)  # three times as fast as the standard library,
    except ValueError:
        return json.loads(text, parse_constant=refuse)  # which has the last word, and says what is wrong
