"""Windows to one Parquet file and back.

A row is what trainers load as it stands (``datasets.load_dataset("parquet")``, TRL):

    prompt      list of {"role", "content"}: every content is plain text
    images      list of paths, relative to the episode store
    reference   the Reference as JSON text (``tracer1.plan.windows``)
    episode_id, step, source
    store       which of the file's episode stores the paths are relative to; only where there are several

A chat message holds its content as parts, texts and images; a row keeps the text in ``prompt`` and the paths in
``images``. Going back, every text is one part and the images stand before the text of the first user message, which is
what TRL makes of such a row too. ``window_to_row`` refuses any other layout, so every prompt comes back unchanged.
``tracer1.plan.windows.episode_rows`` makes the same rows straight from an episode.
The places of the stores, relative to the file, are in the Parquet's key-value metadata: ``tracer1.store``, and where
there are several ``tracer1.store.1`` and so on. The settings of the windows (``tracer1.horizon``, ...) are beside them.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from tracer1.data.store import EpisodeStore
from tracer1.errors import DataError
from tracer1.files import atomic, parse_json
from tracer1.plan.windows import reference_from_json, reference_to_json
from tracer1.types import Message, Window

SCHEMA = pa.schema(
    [
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("images", pa.list_(pa.string())),
        ("reference", pa.string()),
        ("episode_id", pa.string()),
        ("step", pa.int64()),
        ("source", pa.string()),
    ]
)
ROWS_PER_GROUP = 1024
# Statistics only of columns that a reader may filter by, not of long texts.
_STORAGE = {"compression": "zstd", "write_statistics": ["episode_id", "step", "source"]}
_PREFIX = "tracer1."
_STORE = "store"  # a metadata key, and a column where there are several stores

Store: TypeAlias = Path | str


# ---- one row ---------------------------------------------------------------------------------------------------------


def window_to_row(window: Window) -> dict[str, Any]:
    """A Window as a row of plain values; DataError when its prompt's layout would not survive the way back."""
    prompt = [{"role": m["role"], "content": _plain_text(m["content"])} for m in window.prompt]
    if tuple(row_messages({"prompt": prompt, "images": window.images})) != window.prompt:
        raise DataError(
            f"window {window.episode_id!r} step {window.step}: the prompt cannot be stored in Parquet; "
            "each message holds one text part, and the images stand before that of the first user message"
        )
    return {
        "prompt": prompt,
        "images": list(window.images),
        "reference": json.dumps(reference_to_json(window.reference), ensure_ascii=False),
        "episode_id": window.episode_id,
        "step": window.step,
        "source": window.source,
    }


def row_messages(row: Mapping[str, Any]) -> list[Message]:
    """The chat messages of a row, byte for byte those of ``tracer1.plan.prompt``: image parts are put back."""
    images: list[Message] = [{"type": "image", "image": path} for path in row["images"]]
    messages: list[Message] = []
    for message in row["prompt"]:
        parts: list[Message] = [{"type": "text", "text": message["content"]}]
        if message["role"] == "user":
            parts, images = [*images, *parts], []
        messages.append({"role": message["role"], "content": parts})
    return messages


def row_to_window(row: Mapping[str, Any], where: str = "row") -> Window:
    """The Window of a row; DataError begins with ``where`` (file and row)."""
    for name in SCHEMA.names:
        if row.get(name) is None:
            raise DataError(f"{where}: {name} is missing")
    try:
        records = parse_json(row["reference"])
    except ValueError as error:
        raise DataError(f"{where}: reference: not JSON: {error}") from error
    return Window(
        prompt=tuple(row_messages(row)),
        images=tuple(row["images"]),
        reference=reference_from_json(records, f"{where}: reference"),
        episode_id=row["episode_id"],
        step=row["step"],
        source=row["source"],
    )


def _plain_text(content: Sequence[Mapping[str, Any]]) -> str:
    return "".join(part["text"] for part in content if part.get("type") == "text")


# ---- the file --------------------------------------------------------------------------------------------------------


def write_windows(
    path: Path | str,
    windows: Iterable[Window],
    store: Store | Sequence[Store],
    settings: Mapping[str, str | int] | None = None,
) -> int:
    """``write_rows`` of windows; also raises DataError for a prompt that a row cannot hold."""
    return write_rows(path, map(window_to_row, windows), store, settings)


def write_rows(
    path: Path | str,
    rows: Iterable[dict[str, Any]],
    store: Store | Sequence[Store],
    settings: Mapping[str, str | int] | None = None,
) -> int:
    """Write rows to one Parquet file as ``open_rows`` does; returns their number."""
    with open_rows(path, store, settings) as file:
        for row in rows:
            file.add(row)
    return file.count


class RowFile:
    """A Parquet file that is being written, a row group at a time."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer, self._group = writer, list[dict[str, Any]]()
        self.count = 0

    def add(self, row: dict[str, Any]) -> None:
        """Write one row. With several stores its ``store`` is the number of its own."""
        self.count += 1
        self._group.append(row)
        if len(self._group) == ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are still buffered."""
        if self._group:
            self._writer.write_table(_table(self._group, self._writer.schema))
            self._group.clear()


