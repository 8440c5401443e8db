"""An executor that sees pixels only: it reads the screenshot's text and finds the shapes drawn on it.

rapidocr reads the text, which is cached by the image's hash. The environment's elements are never used.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from diskcache import Cache
from PIL import Image, UnidentifiedImageError

from tracer1.errors import ExecutorError
from tracer1.executors.dom import action_at
from tracer1.executors.instruction import POINTING, Instruction, instruction_of
from tracer1.executors.picture import Pixels, Seen, Shape, TextLine, banner_height, find_shapes
from tracer1.executors.pointing import find
from tracer1.types import Action, Box, Observation, Step

READ_WIDTH: Final = 480  # smaller screenshots are enlarged to this width before they are read
CACHE_VERSION: Final = 1  # of the cached lines of an image
RECENT: Final = 256  # pictures kept in memory
_UNDERLINED: Final = str.maketrans("≥≤", "><")  # how underlined arrows are read


class OcrExecutor:
    """Grounds an instruction in ``Observation.screenshot``.

    ``side``: the longer side, in pixels, at which text is detected (480 to 640 suit small pages). ``cache``: the folder
    of the text that was read, by default ``~/.cache/tracer1/ocr``.
    """

    name = "ocr"

    def __init__(self, side: int = 640, cache: Path | str | None = None) -> None:
        self._side = side
        self._cache = Cache(str(cache or Path.home() / ".cache" / "tracer1" / "ocr"))
        self._recent: dict[str, Seen] = {}

    async def act(self, step: Step, observation: Observation) -> Action:
        """The action for ``step``, points as fractions. The picture is read in a thread.

        Raises InstructionError when the target is not in the picture, ExecutorError when the picture cannot be read.
        """
        return await asyncio.to_thread(self._ground, instruction_of(step), observation)

    def _ground(self, parsed: Instruction, observation: Observation) -> Action:
        if parsed.verb == "drag":
            seen = self.see(observation)
            start = find(seen, parsed.role or "", parsed.name, parsed.ordinal)
            return Action("drag", start_point=start, end_point=find(seen, parsed.to_role or "", parsed.to_name, None))
        if parsed.verb in POINTING or (parsed.verb == "scroll" and parsed.role):
            return action_at(parsed, find(self.see(observation), parsed.role or "", parsed.name, parsed.ordinal))
        return action_at(parsed, None)

    def see(self, observation: Observation) -> Seen:
        """The text and shapes of the screenshot. Raises ExecutorError when it is missing or broken."""
        if observation.screenshot is None:
            raise ExecutorError("the ocr executor needs a screenshot; use 'dom' where there are only elements")
        try:
            data = Path(observation.screenshot).read_bytes()
            key = hashlib.sha256(data).hexdigest()
            if key not in self._recent:
                pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise ExecutorError(f"{observation.screenshot}: not a readable image ({error}); take it again") from error
        if key not in self._recent:
            while len(self._recent) >= RECENT:
                self._recent.pop(next(iter(self._recent)))
            self._recent[key] = see(pixels, lambda body: self._read(key, body))
        return self._recent[key]

    def _read(self, key: str, body: Pixels) -> list[TextLine]:
        place = (key, body.shape[0], self._side, READ_WIDTH, CACHE_VERSION)
        rows = self._cache.get(place)
        if rows is None:
            rows = [(line.text, line.box, line.score) for line in read_lines(body, self._side)]
            self._cache.set(place, rows)
        return [TextLine(text, tuple(box), score) for text, box, score in rows]


def see(pixels: Pixels, read: Callable[[Pixels], list[TextLine]] | None = None) -> Seen:
    """The text and shapes of a picture. ``read`` gives the text lines of the part below its banner."""
    top = banner_height(pixels)
    body = pixels[top:]
    texts = [replace(line, text=line.text.translate(_UNDERLINED)) for line in (read or read_lines)(body)]
    texts = [line for line in texts if re.search(r"[\x21-\x7e]", line.text)]  # icons are read as foreign letters
    lines = tuple(TextLine(line.text, _shift(line.box, top), line.score) for line in texts)
    unit = float(np.median([line.box[3] - line.box[1] for line in lines])) if lines else pixels.shape[0] / 16
    drawn = find_shapes(body, unit, [line.box for line in texts])
    shapes = tuple(Shape(shape.kind, _shift(shape.box, top)) for shape in drawn)
    red, green, blueness = (pixels[:, :, i].astype(np.int16) for i in range(3))
    blue = (blueness - red > 50) & (blueness - green > 50)
    return Seen((pixels.shape[1], pixels.shape[0]), float(top), lines, shapes, unit, blue)


# ---- reading ---------------------------------------------------------------------------------------------------------

_reading = threading.Lock()


@cache
def _engine(side: int) -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": side,
        }
    )


def read_lines(pixels: Pixels, side: int = 640) -> list[TextLine]:
    """The text lines of a picture, boxes in its pixels; a small picture is enlarged first.

    Raises ExecutorError when the reader fails.
    """
    if min(pixels.shape[:2]) < 8:
        return []
    factor = max(1.0, READ_WIDTH / pixels.shape[1])
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    enlarged = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    try:
        with _reading:
            found = _engine(side)(np.ascontiguousarray(enlarged[:, :, ::-1]))
    except (RuntimeError, ValueError, OSError, cv2.error) as error:
        raise ExecutorError(f"the text reader failed on a {size[0]} x {size[1]} picture: {error}") from error
    if found.boxes is None:
        return []
    return [
        TextLine(text, tuple(float(v) / factor for v in (*quad.min(axis=0), *quad.max(axis=0))), float(score))
        for quad, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
    ]


def _shift(box: Box, down: float) -> Box:
    return (box[0], box[1] + down, box[2], box[3] + down)
