"""What is wrong with an episode or a window, field by field, and with the images that it names.

Problems come as (field, message); a field is a path inside the record, such as ``steps[0].action.point``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from tracer1.data.images import BROKEN, reason, verify
from tracer1.data.inspection.result import Opener, Place, Problem
from tracer1.data.records import parse_elements
from tracer1.data.validation import END_MISSING, Finding, invalid_fields, invalid_window
from tracer1.errors import DataError
from tracer1.types import Episode, EpisodeStep, Size, Window

_FIELD = r"[\w.\[\]]+"
_LACKS = re.compile(rf"(?:({_FIELD}): )?(?=(\w+) is missing|unknown key '([^']*)')")


def from_error(place: Place, error: DataError) -> Problem:
    """The Problem for a reader's error, whose message begins with the row."""
    text = str(error).removeprefix(f"{place.row}: ")
    if match := _LACKS.match(text):
        inner = match[2] or match[3]
        message = text[match.end() :].removeprefix(f"{inner} is ")
        return Problem(place.file, place.row, f"{match[1]}.{inner}" if match[1] else inner, message)
    named, colon, message = text.partition(": ")
    if colon and re.fullmatch(_FIELD, named):
        return Problem(place.file, place.row, named, message)
    return Problem(place.file, place.row, "", text)


# ---- images ----------------------------------------------------------------------------------------------------------


class Images:
    """Checks each image once, however many rows name it. ``hashed``: names under images/ are hashes of the bytes."""

    def __init__(self, open_file: Opener, hashed: bool = True) -> None:
        self.open_file, self.hashed = open_file, hashed
        self.known: dict[str, Size | str] = {}

    def problem(self, name: str, size: Size | None = None) -> str | None:
        """The problem with an image, or with the ``size`` that a record gives for it, or None."""
        if name not in self.known:
            self.known[name] = self._look(name)
        known = self.known[name]
        if isinstance(known, str):
            return f"{name}: {known}"
        if size is not None and known != size:
            return f"{name}: the image is {known[0]}x{known[1]}, the record says {size[0]}x{size[1]}"
        return None

    def file_problem(self, name: str) -> str | None:
        """The problem with a file that is no image, such as a table, or None."""
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
    """All problems of a readable record, and of the files that it names."""
    yield from invalid_fields(episode)
    for i, path in enumerate(episode.files):
        if problem := images.file_problem(path):
            yield f"files[{i}]", problem
    for i, step in enumerate(episode.steps):
        yield from ((f"steps[{i}].{name}", message) for name, message in _file_problems(step, images, episode))
    if not episode.steps:
        yield "steps", "empty"
    elif episode.steps[-1].status != "done" and not episode.labels.get(END_MISSING):
        yield f"steps[{len(episode.steps) - 1}].status", "the episode ends with 'not done'"


def _file_problems(step: EpisodeStep, images: Images, episode: Episode) -> Iterator[Finding]:
    if step.screenshot is not None:
        if problem := images.problem(step.screenshot, step.size):
            yield "screenshot", problem
    elif episode.platform != "tools" and step.text is None:
        yield "screenshot", "null, and there is no text instead"
    if step.elements is not None:
        try:
            parse_elements(images.open_file(step.elements), step.elements)
        except OSError as error:
            yield "elements", f"{step.elements}: {reason(error)}"
        except DataError as error:
            yield "elements", str(error)


# ---- windows ---------------------------------------------------------------------------------------------------------


def window_problems(window: Window, images: Images) -> Iterator[Finding]:
    """All problems of a readable row, and of its images."""
    yield from invalid_window(window)
    for i, path in enumerate(window.images):
        if problem := images.problem(path):
            yield f"images[{i}]", problem
