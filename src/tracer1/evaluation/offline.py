"""A planner on held-out windows: plan reward, forecast hits by depth, first-step execution, copied arguments apart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tracer1.errors import InstructionError
from tracer1.evaluation.statistics import Estimate, mean, share
from tracer1.executors.instruction import parse_instruction
from tracer1.plan.text import parse_plan
from tracer1.rewards.trajectory import hit_by_depth
from tracer1.training.scoring import Scorer, recorded
from tracer1.types import Message, Model, Plan, Window


@dataclass(frozen=True, slots=True)
class OfflineResult:
    """Held-out figures, each with interval and count. ``copied``: see :func:`evaluate_windows`."""

    plan_reward: Estimate
    format: Estimate
    first_step_accuracy: Estimate
    hit_rate_by_depth: tuple[Estimate, ...]
    copied: Estimate
    completions: tuple[str, ...]
    rewards: tuple[float | None, ...]  # stage 1's, by window

    def to_json(self) -> dict[str, Any]:
        return {
            "plan_reward": self.plan_reward.to_json(),
            "format": self.format.to_json(),
            "first_step_accuracy": self.first_step_accuracy.to_json(),
            "hit_rate_by_depth": [e.to_json() for e in self.hit_rate_by_depth],
            "copied_arguments": self.copied.to_json(),
        }


def evaluate_windows(
    model: Model,
    windows: Sequence[Window],
    rows: Sequence[dict[str, Any]],
    trajectory: Scorer,
    grounded: Scorer,
    *,
    horizon: int,
    known_strings: Collection[str],
    on_batch: Callable[[int], None] = lambda _: None,
    batch: int = 64,
) -> OfflineResult:
    """Greedy plans for every window, scored by both rewards.

    ``copied`` counts, over first steps whose recorded instruction quotes a string of the goal that is in none of
    ``known_strings`` (those of the training episodes), how often the plan quotes exactly the same strings. Loose speech
    that names no target is judged by what it quotes: a missing name is not a miscopied one and is not counted.
    """
    completions: list[str] = []
    for start in range(0, len(windows), batch):
        completions += model.complete([w.prompt for w in windows[start : start + batch]])
        on_batch(len(completions))
    first = trajectory(completions, rows)
    second = grounded(completions, rows)
    plans = [parse_plan(c).plan for c in completions]
    references = [recorded(r) for r in rows]
    hits = [hit_by_depth(p, ref.steps) for p, ref in zip(plans, references, strict=True)]
    copied = [
        exact
        for plan, ref, window in zip(plans, references, windows, strict=True)
        if (exact := copied_exactly(plan, ref.steps[0].instruction, goal_of(window.prompt), known_strings)) is not None
    ]
    return OfflineResult(
        plan_reward=mean([s.overall for s in first if s.overall is not None]),
        format=mean([s.format for s in first]),
        first_step_accuracy=share([s.accuracy == 1.0 for s in second if s.accuracy is not None]),
        hit_rate_by_depth=tuple(
            share([hit for h in hits if len(h) > d and (hit := h[d]) is not None]) for d in range(horizon)
        ),
        copied=share(copied),
        completions=tuple(completions),
        rewards=tuple(s.overall for s in first),
    )


def goal_of(prompt: Sequence[Message]) -> str:
    """The text of the prompt's messages: where a copied string comes from."""
    return "\n".join(
        m["content"]
        if isinstance(m["content"], str)
        else "\n".join(p["text"] for p in m["content"] if p["type"] == "text")
        for m in prompt
    )


def copied_exactly(plan: Plan | None, instruction: str, goal: str, known: Collection[str]) -> bool | None:
    """Did the plan's first step copy what the recorded one copies from the goal?

    None where there is nothing unseen to copy, or the plan names nothing.
    """
    wanted = parse_instruction(instruction)
    pairs = [("name", wanted.name), ("content", wanted.content)]
    fields = [(f, s) for f, s in pairs if s and s in goal and s not in known]
    if not fields or plan is None:
        return None if not fields else False
    try:
        told = parse_instruction(plan.steps[0].instruction)
    except InstructionError:
        return False
    named = [(f, s) for f, s in fields if getattr(told, f) is not None]
    return all(getattr(told, f) == s for f, s in named) if named else None
