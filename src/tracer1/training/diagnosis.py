"""Why groups teach nothing, and what plans look like beside the recordings: from the records of rollouts alone.

GRPO learns from a group (the completions of one prompt) only when its rewards differ. A group whose rewards are all
equal has *zero variance*; its reason is the first of REASONS that holds of all its samples.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from tracer1.plan.text import parse_plan
from tracer1.results.schema import GroupSignal, PlanFigures, RolloutRow
from tracer1.types import Plan, Step

EQUAL = 1e-6  # rewards no further apart than this teach nothing
MOST = 100  # characters shown of a completion


def _term(name: str, holds: Callable[[float], bool]) -> Callable[[RolloutRow], bool]:
    return lambda line: (value := line.terms.get(name)) is not None and holds(value)


def _unreadable(line: RolloutRow) -> bool:
    return parse_plan(line.completion).plan is None


REASONS: Mapping[str, tuple[str, Callable[[RolloutRow], bool]]] = {
    "unscored": ("could not be scored", lambda line: line.overall is None),
    "all_right": ("all right", lambda line: (line.accuracy or 0.0) >= 1 - EQUAL),
    "no_plan": ("did not parse", _unreadable),
    "no_target": ("all named no target that the executor could find", _term("no_target", lambda v: v == 1)),
    "wrong_target": ("all missed the target", _term("coordinate", lambda v: v == 0)),
    "wrong_answer": ("all got a wrong answer from the tool", _term("answer", lambda v: v == 0)),
    "wrong_type": ("all wrong at the action type", _term("alignment", lambda v: v == 0)),
    "overlong": ("all too long", _term("overlong", lambda v: v == 1)),
    "incomplete": ("all equally short or long of the recording", _term("coverage", lambda v: v > 0)),
    "repetitive": ("all equally repetitive", _term("repetition", lambda v: v > 0)),
    "alike": ("all alike", lambda line: True),
}
"""Name: (in words, whether it holds of a sample). Those of one stage's terms never hold in the other."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How many groups there were, those of zero variance by reason (most frequent first), and a sample of the first."""

    groups: int
    reasons: Mapping[str, int]
    first_bad: RolloutRow | None = None  # of the most frequent reason that is not "all right"

    @property
    def zero_variance(self) -> int:
        """Zero-variance groups."""
        return sum(self.reasons.values())

    @property
    def signal(self) -> GroupSignal:
        """The counts for ``metrics.jsonl``."""
        return GroupSignal(self.groups, self.zero_variance, dict(self.reasons))

    def __str__(self) -> str:
        """One line: "62 % of 50 groups have zero variance: 41 % all right, ...; first bad sample"."""
        if not self.groups:
            return "no groups yet"
        parts = [
            f"{count / self.groups:.0%} {REASONS[name][0]}".replace("%", " %") for name, count in self.reasons.items()
        ]
        line = f"{self.zero_variance / self.groups:.0%} of {self.groups} groups have zero variance".replace("%", " %")
        line += f": {', '.join(parts)}" if parts else ""
        return line + (f"; first bad sample: {_sample_text(self.first_bad)}" if self.first_bad is not None else "")


def diagnose(rollouts: Iterable[RolloutRow], rollouts_per_prompt: int | None = None) -> Diagnosis:
    """Why groups of rollouts (lines of ``rollouts.jsonl``, in its order) have zero variance.

    rollouts_per_prompt: the samples of a group, ``n``. None: neighbours of one stage, step and prompt are a group,
    which takes two groups for one where a prompt was drawn twice in a row.
    """
    return diagnose_groups(_groups(rollouts, rollouts_per_prompt))


def diagnose_groups(groups: Iterable[Sequence[RolloutRow]]) -> Diagnosis:
    """The same, of groups that are known already."""
    count, reasons, first = 0, Counter[str](), dict[str, RolloutRow]()
    for group in groups:
        count += 1
        reason = zero_variance_reason(group)
        if reason is not None:
            reasons[reason] += 1
            first.setdefault(reason, group[0])
    ordered = dict(reasons.most_common())
    worst = next((name for name in ordered if name != "all_right"), None)
    return Diagnosis(count, ordered, first[worst] if worst is not None else None)


def zero_variance_reason(group: Sequence[RolloutRow]) -> str | None:
    """The name of the reason why a group's rewards are all equal; None when they are not."""
    scored = [line for line in group if line.overall is not None]
    rewards = [line.overall for line in scored if line.overall is not None]
    if rewards and max(rewards) - min(rewards) > EQUAL:
        return None
    return next(name for name, (_, holds) in REASONS.items() if all(map(holds, scored or group)))


def _groups(rollouts: Iterable[RolloutRow], n: int | None) -> Iterator[list[RolloutRow]]:
    def place(line: RolloutRow) -> tuple[Any, ...]:
        return line.stage, line.step, line.prompt

    for _, neighbours in groupby(rollouts, place):
        lines = list(neighbours)
        for start in range(0, len(lines), n or len(lines)):
            yield lines[start : start + (n or len(lines))]


def _sample_text(line: RolloutRow) -> str:
    completion = line.completion
    short = completion if len(completion) <= MOST else completion[:MOST] + "..."
    where = f"step {line.step or '?'}, {line.prompt or 'a prompt'}"
    if line.unscored:
        return f"{where}: {line.unscored}"
    problems = parse_plan(completion).problems
    return f"{where}: {json.dumps(short, ensure_ascii=False)}" + (f" ({problems[0]})" if problems else "")


# ---- plans beside the recordings -------------------------------------------------------------------------------------


def loops(steps: Sequence[Step]) -> bool:
    """Whether a plan repeats a step at once: type, instruction and arguments equal."""
    same = [(s.action_type, s.instruction, s.arguments) for s in steps]
    return any(a == b for a, b in pairwise(same))


def plan_figures(plans: Sequence[Plan | None], references: Sequence[Sequence[Step]]) -> PlanFigures:
    """Mean length in steps and share with a loop, of the readable plans and of all recordings."""
    readable = [plan.steps for plan in plans if plan is not None]
    return PlanFigures(
        steps=_mean([len(steps) for steps in readable]),
        loops=_mean([loops(steps) for steps in readable]),
        reference_steps=_mean([len(steps) for steps in references]),
        reference_loops=_mean([loops(steps) for steps in references]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
