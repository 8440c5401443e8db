"""GUI-Odyssey, versions 1 and 2: tasks across Android apps, one JSON file per episode, and PNG screenshots.

    annotations/<episode_id>.json
    screenshots/<episode_id>_<step>.png        or in subfolders (data_0/ ...), or in a zip there, as in the release
                                               of 2025: screenshots.zip with its parts screenshots.z01 ...
    splits/random_split.json                   also task, device and app: the setting split_by chooses

Points and boxes are in per mille of the screen. A recorded scroll is the path of the finger, which is opposite to the
direction of the content; after a long press it moves the handles of a selection and becomes a drag. Version 2 adds
text and the target's box: ``description`` becomes the abstraction, ``low_level_instruction`` the instruction,
``context`` and ``intention`` the thought.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from tracer1.coordinates import convert, inside, per_mille
from tracer1.data.conversion.corpus import (
    ConvertedEpisode,
    ConvertSettings,
    Note,
    RawRecord,
    Shard,
    UnusableRecord,
    read_field,
)
from tracer1.data.conversion.fields import (
    DraftStep,
    finish,
    is_wanted,
    labels,
    number,
    on_screen,
    open_screenshots,
    out_of_order,
    read_id,
    shown,
    text,
)
from tracer1.data.conversion.wording import instruction, one_line
from tracer1.errors import DataError
from tracer1.files import NestedTooDeep, parse_json
from tracer1.types import FRACTION, Action, Box, Episode, EpisodeStep, Point

SHARE = 200  # episode files in a shard
MAX_BYTES = 64 << 20
KEYS = {"KEY_HOME": "press_home", "KEY_BACK": "press_back", "KEY_APPSELECT": "press_appselect"}
TYPING = ("TEXT", "TYPE")  # the data says TEXT, its documentation TYPE
POINTED = {"CLICK": "click", "LONG_PRESS": "long_press"}
ENDS = {"COMPLETE": "finished", "INCOMPLETE": "call_user"}

DEVICE_LABELS = ("device_name", "product", "release_version", "sdk_version", "w", "h")
TASK_LABELS = ("category", "app", "meta_task", "task")


class GuiOdyssey:
    """The corpus ``gui-odyssey``."""

    name: ClassVar[str] = "gui-odyssey"
    licence: ClassVar[str] = "CC-BY-4.0 (version 1; that of version 2 stands on its card)"
    citation: ClassVar[str] = "Lu et al., GUI Odyssey: Cross-App GUI Navigation on Mobile Devices, arXiv 2406.08451"
    url: ClassVar[str] = "https://github.com/OpenGVLab/GUI-Odyssey"
    terminal: ClassVar[str] = (
        "as recorded: finished for COMPLETE, call_user for INCOMPLETE; none is added, since the screen after the last "
        "action was not recorded"
    )

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw = raw
        self.settings = settings
        self.annotations = raw / "annotations"
        self.split_file = raw / "splits" / f"{settings.split_by}_split.json"

    # ---- reading -----------------------------------------------------------------------------------------------------

    @cached_property
    def _files(self) -> list[Path]:
        return sorted(path for path in self.annotations.glob("*.json") if path.name != "all_anno.json")

    def shards(self) -> Sequence[Shard]:
        if not self._files:
            raise DataError(f"{self.annotations}: no episode files there; unpack annotations.zip to {self.raw}")
        if self.settings.split is not None and not self.split_file.is_file():
            raise DataError(f"{self.split_file}: no such file, so the splits are unknown; fetch it")
        splits = [Shard("splits", self.split_file)] if self.split_file.is_file() else []
        return [
            *splits,
            *(
                Shard(f"annotations-{start:06d}", self.annotations, start, min(start + SHARE, len(self._files)))
                for start in range(0, len(self._files), SHARE)
            ),
        ]

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        if shard.file == self.split_file:
            if isinstance(self._splits, Note):
                yield self._splits
            return
        images = open_screenshots(self.raw / "screenshots")
        for path in self._files[shard.start : shard.stop]:
            value = read_json(path, f"{self.annotations.name}/{path.name}")
            yield value if isinstance(value, Note) else RawRecord(f"{self.annotations.name}/{path.name}", value, images)

    @cached_property
    def _splits(self) -> Mapping[str, frozenset[str]] | Note:
        """The names of the episode files by split."""
        if not self.split_file.is_file():
            return {}
        where = f"splits/{self.split_file.name}"
        value = read_json(self.split_file, where)
        if isinstance(value, Note):
            return value
        if not isinstance(value, Mapping) or not all(isinstance(names, list) for names in value.values()):
            return Note("damaged", "no usable split", where, "expected lists of file names by split")
        return {split: frozenset(n for n in names if isinstance(n, str)) for split, names in value.items()}

    # ---- converting --------------------------------------------------------------------------------------------------

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        where, data = record.where, record.data
        notes: list[Note] = []
        episode_id = read_id(data, "episode_id", where)
        steps = read_field(data, "steps", list, where)
        task = read_field(data, "task_info", dict, where)
        goal = _goal(task, f"{where}: task_info", notes)
        split = self._split(episode_id, where, notes)
        if out_of_order(steps, "step"):
            notes.append(Note("changed", "steps numbered out of order", f"{where}: steps", "taken in the file's order"))
        if (expected := number(data.get("step_length"))) is not None and expected != len(steps):
            notes.append(
                Note("changed", "number of steps differs from step_length", f"{where}: steps", f"{len(steps)}")
            )
        drafts: list[DraftStep] = []
        selecting = False  # only scrolls since a long press
        for i, step in enumerate(steps):
            kind = text(step, "action")
            step_at = f"{where}: steps[{i}]"
            action = _action(step, selecting, step_at, notes)
            selecting = (kind == "LONG_PRESS" and action is not None and action.point is not None) or (
                selecting and kind == "SCROLL"
            )
            if action is not None and is_wanted(action, self.name, self.settings, f"{step_at}: action", notes):
                drafts.append(DraftStep(step_at, _step(step, action, step_at, notes)))
        finished, images = finish(drafts, record.images, notes)
        about = labels(task, TASK_LABELS) | labels(data.get("device_info"), DEVICE_LABELS)
        if steps and text(steps[-1], "action") == "INCOMPLETE":
            about["incomplete"] = True  # the user gave up, even if that step was dropped
        if any(step.abstraction for step in finished):
            about["abstraction"] = "corpus"
        return ConvertedEpisode(
            Episode(episode_id, self.name, "mobile", goal, split, finished, labels=about), images, notes=tuple(notes)
        )

    def _split(self, episode_id: str, where: str, notes: list[Note]) -> str:
        splits = {} if isinstance(self._splits, Note) else self._splits
        found = sorted(split for split, names in splits.items() if f"{episode_id}.json" in names)
        if not found:
            notes.append(Note("changed", f"in no {self.settings.split_by} split", where, "now unknown"))
            return "unknown"
        if len(found) > 1:
            notes.append(Note("changed", f"in several {self.settings.split_by} splits", where, ", ".join(found)))
        return found[0]  # "test" before "train", so that nothing is trained on it


def read_json(path: Path, where: str) -> Any:
    """The JSON value in a file, or a Note that says why it cannot be read."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            return Note("damaged", "too large", where, f"{size} bytes; {MAX_BYTES} are read at most")
        return parse_json(path.read_bytes())
    except NestedTooDeep:
        return Note("damaged", "nested too deep", where)
    except UnicodeDecodeError as error:
        return Note("damaged", "not UTF-8", where, f"{error.reason} at byte {error.start}")
    except json.JSONDecodeError as error:
        return Note("damaged", "not JSON", where, f"{error.msg} at character {error.pos}")
    except (OSError, ValueError) as error:
        return Note("damaged", "not JSON", where, str(error))


