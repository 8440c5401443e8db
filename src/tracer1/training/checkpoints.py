"""Folders that appear whole or not at all, and checkpoints whose damage is noticed.

A checkpoint's ``complete`` lists its files with their sizes and SHA-256. It is written under another name, synced to
the disk and then renamed, and older ones are removed only after that: whenever a run is killed, the newest finished
one is there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from tracer1.errors import SetupError
from tracer1.files import naming

COMPLETE = "complete"
HASHED = 256 * 2**20  # bytes; a larger file is known by its size alone, since reading it would take minutes in all

logger = logging.getLogger(__name__)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk inside the block into SetupError's one line: safetensors and torch have errors of their own."""
    with naming(path):
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError) and _is_full_disk(error):
                raise SetupError(f"{path}: the disk is full; free some space and run the same command again") from error
            raise


def _is_full_disk(error: Exception) -> bool:
    """Whether a library that writes by itself met a full disk: safetensors and torch's zip writer say so in words."""
    full = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), os.strerror(errno.EFBIG))
    return any(
        reason in str(error)
        for reason in (*full, "PytorchStreamWriter failed", "inline_container.cc", "iostream error")
    )


def publish(out: Path, write: Callable[[Path], None]) -> None:
    """Write a folder so that it appears whole or not at all, even when the machine loses its power.

    Raises SetupError when the disk is full.
    """
    unfinished = out.with_name(out.name + ".part")
    with disk_errors(out):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write(unfinished)
        _move_into_place(unfinished, out)


def seal(folder: Path, place: Path) -> None:
    """List the files of a written checkpoint in it, and rename it to ``place``."""
    (folder / COMPLETE).write_text(json.dumps(inventory(folder), indent=1), encoding="utf-8")
    _move_into_place(folder, place)


def newest_intact(out: Path) -> Path | None:
    """The newest ``checkpoint-N`` of ``out`` that is as it was written, or None.

    A damaged one that is newer is skipped with a warning, and renamed so that its successor can take its name.
    """
    for folder in reversed(_numbered(out)):
        reason = damage_of(folder)
        if reason is None:
            return folder
        logger.warning(
            "%s is damaged and skipped: %s. It is kept as %s", folder, reason, _rename_damaged(folder, out).name
        )
    return None


def rotate(out: Path, keep: int | None) -> None:
    """Remove all but the newest ``keep`` checkpoints; None keeps every one."""
    for folder in _numbered(out)[: -keep if keep else 0]:
        shutil.rmtree(folder, ignore_errors=True)


def damage_of(folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None when its files are as they were written.

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


def _rename_damaged(folder: Path, out: Path) -> Path:
    names = (f"{folder.name}.damaged{n}" for n in ("", *(f"-{k}" for k in range(2, 10**6))))
    renamed = next(out / name for name in names if not (out / name).exists())
    with suppress(FileNotFoundError):  # it is gone already
        folder.rename(renamed)
    return renamed


def _move_into_place(unfinished: Path, out: Path) -> None:
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
