"""The yardstick agent: exact names first, ordinals in reading order, and a clear refusal."""

from __future__ import annotations

import asyncio

import pytest

from tracer1.errors import InstructionError
from tracer1.executors.dom import DomExecutor, reading_order
from tracer1.executors.instruction import parse_instruction
from tracer1.types import Action, Element, Observation, Point, Step

SCREEN = Observation(
    None,
    (160, 210),
    (
        Element("button", "ok", (0.5, 0.8, 0.7, 0.9)),
        Element("button", "OK", (0.1, 0.81, 0.3, 0.91)),
        Element("field", "User", (0.1, 0.1, 0.5, 0.2)),
        Element("field", "", (0.6, 0.09, 0.9, 0.19)),
        Element("field", "User", (0.1, 0.3, 0.5, 0.4)),
        Element("list", "", (0.0, 0.4, 1.0, 0.6)),
    ),
)


def act(instruction: str) -> Action:
    step = Step("", parse_instruction(instruction).action_type, instruction)
    return asyncio.run(DomExecutor().act(step, SCREEN))


@pytest.mark.parametrize(
    ("instruction", "x", "y"),
    [
        ("click the 'OK' button", 0.2, 0.86),
        ("click the 'ok' button", 0.6, 0.85),
        ("click the 'Ok' button", 0.2, 0.86),  # without regard to case, the first
        ("click the button", 0.2, 0.86),
        ("click the 2nd button", 0.6, 0.85),
        ("click the 2nd field", 0.75, 0.14),
        ("click the 2nd 'User' field", 0.3, 0.35),
        ("click the 3rd field", 0.3, 0.35),
    ],
)
def test_points_at_what_is_named(instruction: str, x: float, y: float) -> None:
    point = act(instruction).point
    assert point is not None
    assert (point.x, point.y) == pytest.approx((x, y))


def test_actions_of_the_other_verbs() -> None:
    assert act("type 'a b' in the 'User' field") == Action("type", content="a b")
    assert act("press ctrl+c") == Action("hotkey", key="ctrl c")
    assert act("scroll down") == Action("scroll", point=Point(0.5, 0.5), direction="down")
    assert act("scroll up in the list") == Action("scroll", point=Point(0.5, 0.5), direction="up")
    assert act("wait") == Action("wait")
    assert act("finished") == Action("finished")
    dragged = act("drag the 'ok' button to the 'OK' button")
    assert (dragged.start_point, dragged.end_point) == (
        act("click the 2nd button").point,
        act("click the button").point,
    )


@pytest.mark.parametrize(
    "instruction", ["click the 'No' button", "click the 3rd button", "click the link", "click the 2nd 'OK' button"]
)
def test_refuses_what_is_not_there(instruction: str) -> None:
    with pytest.raises(InstructionError, match="on the screen"):
        act(instruction)


def test_the_type_of_the_step_binds_too() -> None:
    """A plan that says `drag` with the words of a click is not carried out as a click."""
    for kind in ("drag", "left_double", "type"):
        with pytest.raises(InstructionError, match=f"the step's action is '{kind}', but its instruction says 'click'"):
            asyncio.run(DomExecutor().act(Step("", kind, "click the 'OK' button"), SCREEN))


def test_needs_elements() -> None:
    with pytest.raises(InstructionError, match="with elements"):
        DomExecutor().ground(parse_instruction("click the button"), Observation("x.png", (1, 1)))


def test_reading_order_goes_row_by_row() -> None:
    boxes = [(0.5, 0.10, 0.6, 0.2), (0.1, 0.12, 0.2, 0.22), (0.0, 0.3, 1.0, 0.4)]
    elements = [Element("text", str(i), box) for i, box in enumerate(boxes)]
    assert [e.name for e in reading_order(elements)] == ["1", "0", "2"]
