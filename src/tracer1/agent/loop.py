"""The plan-act loop (METHOD section 1): observe, forecast T steps, let the executor do the first, look, plan again.

Many pages move in lock-step so that one batch of prompts serves them all; a page that finishes takes the next episode
at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tracer1.errors import ActionError, EnvironmentFailure, ExecutorError, InstructionError, PlanError
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import render_tail, require_plan
from tracer1.types import (
    Action,
    DraftingModel,
    Ending,
    Env,
    Executor,
    HistoryStep,
    Model,
    Observation,
    Plan,
    Step,
    Trajectory,
    Transition,
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


@dataclass(slots=True)
class Live:
    """One episode under way."""

    task: str
    seed: int
    goal: str
    observation: Observation
    started: float
    history: list[HistoryStep] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def prompt(self, spec: PromptSpec) -> tuple[dict[str, object], ...]:
        images = (self.observation.screenshot,) if self.observation.screenshot else ()
        return spec.messages(self.goal, self.history, number=len(self.history) + 1, images=images)

    def draft(self) -> str:
        """What the planner will probably say next."""
        last = self.turns[-1].plan if self.turns else None
        return render_tail(last) if last is not None else ""

    def close(self, ending: Ending, where: str = "", reward: float = 0.0) -> Trajectory:
        return Trajectory(
            self.task,
            self.seed,
            self.goal,
            tuple(self.turns),
            reward,
            reward > 0,
            ending,
            where,
            time.monotonic() - self.started,
        )


async def run_episodes(
    jobs: Sequence[tuple[str, int]],
    envs: Sequence[Env],
    model: Model,
    executor: Executor,
    spec: PromptSpec,
    limits: Limits,
    on_trajectory: Callable[[Trajectory], None] = lambda _: None,
) -> list[Trajectory]:
    """Run every (task, seed) job once over the given pages; rollouts come back in the order of the jobs."""
    queue = list(enumerate(jobs))[::-1]
    done: dict[int, Trajectory] = {}
    slots: list[tuple[int, Live] | None] = [None] * len(envs)

    def finish(job: int, rollout: Trajectory) -> None:
        done[job] = rollout
        on_trajectory(rollout)

    async def fill(i: int) -> None:
        while queue and slots[i] is None:
            job, (task, seed) = queue.pop()
            started = time.monotonic()
            try:
                goal, observation = await envs[i].reset(task, seed)
                slots[i] = (job, Live(task, seed, goal, observation, started))
            except EnvironmentFailure as error:
                finish(
                    job,
                    Trajectory(
                        task, seed, "", (), 0.0, False, "failed", f"environment: {error}", time.monotonic() - started
                    ),
                )

    async def advance(i: int, completion: str) -> None:
        slot = slots[i]
        assert slot is not None
        ended = await turn(slot[1], completion, envs[i], executor, limits)
        if ended is not None:
            finish(slot[0], ended)
            slots[i] = None

    while len(done) < len(jobs):
        await asyncio.gather(*(fill(i) for i in range(len(envs))))
        active = [(i, slot[1]) for i, slot in enumerate(slots) if slot is not None]
        prompts = [live.prompt(spec) for _, live in active]
        if isinstance(model, DraftingModel):
            drafts = [live.draft() for _, live in active]
            completions = await asyncio.to_thread(model.complete_drafted, prompts, drafts)
        else:
            completions = await asyncio.to_thread(model.complete, prompts)
        await asyncio.gather(*(advance(i, text) for (i, _), text in zip(active, completions, strict=True)))
    return [done[i] for i in range(len(jobs))]


async def turn(live: Live, completion: str, env: Env, executor: Executor, limits: Limits) -> Trajectory | None:
    """Do a plan's first step, and up to ``limits.steps_per_plan`` while nothing surprises.

    Returns the finished rollout when the episode is over, else None.
    """
    try:
        plan = require_plan(completion)
    except PlanError as error:
        live.turns.append(Turn(live.observation.screenshot, completion, None, None, str(error)))
        return live.close("failed", f"step {len(live.turns)}: {error}")
    planned_on = live.observation
    ended = await take(live, completion, plan, env, executor, limits)
    for k in range(1, min(limits.steps_per_plan, len(plan.steps))):
        if ended is not None or surprise(plan.steps[k], planned_on, live.observation, executor):
            break
        rest = replace(plan, steps=plan.steps[k:], first_number=plan.first_number + k)
        ended = await take(live, "", rest, env, executor, limits)
    return ended


async def take(
    live: Live, completion: str, plan: Plan, env: Env, executor: Executor, limits: Limits
) -> Trajectory | None:
    """Execute a plan's first step; ``completion`` is "" where the planner was not asked again."""
    action: Action | None = None
    step = plan.steps[0]

    def record(error: str | None = None) -> None:
        live.turns.append(Turn(live.observation.screenshot, completion, plan, action, error))

    try:
        action = executor.act(step.instruction, live.observation)
        transition: Transition = await env.step(action)
    except (InstructionError, ActionError) as error:  # the planner's fault
        record(str(error))
        return live.close("failed", f"step {len(live.turns)}: {error}")
    except (ExecutorError, EnvironmentFailure) as error:
        record(str(error))
        return live.close("failed", f"infrastructure, step {len(live.turns)}: {error}")
    record()
    live.history.append(remember(step))
    live.observation = transition.observation
    if transition.terminated or action.action_type == "finished":
        return live.close("finished", transition.reason, transition.reward)
    if len(live.turns) >= limits.steps.get(live.task, limits.default_steps):
        return live.close("truncated", f"{len(live.turns)} steps")
    if time.monotonic() - live.started > limits.seconds:
        return live.close("truncated", f"{limits.seconds:g} seconds")
    return None


def surprise(step: Step, planned_on: Observation, seen: Observation, executor: Executor) -> str:
    """Why the plan's next step may not be done without planning again; "" when it may.

    It may when the screen still holds what it held when the plan was made (the same elements by role and name: nothing
    has opened, closed or been renamed) and the executor finds on it what the step speaks of. Where the elements are
    not known nothing can be said of the screen, and that is a surprise too.
    """
    if not planned_on.elements or not seen.elements:
        return "the screen's elements are not known"
    before, after = (Counter((e.role, e.name) for e in o.elements or ()) for o in (planned_on, seen))
    if changed := (before - after) + (after - before):
        role, name = next(iter(changed))
        return f"{role} {name!r} {'appeared' if after[role, name] > before[role, name] else 'is gone'}"
    try:
        executor.act(step.instruction, seen)
    except (InstructionError, ActionError, ExecutorError) as error:
        return str(error)
    return ""


def remember(step: Step) -> HistoryStep:
    """What the planner is told of a past step: its own words, never the screenshot."""
    return HistoryStep(step.abstraction, step.action_type, step.instruction)
