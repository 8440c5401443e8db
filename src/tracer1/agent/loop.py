"""The plan-act loop (METHOD section 1): observe, forecast T steps, let the executor do the first, look, plan again.

Many episodes run side by side; each asks the planner when it is ready (agent/batching.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from tracer1.agent.batching import Batcher
from tracer1.agent.episode import Limits, Live, remember, surprise
from tracer1.errors import ActionError, EnvironmentFailure, ExecutorError, InstructionError, ModelError, PlanError
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import require_plan
from tracer1.types import Action, Env, Executor, Model, Plan, Trajectory

__all__ = ["Limits", "remember", "run_episode", "run_episodes", "surprise"]


async def run_episode(
    env: Env, name: str, seed: int, planner: Batcher, executor: Executor, spec: PromptSpec, limits: Limits
) -> Trajectory:
    """One episode of task ``name``. A failure ends it by name; it is never raised."""
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

    Returns the trajectory when the episode is over, else None.
    """
    try:
        plan = require_plan(completion)
    except PlanError as error:
        return live.close("failed", f"step {live.record(completion, None, error=str(error))}: {error}")
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
    try:
        action = await executor.act(plan.steps[0], live.observation)
        transition = await env.step(action)
    except (InstructionError, ActionError) as error:  # the planner's fault
        return live.close("failed", f"step {live.record(completion, plan, action, str(error))}: {error}")
    except (ExecutorError, EnvironmentFailure) as error:
        number = live.record(completion, plan, action, str(error))
        return live.close("failed", f"infrastructure, step {number}: {error}")
    live.record(completion, plan, action)
    live.advance(plan.steps[0], transition.observation)
    if transition.terminated or action.action_type == "finished":
        return live.close("finished", transition.reason, transition.reward)
    limit = limits.reached(live)
    return live.close("truncated", limit) if limit else None


# ---- many episodes ---------------------------------------------------------------------------------------------------


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
