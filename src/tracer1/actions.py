"""The action space, once: the same table describes it in prompts, and checks, reads, writes and compares actions.

Names are UI-TARS' unified space (METHOD section 2). Points are fractions of the screenshot. A scroll's direction says
where the new content comes from. On the platform ``tools`` an action is a tool's name with ``arguments``; once the tool
has run, ``content`` holds its output. Actions of a corpus that UI-TARS has no name for have rows of
their own (``EXTRA_ACTIONS``); they are never rewritten into another action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, cast

from tracer1.coordinates import distance, inside
from tracer1.errors import ActionError, DataError, FrameError
from tracer1.keyboard import split_keys
from tracer1.types import FRACTION, Action, Box, Platform, Point

Argument = Literal[
    "point", "start_point", "end_point", "content", "key", "direction", "app_name", "arguments", "element"
]

SCREENS: tuple[Platform, ...] = ("desktop", "mobile", "web")
POINTERS: tuple[Platform, ...] = ("desktop", "web")  # platforms with a mouse and a keyboard
ARGUMENTS: tuple[Argument, ...] = tuple(cast("Argument", f.name) for f in fields(Action) if f.name != "action_type")
DIRECTIONS = ("up", "down", "left", "right")
RADIUS = 0.14  # of the screen: how near a point must be to the recorded one where no box is known


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One row of the action space. No platforms: only for the corpora that ``EXTRA_ACTIONS`` names."""

    name: str
    platforms: tuple[Platform, ...]
    required: tuple[Argument, ...]
    optional: tuple[Argument, ...]
    description: str


_TABLE = (
    ActionSpec("click", SCREENS, ("point",), (), "click or tap an element once"),
    ActionSpec("left_double", POINTERS, ("point",), (), "double-click an element"),
    ActionSpec("right_single", POINTERS, ("point",), (), "right-click an element"),
    ActionSpec("long_press", ("mobile",), ("point",), (), "press an element and hold it"),
    ActionSpec("drag", SCREENS, ("start_point", "end_point"), (), "drag from one place to another"),
    ActionSpec("hotkey", POINTERS, ("key",), (), "press a key or keys together, such as 'ctrl c'"),
    ActionSpec("type", SCREENS, ("content",), ("point",), "type text; a line break at its end submits it"),
    ActionSpec("scroll", SCREENS, ("direction",), ("point",), "show more content from above, below, left or right"),
    ActionSpec("open_app", ("mobile",), ("app_name",), (), "open an app by its name"),
    ActionSpec("press_home", ("mobile",), (), (), "go to the home screen"),
    ActionSpec("press_back", ("mobile",), (), (), "go back"),
    ActionSpec("wait", SCREENS, (), (), "wait for the screen to change"),
    ActionSpec("finished", (*SCREENS, "tools"), (), ("content",), "end the task, with an answer if it asks for one"),
    ActionSpec("call_user", POINTERS, (), ("content",), "give up and ask the user for help"),
    ActionSpec("middle_click", (), ("point",), (), "click an element with the middle button"),
    ActionSpec("triple_click", (), ("point",), (), "click an element three times"),
    ActionSpec("hover", (), ("point",), (), "move the pointer onto an element"),
    ActionSpec("select", (), ("point", "content"), (), "choose an option of a list by its text"),
    ActionSpec("press_appselect", (), (), (), "show the apps used last"),
    ActionSpec("goto", (), ("content",), (), "go to a web address"),
    ActionSpec("go_back", (), (), (), "go back to the page before"),
    ActionSpec("go_forward", (), (), (), "go forward to the page after"),
    ActionSpec("new_tab", (), (), (), "open a new tab"),
    ActionSpec("tab_close", (), (), (), "close the tab"),
    ActionSpec("tab_focus", (), ("content",), (), "go to another tab by its number"),
)
ACTIONS: Mapping[str, ActionSpec] = {spec.name: spec for spec in _TABLE}
EXTRA_ACTIONS: Mapping[str, tuple[str, ...]] = {  # by corpus: what is offered besides the platform's own actions
    "agentnet": ("middle_click", "triple_click", "hover"),
    "gui-odyssey": ("press_appselect", "call_user"),
    "mind2web": ("hover", "select"),
    "agenttrek": (
        "middle_click",
        "hover",
        "select",
        "goto",
        "go_back",
        "go_forward",
        "new_tab",
        "tab_close",
        "tab_focus",
    ),
}
POINTING = frozenset(spec.name for spec in _TABLE if "point" in spec.required)
ON_ELEMENT = POINTING | {"type", "hotkey"}  # what may name an element
TERMINAL = frozenset({"finished", "call_user"})

