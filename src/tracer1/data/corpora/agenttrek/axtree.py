"""BrowserGym's accessibility tree as text: its elements by id, their names, and a block of it that a prompt can hold.

RootWebArea 'Shop', focused
        [12] link 'Returns', clickable
        StaticText 'Free delivery'
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tracer1.data.conversion.wording import one_line

NAME = 80  # characters of a name in an instruction
MARK = 60  # characters kept for the lines that say what was left out

ROLES = {  # in the words of executors/instruction.py; others keep their own
    "textbox": "field",
    "searchbox": "field",
    "combobox": "field",
    "spinbutton": "field",
    "listbox": "list",
    "radio": "radio button",
    "menuitem": "menu item",
    "img": "image",
    "StaticText": "text",
    "LabelText": "text",
    "Section": "section",
    "generic": "element",
}
_QUOTED = r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+\""""
_NODE = re.compile(rf"[ \t]*+(?:\[(?P<id>\w+)\] )?(?P<role>\w+)(?: (?P<name>{_QUOTED}))?")
_NAMED = re.compile(rf"^[ \t]*+\[\w+\] \w+ (?P<name>{_QUOTED})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Node:
    """An element of the page."""

    role: str
    name: str
    unique: bool  # no other element has its role and name


def find(tree: str, element: str) -> Node | None:
    """The element of the id ``element``, or None."""
    start = _line_of(tree, element)
    match = _NODE.match(tree, start) if start >= 0 else None
    if match is None:
        return None
    same = f"] {match['role']} {match['name']}"
    once = tree.find(same)
    return Node(match["role"], _unquoted(match["name"]), once < 0 or tree.find(same, once + 1) < 0)


def target(tree: str, element: str) -> str:
    """An element in words, "the 'Returns' link", with its id where these are not unique."""
    node = find(tree, element)
    if node is None:
        return f"the element [{element}]"
    role, name = ROLES.get(node.role, node.role), one_line(node.name, NAME + 1)
    if not name or len(node.name) > NAME:
        return f"the {role} [{element}]"
    return f"the '{name}' {role}" + ("" if node.unique else f" [{element}]")


def cut(tree: str, element: str, limit: int) -> tuple[str, str]:
    """(the tree cut to ``limit`` characters, which of its lines these are or "" if it is whole); no limit if 0.

    The lines after the first are split into blocks of whole lines. What stays is the first line, which is the page, and
    the block with the element's line, or the first block; a line in brackets tells how many lines are left out.
    """
    if not 0 < limit < len(tree):
        return tree, ""
    root, _, body = tree.partition("\n")
    room = max(1, limit - len(root) - 2 * MARK)
    start, stop = _block(body, max(0, _line_of(body, element)), room)
    first, last, lines = (body.count("\n", 0, at) for at in (start, stop, len(body)))
    above = [f"[{first} lines before]"] if first else []
    below = [f"[{lines - last} lines after]"] if last < lines else []
    shown = body[start : start + min(room, stop - start)]
    return "\n".join([root[:limit], *above, shown, *below]), f"{first + 1}-{last + 1} of {lines + 1}"


def _block(body: str, place: int, room: int) -> tuple[int, int]:
    """(from, to) of the block of lines that holds ``place``; a block has at most ``room`` characters, or one line."""
    start = 0
    while True:
        stop = len(body)
        if stop - start > room:
            stop = body.rfind("\n", start, start + room + 1)
            stop = stop if stop > start else body.find("\n", start + room)
            stop = stop if stop > start else len(body)
        if place < stop or stop == len(body):
            return start, stop
        start = stop + 1


def _line_of(tree: str, element: str) -> int:
    """Where the line of the element begins; -1 if there is none."""
    mark = f"[{element}] "
    place = tree.find(mark)
    while place >= 0:
        start = tree.rfind("\n", 0, place) + 1
        if not tree[start:place].strip(" \t"):
            return start
        place = tree.find(mark, place + 1)
    return -1


def title(tree: str) -> str:
    """The page's title."""
    place = tree.find("RootWebArea")
    match = _NODE.match(tree, place) if place >= 0 else None
    return _unquoted(match["name"]) if match else ""


def names(tree: str) -> Iterator[str]:
    """The names of the elements that have an id, in the order of the tree."""
    return (_unquoted(match["name"]) for match in _NAMED.finditer(tree))


def _unquoted(name: str | None) -> str:
    if name is None or "\\" not in name:
        return (name or "")[1:-1]
    try:
        return str(ast.literal_eval(name))
    except (ValueError, SyntaxError):
        return name[1:-1]
