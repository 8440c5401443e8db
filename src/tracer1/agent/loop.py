"""The plan-act loop (METHOD section 1): observe, forecast T steps, let the tool agent do the first, look, plan again.

Many pages move in lock-step so that one batch of prompts serves them all; a page that finishes takes the next episode
at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tracer1.errors import ActionError, EnvironmentFailure, InstructionError, PlanError, ToolAgentError
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import render_tail, require_plan
from tracer1.types import (
    Action,
    DraftingModel,
    Ending,
    Env,
    HistoryStep,
    Model,
    Observation,
    Plan,
    Rollout,
    Step,
    ToolAgent,
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

    def close(self, ending: Ending, where: str = "", reward: float = 0.0) -> Rollout:
        return Rollout(
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
    tool_agent: ToolAgent,
    spec: PromptSpec,
    limits: Limits,
    on_rollout: Callable[[Rollout], None] = lambda _: None,
) -> list[Rollout]:
    """Run every (task, seed) job once over the given pages; rollouts come back in the order of the jobs."""
    queue = list(enumerate(jobs))[::-1]
    done: dict[int, Rollout] = {}
    slots: list[tuple[int, Live] | None] = [None] * len(envs)

    def finish(job: int, rollout: Rollout) -> None:
        done[job] = rollout
        on_rollout(rollout)

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
                    Rollout(
                        task, seed, "", (), 0.0, False, "failed", f"environment: {error}", time.monotonic() - started
                    ),
                )

    async def advance(i: int, completion: str) -> None:
        slot = slots[i]
        assert slot is not None
        ended = await turn(slot[1], completion, envs[i], tool_agent, limits)
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


async def turn(live: Live, completion: str, env: Env, tool_agent: ToolAgent, limits: Limits) -> Rollout | None:
    """Do a plan's first step, and up to ``limits.steps_per_plan`` while nothing surprises.

    Returns the finished rollout when the episode is over, else None.
    """
    try:
        plan = require_plan(completion)
    except PlanError as error:
        live.turns.append(Turn(live.observation.screenshot, completion, None, None, str(error)))
        return live.close("failed", f"step {len(live.turns)}: {error}")
    planned_on = live.observation
    ended = await take(live, completion, plan, env, tool_agent, limits)
    for k in range(1, min(limits.steps_per_plan, len(plan.steps))):
        if ended is not None or surprise(plan.steps[k], planned_on, live.observation, tool_agent):
            break
        rest = replace(plan, steps=plan.steps[k:], first_number=plan.first_number + k)
        ended = await take(live, "", rest, env, tool_agent, limits)
    return ended


async def take(
    live: Live, completion: str, plan: Plan, env: Env, tool_agent: ToolAgent, limits: Limits
) -> Rollout | None:
    """Execute a plan's first step; ``completion`` is "" where the planner was not asked again."""
    action: Action | None = None
    step = plan.steps[0]

    def record(error: str | None = None) -> None:
        live.turns.append(Turn(live.observation.screenshot, completion, plan, action, error))

    try:
        action = tool_agent.act(step.instruction, live.observation)
        transition: Transition = await env.step(action)
    except (InstructionError, ActionError) as error:  # the planner's fault
        record(str(error))
        return live.close("failed", f"step {len(live.turns)}: {error}")
    except (ToolAgentError, EnvironmentFailure) as error:
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


def surprise(step: Step, planned_on: Observation, seen: Observation, tool_agent: ToolAgent) -> str:
    """Why the plan's next step may not be done without planning again; "" when it may.

    It may when the screen still holds what it held when the plan was made (the same elements by role and name: nothing
    has opened, closed or been renamed) and the tool agent finds on it what the step speaks of. Where the elements are
    not known nothing can be said of the screen, and that is a surprise too.
    """
    if not planned_on.elements or not seen.elements:
        return "the screen's elements are not known"
    before, after = (Counter((e.role, e.name) for e in o.elements or ()) for o in (planned_on, seen))
    if changed := (before - after) + (after - before):
        role, name = next(iter(changed))
        return f"{role} {name!r} {'appeared' if after[role, name] > before[role, name] else 'is gone'}"
    try:
        tool_agent.act(step.instruction, seen)
    except (InstructionError, ActionError, ToolAgentError) as error:
        return str(error)
    return ""


def remember(step: Step) -> HistoryStep:
    """What the planner is told of a past step: its own words, never the screenshot."""
    return HistoryStep(step.abstraction, step.action_type, step.instruction)
