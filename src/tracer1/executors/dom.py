"""The exact executor: finds an instruction's target among the elements that the environment reports.

Other executors are measured against it. It shares ``reading_order`` with the one that reads pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tracer1.errors import InstructionError
from tracer1.executors.instruction import POINTING, Instruction, instruction_of, ordinal_word
from tracer1.types import Action, Box, Element, Observation, Point, Step

T = TypeVar("T")


class DomExecutor:
    """Grounds in ``Observation.elements``: by the exact name, else without regard to case; the first if unnamed."""

    name = "dom"

    async def act(self, step: Step, observation: Observation) -> Action:
        """The action for ``step``, points as fractions. Raises InstructionError when nothing on the screen fits."""
        return self.ground(instruction_of(step), observation)

    def ground(self, parsed: Instruction, observation: Observation) -> Action:
        """The action for a parsed instruction. Raises InstructionError as ``act``."""
        if observation.elements is None:
            raise InstructionError("the dom executor needs an observation with elements; use 'ocr' for pixels alone")
        elements = observation.elements
        if parsed.verb == "drag":
            start = find_element(elements, parsed.role, parsed.name, parsed.ordinal)
            end = find_element(elements, parsed.to_role, parsed.to_name, None)
            return Action("drag", start_point=centre(start.box), end_point=centre(end.box))
        if parsed.verb in POINTING or (parsed.verb == "scroll" and parsed.role):
            target = find_element(elements, parsed.role, parsed.name, parsed.ordinal)
            return action_at(parsed, centre(target.box))
        return action_at(parsed, None)


def action_at(instruction: Instruction, point: Point | None) -> Action:
    """The action of an instruction whose target is at ``point``; None for actions without a place."""
    match instruction.verb:
        case "type":
            return Action("type", content=instruction.content)
        case "press":
            return Action("hotkey", key=(instruction.key or "").replace("+", " "))
        case "scroll":
            return Action("scroll", point=point or Point(0.5, 0.5), direction=instruction.direction)
        case "wait" | "finished":
            return Action(instruction.verb)
        case _:
            return Action(instruction.action_type, point=point)


def find_element(elements: Sequence[Element], role: str | None, name: str | None, ordinal: int | None) -> Element:
    """The ``ordinal``-th (or first) element of ``role`` in reading order, among those called ``name`` if given.

    Raises InstructionError, which lists the names that there are.
    """
    same_role = reading_order(e for e in elements if e.role == role)
    found = same_role
    if name is not None:
        found = [e for e in same_role if e.name == name]
        found = found or [e for e in same_role if e.name.casefold() == name.casefold()]
    number = ordinal or 1
    if number > len(found):
        there = ", ".join(repr(e.name) for e in same_role[:8]) or "none"
        raise InstructionError(f"no {described(role, name, ordinal)} on the screen; of that kind there are: {there}")
    return found[number - 1]


def described(role: str | None, name: str | None, ordinal: int | None) -> str:
    """The target in words: "2nd 'Odd' button"."""
    return " ".join([*([ordinal_word(ordinal)] if ordinal else []), *([repr(name)] if name else []), role or "thing"])


def reading_order(elements: Iterable[Element]) -> list[Element]:
    """Row by row from the top, left to right within a row."""
    return reading_rows(list(elements), lambda e: e.box)


def reading_rows(things: Sequence[T], box_of: Callable[[T], Box]) -> list[T]:
    """Reading order of anything that has a box; a row holds all boxes around the middle of its first one."""
    rows: list[list[T]] = []
    for thing in sorted(things, key=lambda t: (box_of(t)[1] + box_of(t)[3], box_of(t)[0])):
        middle = (box_of(thing)[1] + box_of(thing)[3]) / 2
        if rows and box_of(rows[-1][0])[1] <= middle <= box_of(rows[-1][0])[3]:
            rows[-1].append(thing)
        else:
            rows.append([thing])
    return [thing for row in rows for thing in sorted(row, key=lambda t: box_of(t)[0])]


def centre(box: Box) -> Point:
    """The middle of a box in fractions."""
    return Point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
