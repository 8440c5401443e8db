"""A recorded web page: the boxes of its elements, the target among them, and the block of the page that is shown.

A page is larger than any screen. What is shown is a block of at most WIDTH x HEIGHT pixels. Blocks overlap by OVERLAP
pixels; the last one ends where the page ends.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from PIL import Image as Pillow

from tracer1.data.images import Image
from tracer1.errors import DataError
from tracer1.types import Size

WIDTH, HEIGHT, OVERLAP = 1280, 1000, 200  # pixels
MAX_PIXELS = 1 << 27  # of a page that is decoded, 134 megapixels: real pages reach 100, Pillow refuses 179
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")

Pixels = tuple[float, float, float, float]  # left, top, right, bottom on the page
Block = tuple[int, int, int, int]  # the same in whole pixels


@dataclass(frozen=True, slots=True)
class Target:
    """The element that was acted on: its box, clipped to the page, and its id and attributes in the page's HTML."""

    box: Pixels
    node: str
    attributes: Mapping[str, Any]
    clipped: bool  # the box reached beyond the page


def choose_target(candidates: Iterable[Mapping[str, Any]], page: Size) -> Target | None:
    """The first candidate with a place on the page, the original target before others; None if there is none.

    A candidate has ``attributes`` with ``bounding_box_rect``, "x,y,w,h" in pixels of the page.
    """
    for candidate in sorted(candidates, key=lambda candidate: candidate.get("is_original_target") is not True):
        rect = candidate["attributes"].get("bounding_box_rect")
        box = _rect(rect) if isinstance(rect, str) else None
        if box is None:
            continue
        left, top, right, bottom = box
        if box != (0, 0, 0, 0) and left < page[0] and top < page[1] and right >= 0 and bottom >= 0:
            cut = (max(0.0, left), max(0.0, top), min(right, float(page[0])), min(bottom, float(page[1])))
            return Target(cut, str(candidate.get("backend_node_id", "")), candidate["attributes"], cut != box)
    return None


_ID = re.compile(r'backend_node_id\\*"\s*:\s*\\*"([^"\\]*)')
_BOX = re.compile(r'bounding_box_rect\\*"\s*:\s*\\*"([^"\\]*)')


def element_boxes(candidates: Iterable[Any]) -> dict[str, Pixels]:
    """The boxes of the candidates by node id. There are hundreds a page: they are searched as text, not parsed."""
    boxes: dict[str, Pixels] = {}
    for candidate in candidates:
        text = candidate if isinstance(candidate, str) else json.dumps(candidate, default=str)
        node, rect = _ID.search(text), _BOX.search(text)
        if node and rect and (box := _rect(rect[1])):
            boxes[node[1]] = box
    return boxes


def _rect(text: str) -> Pixels | None:
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        return None
    if not all(map(isfinite, (x, y, width, height))) or width < 0 or height < 0:
        return None
    return x, y, x + width, y + height


# ---- blocks ----------------------------------------------------------------------------------------------------------


def block(page: Size, box: Pixels | None) -> Block:
    """The block that shows ``box``; without a box, the top left one."""
    left, top, right, bottom = box or (0, 0, 0, 0)
    (x0, x1), (y0, y1) = span(page[0], WIDTH, left, right), span(page[1], HEIGHT, top, bottom)
    return x0, y0, x1, y1


def span(length: int, limit: int, start: float, end: float) -> tuple[int, int]:
    """(from, to) of the piece, at most ``limit`` of ``length`` pixels, that shows what lies between start and end.

    It is the first piece that holds all of it; if none does, the first that holds its middle.
    """
    starts = [*range(0, max(1, length - limit), limit - OVERLAP)]
    if length > limit:
        starts.append(length - limit)
    middle = (start + end) / 2
    whole = (at for at in starts if at <= start and end <= at + limit)
    around = (at for at in starts if at <= middle <= at + limit)
    first = next(whole, None)
    first = next(around, starts[-1]) if first is None else first
    return first, min(length, first + limit)


def cut(page: Image, area: Block) -> Image:
    """A block of a page as a PNG, or the page itself if that is all. Raises DataError if it cannot be decoded."""
    width, height = page.size
    if area == (0, 0, width, height):
        return page
    if width * height > MAX_PIXELS:
        raise DataError(f"a page of {width}x{height}; at most {MAX_PIXELS:,} pixels are decoded")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            data, size = _crop(page.data, area)
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise DataError(f"cannot be decoded ({type(error).__name__}: {error})") from error
    return Image(data, size, ".png")


def _crop(data: bytes, area: Block) -> tuple[bytes, Size]:
    """A part of an image as the bytes of a PNG, and its size."""
    with Pillow.open(io.BytesIO(data)) as image:
        shown: Pillow.Image = image.crop(area)
        if shown.mode not in PNG_MODES:
            shown = shown.convert("RGB")
        buffer = io.BytesIO()
        shown.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), shown.size
