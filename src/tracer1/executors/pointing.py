"""Where an instruction points in a picture: the text that a name refers to, and the place to click for each role.

A check box stands left of its label, a field beside or below it, a button around its caption. What bears no text
(icons, arrows, unnamed fields) is found by its drawing and its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

import numpy as np

from tracer1.errors import InstructionError
from tracer1.executors.dom import centre, described, reading_rows
from tracer1.executors.picture import Seen, TextLine, area, covers, gap
from tracer1.types import Box, Point

ENOUGH: Final = 0.6  # how alike (0..1) a text and the name in the instruction must be


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line that may be the target's name."""

    line: int
    box: Box
    score: float


def find(seen: Seen, role: str, name: str | None, ordinal: int | None) -> Point:
    """The place, in fractions, of the ``ordinal``-th (or first) ``role`` called ``name``.

    Raises InstructionError where there is none.
    """
    if role in _DRAWN and (name is None or role in ("arrow", "icon", "day")):
        boxes = _DRAWN[role](seen, name)
    elif name is None:
        boxes = [b for b in (line.box for line in seen.lines) if role not in _BLUE or seen.written_in_blue(b)]
        boxes = reading_rows(boxes, lambda b: b)
    else:
        boxes = [_place(seen, role, span) for span in _named(seen, role, name)]
    number = ordinal or 1
    if number > len(boxes):
        read = ", ".join(repr(line.text) for line in seen.lines[:8]) or "nothing"
        raise InstructionError(f"no {described(role, name, ordinal)} in the picture; it reads: {read}")
    middle = centre(boxes[number - 1])
    return Point(middle.x / seen.size[0], middle.y / seen.size[1])


def _named(seen: Seen, role: str, name: str) -> list[Span]:
    """The spans most like ``name``, in reading order."""
    spans = [span for i, line in enumerate(seen.lines) for span in _spans(i, line, name)]
    weighed = [(span.score + _fit(seen, role, span), span) for span in spans if span.score >= ENOUGH]
    if not weighed:
        return []
    best = max(weight for weight, _ in weighed)
    close = [span for weight, span in weighed if weight >= best - 0.02]
    distinct: list[Span] = []
    for span in sorted(close, key=lambda s: -s.score):
        if not any(covers(other.box, span.box) or covers(span.box, other.box) for other in distinct):
            distinct.append(span)
    return reading_rows(distinct, lambda s: s.box)


def _spans(index: int, line: TextLine, name: str) -> Iterable[Span]:
    """The line, its runs of words, and any place inside it that spells the name."""
    text = line.text
    words = [(m_start, m_end) for m_start, m_end in _words(text)]
    wanted = len(name.split())
    runs = {(0, len(text))}
    for size in {max(1, wanted - 1), wanted, wanted + 1}:
        runs |= {(words[i][0], words[i + size - 1][1]) for i in range(len(words) - size + 1)}
    for start, end in sorted(runs):
        part = 0.0 if (start, end) == (0, len(text)) else 0.04  # a whole line is the likelier name
        yield Span(index, _slice(line, start, end), likeness(text[start:end], name) - part)
    at = text.casefold().find(name.casefold())
    if at >= 0 and not any((at, at + len(name)) == run for run in runs):
        yield Span(index, _slice(line, at, at + len(name)), 0.9)


def _words(text: str) -> list[tuple[int, int]]:
    ends, start = [], None
    for i, letter in enumerate(text + " "):
        if letter.isspace():
            if start is not None:
                ends.append((start, i))
            start = None
        elif start is None:
            start = i
    return ends


_BLUE: Final = ("link", "result")  # roles that pages write in blue
_ALIKE: Final = str.maketrans("01i|!58", "ollllsb", ":,.")


def likeness(read: str, name: str) -> float:
    """How alike two texts are, 0..1: exactly, without case, and without what a reader confuses (0 and O, 1 and l)."""
    a, b = "".join(read.split()), "".join(name.split())
    exact = SequenceMatcher(None, a, b).ratio()
    folded = SequenceMatcher(None, a.casefold(), b.casefold()).ratio()
    loose = SequenceMatcher(None, a.casefold().translate(_ALIKE), b.casefold().translate(_ALIKE)).ratio()
    return max(exact, 0.97 * folded, 0.95 * loose)


def _fit(seen: Seen, role: str, span: Span) -> float:
    """A bonus for a text that looks like the role, a malus for one that does not."""
    within = {s.kind for s in seen.shapes if covers(s.box, span.box)}
    if role == "button":
        return 0.1 if "button" in within else 0.0
    if role in _BLUE:
        return 0.1 if seen.written_in_blue(span.box) else -0.1 * ("field" in within)
    if role == "field":
        outlined = _beside(seen, span.box, (("field", "area"),))
        return 0.15 if outlined else 0.05 if _beside(seen, span.box) else 0.0
    if role in ("checkbox", "radio button"):
        return 0.1 if _left_mark(seen, span.box) else 0.0
    return -0.2 if "field" in within or "button" in within else 0.0


