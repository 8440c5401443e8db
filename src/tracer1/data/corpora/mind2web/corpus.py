"""Multimodal-Mind2Web (osunlp/Multimodal-Mind2Web): an action a row of Parquet, its screenshot the whole page.

The rows of a task need not stand together, not even in one file, so an index of three small columns comes first; then
whole tasks are read, one at a time and without ``raw_html`` and ``neg_candidates``. A step shows the block of the page
that holds its target. ``original_op`` tells what was done; ``op`` calls hovering and pressing Enter a click.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from tracer1.actions import EXTRA_ACTIONS, POINTING, validate
from tracer1.coordinates import convert, pixels
from tracer1.data.conversion import wording
from tracer1.data.conversion.corpus import (
    ConvertedEpisode,
    ConvertSettings,
    Note,
    RawRecord,
    Shard,
    UnusableRecord,
    read_field,
)
from tracer1.data.corpora.mind2web import page as web_page
from tracer1.data.images import Image, read_image
from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.parquet_rows import Place, RowReader, index_rows
from tracer1.errors import ActionError, DataError
from tracer1.files import parse_json
from tracer1.types import FRACTION, Action, Box, Episode, EpisodeStep, Point

SPLITS = ("train", "test_task", "test_website", "test_domain")
FILE = re.compile(rf"({'|'.join(SPLITS)})-\d{{5}}-of-\d{{5}}[\w.-]*\.parquet", re.ASCII)
INDEX = ("annotation_id", "target_action_index", "action_uid")
COLUMNS = (
    *("annotation_id", "action_uid", "website", "domain", "subdomain", "confirmed_task", "screenshot", "cleaned_html"),
    *("operation", "pos_candidates", "action_reprs", "target_action_index", "target_action_reprs"),
)
OPERATIONS: Mapping[str, str] = {  # original_op: ours
    "CLICK": "click",
    "TYPE": "type",  # one recorded step stays one step: the place and the text together
    "SELECT": "select",
    "HOVER": "hover",
    "ENTER": "hotkey",
}
NAME = 80  # characters of a target's name in an instruction


@dataclass(frozen=True, slots=True)
class Task:
    """The rows of one task as they were found: ``target_action_index`` as published, and the row."""

    split: str
    annotation_id: str
    rows: tuple[tuple[object, Mapping[str, Any] | Damaged], ...]


@dataclass(slots=True)
class _Index:
    """Where the rows of a split's tasks stand, tasks in the order of their first rows, and what could not be read."""

    tasks: dict[str, list[tuple[object, Place]]] = field(default_factory=dict)
    damaged: dict[Path, list[Damaged]] = field(default_factory=dict)


