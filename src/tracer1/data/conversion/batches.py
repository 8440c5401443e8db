"""A conversion on its way: finished batches of episodes on disk, so that a killed one goes on to the same bytes.

    OUT/.convert/settings.json            what is being converted, and how
    OUT/.convert/<part>/000000.jsonl      a batch: its tally, then two lines for each episode
    OUT/.convert/<part>/done              the part has no more; how many episodes it has

Batches are cut by the raw records alone, so they are the same whatever the number of workers. Each is written whole or
not at all; the merge reads them in the corpus' order.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from tracer1.data.conversion.corpus import Note, Part
from tracer1.data.conversion.statistics import Statistics, episode_statistics
from tracer1.data.store import EPISODES, episode_to_json
from tracer1.errors import DataError, UsageError
from tracer1.files import atomic, write_atomic
from tracer1.types import Episode

WORK = ".convert"
RECORDS = 64  # in a batch
BUFFER = 1 << 20  # bytes; episodes without pictures are long lines


@dataclass(frozen=True, slots=True)
class Kept:
    """An episode in a batch, with what the merge asks of it."""

    episode_id: str
    content: str  # SHA-256 of everything but the id
    tally: Statistics
    line: bytes


class Batches:
    """The work folder of one conversion."""

    def __init__(self, out: Path) -> None:
        self.folder = out / WORK

    def open(self, task: dict[str, Any]) -> None:
        """Begin, or go on where ``task`` is what was begun; UsageError when it is not."""
        for folder in (self.folder.parent, self.folder.parent / "images", self.folder.parent / "elements"):
            for left in folder.glob(".*.part"):  # by a writer that was killed
                left.unlink(missing_ok=True)
        data = json.dumps(task, sort_keys=True, indent=1).encode()
        path = self.folder / "settings.json"
        if not path.exists():
            write_atomic(path, data)
        elif (begun := path.read_bytes()) != data:
            old = json.loads(begun)
            other = sorted(key for key in {*old, *task} if old.get(key) != task.get(key))
            raise UsageError(
                f"{self.folder}: a conversion was begun there with other {', '.join(other)}; "
                "choose another --out, or delete that folder"
            )

    def _path(self, part: Part, number: int) -> Path:
        return self.folder / part.name / f"{number:06d}.jsonl"

    def has(self, part: Part, number: int) -> bool:
        return self._path(part, number).exists()

    def done(self, part: Part) -> int | None:
        """The episodes of a part that has no more batches to come, else None."""
        path = self.folder / part.name / "done"
        return int(path.read_bytes()) if path.exists() else None

    def finish(self, part: Part, episodes: int) -> None:
        write_atomic(self.folder / part.name / "done", str(episodes).encode())

    def write(self, part: Part, number: int, tally: Statistics, episodes: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep a batch of what ``episode_lines`` made."""
        with atomic(self._path(part, number)) as handle:
            for line in (_json(tally.to_json()), *chain.from_iterable(episodes)):
                handle.write(line)
                handle.write(b"\n")

    def read(self, part: Part) -> Iterator[tuple[Statistics, Iterator[Kept]]]:
        """The batches of a finished part, in order."""
        for path in sorted((self.folder / part.name).glob("*.jsonl")):
            with path.open("rb", buffering=BUFFER) as handle:
                yield Statistics.from_json(json.loads(next(handle))), _kept(handle)

    def count(self) -> int:
        """Finished batches of all parts."""
        return sum(1 for _ in self.folder.glob("*/*.jsonl"))

    def episodes(self, part: Part, number: int) -> int:
        """Episodes in a finished batch."""
        with self._path(part, number).open("rb", buffering=BUFFER) as handle:
            return sum(1 for _ in handle) // 2

    def close(self) -> None:
        shutil.rmtree(self.folder)


def episode_lines(episode: Episode) -> tuple[bytes, bytes]:
    """What the merge asks of an episode, and the episode; DataError when no UTF-8 file can hold it."""
    line = _json(episode_to_json(episode))
    head = _json({"episode_id": episode.episode_id})[:-1]  # without the bracket
    content = hashlib.sha256(memoryview(line)[len(head) :]).hexdigest()
    return _json([episode.episode_id, content, episode_statistics(episode).to_json()]), line


def _kept(lines: Iterator[bytes]) -> Iterator[Kept]:
    for about in lines:
        episode_id, content, tally = json.loads(about)
        yield Kept(episode_id, content, Statistics.from_json(tally), next(lines))


def merge(batches: Batches, parts: Sequence[Part], out: Path, keep_duplicates: bool, limit: int | None) -> Statistics:
    """Write ``episodes.jsonl`` of all parts in order; returns what it holds and what was noted on the way.

    An episode of the same content as an earlier one is left out unless ``keep_duplicates``; one of the same id and
    other content goes by ``<id>~2``. Memory grows by some 200 bytes an episode, to compare ids and contents.
    """
    total = Statistics()
    seen: dict[str, int] = {}  # how often an id came
    contents: set[bytes] = set()
    written = 0
    with atomic(out / EPISODES) as handle:
        for part in parts:
            for tally, episodes in batches.read(part):
                if limit is not None and written >= limit:
                    return total
                total.merge(tally)
                for kept in episodes:
                    if limit is not None and written >= limit:
                        break
                    content, line, name = bytes.fromhex(kept.content), kept.line, kept.episode_id
                    if content in contents:
                        total.add("duplicates", "of the same content")
                        if not keep_duplicates:
                            total.note(Note("dropped", "duplicate content", name))
                            continue
                    contents.add(content)
                    seen[name] = seen.get(name, 0) + 1
                    if seen[name] > 1:
                        total.note(Note("changed", "episode id met again", name, f"now {name}~{seen[name]}"))
                        line = _json({**json.loads(line), "episode_id": f"{name}~{seen[name]}"}) + b"\n"
                    total.merge(kept.tally)
                    handle.write(line)
                    written += 1
    return total


def _json(value: Any) -> bytes:
    """A line but its end. Faster than the standard library, which is asked where a number may be none."""
    try:
        line = to_json(value)
        if b"NaN" in line or b"Infinity" in line:
            json.dumps(value, allow_nan=False)
    except ValueError as error:  # not finite, or a lone surrogate that no UTF-8 file can hold
        raise DataError(f"cannot be written as JSON: {error}") from error
    return line
