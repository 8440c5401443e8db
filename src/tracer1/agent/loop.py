"""The plan-act loop (METHOD section 1): observe, forecast T steps, let the executor do the first, look, plan again.

Many episodes run side by side; each asks the planner when it is ready (agent/batching.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tracer1.agent.batching import Batcher
from tracer1.errors import ActionError, EnvironmentFailure, ExecutorError, InstructionError, ModelError, PlanError
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import render_tail, require_plan
from tracer1.types import (
    Action,
    Ending,
    Env,
    Executor,
    HistoryStep,
    Message,
    Model,
    Observation,
    Plan,
    Step,
    Task,
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

    def steps_of(self, live: Live) -> int:
        """The most steps of an episode: of its task by name, else the task's own limit, else the default."""
        return self.steps.get(live.name, live.task.max_steps or self.default_steps)


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
        """What the planner will probably say next."""
        last = self.turns[-1].plan if self.turns else None
        return render_tail(last) if last is not None else ""

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


async def run_episodes(
    jobs: Sequence[tuple[str, int]],
    envs: Sequence[Env],
    model: Model,
    executor: Executor,
    spec: PromptSpec,
    limits: Limits,
    on_trajectory: Callable[[Trajectory], None] = lambda _: None,
) -> list[Trajectory]:
    """Run every (task, seed) job once over the given environments; trajectories come back in the order of the jobs."""
    queue = deque(enumerate(jobs))
    done: dict[int, Trajectory] = {}
    planner = Batcher(model)
    planner.active = len(envs)

    async def work(env: Env) -> None:
        try:
            while queue:
                number, (name, seed) = queue.popleft()
                done[number] = await run_episode(env, name, seed, planner, executor, spec, limits)
                on_trajectory(done[number])
        finally:
            planner.leave()

    answering = asyncio.create_task(planner.run())
    running = {asyncio.create_task(work(env)) for env in envs}
    try:
        while running:
            finished, _ = await asyncio.wait({*running, answering}, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                task.result()  # a bug ends the run as itself
            running -= finished
    finally:
        for task in (*running, answering):
            task.cancel()
        await asyncio.gather(*running, answering, return_exceptions=True)
    return [done[number] for number in range(len(jobs))]


async def run_episode(
    env: Env, name: str, seed: int, planner: Batcher, executor: Executor, spec: PromptSpec, limits: Limits
) -> Trajectory:
    """One episode of task ``name``. What fails ends it by name; it is never raised."""
    started = time.monotonic()
    try:
        task, observation = await env.reset(name, seed)
    except EnvironmentFailure as error:
        seconds = time.monotonic() - started
        return Trajectory(name, seed, "", (), 0.0, False, "failed", f"environment: {error}", seconds)
    live = Live(name, seed, task, observation, started)
    while True:
        try:
            completion = await planner.complete(live.prompt(spec), live.draft())
        except ModelError as error:
            return live.close("failed", f"planner, step {len(live.turns) + 1}: {error}")
        ended = await turn(live, completion, env, executor, limits)
        if ended is not None:
            return ended


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
        if ended is not None or await surprise(plan.steps[k], planned_on, live.observation, executor):
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
        action = await executor.act(step, live.observation)
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
    if len(live.turns) >= limits.steps_of(live):
        return live.close("truncated", f"{len(live.turns)} steps")
    seconds = limits.seconds if live.task.seconds is None else live.task.seconds
    if time.monotonic() - live.started > seconds:
        return live.close("truncated", f"{seconds:g} seconds")
    return None


async def surprise(step: Step, planned_on: Observation, seen: Observation, executor: Executor) -> str:
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
        await executor.act(step, seen)
    except (InstructionError, ActionError, ExecutorError) as error:
        return str(error)
    return ""


def remember(step: Step) -> HistoryStep:
    """What the planner is told of a past step: its own words, never the screenshot."""
    return HistoryStep(step.abstraction, step.action_type, step.instruction)