@contextmanager
def open_rows(
    path: Path | str, store: Store | Sequence[Store], settings: Mapping[str, str | int] | None = None
) -> Iterator[RowFile]:
    """A Parquet file to add rows to; it appears whole when the block ends well, or not at all.

    ``store``: the episode store, or stores, that the paths are relative to. ``settings`` (horizon, history, ...) are
    stored as metadata. Raises DataError for text that no file can hold, SetupError for a disk that is full.
    """
    path = Path(path)
    stores = [store] if isinstance(store, Path | str) else list(store)
    notes = {_store_key(i): os.path.relpath(place, path.parent) for i, place in enumerate(stores)}
    notes |= {key: str(value) for key, value in (settings or {}).items()}
    schema = SCHEMA if len(stores) == 1 else SCHEMA.append(pa.field(_STORE, pa.int64()))
    schema = schema.with_metadata({_PREFIX + key: os.fsencode(value) for key, value in notes.items()})
    with atomic(path) as handle, pq.ParquetWriter(handle, schema, **_STORAGE) as writer:
        file = RowFile(writer)
        yield file
        file.flush()


def _store_key(number: int) -> str:
    return f"{_STORE}.{number}" if number else _STORE


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON can spell and UTF-8 cannot hold
        where = next(f"{row['episode_id']!r} step {row['step']}" for row in rows if not _is_utf8(row))
        raise DataError(f"window {where}: its text cannot be written as UTF-8: {error.reason}") from error


def _is_utf8(row: Mapping[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_windows(path: Path | str) -> Iterator[Window]:
    """Stream the windows of a file in order, a row group at a time; DataError names the file, the row and the field."""
    for number, row in enumerate(read_rows(path)):
        yield row_to_window(row, f"{path} row {number}")


def read_rows(path: Path | str) -> Iterator[dict[str, Any]]:
    """Stream the raw rows of a file, each with the number of its ``store``; DataError when it is no Parquet file or
    lacks a column."""
    with _open(path) as file:
        present = file.schema_arrow.names
        absent = [name for name in SCHEMA.names if name not in present]
        if absent:
            raise DataError(f"{path}: no column {absent[0]!r}; write the file with `tracer1 data windows`")
        columns = [*SCHEMA.names, *([_STORE] if _STORE in present else [])]
        try:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=columns):
                yield from ({_STORE: 0, **row} for row in batch.to_pylist())
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
            raise DataError(f"{path}: damaged: {error}") from error


def count_windows(path: Path | str) -> int:
    """The number of rows, from the file's footer."""
    with _open(path) as file:
        return int(file.metadata.num_rows)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """The windows and episodes of one source in a windows file."""

    name: str
    windows: int
    episodes: int


def count_sources(path: Path | str) -> tuple[SourceCount, ...]:
    """The windows and episodes of each source, in the file's order."""
    windows: Counter[str] = Counter()
    episodes: defaultdict[str, set[str]] = defaultdict(set)
    with _open(path) as file:
        for batch in file.iter_batches(columns=["source", "episode_id"]):
            table = pa.Table.from_batches([batch]).group_by(["source", "episode_id"]).aggregate([([], "count_all")])
            for row in table.to_pylist():
                windows[row["source"]] += row["count_all"]
                episodes[row["source"]].add(row["episode_id"])
    return tuple(SourceCount(name, number, len(episodes[name])) for name, number in windows.items())


def schema_text(path: Path | str) -> dict[str, str]:
    """The file's columns and their types, to be displayed."""
    with _open(path) as file:
        return {column.name: str(column.type) for column in file.schema_arrow}


def windows_settings(path: Path | str) -> dict[str, str]:
    """The file's metadata: the stores and the settings that ``open_rows`` was given."""
    with _open(path) as file:
        pairs = ((key.decode(), os.fsdecode(value)) for key, value in (file.schema_arrow.metadata or {}).items())
        return {key.removeprefix(_PREFIX): value for key, value in pairs if key.startswith(_PREFIX)}


def store_places(settings: Mapping[str, str]) -> list[str]:
    """The stores that a file's settings name, relative to the file."""
    return [settings[key] for key in takewhile(settings.__contains__, map(_store_key, count()))]


def windows_stores(path: Path | str) -> tuple[EpisodeStore, ...]:
    """The episode stores that a file's paths are relative to; DataError when the file does not name one."""
    places = store_places(windows_settings(path))
    if not places:
        raise DataError(f"{path}: names no episode store; write the file with `tracer1 data windows`")
    return tuple(EpisodeStore(Path(path).parent / place) for place in places)


def row_store(stores: Sequence[EpisodeStore], row: Mapping[str, Any], where: str = "row") -> EpisodeStore:
    """The store of a row; DataError begins with ``where`` when the row's number is out of range."""
    number = row.get(_STORE, 0)
    if not isinstance(number, int) or not 0 <= number < len(stores):
        raise DataError(
            f"{where}: store {number!r} is not one of the file's {len(stores)} stores; write the file again"
        )
    return stores[number]


def _open(path: Path | str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; make it with `tracer1 data windows`") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file: {error}") from error


def absolute_rows(paths: str | Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of one or more windows files whose image paths can be opened from anywhere; ``store`` is the folder that
    the other paths of the row are relative to."""
    for path in [paths] if isinstance(paths, str) else paths:
        stores = windows_stores(path)
        for number, row in enumerate(read_rows(path)):
            store = row_store(stores, row, f"{path} row {number}")
            images = [str(store.path(image).resolve()) for image in row["images"]]
            yield {**row, "images": images, _STORE: str(store.directory.resolve())}


def with_absolute_images(window: Window, images: Sequence[str]) -> Window:
    """The window with its image paths made absolute, in the prompt too."""
    paths = dict(zip(window.images, images, strict=True))

    def message(m: Message) -> Message:
        return {
            **m,
            "content": [{**p, "image": paths[p["image"]]} if p["type"] == "image" else p for p in m["content"]],
        }

    return replace(window, prompt=tuple(message(m) for m in window.prompt), images=tuple(images))
