"""The best constant plan: the action types that earn the most plan reward when every window gets the same answer.

What such a plan earns, no planner has to look at the screen for: it stands beside every plan reward. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import product

from tracer1.plan.text import render_plan
from tracer1.results.schema import ConstantPlan
from tracer1.rewards.trajectory import PAPER, TrajectoryProfile, plan_accuracy
from tracer1.types import Plan, Step

BEAM = 8  # plans of each length that are extended
SEARCHED = 256  # distinct references, the most frequent, that the search looks at; the result counts all
Types = tuple[str, ...]


def best_constant_plan(
    references: Iterable[Sequence[str]], profile: TrajectoryProfile = PAPER, horizon: int | None = None
) -> ConstantPlan:
    """Search plans of up to ``horizon`` steps over the action types of the references (the recorded action types).

    ``horizon``: the longest reference's length if None. A beam search over lengths is followed by coordinate ascent,
    which replaces one step at a time by the type that earns most. Ties go to the first in the alphabet.
    """
    counts = Counter(map(tuple, references))
    if not counts:
        return ConstantPlan()
    types = sorted({name for reference in counts for name in reference})
    length = horizon or max(map(len, counts))
    searched = Counter(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SEARCHED]))
    best = _ascend(_beam(types, length, searched, profile), types, lambda plan: _reward(plan, searched, profile))
    return ConstantPlan(best, round(_reward(best, counts, profile), 4), counts.total())


def render_constant(types: Sequence[str]) -> str:
    """The plan as a completion: each step's words are its action type, and the last one is done."""
    return render_plan(Plan(_steps(types)))


def describe(plan: ConstantPlan) -> str:
    """ "click, click, type": a constant plan in words."""
    return ", ".join(plan.action_types)


def _steps(types: Sequence[str]) -> tuple[Step, ...]:
    last = len(types) - 1
    return tuple(Step("", name, name, "done" if i == last else "not done") for i, name in enumerate(types))


def _reward(plan: Types, counts: Counter[Types], profile: TrajectoryProfile) -> float:
    """The mean reward over the references; the format of a constant plan is right."""
    steps = _steps(plan)
    accuracy = sum(n * plan_accuracy(steps, reference, profile) for reference, n in counts.items()) / counts.total()
    return profile.lambda_fmt + (1 - profile.lambda_fmt) * accuracy


def _beam(types: Sequence[str], length: int, counts: Counter[Types], profile: TrajectoryProfile) -> Types:
    best: tuple[float, Types] = (-1.0, ())
    plans: list[Types] = [()]
    for _ in range(length):
        longer = [(*plan, name) for plan, name in product(plans, types)]
        ranked = sorted((-_reward(plan, counts, profile), plan) for plan in longer)[:BEAM]
        plans = [plan for _, plan in ranked]
        best = max(best, (-ranked[0][0], ranked[0][1]), key=lambda found: found[0])
    return best[1]


def _ascend(plan: Types, types: Sequence[str], reward: Callable[[Types], float]) -> Types:
    value, improved = reward(plan), True
    while improved:
        improved = False
        for i, name in product(range(len(plan)), types):
            other = (*plan[:i], name, *plan[i + 1 :])
            if other != plan and (gain := reward(other)) > value + 1e-12:
                plan, value, improved = other, gain, True
    return plan
