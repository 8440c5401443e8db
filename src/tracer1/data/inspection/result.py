"""The result of an inspection: counts, a few samples, and problems by file, row and field, in bounded memory."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tracer1.types import Episode, Window

Kind = Literal["episodes", "windows", "records"]
Opener: TypeAlias = Callable[[str], bytes]  # a file that a record names, to its bytes; raises OSError or DataError
Tick: TypeAlias = Callable[[int, int, str], object]  # done, of how much, a note
SampleItem: TypeAlias = Episode | Window | Mapping[str, Any]

PROBLEMS_KEPT = 1000  # stored in full; the others are only counted


# ---- problems --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a record: the file's name, and "line 3" or "row 0" in it."""

    file: str
    row: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. ``field`` is a path inside the record, "steps[0].box", or "" for the whole record."""

    file: str
    row: str
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (f"{self.file} {self.row}".strip(), self.field, self.message) if part)


class Problems:
    """Counts every problem by its field, and stores the first PROBLEMS_KEPT."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.fields: Counter[str] = Counter()

    def add(self, problem: Problem) -> None:
        if len(self.kept) < PROBLEMS_KEPT:
            self.kept.append(problem)
        self.fields[kind_of_field(problem.field)] += 1

    def __len__(self) -> int:
        return self.fields.total()

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.kept)


def kind_of_field(name: str) -> str:
    """A field without its indices: "steps[3].box" as "steps[].box"."""
    return re.sub(r"\[\d+\]", "[]", name)


# ---- samples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows to show: ``samples`` of them, drawn by ``seed``; only rows with the id ``episode`` if it is given."""

    samples: int = 3
    seed: int = 0
    episode: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    place: Place
    item: SampleItem


class Reservoir:
    """A uniform random sample of a stream, the same at every reading."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.seen, self.kept = 0, list[tuple[int, Sample]]()
        self.rng = random.Random(choice.seed)

    def offer(self, place: Place, item: SampleItem) -> None:
        if self.choice.episode is not None and _id(item) != self.choice.episode:
            return
        self.seen += 1
        if len(self.kept) < self.choice.samples:
            self.kept.append((self.seen, Sample(place, item)))
        elif (at := self.rng.randrange(self.seen)) < self.choice.samples:
            self.kept[at] = (self.seen, Sample(place, item))

    def samples(self) -> list[Sample]:
        """In the order of the rows."""
        return [sample for _, sample in sorted(self.kept, key=lambda kept: kept[0])]


def _id(item: SampleItem) -> Any:
    return item.get("episode_id", item.get("id")) if isinstance(item, Mapping) else item.episode_id


# ---- all of it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Skipped:
    """Records that a conversion left out for one reason, and the first few of them."""

    reason: str
    count: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The origin of a store's episodes, from ``conversion.json``. ``facts``: names and values, as text."""

    facts: tuple[tuple[str, str], ...]
    skipped: tuple[Skipped, ...]


def no_files(name: str) -> bytes:
    """The opener for records that name no files."""
    raise FileNotFoundError(name)


@dataclass(slots=True)
class Inspection:
    """The contents of ``path``. ``counts``: tables by name. ``corpus``: the corpus of raw records, else ""."""

    path: Path
    kind: Kind
    open_file: Opener = no_files
    corpus: str = ""
    rows: int = 0
    steps: int = 0
    schema: dict[str, str] = field(default_factory=dict)  # field to type
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    conversion: Conversion | None = None

    @property
    def title(self) -> str:
        """The path and what it holds, in one line."""
        return f"{self.path}: {self.rows} {self.what}"

    @property
    def what(self) -> str:
        """The kind in words: "episodes", "episodes from raw agentnet"."""
        return f"{self.kind} from raw {self.corpus}" if self.corpus else self.kind

    def count(self, table: str, name: str) -> None:
        self.counts.setdefault(table, Counter())[name] += 1

    def learn(self, record: Any) -> None:
        """Add the fields of ``record`` and their types to the schema."""
        if isinstance(record, Mapping):
            for key, value in record.items():
                known = self.schema.get(key, "").split(" or ") if key in self.schema else []
                if _type_name(value) not in known:
                    self.schema[key] = " or ".join([*known, _type_name(value)])


def ranked(counter: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first, then by name."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def _type_name(value: Any) -> str:
    if isinstance(value, list):
        return f"list of {_type_name(value[0])}" if value else "empty list"
    names = {str: "text", bool: "true/false", int: "number", float: "number", dict: "object", type(None): "null"}
    return names[type(value)]