def _goal(task: Mapping[str, Any], where: str, notes: list[Note]) -> str:
    """The rephrased instruction; if that is empty, the task that it was made from."""
    for key in ("instruction", "task"):
        if goal := text(task, key):
            if key != "instruction":
                notes.append(Note("changed", f"goal from {key}", f"{where}.instruction"))
            return goal
    raise UnusableRecord(Note("damaged", "no usable instruction", f"{where}.instruction", "missing or empty"))


# ---- actions ---------------------------------------------------------------------------------------------------------


def _action(step: Any, selecting: bool, where: str, notes: list[Note]) -> Action | None:
    """The action of a step; None if the step is dropped, with a note."""
    kind = read_field(step, "action", str, where)
    info = step.get("info")
    at = f"{where}: info"
    if kind in POINTED:
        if isinstance(info, str):
            return _key(kind, info, at, notes)
        return Action(POINTED[kind], point=_point(info, at, notes))
    if kind == "SCROLL":
        return _scroll(info, selecting, at, notes)
    if kind in TYPING:
        content = read_field(step, "info", str, where)
        if content.strip():
            return Action("type", content=content)
        notes.append(Note("dropped", "empty text", at))
        return None
    if kind in ENDS:
        reason = text(step, "ps") if kind == "INCOMPLETE" else ""
        return Action(ENDS[kind], content=reason or None)
    notes.append(Note("dropped", "unknown action", f"{where}: action", shown(kind)))
    return None


