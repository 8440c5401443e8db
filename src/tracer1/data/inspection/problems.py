"""What is wrong with an episode or a window, field by field, and with the images that it names.

Problems come as (field, message); a field is a path inside the record, such as ``steps[0].action.point``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from tracer1.actions import validate
from tracer1.coordinates import inside
from tracer1.data.images import BROKEN, reason, verify
from tracer1.data.inspection.result import Opener, Place, Problem
from tracer1.data.store import parse_elements
from tracer1.errors import ActionError, DataError
from tracer1.types import Action, Box, Episode, EpisodeStep, Size, Window

Finding = tuple[str, str]

_FIELD = r"[\w.\[\]]+"
_LACKS = re.compile(rf"(?:({_FIELD}): )?(?=(\w+) is missing|unknown key '([^']*)')")


def from_error(place: Place, error: DataError) -> Problem:
    """The problem that a reader raised, when it was told to begin every message with the row."""
    text = str(error).removeprefix(f"{place.row}: ")
    if match := _LACKS.match(text):
        inner = match[2] or match[3]
        message = text[match.end() :].removeprefix(f"{inner} is ")
        return Problem(place.file, place.row, f"{match[1]}.{inner}" if match[1] else inner, message)
    named, told, message = text.partition(": ")
    if told and re.fullmatch(_FIELD, named):
        return Problem(place.file, place.row, named, message)
    return Problem(place.file, place.row, "", text)


# ---- images ----------------------------------------------------------------------------------------------------------


class Images:
    """Checks each image once, however many rows name it. ``hashed``: those under images/ are named by their bytes."""

    def __init__(self, open_file: Opener, hashed: bool = True) -> None:
        self.open_file, self.hashed = open_file, hashed
        self.known: dict[str, Size | str] = {}

    def problem(self, name: str, size: Size | None = None) -> str | None:
        """What is wrong with an image, or with the ``size`` that a record claims for it; None when all is well."""
        if name not in self.known:
            self.known[name] = self._look(name)
        found = self.known[name]
        if isinstance(found, str):
            return f"{name}: {found}"
        if size is not None and found != size:
            return f"{name}: the image is {found[0]}x{found[1]}, the record says {size[0]}x{size[1]}"
        return None

    def file_problem(self, name: str) -> str | None:
        """What is wrong with a file that is no image, such as a tool's table."""
        try:
            self.open_file(name)
        except (OSError, DataError) as error:
            return f"{name}: {reason(error)}"
        return None

    def _look(self, name: str) -> Size | str:
        try:
            data = self.open_file(name)
            size, _ = verify(data)
        except (*BROKEN, DataError) as error:
            return reason(error)
        if self.hashed and name.startswith("images/") and Path(name).stem != hashlib.sha256(data).hexdigest():
            return "the name is not the SHA-256 of the bytes"
        return size


# ---- episodes --------------------------------------------------------------------------------------------------------


def episode_problems(episode: Episode, images: Images) -> Iterator[Finding]:
    """Everything that is wrong with a record that could be read."""
    for name in ("episode_id", "source", "goal"):
        if not getattr(episode, name).strip():
            yield name, "empty"
    for i, path in enumerate(episode.files):
        if problem := images.file_problem(path):
            yield f"files[{i}]", problem
    if not episode.steps:
        yield "steps", "none"
    for i, step in enumerate(episode.steps):
        yield from ((f"steps[{i}].{name}", message) for name, message in _step_problems(step, images, episode))
        last = i == len(episode.steps) - 1
        if last and step.status != "done" and not episode.labels.get("end_missing"):
            yield f"steps[{i}].status", "the episode ends with 'not done'"
        if not last and step.status == "done":
            yield f"steps[{i}].status", "'done' before the end"


def _step_problems(step: EpisodeStep, images: Images, episode: Episode) -> Iterator[Finding]:
    if not step.instruction.strip():
        yield "instruction", "empty"
    if step.screenshot is not None:
        if problem := images.problem(step.screenshot, step.size):
            yield "screenshot", problem
    elif episode.platform != "tools" and step.text is None:
        yield "screenshot", "null, and no text in its place"
    if step.elements is not None:
        try:
            parse_elements(images.open_file(step.elements), step.elements)
        except OSError as error:
            yield "elements", f"{step.elements}: {reason(error)}"
        except DataError as error:
            yield "elements", str(error)
    try:
        validate(step.action, episode.platform, episode.source)
    except ActionError as error:
        yield "action", str(error)
    yield from _box_problems(step.action, step.box)


def _box_problems(action: Action, box: Box | None) -> Iterator[Finding]:
    if box is None:
        return
    x0, y0, x1, y1 = box
    if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
        yield "box", f"{list(box)} is not x0 <= x1 and y0 <= y1 within 0 to 1"
    elif action.point is not None and not inside(action.point, box):
        yield "action.point", f"({action.point.x:g}, {action.point.y:g}) lies outside the box {list(box)}"


# ---- windows ---------------------------------------------------------------------------------------------------------


def window_problems(window: Window, images: Images) -> Iterator[Finding]:
    """Everything that is wrong with a row that could be read."""
    if not window.prompt:
        yield "prompt", "empty"
    for i, path in enumerate(window.images):
        if problem := images.problem(path):
            yield f"images[{i}]", problem
    steps = window.reference.steps
    if not steps:
        yield "reference", "no steps"
    for i, step in enumerate(steps):
        if not step.instruction.strip():
            yield f"reference[{i}].action.step_instruction", "empty"
        if step.status == "done" and i < len(steps) - 1:
            yield f"reference[{i}].status", "'done' before the end"
    if window.reference.action is not None:
        found = _box_problems(window.reference.action, window.reference.box)
        yield from ((f"reference[0].{name}", message) for name, message in found)
