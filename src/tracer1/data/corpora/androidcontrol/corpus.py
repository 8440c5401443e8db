"""AndroidControl (google-research/android_control): one episode per record, in gzipped TFRecord files.

Screenshots are kept byte for byte. A touch gets the box of the smallest accessibility node under it. An episode gets
its split from ``splits.json`` and, as labels, the overlapping sub-splits from ``test_subsplits.json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tracer1.actions import POINTING, validate
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
from tracer1.data.corpora.androidcontrol import screen as screens
from tracer1.data.images import Image, read_image
from tracer1.data.readers.android_accessibility import Forest, decode_forest
from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.tfexample import decode_example
from tracer1.data.readers.tfrecord import read_tfrecord
from tracer1.errors import ActionError, DataError
from tracer1.files import parse_json
from tracer1.types import FRACTION, Action, Box, Element, Episode, EpisodeStep, Point, Size

T = TypeVar("T")

FILE = re.compile(r"android_control-\d{5}-of-\d{5}")
SPLITS, SUBSPLITS = "splits.json", "test_subsplits.json"
UNKNOWN = "unknown"  # the split of an episode in no list
SAME_SHAPE = 0.01  # difference of aspect ratios up to which two sizes are one screen at two scales

ACTIONS: Mapping[str, tuple[str, tuple[str, str] | None]] = {  # (our name, (argument, our argument))
    "click": ("click", None),
    "long_press": ("long_press", None),
    "scroll": ("scroll", ("direction", "direction")),  # both mean the side that new content comes from
    "input_text": ("type", ("text", "content")),
    "open_app": ("open_app", ("app_name", "app_name")),
    "navigate_home": ("press_home", None),
    "navigate_back": ("press_back", None),
    "wait": ("wait", None),
}


@dataclass(frozen=True, slots=True)
class _Screen:
    """A screen with its accessibility forest. ``size``: the extents in which touches and nodes are given."""

    image: Image
    size: Size
    forest: Forest


class AndroidControl:
    """The corpus ``androidcontrol``."""

    name: ClassVar[str] = "androidcontrol"
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "Li et al., On the Effects of Data Scale on UI Control Agents, arXiv 2406.03679"
    url: ClassVar[str] = "https://github.com/google-research/google-research/tree/master/android_control"
    terminal: ClassVar[str] = "a `finished` step is added on the screen recorded after the last action"

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw, self.settings = raw, settings

    def shards(self) -> Sequence[Shard]:
        files = sorted(path for path in self.raw.glob("android_control-*") if FILE.fullmatch(path.name))
        if not files:
            raise DataError(f"{self.raw}: no android_control-000NN-of-00020 there; give the folder of the shards")
        self._splits, self._subsplits  # noqa: B018  fail early on an unreadable list
        lists = [path for path in (self.raw / SPLITS, self.raw / SUBSPLITS) if path.exists()]
        return [Shard(path.name, path) for path in (*lists, *files)]  # the lists have no records but affect the output

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        if not FILE.fullmatch(shard.file.name):
            return
        for index, payload in read_tfrecord(shard.file):
            where = f"{shard.file.name} record {index}"
            if isinstance(payload, Damaged):
                yield Note("damaged", payload.reason, where, payload.detail)
                continue
            try:
                yield RawRecord(where, decode_example(payload, where))
            except DataError as error:
                yield Note("damaged", "not a tf.train.Example", where, str(error).removeprefix(f"{where}: "))

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        where, features = record.where, record.data
        episode_id = _first(features, "episode_id", int, where)
        goal = _text(_first(features, "goal", bytes, where), f"{where}: goal")
        if not goal.strip():
            raise UnusableRecord(Note("dropped", "no goal", f"{where}: goal", str(episode_id)))
        actions, instructions = (_list(features, key, bytes, where) for key in ("actions", "step_instructions"))
        count = len(_list(features, "screenshots", bytes, where))
        if not len(actions) == len(instructions) == count - 1:
            found = f"{len(actions)} actions, {len(instructions)} step_instructions, {count} screenshots"
            raise UnusableRecord(Note("damaged", "lists of unequal length", where, found))

        notes: list[Note] = []
        steps: list[EpisodeStep] = []
        images: dict[str, Image] = {}
        elements: dict[str, Sequence[Element]] = {}
        for i in range(count if self.settings.terminal else len(actions)):
            try:
                screen = _screen(features, i, where, notes)
                if i == len(actions):
                    step = self._step(screen, Action("finished"), None, "")
                else:
                    action, box = _recorded(actions[i], screen, f"{where}: actions[{i}]")
                    field = f"{where}: step_instructions[{i}]"
                    step = self._step(screen, action, box, _text(instructions[i], field))
                    if not instructions[i].strip():
                        notes.append(Note("changed", "no step instruction", field, f"now '{step.instruction}'"))
            except UnusableRecord as error:
                notes += error.notes
                continue
            name = f"{i}.png"
            images[name] = screen.image
            if self.settings.elements:
                elements[name] = screens.elements(screen.forest, screen.size)
            steps.append(replace(step, screenshot=name, elements=name if name in elements else None))
        if steps:
            steps[-1] = replace(steps[-1], status="done")
        split = self._splits.get(episode_id, UNKNOWN)
        if split == UNKNOWN:
            notes.append(Note("changed", "split unknown", where, f"episode {episode_id} is not in {SPLITS}"))
        labels: dict[str, str | float | bool] = dict.fromkeys(self._subsplits.get(episode_id, ()), True)
        if self.settings.abstractions == "rules":
            labels["abstraction"] = wording.RULES
        episode = Episode(str(episode_id), self.name, "mobile", goal, split, tuple(steps), labels=labels)
        return ConvertedEpisode(episode, images, elements, tuple(notes))

    def _step(self, screen: _Screen, action: Action, box: Box | None, recorded: str) -> EpisodeStep:
        abstraction = ""
        if self.settings.abstractions == "rules":
            abstraction = wording.screen(screens.title(screen.forest), screens.names(screen.forest, screen.size))
        instruction = recorded if recorded.strip() else wording.instruction(action)
        return EpisodeStep(None, screen.image.size, abstraction, instruction, action, box)

    @cached_property
    def _splits(self) -> Mapping[int, str]:
        return {number: split for split, numbers in _split_lists(self.raw / SPLITS).items() for number in numbers}

    @cached_property
    def _subsplits(self) -> Mapping[int, list[str]]:
        """The sub-splits of each episode; there may be several."""
        found: dict[int, list[str]] = {}
        for name, numbers in _split_lists(self.raw / SUBSPLITS).items():
            for number in numbers:
                found.setdefault(number, []).append(name)
        return found


# ---- one step --------------------------------------------------------------------------------------------------------


def _screen(features: Mapping[str, Any], i: int, where: str, notes: list[Note]) -> _Screen:
    """The screen before action ``i``, or after the last. An unreadable tree becomes an empty one, with a note."""
    field = f"{where}: screenshots[{i}]"
    try:
        image = read_image(features["screenshots"][i], field)
    except DataError as error:
        raise UnusableRecord(Note("damaged", "corrupt image", field, str(error).removeprefix(f"{field}: "))) from error
    size, claimed = image.size, _claimed_size(features, i)
    if claimed is not None and claimed != size:
        detail = f"{size[0]}x{size[1]}, recorded as {claimed[0]}x{claimed[1]}"
        notes.append(Note("changed", "image size differs from record", field, detail))
        if _same_shape(claimed, size):
            size = claimed  # a scaled image; touches and nodes are in pixels of the device
    field, forest = f"{where}: accessibility_trees[{i}]", Forest()
    try:
        if len(trees := features.get("accessibility_trees", ())) > i and isinstance(trees[i], bytes):
            forest = decode_forest(trees[i], field)
        else:
            notes.append(Note("damaged", "no accessibility tree", field))
    except DataError as error:
        notes.append(Note("damaged", "unreadable accessibility tree", field, str(error).removeprefix(f"{field}: ")))
    return _Screen(image, size, forest)


def _claimed_size(features: Mapping[str, Any], i: int) -> Size | None:
    sides = [features.get(key, ())[i : i + 1] for key in ("screenshot_widths", "screenshot_heights")]
    if all(side and isinstance(side[0], int) for side in sides):
        return sides[0][0], sides[1][0]
    return None


def _same_shape(a: Size, b: Size) -> bool:
    """Whether two sizes have the same aspect ratio; False if a side is not positive."""
    if min(*a, *b) <= 0:
        return False
    return abs(a[0] * b[1] / (a[1] * b[0]) - 1) <= SAME_SHAPE


def _recorded(data: bytes, screen: _Screen, where: str) -> tuple[Action, Box | None]:
    """The action in a JSON string, and the box of the touched node."""
    try:
        record = parse_json(data)
    except (ValueError, RecursionError) as error:
        raise UnusableRecord(Note("damaged", "unreadable action", where, f"not JSON: {error}")) from error
    theirs = read_field(record, "action_type", str, where)
    if theirs not in ACTIONS:
        raise UnusableRecord(Note("dropped", "unknown action", where, theirs))
    kind, argument = ACTIONS[theirs]
    if kind in POINTING:
        action, box = _touch(kind, record, screen, where)
    else:
        arguments: dict[str, Any] = {argument[1]: read_field(record, argument[0], str, where)} if argument else {}
        action, box = Action(kind, **arguments), None
    try:
        validate(action, "mobile", AndroidControl.name)
    except ActionError as error:
        raise UnusableRecord(Note("dropped", "invalid action", where, str(error))) from error
    return action, box


def _touch(kind: str, record: Mapping[str, Any], screen: _Screen, where: str) -> tuple[Action, Box | None]:
    x, y = (read_field(record, key, int, where) for key in ("x", "y"))
    width, height = screen.size
    if not (0 <= x <= width and 0 <= y <= height):
        raise UnusableRecord(Note("dropped", "coordinate off the screen", where, f"({x}, {y}) on {width}x{height}"))
    bounds = screens.target(screen.forest, x, y, screen.size)
    point = convert(Point(x, y, pixels(screen.size)), FRACTION)
    return Action(kind, point), None if bounds is None else screens.to_box(bounds, screen.size)


# ---- features --------------------------------------------------------------------------------------------------------


def _list(features: Mapping[str, Any], key: str, kind: type[T], where: str) -> list[T]:
    """The values of a feature; a record may omit an empty list."""
    values: list[T] = features.get(key, [])
    if values and not isinstance(values[0], kind):
        found = f"expected {kind.__name__}, found {type(values[0]).__name__}"
        raise UnusableRecord(Note("damaged", f"no usable {key}", f"{where}: {key}", found))
    return values


def _first(features: Mapping[str, Any], key: str, kind: type[T], where: str) -> T:
    values = _list(features, key, kind, where)
    if not values:
        raise UnusableRecord(Note("damaged", f"no usable {key}", f"{where}: {key}", "missing"))
    return values[0]


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UnusableRecord(Note("damaged", "not UTF-8", where, str(error))) from error


def _split_lists(path: Path) -> Mapping[str, list[int]]:
    """The lists of episodes in a split file, empty without a file. Raises DataError for anything else."""
    try:
        lists = parse_json(path.read_bytes()) if path.exists() else {}
        return {str(name): [int(number) for number in numbers] for name, numbers in lists.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: not lists of episodes by split: {error}; fetch it again") from error