class Mind2Web:
    """See ``tracer1.data.conversion.corpus.Corpus``."""

    name: ClassVar[str] = "mind2web"
    licence: ClassVar[str] = "OpenRAIL"
    citation: ClassVar[str] = "Deng et al., Mind2Web, arXiv 2306.06070; Zheng et al., SeeAct, arXiv 2401.01614"
    url: ClassVar[str] = "https://huggingface.co/datasets/osunlp/Multimodal-Mind2Web"
    terminal: ClassVar[str] = "none is added: no screen was recorded after the last action, so the last step is done"

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw, self.settings = raw, settings
        self._index = cache(_read_index)  # read again in each worker: three columns of some MB in all

    def shards(self) -> Sequence[Shard]:
        files = self._files()
        if not files:
            raise DataError(
                f"{self.raw}: no {'|'.join(SPLITS)}-000NN-of-000NN-*.parquet there or in its folder data; "
                "give the folder of the data set"
            )
        wanted = [split for split in SPLITS if split in files and self.settings.split in (None, split)]
        if not wanted:
            raise DataError(f"{self.raw}: no split {self.settings.split!r} there; it has {', '.join(files)}")
        return [shard for split in wanted for shard in self._split_shards(files[split])]

    def _files(self) -> dict[str, tuple[Path, ...]]:
        """The files of each split, in order."""
        found: dict[str, tuple[Path, ...]] = {}
        for folder in (self.raw / "data", self.raw):
            for path in sorted(folder.glob("*.parquet")):
                if match := FILE.fullmatch(path.name):
                    found[match[1]] = (*found.get(match[1], ()), path)
            if found:
                break
        return found

    def _split_shards(self, files: tuple[Path, ...]) -> Iterator[Shard]:
        """A shard for each file: the tasks that begin in it, by their number in the split."""
        begins = [rows[0][1].file for rows in self._index(files).tasks.values()]
        stop = 0
        for file in files:
            start, stop = stop, stop + begins.count(file)
            yield Shard(file.name.removesuffix(".parquet"), file, start, stop)

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        match = FILE.fullmatch(shard.file.name)
        assert match is not None
        index = self._index(self._files()[match[1]])
        for damage in index.damaged.get(shard.file, ()):
            yield Note("damaged", damage.reason, damage.where, damage.detail)
        reader = RowReader(COLUMNS)
        for annotation_id, places in list(index.tasks.items())[shard.start : shard.stop]:
            rows = tuple((number, reader.read(place)) for number, place in places)
            yield RawRecord(f"{shard.file.name} task {annotation_id}", Task(match[1], annotation_id, rows))

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        where, task = record.where, record.data
        notes: list[Note] = []
        rows = _in_order(task, where, notes)
        if not rows:
            raise UnusableRecord(Note("damaged", "no readable row", where), notes)
        first = next(iter(rows.values()))
        goal = read_field(first, "confirmed_task", str, where)
        if not goal.strip() or not task.annotation_id.strip():
            raise UnusableRecord(Note("dropped", "no goal" if not goal.strip() else "no id", where), notes)
        told = [str(words) for words in _items(first.get("action_reprs"))]

        steps: list[EpisodeStep] = []
        images: dict[str, Image] = {}
        unseen: list[str] = []  # what was done since the last step that is kept
        for number in sorted({*rows, *range(len(told))}):
            words = told[number] if number < len(told) else ""
            try:
                if number not in rows:
                    raise UnusableRecord(Note("dropped", "row missing", f"{where}: action {number}", words))
                step, image = self._step(rows[number], words, f"{where}: action {number}", notes)
            except UnusableRecord as error:
                notes += error.notes
                unseen.append(_in_words(words))
                continue
            name = f"{number}{image.suffix}"
            images[name] = image
            steps.append(_after(replace(step, screenshot=name), unseen))
            unseen = []
        if steps:
            steps[-1] = replace(steps[-1], status="done")
            if unseen:
                notes.append(Note("changed", "its end was not kept", where, wording.one_line("; ".join(unseen))))
        labels = {key: first[key] for key in ("website", "domain", "subdomain") if isinstance(first.get(key), str)}
        if self.settings.abstractions == "rules":
            labels["abstraction"] = wording.RULES
        episode = Episode(task.annotation_id, self.name, "web", goal, task.split, tuple(steps), labels=labels)
        return ConvertedEpisode(episode, images, notes=tuple(notes))

    def _step(self, row: Mapping[str, Any], words: str, where: str, notes: list[Note]) -> tuple[EpisodeStep, Image]:
        operation = _mapping(row.get("operation"), f"{where}: operation")
        key = "original_op" if operation.get("original_op") else "op"
        done = read_field(operation, key, str, f"{where}: operation")
        if done not in OPERATIONS:
            raise UnusableRecord(Note("dropped", "unknown action", f"{where}: operation", done))
        kind = OPERATIONS[done]
        if kind in EXTRA_ACTIONS[self.name] and self.settings.extra_actions == "drop":
            raise UnusableRecord(Note("dropped", f"no equivalent: {kind}", f"{where}: operation"))
        page = _page(row, where)
        target = web_page.choose_target(_candidates(row, where, notes), page.size)
        if target is None and kind in POINTING:
            raise UnusableRecord(Note("dropped", "no target box", f"{where}: pos_candidates", words))

        words = row.get("target_action_reprs") or words
        told = web_page.parse_action_words(words) if isinstance(words, str) else None
        rows = (0, page.size[1])
        if self.settings.page == "blocks":
            rows = web_page.block(page.size[1], *(target.box[1::2] if target else (0, 0)))
            if target is None and rows[1] < page.size[1]:
                notes.append(Note("changed", "no target box: the top of the page is shown", where))
        point, box = _place(target, page, rows, where, notes)
        action = Action(
            kind,
            point if kind != "hotkey" else None,
            content=_value(operation, kind, told, f"{where}: operation", notes) if kind in ("type", "select") else None,
            key="enter" if kind == "hotkey" else None,
        )
        try:
            validate(action, "web", self.name)
            shown = web_page.cut(page, rows)
        except ActionError as error:
            raise UnusableRecord(Note("dropped", "invalid action", f"{where}: operation", str(error))) from error
        except DataError as error:
            raise UnusableRecord(Note("damaged", "corrupt image", f"{where}: screenshot", str(error))) from error
        abstraction = ""
        if self.settings.abstractions == "rules":
            html, site = row.get("cleaned_html"), row.get("website")
            title, names = web_page.page_words(html if isinstance(html, str) else "", target.node if target else "")
            abstraction = wording.screen(title or (site if isinstance(site, str) else ""), names)
        instruction = wording.instruction(action, told.target(NAME) if told else "")
        labels: dict[str, str | float | bool] = {"page_top": rows[0], "page_height": page.size[1]}
        return EpisodeStep(None, shown.size, abstraction, instruction, action, box, labels=labels), shown


# ---- rows ------------------------------------------------------------------------------------------------------------


def _read_index(files: tuple[Path, ...]) -> _Index:
    index = _Index()
    for file in files:
        for found in index_rows(file, INDEX):
            if isinstance(found, Damaged):
                index.damaged.setdefault(file, []).append(found)
                continue
            place, row = found
            if not isinstance(row["annotation_id"], str):
                damage = Damaged(str(place), "no usable annotation_id", f"found {row['annotation_id']!r}")
                index.damaged.setdefault(file, []).append(damage)
                continue
            index.tasks.setdefault(row["annotation_id"], []).append((row["target_action_index"], place))
    return index


