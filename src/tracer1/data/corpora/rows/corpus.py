"""Rows in Parquet, JSON or JSON Lines, read by a map of their fields: steps (GUI-R1, EasyR1) or conversations
(ShareGPT). docs/IMPORT.md describes the map.

A row that is a single step becomes an episode of one step, labelled ``end_missing``, unless ``fields.episode`` says
which rows belong together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from tracer1.actions import TERMINAL
from tracer1.data.conversion import wording
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, Note, RawRecord, Shard, UnusableRecord
from tracer1.data.conversion.fields import DraftStep, finish, shown
from tracer1.data.conversion.json_rows import json_rows
from tracer1.data.corpora.rows.mapping import RowMap, look_up
from tracer1.data.corpora.rows.values import parent_folder, parse_action, read_action, read_row_image
from tracer1.data.images import Image
from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.image_sources import ImageSource, open_images
from tracer1.data.readers.parquet_rows import stream_rows
from tracer1.data.validation import END_MISSING
from tracer1.errors import DataError, UsageError
from tracer1.types import Episode, EpisodeStep, Platform

SUFFIXES = (".parquet", ".jsonl", ".json")
_MARK = re.compile(r"<image>\s*")


@dataclass(frozen=True, slots=True)
class Row:
    """One raw row and its place."""

    where: str
    data: Any


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the assistant: its parsed action, and what else its text has."""

    where: str
    action: Mapping[str, Any]
    words: Mapping[str, str]


class Rows:
    """The source ``rows`` of ``tracer1.data.corpora.registry``."""

    name: ClassVar[str] = "rows"
    licence: ClassVar[str] = "not stated in the map"
    citation: ClassVar[str] = ""
    url: ClassVar[str] = ""
    terminal: ClassVar[str] = "as recorded; none is added"

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        if settings.map is None:
            raise UsageError("rows need a map of their fields; give --map FILE.yaml")
        self.raw = raw
        self.map = RowMap.model_validate_json(settings.map)

    def shards(self) -> Sequence[Shard]:
        found = [self.raw] if self.raw.is_file() else sorted(p for p in self.raw.rglob("*") if p.suffix in SUFFIXES)
        if not found:
            raise DataError(f"{self.raw}: no {', '.join(SUFFIXES)} there; give such a file, or a folder of them")
        return [Shard(f"{i:03d}-{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}", file) for i, file in enumerate(found)]

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        for is_note, group in groupby(_rows(shard), key=lambda row: self._group(row)):
            if isinstance(is_note, Note):
                yield is_note
                continue
            rows = [row for row in group if isinstance(row, Row)]
            yield RawRecord(rows[0].where, rows)

    def _group(self, row: Row | Note) -> Any:
        """Rows of the same key are one trajectory."""
        if isinstance(row, Note):
            return row
        episode = look_up(row.data, self.map.fields.episode)
        return row.where if episode is None else ("episode", str(episode))

    @cached_property
    def _files(self) -> ImageSource:
        return open_images(parent_folder(self.raw))

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        rows: list[Row] = list(record.data)
        if self.map.layout == "conversations":
            return _Conversation(self.map, self._files, rows[0]).converted()
        if self.map.fields.order:
            rows.sort(key=lambda row: _order(row, self.map))
        return self._steps(rows)

    def _steps(self, rows: Sequence[Row]) -> ConvertedEpisode:
        notes: list[Note] = []
        images: dict[str, Image] = {}
        platform = platform_of(rows[0], self.map)
        drafts = []
        for row in rows:
            images[row.where] = read_row_image(look_up(row.data, self.map.fields.image), self._files, row.where)
            drafts.append(DraftStep(row.where, step_of(row, row.data, self.map, images[row.where], notes)))
        steps, opened = finish(drafts, images, notes)
        labels: dict[str, str | float | bool] = {}
        if steps and not self.map.fields.episode and steps[-1].action.action_type not in TERMINAL:
            steps = (replace(steps[-1], status="not done"),)
            labels[END_MISSING] = True
        goal = _goal(rows[0], self.map, with_history=not self.map.fields.episode)
        return ConvertedEpisode(_episode(rows[0], self.map, platform, goal, steps, labels), opened, notes=tuple(notes))