def _key(kind: str, info: str, where: str, notes: list[Note]) -> Action | None:
    if info not in KEYS:
        notes.append(Note("dropped", "unknown action", where, f"{kind} {shown(info)}"))
        return None
    if kind != "CLICK":
        notes.append(Note("changed", "key held down", where, info))
    return Action(KEYS[info])


def _point(info: object, where: str, notes: list[Note]) -> Point:
    """The first of the points; usually there are two equal ones."""
    points = [info] if isinstance(info, list) and info and number(info[0]) is not None else info
    if not isinstance(points, list) or not points:
        raise UnusableRecord(Note("damaged", "no usable point", where, f"found {shown(info)}"))
    if any(point != points[0] for point in points[1:]):
        notes.append(Note("changed", "first of several points", where, f"{len(points)} points"))
    return _place(points[0], where, notes)


def _place(pair: object, where: str, notes: list[Note]) -> Point:
    if not isinstance(pair, list) or len(pair) != 2:
        raise UnusableRecord(Note("damaged", "no usable point", where, f"expected [x, y], found {shown(pair)}"))
    return on_screen(pair[0], pair[1], per_mille(), where, notes)


def _scroll(info: object, selecting: bool, where: str, notes: list[Note]) -> Action | None:
    if not isinstance(info, list) or len(info) != 2:
        raise UnusableRecord(Note("damaged", "no usable point", where, "expected the finger's start and end"))
    start, end = (_place(pair, where, notes) for pair in info)
    if selecting:
        return Action("drag", start_point=start, end_point=end)
    (x0, y0), (x1, y1) = info
    across, down = x1 - x0, y1 - y0
    if not across and not down:
        notes.append(Note("dropped", "scroll of length 0", where))
        return None
    sideways = abs(across) > abs(down)  # as in the publisher's code, a tie is vertical
    towards, back, finger = ("right", "left", across) if sideways else ("down", "up", down)
    direction = towards if finger < 0 else back
    return Action("scroll", point=start, direction=direction)


# ---- steps -----------------------------------------------------------------------------------------------------------


def _step(step: Mapping[str, Any], action: Action, where: str, notes: list[Note]) -> EpisodeStep:
    thought = "\n".join(filter(None, (text(step, "context"), text(step, "intention"))))
    return EpisodeStep(
        screenshot=read_field(step, "screenshot", str, where),
        size=(0, 0),
        abstraction=one_line(text(step, "description")),
        instruction=text(step, "low_level_instruction") or instruction(action),
        action=action,
        box=None if action.point is None else _box(step.get("sam2_bbox"), action, f"{where}: sam2_bbox", notes),
        thought=thought or None,
        labels=labels(step, ("ps",)),
    )


def _box(raw: object, action: Action, where: str, notes: list[Note]) -> Box | None:
    """The target's box of a click or long press. A box without the point in it is dropped."""
    if action.action_type not in POINTED.values() or raw in (None, []):
        return None
    values = [number(value) for value in raw] if isinstance(raw, list) else []
    x0, y0, x1, y1 = values if len(values) == 4 else (None, None, None, None)
    if x0 is None or y0 is None or x1 is None or y1 is None:
        notes.append(Note("changed", "box dropped: not four numbers", where))
        return None
    corners = (convert(Point(x, y, per_mille()), FRACTION) for x, y in ((x0, y0), (x1, y1)))
    (left, top), (right, bottom) = ((min(max(c.x, 0.0), 1.0), min(max(c.y, 0.0), 1.0)) for c in corners)
    box = (left, top, right, bottom)
    if left > right or top > bottom or action.point is None or not inside(action.point, box):
        notes.append(Note("changed", "box dropped: the point lies outside", where, shown(str(values))))
        return None
    return box
