"""Text by rule where a corpus has none: the instruction of a step, and a description of a screen in one line.

Instructions follow ``tracer1.executors.instruction`` as far as its grammar goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tracer1.types import Action

RULES = "rules-2"  # the version of these rules, recorded in each episode that uses them
LENGTH = 160  # characters of an abstraction
NAME = 40  # characters of a name in it

_PRIVATE_USE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")  # glyphs of icon fonts, which no other font has

_VERBS = {
    "click": "click",
    "left_double": "double-click",
    "right_single": "right-click",
    "long_press": "long-press",
    "middle_click": "middle-click",
    "triple_click": "triple-click",
    "hover": "point at",
}
_BARE = {
    "wait": "wait",
    "finished": "finished",
    "call_user": "give up and ask the user",
    "press_home": "go to the home screen",
    "press_back": "go back",
    "press_appselect": "show the recent apps",
    "go_back": "go back one page",
    "go_forward": "go forward one page",
    "new_tab": "open a new tab",
    "tab_close": "close the tab",
}


def instruction(action: Action, target: str = "") -> str:
    """The instruction for an action. ``target``: its element, as "the 'Login' button"; else points are in percent."""
    kind = action.action_type
    if kind in _BARE:
        return _BARE[kind]
    if kind in _VERBS:
        return f"{_VERBS[kind]} {target or place(action.point)}"
    match kind:
        case "type":
            return f"type '{action.content}'" + (f" in {target}" if target else "")
        case "select":
            return f"select '{action.content}' in {target or place(action.point)}"
        case "hotkey":
            return f"press {'+'.join((action.key or '').split())}" + (f" in {target}" if action.element else "")
        case "scroll":
            return f"scroll {action.direction}" + (f" in {target}" if target else "")
        case "drag":
            return f"drag {place(action.start_point)} to {place(action.end_point)}"
        case "open_app":
            return f"open the app '{action.app_name}'"
        case "goto":
            return f"go to {action.content}"
        case "tab_focus":
            return f"go to tab {action.content}"
        case _:
            return f"call {kind}"


def place(point: object) -> str:
    """A point in percent, as part of an instruction."""
    x, y = getattr(point, "x", None), getattr(point, "y", None)
    if x is None or y is None:
        return "the element"
    return f"the point {x:.0%} from the left, {y:.0%} from the top"


def screen(title: str, names: Iterable[str]) -> str:
    """A screen in one line: its title and its names in reading order, each once, as many as fit."""
    head = one_line(title, NAME)
    seen = {head.casefold(), ""}
    shown: list[str] = []
    room = LENGTH - len(head)
    for name in (one_line(name, NAME) for name in names):
        if name.casefold() in seen:
            continue
        seen.add(name.casefold())
        room -= len(name) + 4  # quotes, comma and space
        if room < 0:
            break
        shown.append(f"'{name}'")
    return ": ".join(filter(None, (head, ", ".join(shown))))


def one_line(text: str, length: int = LENGTH) -> str:
    """Text without line breaks and icon glyphs, cut at a word."""
    words = " ".join(_PRIVATE_USE.sub(" ", text).split())
    if len(words) <= length:
        return words
    return words[: length - 3].rsplit(" ", 1)[0] + "..."
