"""The vocabulary: immutable values that compare by content and travel to other processes; errors with one root."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import pytest

from tracer1 import errors, types
from tracer1.types import FRACTION, Action, Episode, EpisodeStep, Frame, Plan, Point, Reference, Score, Step, Window

RECORDS = [cls for _, cls in inspect.getmembers(types, dataclasses.is_dataclass) if isinstance(cls, type)]
ERRORS = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__ and cls is not errors.TraceR1Error
]
CLICK = Action("click", Point(0.5, 0.64))
STEP = Step("form", "click", "click the 'Login' button", arguments={"n": 1})
VALUES = [
    Point(500, 640, Frame("per_mille", 1000.0, 1000.0)),
    Plan((STEP,), "thought", 3),
    Score(None, 0.5, None, {"format": 0.5}, {"format": 0.1}, unscored="the agent timed out"),
    Episode("e", "miniwob", "web", "g", "train", (EpisodeStep("a.png", (160, 210), "form", "click", CLICK),)),
    Window(({"role": "user", "content": "x"},), ("a.png",), Reference((STEP,), CLICK, (0, 0, 1, 1)), "e", 0, "miniwob"),
]


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_records_are_frozen_and_slotted(cls: type) -> None:
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(cls)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_cannot_change_and_survive_a_process(value: object) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(value)) == value


def test_points_are_fractions_unless_said_otherwise() -> None:
    assert Point(0.5, 0.5).frame == FRACTION == Frame("fraction", 1.0, 1.0)
    assert Point(0.5, 0.5) != Point(0.5, 0.5, Frame("pixels", 1.0, 1.0))


def test_every_error_has_the_same_root_and_says_whose_it_is() -> None:
    assert {errors.PlanError, errors.DataError, errors.ExecutorError, errors.InstructionError} <= set(ERRORS)
    for error in ERRORS:
        assert issubclass(error, errors.TraceR1Error)
        assert error.__doc__
    # The planner's fault and the executor's are scored differently: neither may catch the other.
    assert not issubclass(errors.InstructionError, errors.ExecutorError)
    assert not issubclass(errors.ExecutorError, errors.InstructionError)
