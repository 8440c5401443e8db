"""BrowserGym's accessibility tree as text: what an element's id stands for, and which names are on the page.

RootWebArea 'Shop', focused
        [12] link 'Returns', clickable
        StaticText 'Free delivery'
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

NAME = 80  # characters of a name in an instruction

ROLES = {  # in a plain word; others keep theirs
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
    alone: bool  # no other has its role and name


def find(tree: str, element: str) -> Node | None:
    """The element of the id ``element``, or None."""
    mark = f"[{element}] "
    place = tree.find(mark)
    while place >= 0:
        start = tree.rfind("\n", 0, place) + 1
        if not tree[start:place].strip(" \t") and (match := _NODE.match(tree, start)):
            said = f"] {match['role']} {match['name']}"
            once = tree.find(said)
            return Node(match["role"], _unquoted(match["name"]), once < 0 or tree.find(said, once + 1) < 0)
        place = tree.find(mark, place + 1)
    return None


def target(tree: str, element: str) -> str:
    """What the id stands for in words: "the 'Returns' link", with the id where that is not enough."""
    node = find(tree, element)
    if node is None:
        return f"the element [{element}]"
    role = ROLES.get(node.role, node.role)
    if not node.name or len(node.name) > NAME:
        return f"the {role} [{element}]"
    return f"the '{node.name}' {role}" + ("" if node.alone else f" [{element}]")


def title(tree: str) -> str:
    """The page's title."""
    place = tree.find("RootWebArea")
    match = _NODE.match(tree, place) if place >= 0 else None
    return _unquoted(match["name"]) if match else ""


def names(tree: str) -> Iterator[str]:
    """The names of the elements that have an id, in the tree's order."""
    return (_unquoted(match["name"]) for match in _NAMED.finditer(tree))


def _unquoted(name: str | None) -> str:
    if name is None or "\\" not in name:
        return (name or "")[1:-1]
    try:
        return str(ast.literal_eval(name))
    except (ValueError, SyntaxError):
        return name[1:-1]