_POINTS: tuple[Argument, ...] = ("point", "start_point", "end_point")
_TEXTS: tuple[Argument, ...] = ("content", "key", "app_name", "element")


@cache
def offered(platform: Platform, source: str = "") -> tuple[ActionSpec, ...]:
    """The rows for ``platform``, and those that the corpus ``source`` has beyond them."""
    beyond = EXTRA_ACTIONS.get(source, ())
    return tuple(spec for spec in _TABLE if platform in spec.platforms or spec.name in beyond)


def describe(platform: Platform, source: str = "") -> str:
    """The action space for a prompt, one line per action: ``- drag(start_point, end_point): ...``."""
    lines = [
        f"- {spec.name}({', '.join([*spec.required, *(f'{name}?' for name in spec.optional)])}): {spec.description}"
        for spec in offered(platform, source)
    ]
    if platform == "tools":
        lines.insert(0, '- the name of a tool (arguments): call it; give its arguments in the action\'s "arguments"')
    return "\n".join(lines)


def is_tool(action_type: str) -> bool:
    """Whether this names a tool, that is, no action on a screen."""
    return action_type not in ACTIONS


@cache
def _specs(platform: Platform, source: str) -> dict[str, ActionSpec]:
    return {spec.name: spec for spec in offered(platform, source)}


@cache
def _spec(kind: str, platform: Platform, source: str) -> ActionSpec:
    """The row of an action, or one made for a tool; ActionError when the platform has no such action."""
    known = _specs(platform, source)
    if kind in known:
        return known[kind]
    if platform == "tools" and kind not in ACTIONS:
        return ActionSpec(kind, ("tools",), ("arguments",), ("content",), "")
    raise ActionError(f"action '{kind}' is unknown on {platform}: use one of {', '.join(known)}")


def is_offered(kind: str, platform: Platform, source: str = "") -> bool:
    """Whether the platform, or the corpus ``source``, has an action of this name. On ``tools`` every tool's is."""
    return kind in _specs(platform, source) or (platform == "tools" and kind not in ACTIONS)


def validate(action: Action, platform: Platform, source: str = "") -> None:
    """Raise ActionError, naming the argument, unless ``action`` is of ``platform`` and its arguments are in order.

    source: the corpus that it was recorded in, which may know more actions. An ``element`` stands in for the point, and
    says in what is typed or where keys are pressed.
    """
    kind = action.action_type
    spec = _spec(kind, platform, source)
    for name in ARGUMENTS:
        value = getattr(action, name)
        if value is None:
            if name in spec.required and not (name == "point" and action.element is not None):
                raise ActionError(f"action '{kind}' lacks '{name}'")
        else:
            _check_argument(spec, name, value)


def _check_argument(spec: ActionSpec, name: Argument, value: Any) -> None:
    takes = name in spec.required or name in spec.optional or (name == "element" and spec.name in ON_ELEMENT)
    if not takes:
        raise ActionError(f"action '{spec.name}' takes no '{name}'")
    if name in _POINTS:
        _check_point(value, spec.name, name)
    elif name in _TEXTS and name not in spec.optional and not value.strip(" "):
        raise ActionError(f"action '{spec.name}' has an empty '{name}'")
    elif name == "direction" and value not in DIRECTIONS:
        raise ActionError(f"action '{spec.name}': 'direction' is {value!r}; use one of {', '.join(DIRECTIONS)}")


def _check_point(point: Point, kind: str, name: str) -> None:
    if point.frame != FRACTION:
        raise ActionError(f"action '{kind}': '{name}' is in the frame {point.frame.name}: convert it to fractions")
    if not (0.0 <= point.x <= 1.0 and 0.0 <= point.y <= 1.0):
        raise ActionError(
            f"action '{kind}': '{name}' is off the screen: ({point.x:g}, {point.y:g}); give fractions of its size"
        )


# ---- JSON ------------------------------------------------------------------------------------------------------------


