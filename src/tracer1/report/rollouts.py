"""Which completions of training a reader is shown: best, typical and worst, with their terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracer1.plan.text import parse_plan
from tracer1.report.run import Record
from tracer1.report.strips import MOST_STEPS, MOST_TEXT, Foreseen
from tracer1.report.words import cut, plain, signed, style_of, training_label, words


@dataclass(frozen=True, slots=True)
class Sample:
    """One rollout of training."""

    rank: str
    prompt: str
    step: str
    overall: str
    advantage: str
    terms: tuple[tuple[str, str], ...]
    steps: tuple[Foreseen, ...]
    thought: str
    raw: str


@dataclass(frozen=True, slots=True)
class Samples:
    """The rollouts of one stage that are shown."""

    label: str
    style: str
    note: str
    samples: tuple[Sample, ...]


def samples(rollouts: Mapping[str, Sequence[Record]]) -> tuple[Samples, ...]:
    """Best, typical (the median) and worst of each stage's last training steps, by total reward."""
    found = []
    for stage, lines in rollouts.items():
        scored = [(value, i, line) for i, line in enumerate(lines) if (value := line.number("overall")) is not None]
        if not scored:
            continue
        ranked = sorted(scored, key=lambda s: s[:2])
        chosen = {"Best": ranked[-1], "Typical": ranked[len(ranked) // 2], "Worst": ranked[0]}
        steps = sorted({line.number("step") or 0.0 for line in lines})
        span = f"step {steps[0]:g}" if len(steps) == 1 else f"steps {steps[0]:g} to {steps[-1]:g}"
        found.append(
            Samples(
                training_label(stage),
                style_of(stage),
                f"Out of {len(scored):,} scored completions of {span}.",
                tuple(_sample(rank, line) for rank, (_, _, line) in chosen.items()),
            )
        )
    return tuple(found)


def _sample(rank: str, line: Record) -> Sample:
    completion = line.text("completion")
    plan = parse_plan(completion).plan
    steps = (
        [
            Foreseen(
                n, cut(s.action_type, 40), cut(s.instruction, 200), cut(s.abstraction, 200), s.status == "done", ""
            )
            for n, s in enumerate(plan.steps[:MOST_STEPS], plan.first_number)
        ]
        if plan
        else []
    )
    overall, step, advantage = (line.number(k) for k in ("overall", "step", "advantage"))
    return Sample(
        rank,
        line.text("prompt"),
        "" if step is None else f"{step:g}",
        "" if overall is None else plain(overall),
        "" if advantage is None else signed(f"{advantage:+.2f}"),
        tuple((words(name), plain(value)) for name, value in line.numbers("terms").items()),
        tuple(steps),
        cut(" ".join(plan.thought.split()), 400) if plan else "",
        cut(completion, MOST_TEXT),
    )
