"""Raw fields that several corpora have: ids, labels, places on the screen, pictures, and the step that ends a task.

What a step's damage costs, the same in every corpus of screens: a step whose screen or action cannot be known costs its
whole trajectory, because what came after it would seem to follow from what came before. A step that is well known and
only has no name in the action space, does nothing or was asked to be left out costs itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from weakref import finalize

from tracer1.actions import EXTRA_ACTIONS, TERMINAL
from tracer1.coordinates import convert
from tracer1.data.conversion.corpus import ConvertSettings, Note, UnusableRecord, read_field
from tracer1.data.images import Image, read_image
from tracer1.data.readers.image_sources import open_images
from tracer1.errors import DataError
from tracer1.types import FRACTION, Action, EpisodeStep, Frame, Point

STRAY = 0.05  # of the screen: a point no further off than this is moved to the edge; what clips a pointer is the screen
LONGEST = 255  # bytes of a file name
EXACT = float(1 << 53)  # beyond it a number in JSON is not what every reader takes it for


# ---- words and numbers -----------------------------------------------------------------------------------------------


def number(value: object) -> float | None:
    """A finite number that every reader of JSON takes for the same, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < EXACT:
        return None
    return float(value)


def text(record: Any, key: str) -> str:
    """``record[key]`` without the blanks around it; "" when it is no text or not there."""
    value = record.get(key) if isinstance(record, Mapping) else None
    return value.strip() if isinstance(value, str) else ""


def labels(record: Any, keys: Iterable[str]) -> dict[str, str | float | bool]:
    """Those of ``keys`` that are a text, a number or a truth; lists of texts as one text."""
    found: dict[str, str | float | bool] = {}
    for key in keys:
        value = record.get(key) if isinstance(record, Mapping) else None
        if isinstance(value, list):
            value = ", ".join(part for part in value if isinstance(part, str))
        is_said = bool(value.strip()) if isinstance(value, str) else isinstance(value, bool)
        if value is not None and (is_said or number(value) is not None):
            found[key] = value
    return found


def read_id(record: Any, key: str, where: str) -> str:
    """An id; UnusableRecord for one that is empty or names a path, as the files of an id are named by it."""
    value = read_field(record, key, str, where)
    if not is_plain(value):
        raise UnusableRecord(Note("damaged", f"no usable {key}", f"{where}: {key}", f"{shown(value)} is no plain name"))
    return value


def is_plain(name: str) -> bool:
    """Whether this is a name of one part that leads nowhere else."""
    if not name.isprintable() or len(name.encode()) > LONGEST:
        return False
    return name.strip() not in ("", ".", "..") and not set("/\\") & set(name)


def shown(value: object) -> str:
    """A raw value for a message, short and such that any file can hold it."""
    words = ascii(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return words if len(words) <= 60 else f"{words[:57]}..."


def out_of_order(steps: Sequence[Any], key: str) -> bool:
    """Whether the steps bear numbers that do not rise."""
    numbers = [number(step.get(key)) if isinstance(step, Mapping) else None for step in steps]
    return any(after <= before for before, after in pairwise(n for n in numbers if n is not None))


# ---- places ----------------------------------------------------------------------------------------------------------


def on_screen(x: object, y: object, frame: Frame, where: str, notes: list[Note]) -> Point:
    """The place that ``frame`` gives as x, y, in fractions. One a little off the screen is moved to its edge, which is
    noted; UnusableRecord for what is further off or no place."""
    across, down = number(x), number(y)
    if across is None or down is None:
        raise UnusableRecord(Note("damaged", "no usable point", where, f"x is {shown(x)}, y is {shown(y)}"))
    point = convert(Point(across, down, frame), FRACTION)
    edge = Point(min(max(point.x, 0.0), 1.0), min(max(point.y, 0.0), 1.0))
    off = max(abs(point.x - edge.x), abs(point.y - edge.y))
    if off > STRAY + 1e-9:
        raise UnusableRecord(Note("damaged", "point off the screen", where, f"({across:g}, {down:g})"))
    if off:
        notes.append(Note("changed", "point moved to the edge of the screen", where, f"({across:g}, {down:g})"))
    return edge


# ---- pictures --------------------------------------------------------------------------------------------------------


class Pictures(Mapping[str, Image]):
    """The images in a folder or a zip by file name, each read when it is asked for. Closed with its last user."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._source = open_images(place)
        finalize(self, self._source.close)  # records hold it for as long as they are read

    def __getitem__(self, name: str) -> Image:
        if not is_plain(name):
            raise DataError(f"{shown(name)} is no plain file name")
        try:
            return read_image(self._source.read(name), f"{self._place}: {name}", self._source.path(name))
        except DataError as error:  # what is said of a corpus is the same wherever it lies
            raise DataError(str(error).replace(f"{self._place.parent}{os.sep}", "")) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.names())

    def __len__(self) -> int:
        return sum(1 for _ in self)


# ---- steps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """A step whose screenshot is still a name of the corpus, and has not been looked at."""

    where: str
    step: EpisodeStep


def is_wanted(action: Action, source: str, settings: ConvertSettings, where: str, notes: list[Note]) -> bool:
    """Whether an action is to be kept, which a corpus' own may not be; what is not kept is noted."""
    if settings.extra_actions == "keep" or action.action_type not in EXTRA_ACTIONS[source]:
        return True
    notes.append(Note("dropped", f"no equivalent: {action.action_type}", where))
    return False


def finish(
    drafts: Sequence[Draft], images: Mapping[str, Image], notes: list[Note]
) -> tuple[tuple[EpisodeStep, ...], dict[str, Image]]:
    """The steps with the sizes of their screens, the last one done, and the images that they name.

    An end that other steps follow is left out. UnusableRecord when a screenshot is missing or damaged.
    """
    kept: list[EpisodeStep] = []
    opened: dict[str, Image] = {}
    ends = [draft.step.action.action_type in TERMINAL for draft in drafts]
    working = max((i for i, is_end in enumerate(ends) if not is_end), default=-1)  # the last step that does something
    for i, (draft, is_end) in enumerate(zip(drafts, ends, strict=True)):
        if is_end and i < len(drafts) - 1:
            reason = "ended before the end" if i < working else "ended twice"
            notes.append(Note("dropped", reason, draft.where, draft.step.action.action_type))
            continue
        name = draft.step.screenshot or ""
        if name not in opened:
            try:
                opened[name] = images[name]
            except DataError as error:
                raise UnusableRecord(Note("damaged", "no usable screenshot", draft.where, str(error))) from error
        kept.append(replace(draft.step, size=opened[name].size, status="not done"))
    if kept:
        kept[-1] = replace(kept[-1], status="done")
    return tuple(kept), opened