def _place(seen: Seen, role: str, span: Span) -> Box:
    """Where to click for a named element, given where its name is written."""
    if role == "button":
        around = [s.box for s in seen.of("button") if covers(s.box, span.box)]
        return min(around, key=area, default=span.box)
    if role in ("field", "text area"):
        _, y0, x1, y1 = span.box
        right = (x1 + 2 * seen.unit, y0, x1 + 5 * seen.unit, y1)  # a field without an outline follows its label
        return _beside(seen, span.box) or right
    if role in ("checkbox", "radio button"):
        return _left_mark(seen, span.box) or span.box
    if role == "link" and not seen.written_in_blue(span.box):
        return _link_after(seen, span) or span.box
    return _blue_run(seen, span.box) if role in _BLUE else span.box


def _blue_run(seen: Seen, box: Box) -> Box:
    """The underlined word that a box, estimated from letter widths, overlaps most."""
    x0, y0, x1, y1 = box
    columns = np.flatnonzero(seen.blue[max(0, round(y0)) : round(y1)].any(axis=0))
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1 + 0.1 * seen.unit) + 1)
    spans = [(float(run[0]), float(run[-1] + 1)) for run in runs if len(run)]
    left, right = max(spans, key=lambda s: min(s[1], x1) - max(s[0], x0), default=(x0, x1))
    return (left, y0, right, y1) if min(right, x1) > max(left, x0) else box


def _link_after(seen: Seen, label: Span) -> Box | None:
    """The blue text right of the one that labels it: the rest of the line, or the next line beside or below."""
    x0, y0, x1, y1 = seen.lines[label.line].box
    rest = (label.box[2], y0, x1, y1)
    if label.box[2] < x1 - seen.unit and seen.written_in_blue(rest):
        return rest
    near = [b for b in (line.box for line in seen.lines) if b[3] > (y0 + y1) / 2 and b[1] < y1 + seen.unit / 2]
    return next((b for b in reading_rows(near, lambda b: b) if b[0] >= x0 - 1 and seen.written_in_blue(b)), None)


_FIELDS: Final = (("field", "area"), ("hole",))  # what a field may look like, the likelier first


def _beside(seen: Seen, label: Box, looks: Sequence[tuple[str, ...]] = _FIELDS) -> Box | None:
    """The field that a label names: around it, right of it, below it, or (one without an outline of its own) above."""
    for kinds in looks:
        fields = [s.box for s in seen.of(*kinds)]
        around = [f for f in fields if covers(f, label)]
        row = [f for f in fields if f[1] < (label[1] + label[3]) / 2 < f[3] and f[0] >= label[2] - seen.unit / 2]
        column = [f for f in fields if f[0] < label[2] and f[2] > label[0] and gap(f, label) < 2 * seen.unit]
        below = [f for f in column if f[1] >= label[3] - seen.unit / 2]
        above = [f for f in column if f[3] <= label[1] + seen.unit / 2] if "hole" in kinds else []
        for near in (around, row, [*below, *above]):
            if near:
                return min(near, key=lambda f: gap(f, label))
    return None


def _left_mark(seen: Seen, label: Box) -> Box | None:
    marks = [s.box for s in seen.of("box", "ring")]
    row = [m for m in marks if m[1] < (label[1] + label[3]) / 2 < m[3]]
    near = [m for m in row if m[0] < label[0] < m[2] + 2 * seen.unit]
    return max(near, key=lambda m: m[2], default=None)


def _slice(line: TextLine, start: int, end: int) -> Box:
    """The part of a line's box that some of its letters take, by their usual widths."""
    widths = [_width(letter) for letter in line.text]
    total = sum(widths) or 1.0
    x0, y0, x1, y1 = line.box
    left, right = sum(widths[:start]) / total, sum(widths[:end]) / total
    return (x0 + left * (x1 - x0), y0, x0 + right * (x1 - x0), y1)


def _width(letter: str) -> float:
    if letter in "iljtf.,:;!'|I ":
        return 0.5
    return 1.4 if letter in "mwMW@" else 1.0


# ---- things found by their drawing and place, not by a text ----------------------------------------------------------


def _marks(kind: str) -> Callable[[Seen, str | None], list[Box]]:
    return lambda seen, name: [s.box for s in seen.of(kind)]


