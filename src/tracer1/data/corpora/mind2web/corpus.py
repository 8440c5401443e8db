"""Multimodal-Mind2Web (osunlp/Multimodal-Mind2Web): Parquet files with one action per row, and whole pages as images.

The rows of a task may be scattered, even over several files. So an index of three small columns is read first, then one
whole task at a time, without ``raw_html``. A step shows the block of the page around its target. ``original_op`` is the
recorded action; ``op`` calls hovering and pressing Enter a click.
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
from tracer1.data.corpora.mind2web import words as web_words
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
    *("operation", "pos_candidates", "neg_candidates", "action_reprs", "target_action_index", "target_action_reprs"),
)
OPERATIONS: Mapping[str, str] = {  # by original_op
    "CLICK": "click",
    "TYPE": "type",  # one recorded step stays one step, with point and text
    "SELECT": "select",
    "HOVER": "hover",
    "ENTER": "hotkey",
}
VALUED = ("type", "select")


@dataclass(frozen=True, slots=True)
class Task:
    """The rows of one task in the files' order, each with its ``target_action_index`` as published."""

    split: str
    annotation_id: str
    rows: tuple[tuple[object, Mapping[str, Any] | Damaged], ...]


@dataclass(slots=True)
class _Index:
    """The places of the rows of a split's tasks, tasks in the order of their first rows, and the damage by file."""

    tasks: dict[str, list[tuple[object, Place]]] = field(default_factory=dict)
    damaged: dict[Path, list[Damaged]] = field(default_factory=dict)


class Mind2Web:
    """The corpus ``mind2web``."""

    name: ClassVar[str] = "mind2web"
    licence: ClassVar[str] = "OpenRAIL"
    citation: ClassVar[str] = "Deng et al., Mind2Web, arXiv 2306.06070; Zheng et al., SeeAct, arXiv 2401.01614"
    url: ClassVar[str] = "https://huggingface.co/datasets/osunlp/Multimodal-Mind2Web"
    terminal: ClassVar[str] = (
        "none is added, since no screen was recorded after the last action: that action is done, and an episode that "
        "lacks it is labelled end_missing"
    )

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
        """A shard for each file: the tasks whose first row is in it, by their number in the split."""
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
        in_words = [str(words) for words in _items(first.get("action_reprs"))]

        steps: list[EpisodeStep] = []
        images: dict[str, Image] = {}
        unseen: list[str] = []  # actions after the last step that was kept, in words
        for number in sorted({*rows, *range(len(in_words))}):
            words = in_words[number] if number < len(in_words) else ""
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
        labels: dict[str, str | float | bool] = {
            key: first[key] for key in ("website", "domain", "subdomain") if isinstance(first.get(key), str)
        }
        if steps and unseen:
            labels["end_missing"] = True
            notes.append(Note("changed", "end missing", where, wording.one_line("; ".join(unseen))))
        elif steps:
            steps[-1] = replace(steps[-1], status="done")
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

        in_words = row.get("target_action_reprs") or words
        described = web_words.parse_action_words(in_words) if isinstance(in_words, str) else None
        area = whole = (0, 0, *page.size)
        if self.settings.page == "blocks":
            area = web_page.block(page.size, target.box if target else None)
            if target is None and area != whole:
                notes.append(Note("changed", "no target box: the top of the page is shown", where))
        point, box = _place(target, area, where, notes)
        action = Action(
            kind,
            point if kind != "hotkey" else None,
            content=_value(operation, kind, described, f"{where}: operation", notes)
            if kind in ("type", "select")
            else None,
            key="enter" if kind == "hotkey" else None,
        )
        try:
            validate(action, "web", self.name)
            shown = web_page.cut(page, area)
        except ActionError as error:
            raise UnusableRecord(Note("dropped", "invalid action", f"{where}: operation", str(error))) from error
        except DataError as error:
            raise UnusableRecord(Note("damaged", "corrupt image", f"{where}: screenshot", str(error))) from error
        text = _words(row, target, None if area == whole else area)
        abstraction = ""
        if self.settings.abstractions == "rules":
            site = row.get("website")
            abstraction = wording.screen(text.title or (site if isinstance(site, str) else ""), text.names())
        name, place = web_words.target_name(target, text) if target else "", wording.place(point) if point else ""
        instruction = wording.instruction(action, described.target(name, place) if described else "")
        return EpisodeStep(None, shown.size, abstraction, instruction, action, box, labels=_labels(area, page)), shown


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
    """The readable rows by the number of their action, each number once."""
    rows: dict[int, Mapping[str, Any]] = {}
    for text, row in task.rows:
        digits = re.fullmatch(r"[0-9]{1,4}", str(text))
        if isinstance(row, Damaged):
            notes.append(Note("damaged", row.reason, row.where, row.detail))
        elif digits is None:
            uid = str(row.get("action_uid"))
            notes.append(Note("damaged", "no usable target_action_index", f"{where}: action_uid {uid}", repr(text)))
        elif (number := int(digits[0])) in rows:
            notes.append(Note("dropped", "repeated action", f"{where}: action {number}", str(row.get("action_uid"))))
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
    """The targets with their attributes decoded. One that cannot be decoded is noted and skipped."""
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
    """The object in a JSON string, or the object itself in a release that has it decoded."""
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


