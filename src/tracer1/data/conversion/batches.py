"""The batches of a conversion in progress: episodes on disk, so that a killed conversion can be resumed.

    OUT/.convert/settings.json            the corpus, the raw files and the settings
    OUT/.convert/<shard>/000000.jsonl     a batch: its statistics, then two lines for each episode
    OUT/.convert/<shard>/done             the shard is complete; its number of episodes

The raw records alone decide where a batch ends, so any number of workers makes the same batches. Each is written whole
or not at all. The merge reads them in the corpus' order.
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

from tracer1.data.conversion.corpus import Note, Shard
from tracer1.data.conversion.statistics import Statistics, episode_statistics
from tracer1.data.records import episode_to_json
from tracer1.data.store import EPISODES
from tracer1.errors import DataError, UsageError
from tracer1.files import atomic, write_atomic
from tracer1.types import Episode

WORK = ".convert"
RECORDS = 64  # of a batch
BUFFER = 1 << 20  # bytes; an episode without pictures is a long line


@dataclass(frozen=True, slots=True)
class BatchedEpisode:
    """An episode in a batch, with what the merge needs to know of it."""

    episode_id: str
    content: str  # SHA-256 of everything but the id
    statistics: Statistics
    line: bytes


class BatchFolder:
    """The folder of batches of one conversion."""

    def __init__(self, out: Path) -> None:
        self.folder = out / WORK

    def open(self, task: dict[str, Any]) -> None:
        """Start the conversion ``task``, or resume it. Raises UsageError if another one was started here."""
        for folder in (self.folder.parent, self.folder.parent / "images", self.folder.parent / "elements"):
            for leftover in folder.glob(".*.part"):  # of a writer that was killed
                leftover.unlink(missing_ok=True)
        data = json.dumps(task, sort_keys=True, indent=1).encode()
        path = self.folder / "settings.json"
        if not path.exists():
            write_atomic(path, data)
        elif (started := path.read_bytes()) != data:
            old = json.loads(started)
            other = sorted(key for key in {*old, *task} if old.get(key) != task.get(key))
            raise UsageError(
                f"{self.folder}: a conversion was started there with other {', '.join(other)}; "
                "choose another --out, or delete that folder"
            )

    def _path(self, shard: Shard, number: int) -> Path:
        return self.folder / shard.name / f"{number:06d}.jsonl"

    def has(self, shard: Shard, number: int) -> bool:
        return self._path(shard, number).exists()

    def done(self, shard: Shard) -> int | None:
        """The number of episodes of a complete shard; None if it is not complete."""
        path = self.folder / shard.name / "done"
        return int(path.read_bytes()) if path.exists() else None

    def finish(self, shard: Shard, episodes: int) -> None:
        write_atomic(self.folder / shard.name / "done", str(episodes).encode())

    def write(self, shard: Shard, number: int, statistics: Statistics, episodes: Sequence[tuple[bytes, bytes]]) -> None:
        """Write a batch of lines from ``episode_lines``."""
        with atomic(self._path(shard, number)) as handle:
            for line in (_json(statistics.to_json()), *chain.from_iterable(episodes)):
                handle.write(line)
                handle.write(b"\n")

    def read(self, shard: Shard) -> Iterator[tuple[Statistics, Iterator[BatchedEpisode]]]:
        """The batches of a complete shard, in order."""
        for path in sorted((self.folder / shard.name).glob("*.jsonl")):
            with path.open("rb", buffering=BUFFER) as handle:
                yield Statistics.from_json(json.loads(next(handle))), _episodes(handle)

    def count(self) -> int:
        """The number of batches written."""
        return sum(1 for _ in self.folder.glob("*/*.jsonl"))

    def episodes(self, shard: Shard, number: int) -> int:
        """The number of episodes in a batch."""
        with self._path(shard, number).open("rb", buffering=BUFFER) as handle:
            return sum(1 for _ in handle) // 2

    def close(self) -> None:
        shutil.rmtree(self.folder)


def episode_lines(episode: Episode) -> tuple[bytes, bytes]:
    """What the merge needs to know of an episode, and the episode. Raises DataError if it is not valid UTF-8."""
    line = _json(episode_to_json(episode))
    head = _json({"episode_id": episode.episode_id})[:-1]  # without the bracket
    content = hashlib.sha256(memoryview(line)[len(head) :]).hexdigest()
    return _json([episode.episode_id, content, episode_statistics(episode).to_json()]), line


def _episodes(lines: Iterator[bytes]) -> Iterator[BatchedEpisode]:
    for head in lines:
        episode_id, content, statistics = json.loads(head)
        yield BatchedEpisode(episode_id, content, Statistics.from_json(statistics), next(lines))


def merge(
    batches: BatchFolder, shards: Sequence[Shard], out: Path, keep_duplicates: bool, limit: int | None
) -> Statistics:
    """Write ``episodes.jsonl`` from all shards in order. Returns its statistics and all notes.

    An episode with the content of an earlier one is dropped unless ``keep_duplicates``; one with the id of an earlier
    one and other content becomes ``<id>~2``. Memory grows by some 200 bytes per episode for ids and content hashes.
    """
    total = Statistics()
    seen: dict[str, int] = {}  # by id
    contents: set[bytes] = set()
    written = 0
    with atomic(out / EPISODES) as handle:
        for shard in shards:
            for statistics, episodes in batches.read(shard):
                if limit is not None and written >= limit:
                    return total
                total.merge(statistics)
                for episode in episodes:
                    if limit is not None and written >= limit:
                        break
                    content, line, name = bytes.fromhex(episode.content), episode.line, episode.episode_id
                    if content in contents:
                        total.add("duplicates", "of the same content")
                        if not keep_duplicates:
                            total.note(Note("dropped", "duplicate content", name))
                            continue
                    contents.add(content)
                    seen[name] = seen.get(name, 0) + 1
                    if seen[name] > 1:
                        total.note(Note("changed", "repeated episode id", name, f"now {name}~{seen[name]}"))
                        line = _json({**json.loads(line), "episode_id": f"{name}~{seen[name]}"}) + b"\n"
                    total.merge(episode.statistics)
                    handle.write(line)
                    written += 1
    return total


def _json(value: Any) -> bytes:
    """A line without its line end. The standard library, which is slower, then looks for NaN and Infinity."""
    try:
        line = to_json(value)
        if b"NaN" in line or b"Infinity" in line:
            json.dumps(value, allow_nan=False)
    except ValueError as error:  # not finite, or a lone surrogate that no UTF-8 file can hold
        raise DataError(f"cannot be written as JSON: {error}") from error
    return line
