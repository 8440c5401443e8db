"""Rows of Parquet files by position: small columns of all rows for an index, or whole rows one at a time.

A row with images may take megabytes, so only a few are decoded at once, and later rows of a file are reached by reading
on. Memory is bounded by the largest page of a column, which may be as large as a row group. Damage is reported, and no
row before it is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tracer1.data.readers.damage import Damaged

ROWS = 4  # decoded at once
_ERRORS = (OSError, ValueError, pa.ArrowException)  # ValueError: text that is not UTF-8


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a row; ``row`` counts from 0 in its row group."""

    file: Path
    group: int
    row: int

    def __str__(self) -> str:
        return f"{self.file.name} group {self.group} row {self.row}"


def index_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[Place, dict[str, Any]] | Damaged]:
    """The place of every row with its values in ``columns``, which should be small. Nothing else is read.

    A file, row group or column that cannot be read comes as Damaged.
    """
    try:
        with _open(file) as parquet:
            missing = [name for name in columns if name not in parquet.schema_arrow.names]
            if missing:
                yield Damaged(file.name, "no such column", f"{', '.join(missing)}; is it a file of this corpus?")
                return
            for group in range(parquet.num_row_groups):
                try:
                    rows = parquet.read_row_group(group, columns=list(columns)).to_pylist()
                except _ERRORS as error:
                    yield Damaged(f"{file.name} group {group}", "unreadable row group", _line(error))
                    continue
                for number, row in enumerate(rows):
                    yield Place(file, group, number), row
    except _ERRORS as error:
        yield Damaged(file.name, "not a Parquet file", f"{_line(error)}; fetch the file again")


def stream_rows(file: Path) -> Iterator[tuple[str, dict[str, Any] | Damaged]]:
    """(file and row, row) of each row with all its columns, a handful decoded at once; rows are counted from 0.

    What cannot be read comes as Damaged, and ends the reading.
    """
    number = 0
    try:
        with _open(file) as parquet:
            for batch in parquet.iter_batches(ROWS):
                for row in batch.to_pylist():
                    yield f"{file.name} row {number}", row
                    number += 1
    except _ERRORS as error:
        where = f"{file.name} row {number}"
        yield where, Damaged(where, "unreadable Parquet file", f"{_line(error)}; fetch the file again")


class RowReader:
    """Reads the given columns of single rows. Rows requested in the files' order are read in one pass."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self._rows: Iterator[tuple[int, Any]] = iter(())  # (number, table of one row) from ``_at`` on
        self._at: Place | None = None  # the next row
        self._wrong: dict[tuple[Path, int], tuple[int, str]] = {}  # by group: the first unreadable row and the reason

    def read(self, place: Place) -> dict[str, Any] | Damaged:
        """The row at ``place``, without the columns that the file lacks."""
        group = (place.file, place.group)
        if self._at is None or (self._at.file, self._at.group) != group or self._at.row > place.row:
            self._rows = self._from_start(*group)
        try:
            found = next((row for number, row in self._rows if number == place.row), None)
            self._at = Place(*group, place.row + 1)
            if found is not None:
                row: dict[str, Any] = found.to_pylist()[0]
                return row
        except _ERRORS as error:
            return Damaged(str(place), "unreadable row", _line(error))
        number, reason = self._wrong.get(group, (place.row, "there is no such row"))
        return Damaged(str(place), "unreadable row", f"{reason} (from row {number} on)")

    def _from_start(self, file: Path, group: int) -> Iterator[tuple[int, Any]]:
        number = 0
        try:
            with _open(file) as parquet:
                columns = [name for name in self.columns if name in parquet.schema_arrow.names]
                for batch in parquet.iter_batches(ROWS, row_groups=[group], columns=columns):
                    for i in range(batch.num_rows):
                        yield number, batch.slice(i, 1)
                        number += 1
        except _ERRORS as error:
            self._wrong[file, group] = (number, _line(error))


def _open(file: Path) -> Any:
    return pq.ParquetFile(file, memory_map=True, page_checksum_verification=True)  # mapped, to save a copy


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
