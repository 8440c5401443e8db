"""Words for what a corpus recorded without any: a step's instruction, and in a line what a screen showed.

The instructions are those of ``tracer1.executors.instruction`` as far as that language reaches.
"""

from __future__ import annotations

from collections.abc import Iterable

from tracer1.types import Action

RULES = "rules-1"  # the version of the abstraction rules, recorded in each episode that they wrote for
LENGTH = 160  # characters of an abstraction
NAME = 40  # and of each name in it

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
    "press_appselect": "show the apps used last",
    "go_back": "go back to the page before",
    "go_forward": "go forward to the page after",
    "new_tab": "open a new tab",
    "tab_close": "close the tab",
}


def instruction(action: Action, target: str = "") -> str:
    """What to do in words. ``target``: what is acted on, as "the 'Login' button"; without it places are in percent."""
    kind = action.action_type
    if kind in _BARE:
        return _BARE[kind]
    if kind in _VERBS:
        return f"{_VERBS[kind]} {target or _place(action.point)}"
    match kind:
        case "type":
            return f"type '{action.content}'" + (f" in {target}" if target else "")
        case "select":
            return f"select '{action.content}' in {target or _place(action.point)}"
        case "hotkey":
            return f"press {'+'.join((action.key or '').split())}" + (f" in {target}" if action.element else "")
        case "scroll":
            return f"scroll {action.direction}" + (f" in {target}" if target else "")
        case "drag":
            return f"drag {_place(action.start_point)} to {_place(action.end_point)}"
        case "open_app":
            return f"open the app '{action.app_name}'"
        case "goto":
            return f"go to {action.content}"
        case "tab_focus":
            return f"go to tab {action.content}"
        case _:
            return f"call {kind}"


def _place(point: object) -> str:
    x, y = getattr(point, "x", None), getattr(point, "y", None)
    if x is None or y is None:
        return "the element"
    return f"the point {x:.0%} from the left, {y:.0%} from the top"


def screen(title: str, names: Iterable[str]) -> str:
    """A screen in one line: its title and the names on it in reading order, each once, as many as there is room for."""
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
    """Text without line breaks, cut at a word."""
    words = " ".join(text.split())
    if len(words) <= length:
        return words
    return words[: length - 3].rsplit(" ", 1)[0] + "..."
