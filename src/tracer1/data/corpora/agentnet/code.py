"""AgentNet's action code to actions: pyautogui calls, parsed with ``ast`` and never run.

    pyautogui.moveTo(x=0.5, y=0.5)      scroll down at the middle of the screen
    pyautogui.scroll(-3)

Code with a call or an argument that is not in the table has no equivalent in the action space: all of it is dropped and
noted, since a click between keyDown and keyUp is another action than the click. Unreadable code raises UnusableRecord.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tracer1.data.conversion.corpus import Note, UnusableRecord
from tracer1.data.conversion.fields import number, on_screen, shown
from tracer1.keyboard import KEYS, key_name
from tracer1.types import FRACTION, Action, Point

MAX_CODE = 1 << 16  # characters; a step types at most a few pages
MAX_PRESSES = 100

POINTED = {
    "click": "click",
    "doubleClick": "left_double",
    "rightClick": "right_single",
    "middleClick": "middle_click",
    "tripleClick": "triple_click",
    "triple_click": "triple_click",
}
SCROLLS = {"scroll": ("up", "down"), "hscroll": ("right", "left")}  # for a positive and for a negative number
ENDS = {"success": "finished", "failure": "call_user", "fail": "call_user"}
_PLACE = ("x", "y")
PARAMETERS: Mapping[str, tuple[str, ...]] = {  # in the order of positional arguments
    **dict.fromkeys((f"pyautogui.{name}" for name in POINTED), _PLACE),
    "computer.tripleClick": _PLACE,
    "computer.triple_click": _PLACE,
    "pyautogui.moveTo": (*_PLACE, "duration"),
    "pyautogui.dragTo": (*_PLACE, "duration", "button"),
    "pyautogui.scroll": ("clicks", *_PLACE),
    "pyautogui.hscroll": ("clicks", *_PLACE),
    "pyautogui.write": ("message", "interval"),
    "pyautogui.press": ("keys", "presses", "interval"),
    "pyautogui.hotkey": ("keys", "interval"),
    "computer.wait": ("seconds",),
    "computer.terminate": ("status",),
}


@dataclass(frozen=True, slots=True)
class CodedAction:
    """One action of a step's code. ``labels``: what an Action has no field for."""

    action: Action
    labels: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Call:
    function: str  # "pyautogui.click"
    arguments: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.function.partition(".")[2]


class _NoSuchAction(Exception):
    pass


def read_code(code: str, where: str, notes: list[Note]) -> list[CodedAction]:
    """The actions of one step in order. Changes and losses are added to ``notes``.

    moveTo belongs to the call after it (a drag, a scroll, a click without a point); otherwise it is a hover.
    """
    noted: list[Note] = []
    try:
        found = _actions(_calls(code, where), where, noted)
    except _NoSuchAction as error:
        notes.append(Note("dropped", "unknown action", where, str(error)))
        return []
    notes += noted
    return found


def _actions(calls: Iterable[_Call], where: str, notes: list[Note]) -> list[CodedAction]:
    found: list[CodedAction] = []
    pointer: Point | None = None  # as far as this code shows
    moved: Point | None = None  # by a moveTo that no call has used yet
    wrote = False  # the previous call was write
    for call in calls:
        name, place = call.name, _place(call, where, notes)
        if moved is not None and not (name == "dragTo" or (place is None and name in {*POINTED, *SCROLLS})):
            found.append(CodedAction(Action("hover", point=moved)))
        moved = place if name == "moveTo" else None
        if name == "dragTo":
            found.append(_drag(call, pointer, place, where))
        pointer = place or pointer
        if name in POINTED or name == "moveTo":
            if pointer is None:
                raise UnusableRecord(Note("damaged", "no usable point", where, f"{name} without x and y"))
            if name in POINTED:
                found.append(CodedAction(Action(POINTED[name], point=pointer)))
        elif name in SCROLLS:
            found += _scroll(call, pointer, where, notes)
        elif name == "press":
            keys = _pressed(call, where, notes)
            if wrote and found and found[-1].action.action_type == "type" and keys[:1] == ["enter"]:
                found[-1] = replace(found[-1], action=_submitted(found[-1].action, where, notes))
                keys = keys[1:]
            found += (CodedAction(Action("hotkey", key=key)) for key in keys)
        elif name == "hotkey":
            keys = _names(call, where, notes)
            found += [CodedAction(Action("hotkey", key=" ".join(keys)))] if keys else []
        elif name == "write":
            found += _write(call, where, notes)
        elif name == "wait":
            seconds = number(call.arguments.get("seconds"))
            found.append(CodedAction(Action("wait"), {} if seconds is None else {"seconds": seconds}))
        elif name == "terminate":
            found.append(_end(call))
        wrote = name == "write"
    if moved is not None:
        found.append(CodedAction(Action("hover", point=moved)))
    return found


# ---- calls -----------------------------------------------------------------------------------------------------------


