"""One live episode: its state, its limits, and when a plan's next step may be done without planning again."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tracer1.errors import ActionError, ExecutorError, InstructionError
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import render_tail
from tracer1.types import (
    Action,
    Ending,
    Executor,
    HistoryStep,
    Message,
    Observation,
    Plan,
    Step,
    Task,
    Trajectory,
    Turn,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """When an episode is cut off: ``steps`` by task name (``default_steps`` elsewhere), ``seconds`` of wall time.

    ``steps_per_plan``: how many steps of one plan may be done while nothing surprises; 1 plans again after every step.
    """

    steps: dict[str, int] = field(default_factory=dict)
    default_steps: int = 12
    seconds: float = 120.0
    steps_per_plan: int = 1

    def reached(self, live: Live) -> str:
        """Which limit an episode has reached; "" while it may go on. The task's own limits replace the defaults."""
        if len(live.turns) >= self.steps.get(live.name, live.task.max_steps or self.default_steps):
            return f"{len(live.turns)} steps"
        seconds = self.seconds if live.task.seconds is None else live.task.seconds
        return f"{seconds:g} seconds" if time.monotonic() - live.started > seconds else ""


@dataclass(slots=True)
class Live:
    """One episode under way."""

    name: str  # of the task
    seed: int
    task: Task
    observation: Observation
    started: float
    history: list[HistoryStep] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def prompt(self, spec: PromptSpec) -> tuple[Message, ...]:
        return spec.prompt(self.task, self.observation, self.history, len(self.history) + 1)

    def draft(self) -> str:
        """What the planner will probably say next: the rest of its last plan."""
        last = self.turns[-1].plan if self.turns else None
        return render_tail(last) if last is not None else ""

    def record(self, completion: str, plan: Plan | None, action: Action | None = None, error: str | None = None) -> int:
        """Add a turn on the screen that is seen now; its number."""
        self.turns.append(Turn(self.observation.screenshot, completion, plan, action, error))
        return len(self.turns)

    def advance(self, step: Step, observation: Observation) -> None:
        """A step was done: the planner remembers its own words, never the screenshot."""
        self.history.append(remember(step))
        self.observation = observation

    def close(self, ending: Ending, where: str = "", reward: float = 0.0) -> Trajectory:
        return Trajectory(
            self.name,
            self.seed,
            self.task.goal,
            tuple(self.turns),
            reward,
            reward > 0,
            ending,
            where,
            time.monotonic() - self.started,
        )


def remember(step: Step) -> HistoryStep:
    """A past step as the planner is shown it."""
    return HistoryStep(step.abstraction, step.action_type, step.instruction)


async def surprise(step: Step, planned_on: Observation, seen: Observation, executor: Executor) -> str:
    """Why the plan's next step may not be done without planning again; "" when it may.

    It may when the screen has the same elements by role and name as when the plan was made, and the executor finds the
    step's target on it. A screen whose elements are not known is always a surprise.
    """
    if not planned_on.elements or not seen.elements:
        return "the screen's elements are not known"
    before, after = (Counter((e.role, e.name) for e in o.elements or ()) for o in (planned_on, seen))
    if changed := (before - after) + (after - before):
        role, name = next(iter(changed))
        return f"{role} {name!r} {'appeared' if after[role, name] > before[role, name] else 'is gone'}"
    try:
        await executor.act(step, seen)
    except (InstructionError, ActionError, ExecutorError) as error:
        return str(error)
    return ""
