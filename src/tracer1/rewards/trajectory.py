"""Stage 1: the anticipatory trajectory reward (METHOD section 3; the paper's Appendix A.2, Eq. 6-10).

    R     = (1 - lambda_fmt) R_acc + lambda_fmt R_fmt
    R_acc = max(0, clip(S / S_max) - lambda_rep N_rep)
    S     = lambda_align sum_matched gamma^i s'_ij - 0.15 (unmatched predicted + unmatched reference)

Nothing is executed: a prediction is compared with the recorded continuation by its action types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tracer1.plan.text import PAPER_READING, Reading, parse_plan
from tracer1.rewards.terms import (
    Alignment,
    align_by_position,
    align_greedily,
    best_return,
    clip,
    coverage,
    discounted,
    format_ratio,
    repetitions,
)
from tracer1.types import Plan, Score, Step


@dataclass(frozen=True, slots=True)
class TrajectoryProfile:
    """Every constant of the stage 1 reward."""

    lambda_fmt: float = 0.1
    lambda_align: float = 1.0
    lambda_rep: float = 0.1
    gamma: float = 0.8
    position_penalty: float = 0.1
    threshold: float = 0.5
    coverage_penalty: float = 0.15
    repetition: Literal["absolute", "excess"] = "absolute"  # excess: beyond the reference's own repetitions
    completion_bonus: float = 0.0  # added to S when the last predicted status is "done", and always to its maximum
    overlong_margin: int | None = None  # more steps than the reference's plus this: R_acc is overlong_accuracy
    overlong_accuracy: float = 0.05
    mismatches_align: bool = False  # same length: a pair of different types is aligned with score 0, not unmatched
    strict_status: bool = False  # a step needs a status; one without a type keeps its place and matches nothing
    strict_instruction: bool = False  # a valid step has a step_instruction
    clean_text: bool = False  # white space around tags is removed first

    @property
    def reading(self) -> Reading:
        """How completions are parsed under this profile."""
        if not (self.strict_status or self.strict_instruction or self.clean_text):
            return PAPER_READING  # made once: a reward is computed millions of times
        return Reading(self.strict_status, self.strict_instruction, self.clean_text)


PROFILES: Mapping[str, TrajectoryProfile] = {
    "paper": TrajectoryProfile(),
    "prototype": TrajectoryProfile(
        completion_bonus=0.2,
        overlong_margin=3,
        mismatches_align=True,
        strict_status=True,
        strict_instruction=True,
        clean_text=True,
    ),
}
PAPER = PROFILES["paper"]


def score_trajectory(completion: str, reference: Sequence[Step | str], profile: TrajectoryProfile = PAPER) -> Score:
    """The stage 1 reward of a completion against the recorded next steps (or only their action types).

    Terms: ``format`` and ``accuracy`` make the total by their weights. ``accuracy`` is made of ``alignment`` (the
    discounted matches), ``coverage`` (unmatched steps) and ``completion`` (1 if the bonus was earned), all three by
    their weights over ``best`` (the largest sum), clipped; then of ``repetition`` by its weight. ``overlong`` is 1
    where that rule sets the accuracy instead. Every completion has a score, whatever it holds.
    """
    parsed = parse_plan(completion, profile.reading)
    ratio = format_ratio(parsed)
    steps = parsed.plan.steps if parsed.plan is not None else ()
    terms = _accuracy_terms(steps, [_kind(step) for step in reference], profile)
    accuracy = terms["accuracy"]
    weights = {
        "format": profile.lambda_fmt,
        "accuracy": 1.0 - profile.lambda_fmt,
        "alignment": profile.lambda_align,
        "coverage": -profile.coverage_penalty,
        "completion": profile.completion_bonus,
        "repetition": -profile.lambda_rep,
    }
    overall = weights["accuracy"] * accuracy + profile.lambda_fmt * ratio
    return Score(overall, ratio, accuracy, {"format": ratio, **terms}, weights)


def plan_accuracy(steps: Sequence[Step], reference: Sequence[str], profile: TrajectoryProfile = PAPER) -> float:
    """The accuracy term of a plan's steps against recorded action types, without the text around them."""
    return _accuracy_terms(steps, reference, profile)["accuracy"]


def hit_by_depth(plan: Plan | None, reference: Sequence[Step | str], depth: int | None = None) -> list[bool | None]:
    """Whether the forecast holds at each depth: the predicted type is the recorded one at the same index.

    depth: length of the list; by default that of the longer one. Beyond the reference's end there is None, and a step
    that was not predicted is a miss.
    """
    predicted = plan.steps if plan is not None else ()
    length = max(len(predicted), len(reference)) if depth is None else depth
    return [
        None if i >= len(reference) else i < len(predicted) and predicted[i].action_type == _kind(reference[i])
        for i in range(length)
    ]


def best_sum(reference: int, profile: TrajectoryProfile) -> float:
    """The normaliser: the largest S of a reference of so many steps, with the bonus whether it is earned or not."""
    return profile.lambda_align * best_return(reference, profile.gamma) + profile.completion_bonus


def _accuracy_terms(steps: Sequence[Step], reference: Sequence[str], profile: TrajectoryProfile) -> dict[str, float]:
    predicted = [step.action_type for step in steps]
    alignment = _align(predicted, reference, profile)
    terms = {
        "accuracy": 0.0,
        "alignment": discounted(alignment, profile.gamma),
        "coverage": float(coverage(alignment)),
        "completion": float(bool(steps) and profile.completion_bonus > 0.0 and steps[-1].status == "done"),
        "best": best_sum(len(reference), profile),
        "repetition": float(_repeated(predicted, reference, profile)),
        "overlong": float(_is_overlong(predicted, reference, profile)),
    }
    if predicted and reference:
        terms["accuracy"] = _accuracy(terms, profile)
    return terms


def _accuracy(terms: Mapping[str, float], profile: TrajectoryProfile) -> float:
    if terms["overlong"]:
        return profile.overlong_accuracy
    score = profile.lambda_align * terms["alignment"] - profile.coverage_penalty * terms["coverage"]
    score += profile.completion_bonus * terms["completion"]
    return max(0.0, clip(score / terms["best"]) - profile.lambda_rep * terms["repetition"])


def _repeated(predicted: Sequence[str], reference: Sequence[str], profile: TrajectoryProfile) -> int:
    repeated = repetitions(predicted)
    if repeated and profile.repetition == "excess":
        return max(0, repeated - repetitions(reference))
    return repeated


def _is_overlong(predicted: Sequence[str], reference: Sequence[str], profile: TrajectoryProfile) -> bool:
    margin = profile.overlong_margin
    return margin is not None and len(predicted) > len(reference) + margin


def _align(predicted: Sequence[str], reference: Sequence[str], profile: TrajectoryProfile) -> Alignment:
    if len(predicted) == len(reference):
        return align_by_position(predicted, reference, keep_mismatches=profile.mismatches_align)
    return align_greedily(predicted, reference, position_penalty=profile.position_penalty, threshold=profile.threshold)


def _kind(step: Step | str) -> str:
    return step if isinstance(step, str) else step.action_type
