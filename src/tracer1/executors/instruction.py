"""The language of step instructions: written by experts and planners, read by the executors that work on screens.

    click the 'Login' button            double-click the 2nd email          click the 3rd 'Odd' button
    type 'ada' in the 'Username' field  type 'ada'                          press ctrl+a
    scroll down in the 'X' list         scroll up                           drag the 'A' item to the 'B' item
    wait                                finished

A quoted string reaches to the last quote that lets the rest match, so a name may hold an apostrophe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from tracer1.actions import DIRECTIONS, is_tool
from tracer1.errors import InstructionError
from tracer1.types import Step

ROLES: Final = (
    "button",
    "field",
    "text area",
    "checkbox",
    "radio button",
    "link",
    "tab",
    "option",
    "icon",
    "menu item",
    "email",
    "result",
    "slider",
    "list",
    "day",
    "section",
    "arrow",
    "image",
    "shape",
    "folder",
    "file",
    "text",
)
"""The kinds of things on a screen, in plain words."""

POINTING: Final = {
    "click": "click",
    "double-click": "left_double",
    "right-click": "right_single",
    "long-press": "long_press",
}
"""Verbs that act at one place, with the action type each becomes."""

ACTION_TYPES: Final = {
    **POINTING,
    "type": "type",
    "press": "hotkey",
    "scroll": "scroll",
    "drag": "drag",
    "wait": "wait",
    "finished": "finished",
}
"""Every verb with its action type."""

MAX_LENGTH: Final = 2000  # characters; the patterns below are quadratic in the worst case


@dataclass(frozen=True, slots=True)
class Instruction:
    """The parts of an instruction. ``ordinal`` counts from 1 in reading order, among those of ``name`` if given."""

    verb: str
    name: str | None = None
    ordinal: int | None = None
    role: str | None = None
    content: str | None = None
    key: str | None = None  # "ctrl+a"
    direction: str | None = None  # where new content comes from
    to_name: str | None = None
    to_role: str | None = None

    @property
    def action_type(self) -> str:
        """The action type (``tracer1.types.Action``) that the verb stands for."""
        return ACTION_TYPES[self.verb]


_ROLE = "|".join(sorted(ROLES, key=len, reverse=True))
_TARGET = rf"the (?:(?P<ordinal>\d{{1,3}})(?:st|nd|rd|th) )?(?:'(?P<name>.+)' )?(?P<role>{_ROLE})"
_PATTERNS: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"(?P<verb>{'|'.join(POINTING)}) {_TARGET}",
        rf"(?P<verb>type) '(?P<content>.+)' in {_TARGET}",
        r"(?P<verb>type) '(?P<content>.+)'",
        r"(?P<verb>press) (?P<key>[^\s+]+(?:\+[^\s+]+)*)",
        rf"(?P<verb>scroll) (?P<direction>{'|'.join(DIRECTIONS)})(?: in {_TARGET})?",
        rf"(?P<verb>drag) {_TARGET} to the (?:'(?P<to_name>.+)' )?(?P<to_role>{_ROLE})",
        r"(?P<verb>wait|finished)",
    )
)


def parse_instruction(text: str) -> Instruction:
    """The parts of an instruction. Raises InstructionError when ``text`` is not in the grammar."""
    words = text.strip()
    if len(words) <= MAX_LENGTH:
        for pattern in _PATTERNS:
            if match := pattern.fullmatch(words):
                parts = match.groupdict()
                ordinal = parts.pop("ordinal", None)
                if ordinal is not None and int(ordinal) == 0:
                    break
                return Instruction(ordinal=int(ordinal) if ordinal else None, **parts)
    raise InstructionError(f"not an instruction: {words[:80]!r}; say for example \"click the 'Login' button\"")


def instruction_of(step: Step) -> Instruction:
    """The instruction of a planned step on a screen.

    Raises InstructionError for a step that calls a tool, for words that are not in the grammar, and for words that name
    another action than the step's own ``action_type``.
    """
    if is_tool(step.action_type) or step.arguments is not None:
        what = f"calls the tool {step.action_type!r}" if is_tool(step.action_type) else "gives arguments"
        raise InstructionError(f"the step {what}, but this executor works on screens; use an executor of tools")
    parsed = parse_instruction(step.instruction)
    if parsed.action_type != step.action_type:
        raise InstructionError(
            f"the step's action is {step.action_type!r}, but its instruction says {parsed.action_type!r}: "
            f"{step.instruction[:80]!r}"
        )
    return parsed


def render_instruction(instruction: Instruction) -> str:
    """The words of an instruction, from which ``parse_instruction`` makes the same instruction again.

    Raises InstructionError where no words do that.
    """
    words = _words(instruction)
    if parse_instruction(words) != instruction:
        raise InstructionError(f"{instruction} would be read differently as {words[:80]!r}; change its names or fields")
    return words


def drop_target_name(instruction: Instruction) -> Instruction:
    """The same instruction without names."""
    return replace(instruction, name=None, to_name=None, ordinal=None if instruction.name else instruction.ordinal)


def ordinal_word(number: int) -> str:
    """1 -> "1st", 12 -> "12th"."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _words(i: Instruction) -> str:
    target = " ".join(["the", *([ordinal_word(i.ordinal)] if i.ordinal else []), *_named(i.name), i.role or ""])
    match i.verb:
        case "type":
            return f"type '{i.content}'" + (f" in {target}" if i.role else "")
        case "press":
            return f"press {i.key}"
        case "scroll":
            return f"scroll {i.direction}" + (f" in {target}" if i.role else "")
        case "drag":
            return f"drag {target} to " + " ".join(["the", *_named(i.to_name), i.to_role or ""])
        case "wait" | "finished":
            return i.verb
        case _:
            return f"{i.verb} {target}"


def _named(name: str | None) -> list[str]:
    return [f"'{name}'"] if name else []
