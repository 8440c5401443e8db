"""The contract of a corpus: shards that workers read, raw records, and the Episode made of each.

A corpus is a class with a reader of the published files (``shards``, ``read``) and a function from one raw record to
one Episode (``convert``), which writes nothing. Nothing is lost silently: whatever is damaged, dropped or changed
becomes a Note, and notes are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

from tracer1.data.images import Image
from tracer1.errors import DataError
from tracer1.types import Element, Episode

T = TypeVar("T")
Kind: TypeAlias = Literal["damaged", "dropped", "changed", "filtered"]


@dataclass(frozen=True, slots=True)
class ConvertSettings:
    """The settings of a conversion. Changing any of them makes another output."""

    split: str | None = None  # convert only this split, by the corpus' own name
    limit: int | None = None  # convert only the first episodes
    strict: bool = False  # stop at the first damaged record
    terminal: bool = True  # add `finished` where the final screen was recorded but the final action was not
    extra_actions: Literal["keep", "drop"] = "keep"  # actions outside the UI-TARS action space
    duplicates: Literal["drop", "keep"] = "drop"  # episodes with the same content
    errata: bool = True  # drop the episodes listed as bad
    abstractions: str = "rules"  # descriptions of screens that the corpus does not describe: rules, none or MODEL@URL
    images: Literal["link", "copy"] = "link"  # hard links where the file system allows them
    elements: bool = False  # AndroidControl: keep each screen's accessibility nodes
    completed: bool = False  # AgentNet: only tasks judged completed
    min_alignment: int = 0  # AgentNet: 0 to 10
    min_efficiency: int = 0  # AgentNet: 0 to 10
    incorrect: Literal["keep", "drop"] = "keep"  # AgentNet: steps judged incorrect
    redundant: Literal["keep", "drop"] = "keep"  # AgentNet: steps judged redundant
    page: Literal["blocks", "full"] = "blocks"  # Mind2Web: the block around the target, or the whole page
    split_by: Literal["random", "task", "device", "app"] = "random"  # GUI-Odyssey: which of its four splits
    failed: Literal["keep", "drop"] = "drop"  # AgentTrek: actions that ended in an error
    max_tree: int = 12_000  # AgentTrek: characters of an accessibility tree; 0 for no limit
    verified: bool = True  # MM-Traj: only trajectories judged correct
    unseen: Literal["keep", "drop"] = "keep"  # MM-Traj: tasks whose pictures are missing
    map: str | None = None  # rows: the map of their fields, as JSON

    def to_json(self) -> dict[str, Any]:
        """The settings; without the map where there is none, so that earlier conversions count as finished."""
        return {key: value for key, value in asdict(self).items() if key != "map" or value is not None}


@dataclass(frozen=True, slots=True)
class Shard:
    """The share of a corpus that one worker reads from beginning to end. ``file`` may be a folder of files.
    ``start`` and ``stop`` are in the reader's own unit (bytes, rows, files); ``stop`` is None for the end."""

    name: str  # unique among the shards: letters, digits, dots, dashes, underscores
    file: Path
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One raw trajectory. Looking up an image may read a file, and raises DataError if it is missing or damaged."""

    where: str  # file and row
    data: Any
    images: Mapping[str, Image] = field(default_factory=dict)  # by the name that the record uses


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was damaged, dropped, changed or filtered; notes are counted by ``reason``."""

    kind: Kind
    reason: str  # short, one of few: "no image", "coordinate off the screen"
    where: str  # file, row and field
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConvertedEpisode:
    """An Episode not yet stored: its screenshots, files and elements are names in ``images`` and ``elements``."""

    episode: Episode
    images: Mapping[str, Image] = field(default_factory=dict)
    elements: Mapping[str, Sequence[Element]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


class UnusableRecord(DataError):
    """A record that gives no Episode. ``notes``: those made before, then the reason."""

    def __init__(self, note: Note, before: Sequence[Note] = ()) -> None:
        super().__init__(f"{note.where}: {note.reason}: {note.detail}")
        self.notes = (*before, note)


def read_field(record: Any, key: str, kind: type[T], where: str) -> T:
    """``record[key]`` if it exists and has the type ``kind``. Raises UnusableRecord, which names the field."""
    value = record.get(key) if isinstance(record, Mapping) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        found = f"found {type(value).__name__}" if isinstance(record, Mapping) and key in record else "missing"
        raise UnusableRecord(
            Note("damaged", f"no usable {key}", f"{where}: {key}", f"expected {kind.__name__}, {found}")
        )
    return value


class Corpus(Protocol):
    """One published data set. Each worker builds its own from the raw folder and the settings."""

    name: ClassVar[str]
    licence: ClassVar[str]
    citation: ClassVar[str]
    url: ClassVar[str]
    terminal: ClassVar[str]  # how its episodes end, for conversion.json

    def __init__(self, raw: Path, settings: ConvertSettings) -> None: ...

    def shards(self) -> Sequence[Shard]:
        """The shards in the corpus' order. Raises DataError, naming the expected files, if the folder has none."""
        ...

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        """The raw records of a shard in order; a Note stands for a record too damaged to read."""
        ...

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        """The Episode of a record. Raises UnusableRecord if there is none."""
        ...
