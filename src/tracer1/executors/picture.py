"""A screenshot as data: its text lines, and the fields, buttons, boxes and icons drawn on it.

Controls are found as connected outlines (dark or light grey) and as white rectangles that something surrounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tracer1.executors.dom import reading_rows
from tracer1.types import Box

Pixels: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB
Mask: TypeAlias = NDArray[np.uint8]  # (height, width): 0 or 1, or grey levels


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text, its box in pixels and the reader's confidence (0..1)."""

    text: str
    box: Box
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A drawn shape that is not text.

    ``kind``: "field", "area" (a tall field), "button", "bar", "box", "ring", "icon", or "hole": a white rectangle that
    something darker surrounds, such as a field whose outline runs into other ink.
    """

    kind: str
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A screenshot's text and shapes. Boxes are in its pixels; ``unit`` is the height of its text lines."""

    size: tuple[int, int]
    top: float  # where the screen begins, below the banner with the task if there is one
    lines: tuple[TextLine, ...]
    shapes: tuple[Shape, ...]
    unit: float
    blue: NDArray[np.bool_]  # (height, width): which pixels are blue, as links are

    def written_in_blue(self, box: Box) -> bool:
        """Whether the text in a box is blue; ink covers about a fifth of a box."""
        x0, y0, x1, y1 = (max(0, round(v)) for v in box)
        patch = self.blue[y0:y1, x0:x1]
        return patch.size > 0 and float(patch.mean()) > 0.05

    def of(self, *kinds: str) -> list[Shape]:
        """The shapes of some kinds, in reading order."""
        return reading_rows([s for s in self.shapes if s.kind in kinds], lambda s: s.box)


def banner_height(pixels: Pixels) -> int:
    """The rows at the top with pure yellow margins: the banner with the task, which is not part of the screen."""
    margins = pixels[:, (0, -1)].astype(np.int16)
    yellow = ((margins[:, :, :2] > 250).all(axis=2) & (margins[:, :, 2] < 5)).all(axis=1)
    return int(np.argmin(yellow)) if not yellow.all() else 0


# ---- drawn shapes ----------------------------------------------------------------------------------------------------


def find_shapes(pixels: Pixels, unit: float, texts: Sequence[Box]) -> list[Shape]:
    """Outlined controls and icons, boxes in pixels. ``unit`` is the text height; ``texts`` are boxes that hold text."""
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    found: list[Shape] = []
    for level in (150, 225):  # outlines come in dark grey and in light grey; buttons are filled with 239 of 255
        for box, part in _components((grey < level).astype(np.uint8)):
            shape = _classify(box, part, grey, unit, sum(covers(box, text) for text in texts))
            if shape is None or any(same(shape.box, other.box) for other in found):
                continue
            if shape.kind in ("icon", "ring", "box") and any(covers(text, box) for text in texts):
                continue
            found.append(shape)
    for box, part in _components((grey >= 250).astype(np.uint8), 4):  # with 8, white leaks through rounded corners
        wide, tall = part.shape[1] >= 2 * unit, 0.5 * unit <= part.shape[0] <= 6 * unit
        if wide and tall and part.shape[1] < 0.97 * grey.shape[1] and _cover(part) >= 0.8 and part.mean() > 0.6:
            edge = (box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1)
            if not any(same(edge, other.box) for other in found):
                found.append(Shape("hole", edge))
    icons = [s for s in found if s.kind == "icon"]
    solid = [s for s in found if s.kind != "icon"]
    return solid + [i for i in _merged(icons, unit) if not any(covers(s.box, i.box) for s in solid if s.kind == "box")]


def _components(mask: Mask, connectivity: int = 8) -> Iterable[tuple[Box, Mask]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    for i in range(1, count):
        x, y, w, h = (int(v) for v in stats[i, :4])
        if w >= 4 and h >= 4:
            part = (labels[y : y + h, x : x + w] == i).astype(np.uint8)
            yield (float(x), float(y), float(x + w), float(y + h)), part


def _classify(box: Box, part: Mask, grey: Mask, unit: float, lines: int) -> Shape | None:
    height, width = part.shape
    cover = _cover(part)
    filled = float(part.mean())
    square = abs(width - height) <= 0.15 * max(width, height) + 1 and 0.6 * unit <= width <= 1.7 * unit
    if square and cover >= 0.8:
        return Shape("box", box)
    if square and cover >= 0.25 and _round(part):
        return Shape("ring", box)
    if cover >= 0.8 and width >= unit:
        if filled > 0.6:
            return Shape("bar", box)
        x0, y0, x1, y1 = (int(v) for v in box)
        inside = grey[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3]
        if inside.size == 0:
            return None
        white = float(np.median(inside)) >= 250
        tall = height > 2.4 * unit or lines > 1
        return Shape(("area" if tall else "field") if white else "button", box)
    if 0.3 * unit <= max(width, height) <= 2.5 * unit:
        return Shape("icon", box)
    return None


def _cover(part: Mask) -> float:
    """The smallest share of one of its four sides that a shape covers, two pixels deep: 1 for a rectangle."""
    sides = (part[:2].max(0), part[-2:].max(0), part[:, :2].max(1), part[:, -2:].max(1))
    return min(float(side.mean()) for side in sides)


def _round(part: Mask) -> bool:
    """Whether the four corners are empty and the middles of the four sides are not: a ring or a disc."""
    h, w = part.shape
    corner = max(1, round(0.15 * w))
    corners = (part[:corner, :corner], part[:corner, -corner:], part[-corner:, :corner], part[-corner:, -corner:])
    middles = (part[:2, w // 2], part[-2:, w // 2], part[h // 2, :2], part[h // 2, -2:])
    return not any(c.all() for c in corners) and all(m.any() for m in middles)


def _merged(icons: Sequence[Shape], unit: float) -> list[Shape]:
    """Icons that are drawn in several strokes, each as one shape."""
    groups: list[Box] = []
    for icon in icons:
        box = icon.box
        for other in [g for g in groups if gap(g, box) <= 0.2 * unit]:
            groups.remove(other)
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
        groups.append(box)
    return [Shape("icon", g) for g in groups if max(g[2] - g[0], g[3] - g[1]) >= 0.4 * unit]


# ---- boxes -----------------------------------------------------------------------------------------------------------


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def covers(outer: Box, inner: Box) -> bool:
    """Whether the middle of ``inner`` lies in ``outer``."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def same(a: Box, b: Box) -> bool:
    return all(abs(p - q) <= 3 for p, q in zip(a, b, strict=True))


def gap(a: Box, b: Box) -> float:
    dx = max(a[0] - b[2], b[0] - a[2], 0.0)
    dy = max(a[1] - b[3], b[1] - a[3], 0.0)
    return float(np.hypot(dx, dy))
