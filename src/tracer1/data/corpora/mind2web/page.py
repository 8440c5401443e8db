"""A recorded web page: its targets' boxes, the block of it that is shown, and its words.

Pages are taller than any screen. What is shown of one is a block of its full width and ``HEIGHT`` pixels, cut every
``HEIGHT - OVERLAP``; the last block ends where the page ends.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from PIL import Image as Pillow

from tracer1.data.images import Image
from tracer1.errors import DataError
from tracer1.types import Size

HEIGHT, OVERLAP = 1000, 200  # pixels
MAX_PIXELS = 1 << 26  # of a page that is decoded: 1280 x 52,000
MAX_HTML = 1 << 22  # characters that are looked at
NEAR = 4  # texts before the target that are named

Pixels = tuple[float, float, float, float]  # left, top, right, bottom on the page


@dataclass(frozen=True, slots=True)
class Target:
    """What was acted on: its box, cut to the page, and the id that its node has in the page's HTML."""

    box: Pixels
    node: str
    clipped: bool  # the box reached beyond the page


def choose_target(candidates: Iterable[Mapping[str, Any]], page: Size) -> Target | None:
    """The first candidate with a place on the page, the original target before others; None when there is none.

    A candidate holds ``attributes`` as a mapping with ``bounding_box_rect`` "x,y,w,h" in pixels of the page.
    """
    for candidate in sorted(candidates, key=lambda candidate: candidate.get("is_original_target") is not True):
        rect = candidate["attributes"].get("bounding_box_rect")
        box = _rect(rect) if isinstance(rect, str) else None
        if box is None:
            continue
        left, top, right, bottom = box
        if box != (0, 0, 0, 0) and left < page[0] and top < page[1] and right >= 0 and bottom >= 0:
            cut = (max(0.0, left), max(0.0, top), min(right, float(page[0])), min(bottom, float(page[1])))
            return Target(cut, str(candidate.get("backend_node_id", "")), cut != box)
    return None


def _rect(text: str) -> Pixels | None:
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        return None
    if not all(map(isfinite, (x, y, width, height))) or width < 0 or height < 0:
        return None
    return x, y, x + width, y + height


# ---- blocks ----------------------------------------------------------------------------------------------------------


def block(page_height: int, top: float, bottom: float) -> tuple[int, int]:
    """The rows (from, to) of the block that shows what stands between ``top`` and ``bottom``.

    It is the first that holds all of it; where none does, the first that holds its middle.
    """
    starts = [*range(0, max(1, page_height - HEIGHT), HEIGHT - OVERLAP)]
    if page_height > HEIGHT:
        starts.append(page_height - HEIGHT)
    middle = (top + bottom) / 2
    whole = (start for start in starts if start <= top and bottom <= start + HEIGHT)
    about = (start for start in starts if start <= middle <= start + HEIGHT)
    start = next(whole, None)
    start = next(about, starts[-1]) if start is None else start
    return start, min(page_height, start + HEIGHT)


def cut(page: Image, rows: tuple[int, int]) -> Image:
    """Those rows of a page as a PNG; the page itself where these are all. DataError when it cannot be decoded."""
    width, height = page.size
    if rows == (0, height):
        return page
    if width * height > MAX_PIXELS:
        raise DataError(f"a page of {width}x{height}; {MAX_PIXELS:,} pixels are decoded at most")
    try:
        with warnings.catch_warnings(), Pillow.open(io.BytesIO(page.data)) as image:
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            part: Pillow.Image = image.crop((0, rows[0], width, rows[1]))
            if part.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):  # what PNG has no place for
                part = part.convert("RGB")
            buffer = io.BytesIO()
            part.save(buffer, "PNG", compress_level=1)
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise DataError(f"cannot be decoded ({type(error).__name__}: {error})") from error
    return Image(buffer.getvalue(), (width, rows[1] - rows[0]), ".png")


# ---- words -----------------------------------------------------------------------------------------------------------

_PIECE = re.compile(r"<(/?)([A-Za-z][\w-]*)([^<>]*)>|([^<>]+)")
_NODE = re.compile(r'backend_node_id="([^"]*)"')
_HEADINGS = ("h1", "h2", "h3")


def page_words(cleaned_html: str, node: str) -> tuple[str, list[str]]:
    """A page's title, and its names: its headings, then its texts from shortly before the element ``node`` on."""
    title, headings, texts = "", list[str](), list[str]()
    tag, at = "", 0  # the last tag other than <text>, and how many texts stand before the element
    for closing, name, attributes, text in _PIECE.findall(cleaned_html[:MAX_HTML]):
        if name:
            if node and not closing and (found := _NODE.search(attributes)) and found[1] == node:
                at = len(texts)
            tag = tag if name == "text" else "" if closing else name.lower()
        elif words := html.unescape(text).strip():
            if tag == "title":
                title = title or words
                continue
            if tag in _HEADINGS:
                headings.append(words)
            texts.append(words)
    return title, [*headings, *texts[max(0, at - NEAR) :]]


MAX_TOLD = 2000  # characters; longer is no such line, and the pattern is quadratic in the worst case
_TOLD = re.compile(r"\[([^\]]*)\]\s*(.*?)\s*->\s*(CLICK|HOVER|ENTER|TYPE|SELECT)(?::\s*(.*))?", re.DOTALL)
_ROLES: Mapping[str, str] = {  # the tag or role in a corpus' words: the plain word of tools/instruction.py
    "a": "link",
    "button": "button",
    "checkbox": "checkbox",
    "combobox": "list",
    "gridcell": "day",
    "i": "icon",
    "image": "image",
    "img": "image",
    "input": "field",
    "link": "link",
    "listbox": "list",
    "menuitem": "menu item",
    "menuitemradio": "menu item",
    "option": "option",
    "path": "icon",
    "radio": "radio button",
    "searchbox": "field",
    "select": "list",
    "slider": "slider",
    "spinbutton": "field",
    "svg": "icon",
    "switch": "checkbox",
    "tab": "tab",
    "textarea": "text area",
    "textbox": "field",
}


@dataclass(frozen=True, slots=True)
class ActionWords:
    """An action as the corpus tells it, "[link]  Plans -> CLICK": in parts."""

    role: str
    name: str
    operation: str
    value: str

    def target(self, length: int) -> str:
        """ "the 'Plans' link", its name cut to ``length`` characters."""
        words = " ".join(self.name.split())
        words = words if len(words) <= length else words[: length - 3].rstrip() + "..."
        return f"the '{words}' {self.role}" if words else f"the {self.role}"


def parse_action_words(text: str) -> ActionWords | None:
    """None for what is not of that form."""
    match = _TOLD.fullmatch(text.strip()) if len(text) <= MAX_TOLD else None
    if match is None:
        return None
    tag, name, operation, value = match.groups()
    return ActionWords(_ROLES.get(tag.strip().lower(), "text" if name else "section"), name, operation, value or "")


def same_letters(a: str, b: str) -> bool:
    """Whether two texts differ in nothing but punctuation, spaces and case."""
    return _letters(a) == _letters(b)


def _letters(text: str) -> Sequence[str]:
    return [c for c in text.casefold() if c.isalnum()]