def _in_order(task: Task, where: str, notes: list[Note]) -> dict[int, Mapping[str, Any]]:
    """The readable rows by the number of their action, each once."""
    rows: dict[int, Mapping[str, Any]] = {}
    for text, row in task.rows:
        digits = re.fullmatch(r"[0-9]{1,4}", str(text))
        if isinstance(row, Damaged):
            notes.append(Note("damaged", row.reason, row.where, row.detail))
        elif digits is None:
            uid = str(row.get("action_uid"))
            notes.append(Note("damaged", "no usable target_action_index", f"{where}: action_uid {uid}", repr(text)))
        elif (number := int(digits[0])) in rows:
            notes.append(Note("dropped", "action met again", f"{where}: action {number}", str(row.get("action_uid"))))
        else:
            rows[number] = row
    return dict(sorted(rows.items()))


def _page(row: Mapping[str, Any], where: str) -> Image:
    where = f"{where}: screenshot"
    screenshot = row.get("screenshot")
    data = screenshot.get("bytes") if isinstance(screenshot, Mapping) else None
    if not isinstance(data, bytes):
        raise UnusableRecord(Note("dropped", "no screenshot", where))
    try:
        return read_image(data, where)
    except DataError as error:
        raise UnusableRecord(Note("damaged", "corrupt image", where, str(error).removeprefix(f"{where}: "))) from error


def _candidates(row: Mapping[str, Any], where: str, notes: list[Note]) -> Iterator[Mapping[str, Any]]:
    """The targets, their attributes decoded; one that cannot be is noted and passed over."""
    for i, text in enumerate(_items(row.get("pos_candidates"))):
        place = f"{where}: pos_candidates[{i}]"
        try:
            candidate = _mapping(text, place)
            yield {**candidate, "attributes": _mapping(candidate.get("attributes"), f"{place}.attributes")}
        except UnusableRecord as error:
            notes += error.notes


def _items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    """The object in a JSON text, or the object itself where a release has it decoded."""
    try:
        found = parse_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise UnusableRecord(Note("damaged", "unreadable JSON", where, str(error))) from error
    if not isinstance(found, Mapping):
        raise UnusableRecord(
            Note("damaged", "unreadable JSON", where, f"expected an object, found {type(found).__name__}")
        )
    return found


# ---- one step --------------------------------------------------------------------------------------------------------


def _place(
    target: web_page.Target | None, page: Image, rows: tuple[int, int], where: str, notes: list[Note]
) -> tuple[Point | None, Box | None]:
    """The target's middle and box as fractions of the block ``rows``; no box where it has no extent."""
    if target is None:
        return None, None
    left, top, right, bottom = target.box
    if target.clipped:
        notes.append(Note("changed", "box beyond the page", f"{where}: pos_candidates", f"now {target.box}"))
    if top < rows[0] or bottom > rows[1]:
        notes.append(Note("changed", "box taller than its block", f"{where}: pos_candidates", f"{target.box}"))
    top, bottom = (min(max(edge, rows[0]), rows[1]) - rows[0] for edge in (top, bottom))
    frame = pixels((page.size[0], rows[1] - rows[0]))
    corners = (left, top), ((left + right) / 2, (top + bottom) / 2), (right, bottom)
    start, middle, end = (convert(Point(x, y, frame), FRACTION) for x, y in corners)
    if left >= right or top >= bottom:
        notes.append(Note("changed", "box without extent: only its place is kept", f"{where}: pos_candidates"))
        return middle, None
    return middle, (start.x, start.y, end.x, end.y)


def _value(
    operation: Mapping[str, Any], kind: str, told: web_page.ActionWords | None, where: str, notes: list[Note]
) -> str:
    """What was typed or selected. A selected value has lost its punctuation; the words of the action still have it."""
    value = read_field(operation, "value", str, where)
    if kind == "select" and told and told.value not in ("", value) and web_page.same_letters(told.value, value):
        notes.append(Note("changed", "value spelt as in target_action_reprs", where, f"{value!r}, now {told.value!r}"))
        return told.value
    return value


def _after(step: EpisodeStep, unseen: Sequence[str]) -> EpisodeStep:
    """A step that says what was done before it in steps that are not kept."""
    if not unseen:
        return step
    words = wording.one_line("; ".join(unseen))
    abstraction = wording.one_line(f"after {words}: {step.abstraction}") if step.abstraction else ""
    return replace(step, abstraction=abstraction, labels={**step.labels, "unseen_before": words})


def _in_words(words: str) -> str:
    """An action of which only the words are known, as an instruction."""
    told = web_page.parse_action_words(words)
    if told is None:
        return wording.one_line(words) or "an unknown step"
    key = "enter" if told.operation == "ENTER" else None
    return wording.instruction(Action(OPERATIONS[told.operation], content=told.value, key=key), told.target(NAME))