def _words(row: Mapping[str, Any], target: web_page.Target | None, area: web_page.Block | None) -> web_words.PageWords:
    """The words of a block, or of the whole page if ``area`` is None."""
    html = row.get("cleaned_html")
    boxes = {}
    if area is not None:
        boxes = web_page.element_boxes([*_items(row.get("neg_candidates")), *_items(row.get("pos_candidates"))])
    return web_words.page_words(html if isinstance(html, str) else "", target.node if target else "", boxes, area)


def _labels(area: web_page.Block, page: Image) -> dict[str, str | float | bool]:
    """Where a block lies on its page, in pixels."""
    labels: dict[str, str | float | bool] = {"page_top": area[1], "page_height": page.size[1]}
    if area[2] - area[0] < page.size[0]:
        labels |= {"page_left": area[0], "page_width": page.size[0]}
    return labels


def _place(
    target: web_page.Target | None, area: web_page.Block, where: str, notes: list[Note]
) -> tuple[Point | None, Box | None]:
    """The target's middle and box as fractions of the block ``area``; no box if it has no extent."""
    if target is None:
        return None, None
    at = f"{where}: pos_candidates"
    x0, y0, x1, y1 = area
    if target.clipped:
        notes.append(Note("changed", "box clipped to the page", at, f"now {target.box}"))
    left, right = (min(max(edge, x0), x1) - x0 for edge in target.box[0::2])
    top, bottom = (min(max(edge, y0), y1) - y0 for edge in target.box[1::2])
    if right - left < target.box[2] - target.box[0] or bottom - top < target.box[3] - target.box[1]:
        notes.append(Note("changed", "box clipped to its block", at, f"{target.box}"))
    frame = pixels((x1 - x0, y1 - y0))
    corners = (left, top), ((left + right) / 2, (top + bottom) / 2), (right, bottom)
    start, middle, end = (convert(Point(x, y, frame), FRACTION) for x, y in corners)
    if left >= right or top >= bottom:
        notes.append(Note("changed", "box without extent: only its point is kept", at))
        return middle, None
    return middle, (start.x, start.y, end.x, end.y)


def _value(
    operation: Mapping[str, Any], kind: str, described: web_words.ActionWords | None, where: str, notes: list[Note]
) -> str:
    """The text typed or selected. Selected values lack punctuation, which the words of the action still have."""
    value = read_field(operation, "value", str, where)
    spelled = described.value if kind == "select" and described else ""
    if spelled not in ("", value) and web_words.same_letters(spelled, value):
        notes.append(Note("changed", "value spelled as in target_action_reprs", where, f"{value!r}, now {spelled!r}"))
        return spelled
    return value


def _after(step: EpisodeStep, unseen: Sequence[str]) -> EpisodeStep:
    """The step with a description of the actions before it that were not kept."""
    if not unseen:
        return step
    words = wording.one_line("; ".join(unseen))
    abstraction = wording.one_line(f"after {words}: {step.abstraction}") if step.abstraction else ""
    return replace(step, abstraction=abstraction, labels={**step.labels, "unseen_before": words})


def _in_words(words: str) -> str:
    """The instruction for an action of which only the words are known."""
    described = web_words.parse_action_words(words)
    if described is None:
        return wording.one_line(words) or "an unknown step"
    key = "enter" if described.operation == "ENTER" else None
    action = Action(OPERATIONS[described.operation], content=described.value, key=key)
    return wording.instruction(action, described.target())