def _text_areas(seen: Seen, name: str | None) -> list[Box]:
    areas = [s.box for s in seen.of("area")]
    if areas:
        return areas
    edges = sorted([seen.top, *(line.box[3] for line in seen.lines)])  # one without an outline: the tallest blank
    ends = [min((line.box[1] for line in seen.lines if line.box[1] >= e), default=seen.size[1]) for e in edges]
    top, bottom = max(zip(edges, ends, strict=True), key=lambda band: band[1] - band[0])
    return [(0.0, top, float(seen.size[0]), float(bottom))]


def _days(seen: Seen, name: str | None) -> list[Box]:
    """A calendar's days: where the grid of all numbers says that one must be, else where it is written."""
    written = {line.text: line.box for line in seen.lines if line.text.isdigit() and 1 <= int(line.text) <= 31}
    if name is None:
        return list(written.values())
    if not name.isdigit():
        return []
    guess = _day_from_grid({int(text): centre(box) for text, box in written.items()}, int(name))
    if guess is None:
        return [written[name]] if name in written else []
    half = seen.unit / 2
    return [(guess[0] - half, guess[1] - half, guess[0] + half, guess[1] + half)]


def _day_from_grid(read: dict[int, Point], day: int) -> tuple[float, float] | None:
    """The place of a day in pixels, from the days that were read: rows of seven, of which the first may begin late."""
    if len(read) < 7:
        return None
    x, y = np.array([p.x for p in read.values()]), np.array([p.y for p in read.values()])
    best: tuple[float, float, float] | None = None
    for skipped in range(7):  # empty cells before the first day
        row, column = np.divmod(np.array(list(read)) - 1 + skipped, 7)
        across, down = np.polyfit(column, x, 1), np.polyfit(row, y, 1)
        error = float(np.abs(np.polyval(across, column) - x).mean() + np.abs(np.polyval(down, row) - y).mean())
        at_row, at_column = divmod(day - 1 + skipped, 7)
        if best is None or error < best[0]:
            best = (error, float(np.polyval(across, at_column)), float(np.polyval(down, at_row)))
    return None if best is None else best[1:]


def _arrows(seen: Seen, name: str | None) -> list[Box]:
    """Previous and next at the two ends of a calendar's title; up and down stacked at the right end of a field."""
    if name in ("previous", "next"):
        days = _days(seen, None)
        titles = [line.box for line in seen.lines if re.search(r"[A-Za-z]+ ?\d{4}$", line.text)]
        if not days or not titles:
            return []
        title = titles[-1]
        x = min(d[0] for d in days) if name == "previous" else max(d[2] for d in days) - seen.unit
        return [(x, title[1], x + seen.unit, title[3])]
    top, bottom = {"up": (0.0, 0.5), "down": (0.5, 1.0)}.get(name or "", (0.0, 1.0))
    fields = [s.box for s in seen.of("field", "area") if s.box[2] - s.box[0] > 3 * seen.unit]
    return [(x1 - seen.unit, y0 + top * (y1 - y0), x1, y0 + bottom * (y1 - y0)) for _, y0, x1, y1 in fields]


def _icons(seen: Seen, name: str | None) -> list[Box]:
    """Icons by where such icons stand: send ends the top row, back begins it, trash and star end the rows below."""
    icons = [s.box for s in seen.of("icon")]
    if not icons:
        return []
    top = min(i[1] for i in icons)
    first = [i for i in icons if i[1] < top + 1.5 * seen.unit]
    match name:
        case "send" | "search":
            return [max(first, key=lambda i: i[2])]
        case "back":
            return [min(first, key=lambda i: i[0])]
        case "trash" | "star":
            right = [i for i in icons if i[0] > 0.6 * seen.size[0]]
            rows: dict[float, list[Box]] = {}
            for icon in right:
                key = next((k for k in rows if abs(k - icon[1]) < seen.unit), icon[1])
                rows.setdefault(key, []).append(icon)
            at = -1 if name == "trash" else -2
            return [sorted(row)[at] for _, row in sorted(rows.items()) if len(row) >= -at]
        case _:
            return icons


_DRAWN: Final[dict[str, Callable[[Seen, str | None], list[Box]]]] = {
    "button": lambda seen, name: [s.box for s in seen.of("button")],
    "field": lambda seen, name: [s.box for s in seen.of("field")],
    "text area": _text_areas,
    "list": lambda seen, name: [s.box for s in seen.of("area")],
    "checkbox": _marks("box"),
    "radio button": _marks("ring"),
    "section": lambda seen, name: [s.box for s in seen.of("bar")],
    "icon": _icons,
    "arrow": _arrows,
    "day": _days,
}