class _Conversation:
    """A row that is a whole trajectory: turns of the user with images, and of the assistant with actions."""

    def __init__(self, mapping: RowMap, files: ImageSource, row: Row) -> None:
        self.map, self.files, self.row = mapping, files, row

    def converted(self) -> ConvertedEpisode:
        notes: list[Note] = []
        first, turns = self._turns()
        pictures = look_up(self.row.data, self.map.fields.image)
        names = pictures if isinstance(pictures, list) else [] if pictures is None else [pictures]
        if len(names) != len(turns):
            detail = f"{len(names)} images for {len(turns)} turns of the assistant"
            raise UnusableRecord(Note("damaged", "images do not fit the turns", self.row.where, detail))
        images = {
            turn.where: read_row_image(name, self.files, turn.where) for name, turn in zip(names, turns, strict=True)
        }
        drafts = [self._draft(turn, images[turn.where], notes) for turn in turns]
        steps, opened = finish(drafts, images, notes)
        goal = _goal(self.row, self.map) if self.map.fields.goal else _MARK.sub("", first).strip()
        platform = platform_of(self.row, self.map)
        return ConvertedEpisode(_episode(self.row, self.map, platform, goal, steps, {}), opened, notes=tuple(notes))

    def _draft(self, turn: Turn, image: Image, notes: list[Note]) -> DraftStep:
        step = step_of(Row(turn.where, self.row.data), turn.action, self.map, image, notes)
        thought, said = turn.words.get("thought"), turn.words.get("instruction")
        return DraftStep(
            turn.where, replace(step, thought=thought or step.thought, instruction=said or step.instruction)
        )

    def _turns(self) -> tuple[str, list[Turn]]:
        """(the first turn of the user, the turns of the assistant)."""
        how, where = self.map.conversation, self.row.where
        turns = look_up(self.row.data, how.turns)
        if not isinstance(turns, list):
            raise UnusableRecord(Note("damaged", "no usable conversation", where, f"found {type(turns).__name__}"))
        first, found = None, list[Turn]()
        for i, turn in enumerate(turns):
            role, text = look_up(turn, how.role), look_up(turn, how.text)
            if role in how.user and first is None:
                first = str(text)
            elif role in how.assistant:
                found.append(self._turn(str(text), f"{where} turn {i}"))
        if first is None or not found:
            raise UnusableRecord(Note("damaged", "no usable conversation", where, f"{len(found)} turns with actions"))
        return first, found

    def _turn(self, text: str, where: str) -> Turn:
        match = re.search(self.map.conversation.pattern, text, re.DOTALL)
        if match is None:
            raise UnusableRecord(Note("damaged", "a turn without an action", where, shown(text)))
        words = {name: value.strip() for name, value in match.groupdict().items() if value and name != "action"}
        return Turn(where, parse_action(match["action"], self.map.conversation.format, where), words)


# ---- parts of an episode ---------------------------------------------------------------------------------------------


def step_of(row: Row, action_record: Any, mapping: RowMap, image: Image, notes: list[Note]) -> EpisodeStep:
    """The step of a row; its screenshot is named by the row's place. ``action_record``: where the action stands."""
    action, box = read_action(action_record, mapping, image.size, row.where, notes)
    said = _words(action_record, mapping, "instruction")
    return EpisodeStep(
        screenshot=row.where,
        size=image.size,
        abstraction=_words(action_record, mapping, "abstraction"),
        instruction=said or wording.instruction(action),
        action=action,
        box=box,
        thought=_words(action_record, mapping, "thought") or None,
    )


def platform_of(row: Row, mapping: RowMap) -> Platform:
    return mapping.platforms.get(str(look_up(row.data, mapping.fields.platform)), mapping.platform)


def _rows(shard: Shard) -> Iterator[Row | Note]:
    if shard.file.suffix == ".parquet":
        for where, row in stream_rows(shard.file):
            yield Note("damaged", row.reason, where, row.detail) if isinstance(row, Damaged) else Row(where, row)
        return
    for where, value in json_rows(shard):
        yield value if isinstance(value, Note) else Row(where, value)


def _episode(
    row: Row,
    mapping: RowMap,
    platform: Platform,
    goal: str,
    steps: tuple[EpisodeStep, ...],
    labels: dict[str, str | float | bool],
) -> Episode:
    name = look_up(row.data, mapping.fields.episode) or look_up(row.data, mapping.fields.id)
    split = look_up(row.data, mapping.fields.split, mapping.empty)
    if not goal:
        raise UnusableRecord(Note("damaged", "no goal", row.where))
    episode_id = row.where.replace(" row ", "/") if name is None else str(name)
    return Episode(episode_id, mapping.source, platform, goal, str(split or mapping.split), steps, labels=labels)


def _goal(row: Row, mapping: RowMap, with_history: bool = False) -> str:
    """The task in words; behind it, where a row is a single step, what was done before."""
    goal = _words(row.data, mapping, "goal")
    past = look_up(row.data, mapping.fields.history, mapping.empty) if with_history else None
    lines = [str(line) for line in past] if isinstance(past, list) else [str(past)] if past is not None else []
    return f"{goal}\nDone so far: {'; '.join(lines)}" if lines and goal else goal


def _words(record: Any, mapping: RowMap, name: str) -> str:
    value = look_up(record, getattr(mapping.fields, name), mapping.empty)
    return value.strip() if isinstance(value, str) else ""


def _order(row: Row, mapping: RowMap) -> float:
    value = look_up(row.data, mapping.fields.order)
    if isinstance(value, int | float):
        return float(value)
    raise UnusableRecord(Note("damaged", "no usable order", row.where, shown(value)))