def action_to_json(action: Action) -> dict[str, Any]:
    """The Action record, without absent fields. Raises FrameError for a point that is not in fractions."""
    record: dict[str, Any] = {"action_type": action.action_type}
    for name in ARGUMENTS:
        value = getattr(action, name)
        if value is None:
            continue
        if isinstance(value, Point):
            if value.frame != FRACTION:
                raise FrameError(f"'{name}' is in the frame {value.frame.name}: convert it to fractions before writing")
            value = [value.x, value.y]
        record[name] = dict(value) if isinstance(value, Mapping) else value
    return record


def action_from_json(record: object, where: str = "action") -> Action:
    """An Action from its record. Raises DataError naming ``where`` and the field; whether it makes sense on a platform
    is asked of ``validate``."""
    if not isinstance(record, Mapping):
        raise DataError(f"{where}: not an object")
    kind = record.get("action_type")
    if not isinstance(kind, str) or not kind:
        raise DataError(f"{where}: 'action_type' is missing or not a string")
    values: dict[str, Any] = {}
    for name, value in record.items():
        if name == "action_type":
            continue
        if name not in ARGUMENTS:
            raise DataError(f"{where}: unknown field '{name}'; the fields are action_type, {', '.join(ARGUMENTS)}")
        if value is None:
            continue
        if name in _POINTS:
            values[name] = _point(value, f"{where}: '{name}'")
        elif not isinstance(value, Mapping if name == "arguments" else str):
            raise DataError(f"{where}: '{name}' is not {'an object' if name == 'arguments' else 'a string'}")
        else:
            values[name] = value
    return Action(kind, **values)


def _point(value: object, what: str) -> Point:
    try:
        if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) in (int, float) for v in value):
            return Point(float(value[0]), float(value[1]))
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise DataError(f"{what} is not [x, y], two fractions of the screen")


# ---- sameness --------------------------------------------------------------------------------------------------------


def same_type(a: Action, b: Action) -> bool:
    """Whether both do the same kind of thing."""
    return a.action_type == b.action_type


def same_action(action: Action, recorded: Action, box: Box | None = None, radius: float = RADIUS) -> bool:
    """Whether ``action`` does what was ``recorded`` (METHOD section 5, r_coord and the non-pointing GUI steps).

    Pointing: in ``box`` (edges included), or with no box within ``radius`` of the recorded point (normalised Euclidean
    distance). Drag: the start as a pointing action, the end within ``radius``. Other types by their argument; what the
    record leaves out (no content, no direction) is not asked for.
    Raises ActionError when the record itself names no place, and FrameError for points that are not fractions.
    """
    if not same_type(action, recorded):
        return False
    kind = action.action_type
    if kind in POINTING:
        if box is None and recorded.point is None and recorded.element is not None:
            hit = action.element == recorded.element
        else:
            hit = _hits(action.point, recorded.point, box, radius, kind)
        return hit and (recorded.content is None or _words(action.content) == _words(recorded.content))
    if kind == "drag":
        starts = _hits(action.start_point, recorded.start_point, box, radius, kind)
        return starts and _hits(action.end_point, recorded.end_point, None, radius, kind)
    if kind == "hotkey":
        return _keys(action.key) == _keys(recorded.key)
    if kind == "type":
        return recorded.content is None or action.content == recorded.content
    if kind == "scroll":
        return recorded.direction is None or _words(action.direction) == _words(recorded.direction)
    if kind == "open_app":
        return _words(action.app_name) == _words(recorded.app_name)
    if kind in TERMINAL or kind in ("goto", "tab_focus"):
        return recorded.content is None or _words(action.content) == _words(recorded.content)
    if is_tool(kind):
        return (action.arguments or {}) == (recorded.arguments or {})
    return True  # wait, press_home, press_back and others that take nothing


def _hits(point: Point | None, recorded: Point | None, box: Box | None, radius: float, kind: str) -> bool:
    if box is None and recorded is None:
        raise ActionError(f"the recorded '{kind}' names no place: it needs a point or a box")
    if point is None:
        return False
    if box is not None:
        return inside(point, box)
    assert recorded is not None
    return distance(point, recorded) <= radius + 1e-9  # the edge counts, whatever the last bit says


def _keys(key: str | None) -> frozenset[str]:
    """The keys of a combination, in any order."""
    return frozenset(split_keys(key or ""))


def _words(text: str | None) -> str:
    return " ".join((text or "").casefold().split())
