"""The text of a recorded web page: the title and names in the shown block, and the corpus' words for an action."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tracer1.data.conversion.wording import one_line
from tracer1.data.corpora.mind2web.page import Block, Pixels, Target

MAX_HTML = 1 << 22  # characters that are read
NEAR = 4  # texts before the target that are named
NAME = 80  # characters of a target's name in an instruction
NAMES = ("aria_label", "alt", "placeholder", "title", "input_value", "value")  # attributes that name an element

_PIECE = re.compile(r"<(/?)([A-Za-z][\w-]*)([^<>]*)>|([^<>]+)")
_NODE = re.compile(r'backend_node_id="([^"]*)"')
_HEADINGS = ("h1", "h2", "h3")


@dataclass(frozen=True, slots=True)
class _Tag:
    name: str
    node: str  # its id
    box: Pixels | None  # its own, else that of the nearest element around it
    in_target: bool


@dataclass(slots=True)
class PageWords:
    """The text that a block shows, in the page's order. ``own``: the text of the target."""

    title: str = ""
    headings: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    target: int = 0  # texts before the target

    def names(self) -> list[str]:
        """The headings, then the texts from shortly before the target on."""
        return [*self.headings, *self.texts[max(0, self.target - NEAR) :]]


def page_words(cleaned_html: str, node: str, boxes: Mapping[str, Pixels], area: Block | None) -> PageWords:
    """The words of the block ``area``, or of the whole page if that is None. ``node``: the target's id.

    A text is in the block if the middle of its element is, by ``boxes``; the target always is.
    """
    words = PageWords()
    stack: list[_Tag] = []
    for closing, name, attributes, text in _PIECE.findall(cleaned_html[:MAX_HTML]):
        if closing:
            _close(stack, name.lower())
        elif name:
            found = _NODE.search(attributes)
            tag = _open(stack, name.lower(), found[1] if found else "", node, boxes)
            if tag.in_target and tag.node == node:
                words.target = len(words.texts)
            if not attributes.rstrip().endswith("/"):
                stack.append(tag)
        elif text := html.unescape(text).strip():
            _add(words, text, stack, area)
    return words


def _open(stack: Sequence[_Tag], name: str, own: str, node: str, boxes: Mapping[str, Pixels]) -> _Tag:
    around = stack[-1] if stack else _Tag("", "", None, False)
    return _Tag(name, own, boxes.get(own, around.box), around.in_target or bool(node and own == node))


def _close(stack: list[_Tag], name: str) -> None:
    """Close the last open element of this name and all within it; a stray end tag is ignored."""
    for i in range(len(stack) - 1, -1, -1):
        if stack[i].name == name:
            del stack[i:]
            return


def _add(words: PageWords, text: str, stack: Sequence[_Tag], area: Block | None) -> None:
    tag = next((tag for tag in reversed(stack) if tag.name != "text"), _Tag("", "", None, False))
    box = stack[-1].box if stack else None
    if tag.name == "title":
        words.title = words.title or text
    elif area is None or tag.in_target or (box is not None and _shows(area, box)):
        if tag.name in _HEADINGS:
            words.headings.append(text)
        if tag.in_target:
            words.own.append(text)
        words.texts.append(text)


def _shows(area: Block, box: Pixels) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return area[0] <= x <= area[2] and area[1] <= y <= area[3]


# ---- actions ---------------------------------------------------------------------------------------------------------

MAX_ACTION = 2000  # characters; the pattern is quadratic in the worst case
_ACTION = re.compile(r"\[([^\]]*)\]\s*(.*?)\s*->\s*(CLICK|HOVER|ENTER|TYPE|SELECT)(?::\s*(.*))?", re.DOTALL)
_ROLES: Mapping[str, str] = {  # by tag or ARIA role; the words of executors/instruction.py
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
    """The corpus' words for an action, "[link]  Plans -> CLICK", in parts."""

    role: str
    name: str
    operation: str
    value: str

    def target(self, name: str = "", where: str = "") -> str:
        """The target, as "the 'Plans' link". ``name``, then ``where``, stand in for a missing name."""
        words = one_line(self.name, NAME) or one_line(name, NAME)
        if words:
            return f"the '{words}' {self.role}"
        return f"the {self.role} at {where}" if where else f"the {self.role}"


def parse_action_words(text: str) -> ActionWords | None:
    """None for text of another form."""
    match = _ACTION.fullmatch(text.strip()) if len(text) <= MAX_ACTION else None
    if match is None:
        return None
    tag, name, operation, value = match.groups()
    return ActionWords(_ROLES.get(tag.strip().lower(), "text" if name else "section"), name, operation, value or "")


def target_name(target: Target, words: PageWords) -> str:
    """The name of an element that the corpus does not name: from its attributes, else its own text; "" if none."""
    named = (target.attributes.get(key) for key in NAMES)
    found = next((one_line(value, NAME) for value in named if isinstance(value, str) and one_line(value)), "")
    own = " ".join(words.own)
    return found or (own if len(own) <= NAME else "")


def same_letters(a: str, b: str) -> bool:
    """Whether two texts differ only in punctuation, spaces and case."""
    return list(_letters(a)) == list(_letters(b))


def _letters(text: str) -> Iterator[str]:
    return (c for c in text.casefold() if c.isalnum())
