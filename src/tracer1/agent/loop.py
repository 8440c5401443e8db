"""The plan-act loop (METHOD section 1): observe, forecast T steps, let the tool agent do the first, look, plan again.

Many pages move in lock-step so that one batch of prompts serves them all; a page that finishes takes the next episode
at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tracer1.errors import ActionError, EnvironmentFailure, InstructionError, PlanError, ToolAgentError
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import render_plan, require_plan
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
    """When an episode is cut off: ``steps`` by task name (``default_steps`` elsewhere), ``seconds`` of wall time."""

    steps: dict[str, int] = field(default_factory=dict)
    default_steps: int = 12
    seconds: float = 120.0


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
        """The last plan without the step that was taken: what the planner will say next if nothing surprises it."""
        last = self.turns[-1].plan if self.turns else None
        if last is None or len(last.steps) < 2:
            return ""
        return render_plan(replace(last, steps=last.steps[1:], first_number=last.first_number + 1))

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
    """Take one plan's first step. Returns the finished rollout when the episode is over, else None."""
    plan: Plan | None = None
    action: Action | None = None

    def record(error: str | None = None) -> None:
        live.turns.append(Turn(live.observation.screenshot, completion, plan, action, error))

    try:
        plan = require_plan(completion)
        step = plan.steps[0]
        action = tool_agent.act(step.instruction, live.observation)
        transition: Transition = await env.step(action)
    except (PlanError, InstructionError, ActionError) as error:  # the planner's fault
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


def remember(step: Step) -> HistoryStep:
    """What the planner is told of a past step: its own words, never the screenshot."""
    return HistoryStep(step.abstraction, step.action_type, step.instruction)
