"""Stage 2: the grounded reward (METHOD section 5; the paper's Eq. 4-5).

    R = (1 - lambda_fmt) r + lambda_fmt R_fmt,   r = 1[GUI step] r_coord + 1[tool step] r_ans

A frozen executor, injected as ``act``, executes the first predicted step, and its action is compared with the recorded
one. A step that the executor cannot follow earns 0; an executor that fails leaves the sample unscored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tracer1.actions import POINTING, RADIUS, is_tool, same_action
from tracer1.errors import ExecutorError, InstructionError
from tracer1.plan.text import Reading, parse_plan
from tracer1.rewards.terms import format_ratio
from tracer1.types import Action, Outcome, Reference, Score, Step


@dataclass(frozen=True, slots=True)
class GroundedProfile:
    """Every constant of the stage 2 reward."""

    lambda_fmt: float = 0.1
    radius: float = RADIUS  # of the screen, for pointing steps without a box
    answer: str = "exact"  # how a tool's output is compared: a name of ANSWER_MATCHES
    strict_status: bool = False
    strict_instruction: bool = False
    clean_text: bool = False

    @property
    def reading(self) -> Reading:
        """How completions are parsed under this profile."""
        return Reading(self.strict_status, self.strict_instruction, self.clean_text)


PROFILES: Mapping[str, GroundedProfile] = {
    "paper": GroundedProfile(),
    "prototype": GroundedProfile(strict_status=True, strict_instruction=True, clean_text=True),
}
PAPER = PROFILES["paper"]


def exact_answer(output: str, recorded: str) -> bool:
    """Whether two answers are equal, apart from letter case and white space."""
    return " ".join(output.casefold().split()) == " ".join(recorded.casefold().split())


ANSWER_MATCHES: Mapping[str, Callable[[str, str], bool]] = {"exact": exact_answer}


def first_step(completion: str, profile: GroundedProfile = PAPER) -> Step | None:
    """The step to be executed: the first one of the plan, or None where there is no plan or that step has no type."""
    plan = parse_plan(completion, profile.reading).plan
    return plan.steps[0] if plan is not None and plan.steps[0].action_type else None


def score_grounded(
    completion: str, reference: Reference, act: Callable[[Step], Action], profile: GroundedProfile = PAPER
) -> Score:
    """The stage 2 reward of a completion; ``act`` (the executor) executes its first step."""
    step = first_step(completion, profile)
    if step is None:
        return score_outcome(completion, reference, None, profile)
    try:
        outcome = Outcome(act(step))
    except InstructionError as error:
        outcome = Outcome(missed=str(error))
    except ExecutorError as error:
        outcome = Outcome(failed=str(error))
    return score_outcome(completion, reference, outcome, profile)


def score_outcome(
    completion: str, reference: Reference, outcome: Outcome | None, profile: GroundedProfile = PAPER
) -> Score:
    """The stage 2 reward of a completion, given the outcome of its first step (None: there was no step).

    A GUI step is compared by ``actions.same_action``. For a tool step the outcome's action is the call with the tool's
    output as ``content``; it is compared with the recorded observation (else the recorded action's content).
    Terms: ``format`` and ``accuracy`` make the total by their weights; ``coordinate`` or ``answer``, by the kind of
    the recorded step, is the accuracy under its own name; ``no_plan`` and ``no_target`` are 1 where no step could be
    executed. The sample is unscored when the executor failed or the recording holds nothing to compare with.
    """
    ratio = format_ratio(parse_plan(completion, profile.reading))
    weights = {"format": profile.lambda_fmt, "accuracy": 1.0 - profile.lambda_fmt}
    unscored = nothing_to_compare(reference) or (outcome.failed if outcome is not None else None)
    if unscored is not None:
        return Score(None, ratio, None, {"format": ratio}, weights, unscored=unscored)
    recorded = reference.action
    assert recorded is not None
    action = outcome.action if outcome is not None else None
    accuracy = float(action is not None and _hit(action, recorded, reference, profile))
    terms = {
        "format": ratio,
        "accuracy": accuracy,
        "answer" if is_tool(recorded.action_type) else "coordinate": accuracy,
        "no_plan": float(outcome is None),
        "no_target": float(outcome is not None and outcome.action is None),
    }
    overall = weights["accuracy"] * accuracy + profile.lambda_fmt * ratio
    return Score(overall, ratio, accuracy, terms, weights)


def _expected(reference: Reference) -> str | None:
    """The recorded output of a tool call."""
    if reference.observation is not None:
        return reference.observation
    return reference.action.content if reference.action is not None else None


def nothing_to_compare(reference: Reference) -> str | None:
    """Why nothing can be compared with a reference, or None."""
    recorded = reference.action
    if recorded is None:
        return "the reference's first step holds no recorded action to compare with"
    kind = recorded.action_type
    if is_tool(kind):
        return f"the recorded call of '{kind}' has no output to compare with" if _expected(reference) is None else None
    start = recorded.start_point if kind == "drag" else recorded.point
    known = reference.box is not None or start is not None or recorded.element is not None
    if ((kind in POINTING or kind == "drag") and not known) or (kind == "drag" and recorded.end_point is None):
        return f"the recorded '{kind}' names no place: it needs a point or a box"
    return None


def _hit(action: Action, recorded: Action, reference: Reference, profile: GroundedProfile) -> bool:
    if not is_tool(recorded.action_type):
        return same_action(action, recorded, reference.box, profile.radius)
    expected = _expected(reference)
    assert expected is not None
    return action.content is not None and ANSWER_MATCHES[profile.answer](action.content, expected)
