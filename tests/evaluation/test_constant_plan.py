from __future__ import annotations

from itertools import product

import pytest

from tracer1.evaluation.constant_plan import best_constant_plan, describe, render_constant
from tracer1.results.schema import ConstantPlan
from tracer1.rewards.trajectory import PROFILES, score_trajectory

REFERENCES = [
    ["click", "type", "click", "type", "click"],
    ["click", "click", "type", "click"],
    ["click", "click"],
    ["click", "scroll", "click"],
    ["click"],
]


@pytest.mark.parametrize("profile", PROFILES)
def test_no_constant_plan_earns_more(profile: str) -> None:
    rules = PROFILES[profile]
    types = ("click", "scroll", "type")

    def earned(plan: tuple[str, ...]) -> float:
        text = render_constant(plan)
        return sum(score_trajectory(text, ref, rules).overall or 0.0 for ref in REFERENCES) / len(REFERENCES)

    best = best_constant_plan(REFERENCES, rules)
    assert best.windows == 5
    assert best.plan_reward == pytest.approx(earned(best.action_types), abs=1e-4)
    every = (plan for length in range(1, 6) for plan in product(types, repeat=length))
    assert best.plan_reward == pytest.approx(max(map(earned, every)), abs=1e-4)


def test_a_horizon_bounds_the_plan() -> None:
    assert best_constant_plan([["click"] * 2], horizon=1).action_types == ("click",)
    found = best_constant_plan([["type", "click"]])
    assert (found.plan_reward, describe(found)) == (1.0, "type, click")
    assert best_constant_plan([]) == ConstantPlan()