def _calls(code: str, where: str) -> Iterator[_Call]:
    for node in _statements(code, where):
        call = node.value if isinstance(node, ast.Expr) else None
        if not isinstance(call, ast.Call):
            raise _unreadable(where, "a statement that is not a call")
        function = ""
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            function = f"{call.func.value.id}.{call.func.attr}"
        parameters = PARAMETERS.get(function)
        if parameters is None:
            raise _NoSuchAction(shown(function or code))
        try:
            positional = [ast.literal_eval(value) for value in call.args]
            arguments = {str(pair.arg): ast.literal_eval(pair.value) for pair in call.keywords}
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            raise _unreadable(where, f"an argument of {function} that is not a literal") from error
        if function.endswith(".hotkey") and all(isinstance(key, str) for key in positional) and positional:
            positional = [positional]
        given = dict(zip(parameters, positional, strict=False))
        unknown = [*positional[len(parameters) :], *(name for name in arguments if name not in parameters)]
        if unknown or given.keys() & arguments.keys():
            raise _NoSuchAction(f"{function} with {shown([*unknown, *given][0])}")
        yield _Call(function, given | arguments)


def _statements(code: str, where: str) -> list[ast.stmt]:
    if len(code) > MAX_CODE:
        raise _unreadable(where, f"{len(code)} characters; {MAX_CODE} are read at most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about "\d" in a string
            statements = ast.parse(code.strip()).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _unreadable(where, f"{type(error).__name__} in {shown(code)}") from error
    if not statements:
        raise _unreadable(where, "it is empty")
    return statements


def _unreadable(where: str, detail: str) -> UnusableRecord:
    return UnusableRecord(Note("damaged", "no usable code", where, detail))


def _place(call: _Call, where: str, notes: list[Note]) -> Point | None:
    x, y = (call.arguments.get(axis) for axis in _PLACE)
    return None if x is None and y is None else on_screen(x, y, FRACTION, where, notes)


# ---- actions ---------------------------------------------------------------------------------------------------------


def _drag(call: _Call, start: Point | None, end: Point | None, where: str) -> CodedAction:
    if start is None or end is None:
        raise UnusableRecord(Note("damaged", "no usable point", where, "dragTo without its start or its end"))
    if (button := call.arguments.get("button", "left")) != "left":
        raise _NoSuchAction(f"dragTo with {shown(button)}")
    return CodedAction(Action("drag", start_point=start, end_point=end))


def _scroll(call: _Call, point: Point | None, where: str, notes: list[Note]) -> Iterator[CodedAction]:
    clicks = number(call.arguments.get("clicks"))
    if clicks is None:
        raise _unreadable(where, f"{call.name} without a number")
    if clicks == 0:
        notes.append(Note("dropped", "scroll of length 0", where))
    else:
        yield CodedAction(Action("scroll", point=point, direction=SCROLLS[call.name][clicks < 0]), {"clicks": clicks})


def _write(call: _Call, where: str, notes: list[Note]) -> Iterator[CodedAction]:
    message = call.arguments.get("message")
    if not isinstance(message, str):
        raise _unreadable(where, "write without a text")
    if not message.strip(" ") and len(message) > MAX_PRESSES:
        raise _unreadable(where, f"{len(message)} blanks")
    if not message:
        notes.append(Note("dropped", "empty text", where))
    elif message.strip(" "):
        yield CodedAction(Action("type", content=message))
    else:
        notes.append(Note("changed", "blanks typed as keys", where, f"{len(message)} of them"))
        yield from (CodedAction(Action("hotkey", key="space")) for _ in message)


def _submitted(action: Action, where: str, notes: list[Note]) -> Action:
    notes.append(Note("changed", "write and enter merged", where))
    return replace(action, content=f"{action.content}\n")


def _end(call: _Call) -> CodedAction:
    status = call.arguments.get("status", "success")
    kind = ENDS.get(status) if isinstance(status, str) else None
    if kind is None:
        raise _NoSuchAction(f"terminate with {shown(status)}")
    return CodedAction(Action(kind))


def _pressed(call: _Call, where: str, notes: list[Note]) -> list[str]:
    """The keys of a press, in order."""
    presses = call.arguments.get("presses", 1)
    if not isinstance(presses, int) or not 0 <= presses <= MAX_PRESSES:
        raise _unreadable(where, f"{shown(presses)} presses")
    return _names(call, where, notes) * presses


def _names(call: _Call, where: str, notes: list[Note]) -> list[str]:
    keys = call.arguments.get("keys")
    keys = [keys] if isinstance(keys, str) else keys
    if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
        raise _unreadable(where, f"{call.name} without keys")
    named = [_key(key) for key in keys]
    if not all(named) or not named:
        notes.append(Note("dropped", "empty key", where, shown(" ".join(keys))))
        return []
    if named != list(keys):
        notes.append(Note("changed", "key names", where, shown(" ".join(keys))))
    return named


def _key(raw: str) -> str:
    """The canonical name of a recorded key; the Windows key keeps its own."""
    name = raw if raw in KEYS else "".join(raw.lower().split())
    return name if name == "win" else key_name(name)
