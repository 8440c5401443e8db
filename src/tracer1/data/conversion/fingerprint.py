"""What identifies a conversion: the sizes and checksums of its raw files, and a hash of all that it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def size_of(path: Path) -> int:
    """The bytes of a file, or of the files in a folder."""
    return sum(file.stat().st_size for file in _inside(path)) if path.is_dir() else path.stat().st_size


def checksum(path: Path) -> str:
    """The SHA-256 of a file's bytes; for a folder, of its files' names and checksums."""
    if path.is_dir():
        lines = (f"{checksum(file)}  {file.name}\n" for file in _inside(path))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_in(raw: Path, file: Path) -> str:
    """The path of ``file`` relative to ``raw``; its name alone if it lies elsewhere."""
    return file.relative_to(raw).as_posix() if file != raw and file.is_relative_to(raw) else file.name


def task_hash(task: Mapping[str, Any]) -> str:
    """The SHA-256 of a task as JSON."""
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
