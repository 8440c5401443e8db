"""Where a recorded action falls on its screenshot, in per cent of the picture, so that it is exact at any size."""

from __future__ import annotations

from dataclasses import dataclass

from tracer1.types import Action, Box, Point

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is drawn over a picture; all places in per cent of its width and height.

    ``point``: where it points. ``arrow``: a drag, x and y of its start and end. ``scroll``: where new content comes
    from, drawn around ``point``. ``box``: the target's left, top, width and height. ``off``: some place was off the
    screen and is drawn at its edge.
    """

    kind: str
    point: Place | None = None
    arrow: tuple[float, float, float, float] | None = None
    scroll: str = ""
    box: tuple[float, float, float, float] | None = None
    off: bool = False


def overlay(action: Action, box: Box | None) -> Overlay:
    """What ``action`` and its target's ``box`` (fractions) draw; nothing for what happens at no place."""
    scroll = action.direction if action.action_type == "scroll" and action.direction else ""
    point = action.point or (Point(0.5, 0.5) if scroll else None)
    arrow = None
    if action.start_point and action.end_point:
        arrow = (*_place(action.start_point), *_place(action.end_point))
    places = [p for p in (action.point, action.start_point, action.end_point) if p is not None]
    off = any(not (0 <= p.x <= 1 and 0 <= p.y <= 1) for p in places)
    return Overlay(action.action_type, _place(point) if point else None, arrow, scroll, _box(box) if box else None, off)


def _place(point: Point) -> Place:
    return _percent(point.x), _percent(point.y)


def _box(box: Box) -> tuple[float, float, float, float]:
    x0, x1 = sorted((_percent(box[0]), _percent(box[2])))
    y0, y1 = sorted((_percent(box[1]), _percent(box[3])))
    return x0, y0, round(x1 - x0, 4), round(y1 - y0, 4)


def _percent(fraction: float) -> float:
    return round(100 * min(1.0, max(0.0, fraction)), 4)
