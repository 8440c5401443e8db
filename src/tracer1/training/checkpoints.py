"""Folders that appear whole or not at all, and checkpoints that are known for damaged when a disk has damaged them.

A checkpoint's ``complete`` lists its files with their sizes and SHA-256. It is written aside, brought to the disk and
then renamed, and older ones go only after that: whenever a run is killed, the newest that was finished is there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

COMPLETE = "complete"
HASHED = 256 * 2**20  # bytes; a larger file is known by its size alone, since reading it would take minutes in all

logger = logging.getLogger(__name__)


def publish(out: Path, write: Callable[[Path], None]) -> None:
    """Write a folder so that it appears whole or not at all, even when the machine loses its power."""
    unfinished = out.with_name(out.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write(unfinished)
    _appear(unfinished, out)


def seal(folder: Path, place: Path) -> None:
    """List the files of a written checkpoint in it, and let it appear as ``place``."""
    (folder / COMPLETE).write_text(json.dumps(inventory(folder), indent=1), encoding="utf-8")
    _appear(folder, place)


def newest_whole(out: Path) -> Path | None:
    """The newest ``checkpoint-N`` of ``out`` that is as it was written, or None.

    A damaged one that is newer is passed over with a warning and kept under another name, out of the way of its
    successor.
    """
    for folder in reversed(_numbered(out)):
        reason = damage(folder)
        if reason is None:
            return folder
        logger.warning(
            "%s is damaged and passed over: %s. It is kept as %s", folder, reason, _set_aside(folder, out).name
        )
    return None


def rotate(out: Path, keep: int | None) -> None:
    """Remove all but the newest ``keep`` checkpoints; None keeps every one."""
    for folder in _numbered(out)[: -keep if keep else 0]:
        shutil.rmtree(folder, ignore_errors=True)


def damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, in words, or None when its files are those that were written.

    Of a file larger than ``HASHED`` only the size is compared.
    """
    try:
        written = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        found = inventory(folder)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError) as error:
        return f"it cannot be read ({error})"
    if not isinstance(written, dict) or not written:
        return f"{COMPLETE} lists no files"
    for name, facts in written.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != facts:
            return f"{name} is not what was written"
    return None


def inventory(folder: Path) -> dict[str, dict[str, Any]]:
    """Each file's ``size`` in bytes and, up to ``HASHED``, its ``sha256``, by its path in ``folder``."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: _facts(path) for name, path in files.items() if name != COMPLETE}


def _facts(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > HASHED:
        return {"size": size}
    with path.open("rb") as file:
        return {"size": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _numbered(out: Path) -> list[Path]:
    """The checkpoints of ``out``, oldest first."""
    numbers = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in out.glob("checkpoint-*") if path.is_dir()}
    return sorted((path for path, found in numbers.items() if found), key=lambda path: int(path.name.split("-")[1]))


def _set_aside(folder: Path, out: Path) -> Path:
    names = (f"{folder.name}.damaged{n}" for n in ("", *(f"-{k}" for k in range(2, 10**6))))
    aside = next(out / name for name in names if not (out / name).exists())
    with suppress(FileNotFoundError):  # another process of the same run was quicker
        folder.rename(aside)
    return aside


def _appear(unfinished: Path, out: Path) -> None:
    for path in (*unfinished.rglob("*"), unfinished):
        _sync(path)
    unfinished.replace(out)
    _sync(out.parent)


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if path.is_dir() else nullcontext():  # not every file system syncs a folder
            os.fsync(handle)
    finally:
        os.close(handle)
