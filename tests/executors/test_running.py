"""Executors at work: outcomes, time limits, one concurrency limit, and synchronous callers."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tracer1.errors import ActionError, ExecutorError, InstructionError
from tracer1.executors.dom import DomExecutor
from tracer1.executors.ocr import OcrExecutor
from tracer1.executors.running import Background, TimeLimited, attempt, attempt_all
from tracer1.types import Action, Executor, Observation, Outcome, Step

SCREEN = Observation(None, (10, 10), ())


class Slow:
    """Waits for as long as the step's instruction says, and counts how many steps are under way."""

    name = "slow"

    def __init__(self) -> None:
        self.running = self.most = 0

    async def act(self, step: Step, observation: Observation) -> Action:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(float(step.instruction))
        finally:
            self.running -= 1
        return Action("type", content=step.instruction)


class Failing:
    """Raises what it was given."""

    name = "failing"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def act(self, step: Step, observation: Observation) -> Action:
        raise self.error


def wait(seconds: float) -> Step:
    return Step("", "type", str(seconds))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InstructionError("no such button"), Outcome(missed="no such button")),
        (ActionError("a click needs a point"), Outcome(missed="a click needs a point")),
        (ExecutorError("out of memory"), Outcome(failed="out of memory")),
    ],
)
def test_an_outcome_says_whose_fault_it_was(error: Exception, outcome: Outcome) -> None:
    assert asyncio.run(attempt(Failing(error), wait(0), SCREEN)) == outcome


def test_a_bug_is_raised_as_itself() -> None:
    with pytest.raises(KeyError, match="oops"):
        asyncio.run(attempt(Failing(KeyError("oops")), wait(0), SCREEN))


def test_an_executor_that_takes_too_long_has_failed() -> None:
    executor = Slow()
    outcome = asyncio.run(attempt(TimeLimited(executor, 0.05), wait(30), SCREEN))
    assert outcome == Outcome(failed="executor 'slow': no answer within 0.05 s")
    assert executor.running == 0


def test_many_at_once_under_one_limit_and_in_order() -> None:
    executor = Slow()
    steps = [wait(0.06 - i / 100) for i in range(6)]  # the later ones end first
    outcomes = asyncio.run(attempt_all(executor, [(step, SCREEN) for step in steps], concurrency=3))
    assert [outcome.action and outcome.action.content for outcome in outcomes] == [s.instruction for s in steps]
    assert executor.most == 3


def test_one_failure_leaves_the_others() -> None:
    tried = [(wait(0), SCREEN), (wait(30), SCREEN), (wait(0.01), SCREEN)]
    outcomes = asyncio.run(attempt_all(TimeLimited(Slow(), 0.2), tried))
    assert [bool(outcome.action) for outcome in outcomes] == [True, False, True]
    assert "no answer" in (outcomes[1].failed or "")


def test_synchronous_code_can_start_many() -> None:
    started = time.monotonic()
    with Background() as background:
        outcomes = background.run(attempt_all(Slow(), [(wait(0.2), SCREEN)] * 8))
        assert threading.current_thread() is threading.main_thread()
        assert background.run(attempt(Slow(), wait(0), SCREEN)).action is not None  # it can be used again
    assert len(outcomes) == 8
    assert time.monotonic() - started < 1.0  # one after another they would take 1.6 s


def test_closing_cancels_what_still_runs() -> None:
    executor = Slow()
    with Background() as background:
        running = asyncio.run_coroutine_threadsafe(attempt(executor, wait(30), SCREEN), background._loop)
        while not executor.running:
            time.sleep(0.01)
    assert running.cancelled()
    assert executor.running == 0


@pytest.mark.parametrize("executor", [DomExecutor(), OcrExecutor()], ids=["dom", "ocr"])
@pytest.mark.parametrize(
    "step",
    [Step("", "image_qa", "ask what the picture shows"), Step("", "click", "click the button", arguments={"x": 1})],
    ids=["a-tool", "arguments"],
)
def test_executors_of_screens_refuse_tools(executor: Executor, step: Step) -> None:
    outcome = asyncio.run(attempt(executor, step, SCREEN))
    assert outcome.missed is not None
    assert "but this executor works on screens" in outcome.missed
    assert any(f"the step {words}" in outcome.missed for words in ("calls the tool 'image_qa'", "gives arguments"))
