"""A planner on held-out windows: plan reward, hit rate by depth, first-step accuracy and copied strings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tracer1.data.windows_file import row_messages
from tracer1.errors import InstructionError
from tracer1.evaluation.quotes import free_quotes
from tracer1.evaluation.statistics import mean, share
from tracer1.executors.instruction import parse_instruction
from tracer1.plan.text import parse_plan
from tracer1.results.files import append, mend, read_lines
from tracer1.results.schema import Estimate, Prediction
from tracer1.rewards.trajectory import hit_by_depth
from tracer1.training.scoring import Scorer, recorded
from tracer1.types import Message, Model, Plan

Row: TypeAlias = Mapping[str, Any]  # of a windows file, its image paths absolute


@dataclass(frozen=True, slots=True)
class OfflineResult:
    """Held-out figures, each with interval and count. ``copied``: see :func:`judge`."""

    plan_reward: Estimate
    format: Estimate
    first_step_accuracy: Estimate
    hit_rate_by_depth: tuple[Estimate, ...]
    copied: Estimate
    predictions: tuple[Prediction, ...]


def window_id(row: Row) -> str:
    """What names a window in a file."""
    return f"{row['episode_id']}#{row['step']}"


def evaluate_windows(
    model: Model,
    rows: Sequence[Row],
    trajectory: Scorer,
    grounded: Scorer,
    *,
    horizon: int,
    known_strings: Collection[str],
    out: Path | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
    batch: int = 64,
) -> OfflineResult:
    """A plan for every window, scored by both rewards. ``out``: see :func:`predict`."""
    predictions = predict(model, rows, trajectory, out, on_batch, batch)
    return judge(predictions, rows, grounded, horizon=horizon, known_strings=known_strings)


def predict(
    model: Model,
    rows: Sequence[Row],
    trajectory: Scorer,
    out: Path | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
    batch: int = 64,
) -> list[Prediction]:
    """The planner's completion and stage 1's reward for every window, in order.

    ``out`` keeps them, so that a stopped evaluation resumes. ``on_batch`` receives the number of windows done.
    """
    known: dict[str, Prediction] = {}
    if out is not None:
        mend(out)
        known = {p.id: p for p in read_lines(out, Prediction)}
    missing = [row for row in rows if window_id(row) not in known]
    for start in range(0, len(missing), batch):
        made = _predict_batch(model, missing[start : start + batch], trajectory)
        known |= {p.id: p for p in made}
        if out is not None:
            append(out, made)
        on_batch(len(rows) - len(missing) + min(start + batch, len(missing)))
    return [known[window_id(row)] for row in rows]


def _predict_batch(model: Model, rows: Sequence[Row], trajectory: Scorer) -> list[Prediction]:
    completions = model.complete([row_messages(row) for row in rows])
    scores = trajectory(completions, [dict(row) for row in rows])
    return [
        Prediction(window_id(row), completion, score.overall, score.format)
        for row, completion, score in zip(rows, completions, scores, strict=True)
    ]


def judge(
    predictions: Sequence[Prediction],
    rows: Sequence[Row],
    grounded: Scorer,
    *,
    horizon: int,
    known_strings: Collection[str],
) -> OfflineResult:
    """The figures of predictions.

    ``copied`` counts, over first steps whose recorded instruction quotes a string of the goal that is in none of
    ``known_strings`` (those of the training episodes), how often the plan quotes exactly the same strings. A plan that
    names no target is judged by what it does quote: a missing name is not a miscopied one and is not counted.
    """
    completions = [p.completion for p in predictions]
    firsts = grounded(completions, [dict(row) for row in rows])
    plans = [parse_plan(c).plan for c in completions]
    references = [recorded(dict(row)) for row in rows]
    hits = [hit_by_depth(p, ref.steps) for p, ref in zip(plans, references, strict=True)]
    copied = [
        copied_exactly(plan, ref.steps[0].instruction, goal_of(row_messages(row)), known_strings)
        for plan, ref, row in zip(plans, references, rows, strict=True)
    ]
    return OfflineResult(
        plan_reward=mean([p.plan_reward for p in predictions if p.plan_reward is not None]),
        format=mean([p.format for p in predictions if p.format is not None]),
        first_step_accuracy=share([s.accuracy == 1.0 for s in firsts if s.accuracy is not None]),
        hit_rate_by_depth=tuple(
            share([hit for h in hits if len(h) > d and (hit := h[d]) is not None]) for d in range(horizon)
        ),
        copied=share([exact for exact in copied if exact is not None]),
        predictions=tuple(predictions),
    )


# ---- copied strings --------------------------------------------------------------------------------------------------


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

    None where there is nothing unseen to copy, or the plan quotes nothing.
    """
    wanted = {name: text for name, text in _quotes(instruction).items() if text in goal and text not in known}
    if not wanted or plan is None:
        return False if wanted else None
    planned = plan.steps[0].instruction
    if any(isinstance(name, int) for name in wanted):  # free language: the order of its quotes means nothing
        quoted = set(_quotes(planned).values())
        return set(wanted.values()) <= quoted if quoted else None
    try:
        parsed = parse_instruction(planned)
    except InstructionError:
        return False
    named = [getattr(parsed, str(name)) == text for name, text in wanted.items() if getattr(parsed, str(name))]
    return all(named) if named else None


def _quotes(instruction: str) -> dict[str | int, str]:
    """The strings of an instruction by field; by number where it is in free language."""
    try:
        parsed = parse_instruction(instruction)
    except InstructionError:
        return dict(enumerate(free_quotes(instruction)))
    return {name: text for name in ("name", "content") if (text := getattr(parsed, name))}
