"""Where recorded episodes live: ``episodes.jsonl`` beside the files that its lines name by path.

    DIR/episodes.jsonl           one Episode a line
    DIR/images/<sha256>.png      screenshots, named by their bytes
    DIR/files/<sha256>.pdf       other files of a task
    DIR/elements/<sha256>.json   the elements of one step's screen, from the page's own structure

Reading is strict (``data/records.py``), with one exception: half a last line, as a killed writer leaves it, is dropped
and logged.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tracer1.data.records import element_to_json, episode_from_json, episode_to_json, parse_elements
from tracer1.errors import DataError
from tracer1.files import atomic, json_lines_or_errors, naming, parse_json, read_json, reading, write_atomic
from tracer1.types import Element, Episode

if TYPE_CHECKING:  # Pillow is needed only where images are opened
    from tracer1.data.images import Image

EPISODES = "episodes.jsonl"
CONVERSION = "conversion.json"  # beside it, where a corpus was converted

log = logging.getLogger(__name__)


# ---- the store -------------------------------------------------------------------------------------------------------


class EpisodeStore:
    """One directory of episodes, read and appended to. Its paths are relative to the directory."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def path(self, relative: str) -> Path:
        """The file that a record names; DataError when the name leaves the store."""
        path = Path(relative)
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{self.directory}: {relative!r} lies outside the episode store; use a path relative to it")
        return self.directory / path

    def read(self, relative: str) -> bytes:
        """The bytes of the file that a record names; OSError when it cannot be read, DataError as in ``path``."""
        try:
            return self.path(relative).read_bytes()
        except ValueError as error:  # a NUL, or a lone surrogate
            raise DataError(f"{relative!r} is no file's name: {error}") from error

    def put_image(self, data: bytes) -> str:
        """Store a PNG under the SHA-256 of its bytes, the same bytes once. Returns the relative path."""
        return self._put(f"images/{hashlib.sha256(data).hexdigest()}.png", data)

    def keep_image(self, image: Image, link: bool = False) -> str:
        """Store the bytes of an image or file. ``link``: as a hard link to its own file, where the disk allows it."""
        folder = "images" if image.size != (0, 0) else "files"
        relative = f"{folder}/{hashlib.sha256(image.data).hexdigest()}{image.suffix}"
        path = self.directory / relative
        if link and image.path is not None and not path.exists():
            with naming(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # another file system, or one without hard links: then the bytes are written
                os.link(image.path.resolve(), path)
        return self._put(relative, image.data)

    def put_elements(self, elements: Iterable[Element]) -> str:
        """Store a screen's elements by content. Returns the relative path."""
        data = json.dumps([element_to_json(e) for e in elements], ensure_ascii=False, separators=(",", ":")).encode()
        return self._put(f"elements/{hashlib.sha256(data).hexdigest()}.json", data)

    def load_elements(self, relative: str) -> tuple[Element, ...]:
        """Read what ``put_elements`` stored; see ``load_elements``."""
        return load_elements(self.path(relative))

    def append(self, episode: Episode) -> None:
        """Add one line. A write that fails is taken back, so that the file ends with a whole line; then SetupError."""
        path = self.directory / EPISODES
        line = _line(episode)
        with naming(path):
            self.directory.mkdir(parents=True, exist_ok=True)
            with path.open("a+b", buffering=0) as handle:
                end = _mend(handle, path)
                try:
                    if handle.write(line) != len(line):  # an unbuffered write to a full disk may stop half-way
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    handle.truncate(end)
                    raise

    def _put(self, relative: str, data: bytes) -> str:
        path = self.directory / relative
        if not path.exists():
            write_atomic(path, data)
        return relative


def load_elements(path: Path | str) -> tuple[Element, ...]:
    """Read one file of elements; DataError names the file, the item and the field."""
    with reading(Path(path)):
        data = Path(path).read_bytes()
    return parse_elements(data, str(path))


def _mend(handle: IO[bytes], path: Path) -> int:
    """Drop a half-written last line, or end a whole one; returns the size of what stays."""
    end = handle.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start > 0 and b"\n" not in tail:
        step = min(start, 1 << 16)
        start -= step
        handle.seek(start)
        tail = handle.read(step) + tail
    last = tail[tail.rfind(b"\n") + 1 :]
    if not last:
        return end
    if not _is_json(last):
        log.warning("%s: 1 half-written last line dropped", path)
        handle.truncate(end - len(last))
        return end - len(last)
    handle.write(b"\n")
    return end + 1


def read_conversion(directory: Path | str) -> dict[str, Any] | None:
    """The ``conversion.json`` of a store, or None where there is none; DataError when it cannot be read."""
    path = Path(directory) / CONVERSION
    if not path.exists():
        return None
    try:
        record = read_json(path)
    except DataError as error:
        raise DataError(f"{error}; convert the corpus again, or remove the file") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: not a JSON object; convert the corpus again, or remove the file")
    return record


def read_episodes(directory: Path | str) -> Iterator[Episode]:
    """Stream a store's episodes in order. ``directory`` may also be the ``.jsonl`` file itself.

    Raises DataError naming file, line and field. A half-written last line is dropped with a logged warning.
    """
    for _, episode in read_episodes_or_errors(directory):
        if isinstance(episode, DataError):
            raise episode
        yield episode


def read_episodes_or_errors(directory: Path | str) -> Iterator[tuple[str, Episode | DataError]]:
    """(file and line, episode) of each line; a line that cannot be read comes as its DataError.

    Every DataError begins with the file and the line.
    """
    path = episodes_file(directory)
    for number, record in json_lines_or_errors(path):
        where = f"{path} line {number}"
        try:
            yield where, record if isinstance(record, DataError) else episode_from_json(record, where)
        except DataError as error:
            yield where, error


def count_lines(directory: Path | str) -> int:
    """The number of lines of a store's ``episodes.jsonl``; none is parsed."""
    with episodes_file(directory).open("rb") as handle:
        return sum(block.count(b"\n") for block in iter(lambda: handle.read(1 << 20), b""))


def write_episodes(directory: Path | str, episodes: Iterable[Episode]) -> int:
    """Write a store's whole ``episodes.jsonl``, streaming; it replaces the old one at the end or not at all.

    Returns the number of episodes.
    """
    count = 0
    with atomic(Path(directory) / EPISODES) as handle:
        for episode in episodes:
            handle.write(_line(episode))
            count += 1
    return count


def put_last(directory: Path | str, ids: Sequence[str], without: Iterable[str] = ()) -> None:
    """Rewrite a store's ``episodes.jsonl``: the episodes of ``ids`` behind the others, in the order of ``ids``, and
    none of ``without``.

    Where an id occurs several times, its last line is kept. Memory holds ids and no episodes. Where there is no
    such file, an empty one is written.
    """
    path = Path(directory) / EPISODES
    if not path.is_file():
        write_atomic(path, b"")
        return
    places: dict[str, int] = {}
    with path.open("rb") as lines, atomic(path) as handle:
        for start, line in _whole_lines(lines):
            places[str(parse_json(line)["episode_id"])] = start
        for name in without:
            places.pop(name, None)
        moved = [places[name] for name in ids if name in places]
        for start in [*sorted(set(places.values()) - set(moved)), *moved]:
            lines.seek(start)
            handle.write(lines.readline().rstrip(b"\n") + b"\n")


def _whole_lines(lines: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """(where it begins, line) of each line but blank ones and a half-written last one."""
    start = 0
    for line in iter(lines.readline, b""):
        if line.strip() and (line.endswith(b"\n") or _is_json(line)):
            yield start, line
        start += len(line)


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


def episodes_file(path: Path | str) -> Path:
    """The ``.jsonl`` of a store, given its directory or the file; DataError when there is none."""
    given = Path(path)
    with reading(given):
        file = given / EPISODES if given.is_dir() else given
    if not given.exists():
        raise DataError(f"{given}: no such file or directory")
    if not file.is_file():
        raise DataError(
            f"{given}: no {EPISODES} there; give the directory that `tracer1 data record` or `convert` wrote"
        )
    return file


def _line(episode: Episode) -> bytes:
    try:
        return (json.dumps(episode_to_json(episode), ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as error:  # NaN, or a lone surrogate that no UTF-8 file can hold
        raise DataError(f"episode {episode.episode_id!r}: cannot be written as JSON: {error}") from error
