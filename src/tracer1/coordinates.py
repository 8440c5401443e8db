"""Points in typed frames: a point knows the frame it is measured in, and frames never mix by accident.

The same place on the screen is (0.5, 0.5) as fractions, (500, 500) in per mille, (960, 540) in pixels of a 1920x1080
screen and (960, 544) in the image of 1920x1088 that a Qwen-VL processor makes of it. Models differ in which of these
they write, and their text does not tell; so the frame is named when a number enters, and converted on purpose.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tracer1.errors import DataError, FrameError
from tracer1.types import FRACTION, Box, Frame, Point, Size

QWEN3_VL_MIN_PIXELS = 64 * 32 * 32
QWEN3_VL_MAX_PIXELS = 16384 * 32 * 32
MAX_ASPECT_RATIO = 200


def per_mille() -> Frame:
    """The 0 to 1000 grid that UI-TARS v1 and Qwen3-VL write, whatever the screen's size."""
    return Frame("per_mille", 1000.0, 1000.0)


def pixels(size: Size) -> Frame:
    """Pixels of a screenshot of ``size`` (width, height). Raises FrameError when a side is not positive."""
    width, height = _checked(size)
    return Frame("pixels", float(width), float(height))


def smart_resized(
    size: Size, factor: int = 32, min_pixels: int = QWEN3_VL_MIN_PIXELS, max_pixels: int = QWEN3_VL_MAX_PIXELS
) -> Frame:
    """Pixels of the image that a Qwen-VL processor makes of a screenshot of ``size``; the defaults are Qwen3-VL's."""
    width, height = smart_resize(size, factor, min_pixels, max_pixels)
    return Frame("smart_resized", float(width), float(height))


def smart_resize(
    size: Size, factor: int = 32, min_pixels: int = QWEN3_VL_MIN_PIXELS, max_pixels: int = QWEN3_VL_MAX_PIXELS
) -> Size:
    """Qwen-VL's rule: (width, height) to multiples of ``factor`` with an area of ``min_pixels`` to ``max_pixels``.

    Both sides are rounded (half to even) to a multiple of ``factor``; an image too large or too small in area is scaled
    by the square root of the ratio of the areas, rounding down (to one multiple at least) or up respectively.
    Raises FrameError for a side that is not positive or a ratio of the sides above MAX_ASPECT_RATIO.
    """
    width, height = _checked(size)
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise FrameError(
            f"a screen of {width}x{height} is too narrow: the sides may differ by {MAX_ASPECT_RATIO} times"
        )
    w, h = (round(side / factor) * factor for side in (width, height))
    if w * h > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        w, h = (max(factor, math.floor(side / shrink / factor) * factor) for side in (width, height))
    elif w * h < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        w, h = (math.ceil(side * grow / factor) * factor for side in (width, height))
    return w, h


def convert(point: Point, frame: Frame) -> Point:
    """The same place on the screen, measured in ``frame``. Nothing is rounded or clamped."""
    if point.frame == frame:
        return point
    return Point(point.x / point.frame.width * frame.width, point.y / point.frame.height * frame.height, frame)


def distance(a: Point, b: Point) -> float:
    """Euclidean distance, each axis as a fraction of the screen (0 to sqrt 2). Raises FrameError on mixed frames."""
    if a.frame != b.frame:
        raise FrameError(f"a distance from {_name(a.frame)} to {_name(b.frame)}: convert one of the points first")
    return math.hypot((a.x - b.x) / a.frame.width, (a.y - b.y) / a.frame.height)


def inside(point: Point, box: Box) -> bool:
    """Whether ``point`` lies in ``box``, edges included. Boxes are fractions: raises FrameError for any other point."""
    if point.frame != FRACTION:
        raise FrameError(f"a box is in fractions and the point in {_name(point.frame)}: convert the point first")
    x0, y0, x1, y1 = box
    return x0 <= point.x <= x1 and y0 <= point.y <= y1


def box_from_json(value: Any, where: str) -> Box:
    """A box from its JSON list. Raises DataError, beginning with ``where``, unless it is four finite numbers."""
    if not (isinstance(value, list | tuple) and len(value) == 4 and all(map(_is_finite, value))):
        shown = json.dumps(value, default=str)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise DataError(f"{where}: expected [x0, y0, x1, y1] in fractions, found {shown}")
    return float(value[0]), float(value[1]), float(value[2]), float(value[3])


def _is_finite(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _checked(size: Size) -> Size:
    width, height = size
    if width <= 0 or height <= 0:
        raise FrameError(f"a screen of {width}x{height}: both sides must be positive")
    return width, height


def _name(frame: Frame) -> str:
    return f"{frame.name} {frame.width:g}x{frame.height:g}"
