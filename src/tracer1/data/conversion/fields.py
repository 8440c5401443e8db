"""Raw fields that several corpora share: ids, labels, points, screenshots, and the step that ends a task.

One rule for damaged steps in every corpus of screens: if a step's screen or action is unknown, the whole trajectory is
dropped, because the next step would seem to follow from the one before. A step that is known, but has no equivalent in
the action space, does nothing or is filtered by a setting is dropped alone.
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
from tracer1.formats import is_image_name
from tracer1.types import FRACTION, Action, EpisodeStep, Frame, Point

STRAY = 0.05  # of the screen: a point this far outside is moved to the edge, where a pointer would have stopped
LONGEST = 255  # bytes of a file name
EXACT = float(1 << 53)  # beyond it readers of JSON disagree about a number


# ---- text and numbers ------------------------------------------------------------------------------------------------


def number(value: object) -> float | None:
    """A finite number below EXACT, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < EXACT:
        return None
    return float(value)


def text(record: Any, key: str) -> str:
    """``record[key]``, stripped; "" if it is missing or not a string."""
    value = record.get(key) if isinstance(record, Mapping) else None
    return value.strip() if isinstance(value, str) else ""


def labels(record: Any, keys: Iterable[str]) -> dict[str, str | float | bool]:
    """The fields among ``keys`` that are a string, a number or a bool; a list of strings becomes one string."""
    found: dict[str, str | float | bool] = {}
    for key in keys:
        value = record.get(key) if isinstance(record, Mapping) else None
        if isinstance(value, list):
            value = ", ".join(part for part in value if isinstance(part, str))
        has_text = bool(value.strip()) if isinstance(value, str) else isinstance(value, bool)
        if value is not None and (has_text or number(value) is not None):
            found[key] = value
    return found


def read_id(record: Any, key: str, where: str) -> str:
    """An id. Raises UnusableRecord if it is empty or a path, since files are named after it."""
    value = read_field(record, key, str, where)
    if not is_plain(value):
        raise UnusableRecord(
            Note("damaged", f"no usable {key}", f"{where}: {key}", f"{shown(value)} is not a plain name")
        )
    return value


def is_plain(name: str) -> bool:
    """Whether ``name`` is a file name without folders."""
    if not name.isprintable() or len(name.encode()) > LONGEST:
        return False
    return name.strip() not in ("", ".", "..") and not set("/\\") & set(name)


def shown(value: object) -> str:
    """A raw value in a message: short and ASCII."""
    words = ascii(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return words if len(words) <= 60 else f"{words[:57]}..."


def out_of_order(steps: Sequence[Any], key: str) -> bool:
    """Whether the numbers of the steps do not increase."""
    numbers = [number(step.get(key)) if isinstance(step, Mapping) else None for step in steps]
    return any(after <= before for before, after in pairwise(n for n in numbers if n is not None))


# ---- points ----------------------------------------------------------------------------------------------------------


def on_screen(x: object, y: object, frame: Frame, where: str, notes: list[Note]) -> Point:
    """The point (x, y) of ``frame`` in fractions. A point slightly off the screen is moved to its edge and noted.

    Raises UnusableRecord if it is further off, or not a point."""
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


# ---- screenshots -----------------------------------------------------------------------------------------------------


class Screenshots(Mapping[str, Image]):
    """The images in folders and zips by file name; each is read on lookup. The last user closes them."""

    def __init__(self, *places: Path) -> None:
        self._sources = [(place, open_images(place)) for place in places]
        for _, source in self._sources:
            finalize(self, source.close)  # records refer to it for as long as they are read

    def __getitem__(self, name: str) -> Image:
        if not is_plain(name):
            raise DataError(f"{shown(name)} is not a plain file name")
        place = self._sources[0][0]
        try:
            place, source = next((found for found in self._sources if found[1].find(name)), self._sources[0])
            return read_image(source.read(name), f"{place}: {name}", source.path(name))
        except DataError as error:  # the message must not depend on where the corpus lies
            raise DataError(str(error).replace(f"{place.parent}{os.sep}", "")) from error

    def __iter__(self) -> Iterator[str]:
        return iter([name for _, source in self._sources for name in source.names()])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def open_screenshots(folder: Path) -> Screenshots:
    """The screenshots of a folder: its image files if it has any, else its zips, else the zip of its name beside it.

    A zip may come in parts (.z01 and so on). A ``NAME-full.zip`` is the joined form of ``NAME.zip`` and replaces it.
    Raises DataError if there are none, or if a part of a zip is missing.
    """
    if any(is_image_name(name) for _, _, names in os.walk(folder) for name in names):
        return Screenshots(folder)
    zips = sorted(folder.glob("*.zip")) or sorted(folder.parent.glob(f"{folder.name}.zip"))
    zips = [path for path in zips if path.with_name(f"{path.stem}-full.zip") not in zips]
    if not zips:
        raise DataError(f"{folder}: no images and no zip of images there; put the screenshots, or their zip, into it")
    return Screenshots(*zips)


# ---- steps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DraftStep:
    """A step whose screenshot is a name of the corpus and has not been opened."""

    where: str
    step: EpisodeStep


def is_wanted(action: Action, source: str, settings: ConvertSettings, where: str, notes: list[Note]) -> bool:
    """Whether to keep an action. One outside the UI-TARS action space may be dropped, with a note."""
    if settings.extra_actions == "keep" or action.action_type not in EXTRA_ACTIONS[source]:
        return True
    notes.append(Note("dropped", f"no equivalent: {action.action_type}", where))
    return False


def finish(
    drafts: Sequence[DraftStep], images: Mapping[str, Image], notes: list[Note]
) -> tuple[tuple[EpisodeStep, ...], dict[str, Image]]:
    """The steps with the sizes of their screens, the last one "done", and the images that they name.

    A terminal action that other steps follow is dropped. Raises UnusableRecord if a screenshot is missing or damaged.
    """
    kept: list[EpisodeStep] = []
    opened: dict[str, Image] = {}
    ends = [draft.step.action.action_type in TERMINAL for draft in drafts]
    working = max((i for i, is_end in enumerate(ends) if not is_end), default=-1)  # the last step that does something
    for i, (draft, is_end) in enumerate(zip(drafts, ends, strict=True)):
        if is_end and i < len(drafts) - 1:
            reason = "terminal action before the end" if i < working else "repeated terminal action"
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
