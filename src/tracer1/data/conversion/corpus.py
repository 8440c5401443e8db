"""What every corpus is to the converter: parts that workers read, raw records, and the Episodes made of them.

A corpus is one file: a reader of the published container (``parts``, ``read``) and a function from one raw record to
one Episode (``convert``), which writes nothing. Nothing is left out in silence: what is dropped, changed or damaged
becomes a Note, and the notes are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from tracer1.data.images import Image
from tracer1.errors import DataError
from tracer1.types import Element, Episode

T = TypeVar("T")
Kind: TypeAlias = Literal["damaged", "dropped", "changed", "filtered"]


@dataclass(frozen=True, slots=True)
class ConvertSettings:
    """What is asked of a conversion. A change of any of them makes another output."""

    split: str | None = None  # only this one, as the corpus names it
    limit: int | None = None  # episodes, the first ones
    strict: bool = False  # stop at the first damaged record
    terminal: bool = True  # add `finished` where the screen after the last action was recorded and no such step
    extra_actions: Literal["keep", "drop"] = "keep"  # actions that UI-TARS has no name for
    duplicates: Literal["drop", "keep"] = "drop"  # episodes of the same content
    errata: bool = True  # leave out the rows known to be bad
    abstractions: str = "rules"  # of screens, where the corpus has none: rules, none, or MODEL@URL
    images: Literal["link", "copy"] = "link"  # hard links where the file system allows them
    elements: bool = False  # AndroidControl: keep each screen's accessibility nodes
    completed: bool = False  # AgentNet: only tasks that were judged completed
    min_alignment: int = 0  # AgentNet: 0 to 10
    min_efficiency: int = 0  # AgentNet: 0 to 10
    incorrect: Literal["keep", "drop"] = "keep"  # AgentNet: steps judged incorrect
    redundant: Literal["keep", "drop"] = "keep"  # AgentNet: steps judged redundant
    page: Literal["blocks", "full"] = "blocks"  # Mind2Web: what is shown of a page
    split_by: Literal["random", "task", "device", "app"] = "random"  # GUI-Odyssey: which of its four splits
    verified: bool = True  # MM-Traj: only trajectories that were judged correct
    unseen: Literal["keep", "drop"] = "keep"  # MM-Traj: tasks whose pictures are not at hand
    map: str | None = None  # rows: the map of their fields as JSON


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a corpus that one worker reads from its beginning to its end. ``file`` may be a folder of files.
    ``start`` and ``stop`` are the reader's own cursor (bytes, rows, files), ``stop`` None for the end."""

    name: str  # unique among the parts: letters, digits, dots, dashes, underscores
    file: Path
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One raw trajectory. Looking up an image may read it, and raises DataError when it is missing or damaged."""

    where: str  # file and row
    data: Any
    images: Mapping[str, Image] = field(default_factory=dict)  # by the name that the record has for it


@dataclass(frozen=True, slots=True)
class Note:
    """Something that did not come through as it stood, to be counted under ``reason``."""

    kind: Kind
    reason: str  # short and of few kinds: "no image", "coordinate off the screen"
    where: str  # file, row and field
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """An Episode whose screenshots, files and elements are still names in ``images`` and ``elements``."""

    episode: Episode
    images: Mapping[str, Image] = field(default_factory=dict)
    elements: Mapping[str, Sequence[Element]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


class UnusableRecord(DataError):
    """A record of which no Episode can be made; what was noted of it before is kept."""

    def __init__(self, note: Note, before: Sequence[Note] = ()) -> None:
        super().__init__(f"{note.where}: {note.reason}: {note.detail}")
        self.notes = (*before, note)


def read_field(record: Any, key: str, kind: type[T], where: str) -> T:
    """``record[key]``, when it is there and of the type ``kind``; else UnusableRecord, which names it."""
    value = record.get(key) if isinstance(record, Mapping) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        found = f"found {type(value).__name__}" if isinstance(record, Mapping) and key in record else "missing"
        raise UnusableRecord(
            Note("damaged", f"no usable {key}", f"{where}: {key}", f"expected {kind.__name__}, {found}")
        )
    return value


class Corpus(Protocol):
    """One published data set. Made anew in each worker, of the raw folder and the settings."""

    name: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    url: ClassVar[str]
    terminal: ClassVar[str]  # what is said in the output of its last steps

    def __init__(self, raw: Path, settings: ConvertSettings) -> None: ...

    def parts(self) -> Sequence[Part]:
        """The shares in the corpus' order; DataError, saying what was looked for, when the raw folder holds none."""
        ...

    def read(self, part: Part) -> Iterator[Record | Note]:
        """The raw records of a share in order; a Note stands for what is too damaged to be one."""
        ...

    def convert(self, record: Record) -> Converted:
        """The Episode of a record. Raises UnusableRecord when there is none."""
        ...
