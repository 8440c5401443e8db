"""Stage 2: the grounded reward (METHOD section 5; the paper's Eq. 4-5).

    R = (1 - lambda_fmt) r + lambda_fmt R_fmt,   r = 1[GUI step] r_coord + 1[tool step] r_ans

The first predicted step is given to a frozen executor, injected as ``act``, and what comes of it is compared with
the recorded action. A step that the agent cannot follow earns 0; an agent that fails leaves the sample unscored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tracer1.actions import RADIUS, is_tool, same_action
from tracer1.errors import DataError, ExecutorError, InstructionError
from tracer1.plan.text import parse_plan
from tracer1.rewards.terms import format_ratio
from tracer1.types import Action, Reference, Score, Step


@dataclass(frozen=True, slots=True)
class GroundedProfile:
    """Every constant of the stage 2 reward."""

    lambda_fmt: float = 0.1
    radius: float = RADIUS  # of the screen, for pointing steps without a box
    answer: str = "exact"  # how a tool's output is compared: a name of ANSWER_MATCHES
    strict_status: bool = False
    strict_instruction: bool = False
    clean_text: bool = False


PROFILES: Mapping[str, GroundedProfile] = {
    "paper": GroundedProfile(),
    "prototype": GroundedProfile(strict_status=True, strict_instruction=True, clean_text=True),
}
PAPER = PROFILES["paper"]


def exact_answer(output: str, recorded: str) -> bool:
    """Equal but for letter case and white space."""
    return " ".join(output.casefold().split()) == " ".join(recorded.casefold().split())


ANSWER_MATCHES: Mapping[str, Callable[[str, str], bool]] = {"exact": exact_answer}


def score_grounded(
    completion: str, reference: Reference, act: Callable[[Step], Action], profile: GroundedProfile = PAPER
) -> Score:
    """The stage 2 reward of a completion: ``act`` (the executor) carries out its first step.

    A GUI step is compared by ``actions.same_action``. For a tool step ``act`` returns the call with the tool's output
    as ``content``; it is compared with the recorded observation (else the recorded action's content).
    Terms: ``format`` and ``accuracy`` make the total by their weights; ``coordinate`` or ``answer``, by the kind of
    the recorded step, is the accuracy under its own name; ``no_plan`` and ``no_target`` are 1 where no step could be
    read or the agent could not follow it (accuracy 0). When ``act`` raises ExecutorError the score is None, with the
    reason. Raises DataError when the reference holds no action to compare with, and whatever else ``act`` raises.
    """
    recorded = reference.action
    if recorded is None:
        raise DataError("the reference's first step holds no recorded action: stage 2 has nothing to compare with")
    parsed = parse_plan(
        completion,
        strict_status=profile.strict_status,
        strict_instruction=profile.strict_instruction,
        clean=profile.clean_text,
    )
    ratio = format_ratio(parsed)
    weights = {"format": profile.lambda_fmt, "accuracy": 1.0 - profile.lambda_fmt}
    hit = no_target = False
    if parsed.plan is not None:
        try:
            action = act(parsed.plan.steps[0])
        except InstructionError:
            no_target = True
        except ExecutorError as error:
            return Score(None, ratio, None, {"format": ratio}, weights, unscored=str(error))
        else:
            hit = _hit(action, recorded, reference, profile)
    accuracy = float(hit)
    terms = {
        "format": ratio,
        "accuracy": accuracy,
        "answer" if is_tool(recorded.action_type) else "coordinate": accuracy,
        "no_plan": float(parsed.plan is None),
        "no_target": float(no_target),
    }
    overall = weights["accuracy"] * accuracy + profile.lambda_fmt * ratio
    return Score(overall, ratio, accuracy, terms, weights)


def _hit(action: Action, recorded: Action, reference: Reference, profile: GroundedProfile) -> bool:
    if not is_tool(recorded.action_type):
        return same_action(action, recorded, reference.box, profile.radius)
    expected = reference.observation if reference.observation is not None else recorded.content
    if expected is None:
        raise DataError(f"the recorded call of '{recorded.action_type}' has no output to compare with")
    return action.content is not None and ANSWER_MATCHES[profile.answer](action.content, expected)
