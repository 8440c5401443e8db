"""Your own reward. In a configuration: reward.function: own_reward:short_plans"""

from typing import Any

from tracer1 import Score, parse_plan


def short_plans(completions: list[str], rows: list[dict[str, Any]]) -> list[Score]:
    """One Score a completion; ``rows`` are the training windows. ``overall=None`` leaves a sample unscored."""
    scores = []
    for plan in (parse_plan(completion).plan for completion in completions):
        value = 1 / len(plan.steps) if plan else 0.0
        scores.append(Score(value, format=float(plan is not None), accuracy=value, terms={"short": value}))
    return scores
