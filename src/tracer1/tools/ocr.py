"""A tool agent that grounds in the pixels alone: it reads the screenshot and finds what is drawn on it.

Text is read by rapidocr (lines, split into words by the width of their letters). Fields, buttons, boxes and rings are
found as connected outlines. Rules then say which of them a role means: a check box stands left of its label, a field
beside or below it, a button around its caption. The page's structure is never looked at.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from diskcache import Cache
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tracer1.errors import InstructionError, ToolAgentError
from tracer1.tools.dom import action_at, centre, reading_rows
from tracer1.tools.instruction import POINTING, parse_instruction
from tracer1.types import Action, Box, Observation, Point

Pixels: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB
Mask: TypeAlias = NDArray[np.uint8]  # (height, width), 0 or 1

READ_WIDTH: Final = 480  # smaller screenshots are enlarged to this width before they are read
ENOUGH: Final = 0.6  # how alike (0..1) a text must be to the name that was asked for
CACHE_VERSION: Final = 1  # of what is kept under an image's hash
RECENT: Final = 256  # pictures kept in memory


# ---- what the pixels show --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line as read: its text, its place in pixels, how sure the reader is (0..1)."""

    text: str
    box: Box
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Something drawn that is not text. ``kind``: "field", "area", "button", "bar", "box", "ring" or "icon"."""

    kind: str
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A screenshot, read. Boxes are in pixels of the screenshot; ``unit`` is the height of its text lines."""

    size: tuple[int, int]
    top: float  # below the banner that paints the task, if there is one
    lines: tuple[TextLine, ...]
    shapes: tuple[Shape, ...]
    unit: float
    blue: NDArray[np.bool_]  # (height, width): which pixels are blue, as links are

    def written_in_blue(self, box: Box) -> bool:
        """Whether the text in a box is blue; ink covers a fifth of it, more or less."""
        x0, y0, x1, y1 = (max(0, round(v)) for v in box)
        patch = self.blue[y0:y1, x0:x1]
        return patch.size > 0 and float(patch.mean()) > 0.05

    def of(self, *kinds: str) -> list[Shape]:
        """The shapes of some kinds, in reading order."""
        return reading_rows([s for s in self.shapes if s.kind in kinds], lambda s: s.box)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line that may be the name asked for."""

    line: int
    box: Box
    score: float


class OcrToolAgent:
    """Grounds an instruction in ``Observation.screenshot``.

    ``side``: the longer side, in pixels, that text is detected at (480 to 640 read small pages well). ``cache``: a
    folder for what was read, by image hash; by default ``~/.cache/tracer1/ocr``.
    """

    name = "ocr"

    def __init__(self, side: int = 640, cache: Path | str | None = None) -> None:
        self._side = side
        self._cache = Cache(str(cache or Path.home() / ".cache" / "tracer1" / "ocr"))
        self._recent: dict[str, Seen] = {}

    def act(self, instruction: str, observation: Observation) -> Action:
        """The action for ``instruction``, points as fractions.

        Raises InstructionError when nothing like it is in the picture, ToolAgentError when the picture cannot be read.
        """
        parsed = parse_instruction(instruction)
        if parsed.verb == "drag":
            seen = self.see(observation)
            start = find(seen, parsed.role or "", parsed.name, parsed.ordinal)
            return Action("drag", start_point=start, end_point=find(seen, parsed.to_role or "", parsed.to_name, None))
        if parsed.verb in POINTING or (parsed.verb == "scroll" and parsed.role):
            return action_at(parsed, find(self.see(observation), parsed.role or "", parsed.name, parsed.ordinal))
        return action_at(parsed, None)

    def see(self, observation: Observation) -> Seen:
        """Everything readable in the screenshot; ToolAgentError when it is missing or broken."""
        if observation.screenshot is None:
            raise ToolAgentError("the ocr agent needs a screenshot and was given none")
        try:
            data = Path(observation.screenshot).read_bytes()
            key = hashlib.sha256(data).hexdigest()
            if key not in self._recent:
                pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise ToolAgentError(f"{observation.screenshot}: not a readable image ({error}); take it again") from error
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
    """All that a picture shows. ``read`` gives the text lines of the picture below its banner."""
    top = banner_height(pixels)
    body = pixels[top:]
    texts = (read or read_lines)(body)
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
    """The text lines of a picture, boxes in its pixels. Small ones are enlarged first. ToolAgentError on failure."""
    if min(pixels.shape[:2]) < 8:
        return []
    factor = max(1.0, READ_WIDTH / pixels.shape[1])
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    enlarged = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    try:
        with _reading:
            found = _engine(side)(np.ascontiguousarray(enlarged[:, :, ::-1]))
    except (RuntimeError, ValueError, OSError, cv2.error) as error:
        raise ToolAgentError(f"the text reader failed on a {size[0]} x {size[1]} picture: {error}") from error
    if found.boxes is None:
        return []
    return [
        TextLine(text, tuple(float(v) / factor for v in (*quad.min(axis=0), *quad.max(axis=0))), float(score))
        for quad, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
    ]


def banner_height(pixels: Pixels) -> int:
    """The rows at the top with pure yellow margins: a banner with the task on it, which is no part of the screen."""
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
            shape = _classify(box, part, grey, unit, sum(_covers(box, text) for text in texts))
            if shape is None or any(_same(shape.box, other.box) for other in found):
                continue
            if shape.kind in ("icon", "ring", "box") and any(_covers(text, box) for text in texts):
                continue
            found.append(shape)
    icons = [s for s in found if s.kind == "icon"]
    solid = [s for s in found if s.kind != "icon"]
    return solid + [i for i in _merged(icons, unit) if not any(_covers(s.box, i.box) for s in solid if s.kind == "box")]


def _components(mask: Mask) -> Iterable[tuple[Box, Mask]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    for i in range(1, count):
        x, y, w, h = (int(v) for v in stats[i, :4])
        if w >= 4 and h >= 4:
            part = (labels[y : y + h, x : x + w] == i).astype(np.uint8)
            yield (float(x), float(y), float(x + w), float(y + h)), part


def _classify(box: Box, part: Mask, grey: Mask, unit: float, lines: int) -> Shape | None:
    height, width = part.shape
    edge = 2
    sides = (part[:edge].max(0), part[-edge:].max(0), part[:, :edge].max(1), part[:, -edge:].max(1))
    cover = min(float(side.mean()) for side in sides)
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


def _round(part: Mask) -> bool:
    """Whether the four corners are empty and the middles of the four sides are not: a ring or a disc."""
    h, w = part.shape
    corner = max(1, round(0.15 * w))
    corners = (part[:corner, :corner], part[:corner, -corner:], part[-corner:, :corner], part[-corner:, -corner:])
    middles = (part[:2, w // 2], part[-2:, w // 2], part[h // 2, :2], part[h // 2, -2:])
    return not any(c.all() for c in corners) and all(m.any() for m in middles)


def _merged(icons: Sequence[Shape], unit: float) -> list[Shape]:
    """Icons drawn in several strokes made one."""
    groups: list[Box] = []
    for icon in icons:
        box = icon.box
        for other in [g for g in groups if _gap(g, box) <= 0.2 * unit]:
            groups.remove(other)
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
        groups.append(box)
    return [Shape("icon", g) for g in groups if max(g[2] - g[0], g[3] - g[1]) >= 0.4 * unit]


# ---- finding what is meant -------------------------------------------------------------------------------------------


def find(seen: Seen, role: str, name: str | None, ordinal: int | None) -> Point:
    """The place, in fractions, of the ``ordinal``-th (or first) ``role`` called ``name``. InstructionError if none."""
    if role in _DRAWN and (name is None or role in ("arrow", "icon", "day")):
        boxes = _DRAWN[role](seen, name)
    elif name is None:
        boxes = [b for b in (line.box for line in seen.lines) if role not in _BLUE or seen.written_in_blue(b)]
        boxes = reading_rows(boxes, lambda b: b)
    else:
        boxes = [_place(seen, role, span) for span in _named(seen, role, name)]
    number = ordinal or 1
    if number > len(boxes):
        wanted = " ".join(str(part) for part in (f"no. {number}" if ordinal else "", name and repr(name), role) if part)
        read = ", ".join(repr(line.text) for line in seen.lines[:8]) or "nothing"
        raise InstructionError(f"no {wanted} in the picture; it reads: {read}")
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
        if not any(_covers(other.box, span.box) or _covers(span.box, other.box) for other in distinct):
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
        part = 0.0 if (start, end) == (0, len(text)) else 0.04  # a line of its own is likelier meant than part of one
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
    """A bonus or malus for a text that does, or does not, look like the role asked for."""
    within = {s.kind for s in seen.shapes if _covers(s.box, span.box)}
    if role == "button":
        return 0.1 if "button" in within else 0.0
    if role in _BLUE:
        return 0.1 if seen.written_in_blue(span.box) else -0.1 * ("field" in within)
    if role == "field":
        return 0.1 if _beside(seen, span.box) else 0.0
    if role in ("checkbox", "radio button"):
        return 0.1 if _left_mark(seen, span.box) else 0.0
    return -0.2 if "field" in within or "button" in within else 0.0


def _place(seen: Seen, role: str, span: Span) -> Box:
    """Where to click for a named thing, given where its name is written."""
    if role == "button":
        around = [s.box for s in seen.of("button") if _covers(s.box, span.box)]
        return min(around, key=_area, default=span.box)
    if role in ("field", "text area"):
        _, y0, x1, y1 = span.box
        right = (x1 + 2 * seen.unit, y0, x1 + 5 * seen.unit, y1)  # a field without an outline follows its label
        return _beside(seen, span.box) or right
    if role in ("checkbox", "radio button"):
        return _left_mark(seen, span.box) or span.box
    if role == "link" and not seen.written_in_blue(span.box):
        return _link_after(seen, span) or span.box
    return span.box


def _link_after(seen: Seen, label: Span) -> Box | None:
    """The blue text right of the one that labels it: the rest of the line, or the next line of the same row."""
    x0, y0, x1, y1 = seen.lines[label.line].box
    rest = (label.box[2], y0, x1, y1)
    if label.box[2] < x1 - seen.unit and seen.written_in_blue(rest):
        return rest
    row = [line.box for line in seen.lines if line.box[1] < (y0 + y1) / 2 < line.box[3] and line.box[0] >= x0]
    return min((b for b in row if seen.written_in_blue(b)), key=lambda b: b[0], default=None)


def _beside(seen: Seen, label: Box) -> Box | None:
    """The field that a label names: around it, right of it, or below it, whichever comes first and is nearest."""
    fields = [s.box for s in seen.of("field", "area")]
    around = [f for f in fields if _covers(f, label)]
    row = [f for f in fields if f[1] < (label[1] + label[3]) / 2 < f[3] and f[0] >= label[2] - seen.unit / 2]
    below = [f for f in fields if f[1] >= label[3] - seen.unit / 2 and f[0] < label[2] and f[2] > label[0]]
    below = [f for f in below if f[1] - label[3] < 2 * seen.unit]
    for near in (around, row, below):
        if near:
            return min(near, key=lambda f: _gap(f, label))
    return None


def _left_mark(seen: Seen, label: Box) -> Box | None:
    marks = [s.box for s in seen.of("box", "ring")]
    row = [m for m in marks if m[1] < (label[1] + label[3]) / 2 < m[3]]
    near = [m for m in row if m[0] < label[0] < m[2] + 2 * seen.unit]
    return max(near, key=lambda m: m[2], default=None)


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


# ---- boxes -----------------------------------------------------------------------------------------------------------


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


def _shift(box: Box, down: float) -> Box:
    return (box[0], box[1] + down, box[2], box[3] + down)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _covers(outer: Box, inner: Box) -> bool:
    """Whether the middle of ``inner`` lies in ``outer``."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def _same(a: Box, b: Box) -> bool:
    return all(abs(p - q) <= 3 for p, q in zip(a, b, strict=True))


def _gap(a: Box, b: Box) -> float:
    dx = max(a[0] - b[2], b[0] - a[2], 0.0)
    dy = max(a[1] - b[3], b[1] - a[3], 0.0)
    return float(np.hypot(dx, dy))
