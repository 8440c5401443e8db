"""Score the completions in a file: the ``tracer1 reward`` command without its argument parsing.

In, one JSON object a line: ``{"id", "completion", "reference": [Step or action type, ...]}``; out, one record a line:
``{"id", "overall", "format", "accuracy", "terms"}``, and ``"unscored"`` with the reason where ``overall`` is null.

No executor runs for stage 2; its action is read from the line. Either ``"prediction"`` is its Action (or the text that
a tool returned), or the completion's first step has an Action's fields itself ("point", "content", ...). Without either
the sample is unscored. The recorded Action, ``box`` and ``observation`` are read from the reference's first step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tracer1.actions import ACTIONS, ARGUMENTS, action_from_json, is_tool, same_type
from tracer1.errors import DataError, ExecutorError, InstructionError, UsageError
from tracer1.plan.text import parse_plan
from tracer1.plan.windows import reference_from_json, step_from_json
from tracer1.rewards import grounded, trajectory
from tracer1.types import Action, Score, Step

STAGES = (1, 2)


def reward_file(
    lines: Iterable[str], stage: int = 1, profile: str = "paper", name: str = "input"
) -> Iterator[dict[str, Any]]:
    """Score each line in turn; blank lines are skipped.

    name: the source of the lines, for messages.
    Raises UsageError for an unknown stage or profile, and DataError naming the line and the field of a bad record;
    the records before it have been yielded by then.
    """
    profiles: Mapping[str, object] = trajectory.PROFILES if stage == 1 else grounded.PROFILES
    if stage not in STAGES:
        raise UsageError(f"stage {stage} has no reward: use 1 or 2")
    if profile not in profiles:
        raise UsageError(f"unknown profile '{profile}': use {' or '.join(profiles)}")
    score = _stage_1(trajectory.PROFILES[profile]) if stage == 1 else _stage_2(grounded.PROFILES[profile])
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _scored(line, score, f"{name}, line {number}")


_Scorer = Callable[[Mapping[str, Any], str], Score]


def _scored(line: str, score: _Scorer, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: not a JSON object")
    for field in ("id", "completion", "reference"):
        if field not in record:
            raise DataError(f"{where}: '{field}' is missing")
    if not isinstance(record["completion"], str):
        raise DataError(f"{where}: 'completion' is not a string")
    result = score(record, where)
    row = {
        "id": record["id"],
        "overall": result.overall,
        "format": result.format,
        "accuracy": result.accuracy,
        "terms": dict(result.terms),
    }
    return row if result.unscored is None else {**row, "unscored": result.unscored}


def _stage_1(profile: trajectory.TrajectoryProfile) -> _Scorer:
    def score(record: Mapping[str, Any], where: str) -> Score:
        if not isinstance(record["reference"], list):
            raise DataError(f"{where}: 'reference' is not a list of steps")
        steps = [step_from_json(step, f"{where}: reference[{i}]") for i, step in enumerate(record["reference"])]
        return trajectory.score_trajectory(record["completion"], steps, profile)

    return score


def _stage_2(profile: grounded.GroundedProfile) -> _Scorer:
    def score(record: Mapping[str, Any], where: str) -> Score:
        reference = reference_from_json(record["reference"], f"{where}: reference")
        if reference.action is None:
            raise DataError(f"{where}: reference[0] holds no action; stage 2 compares with the recorded Action")
        act = _executor(record, reference.action, profile, where)
        if (reason := grounded.nothing_to_compare(reference)) is not None:
            raise DataError(f"{where}: reference[0]: {reason}")
        return grounded.score_grounded(record["completion"], reference, act, profile)

    return score


def _executor(
    record: Mapping[str, Any], recorded: Action, profile: grounded.GroundedProfile, where: str
) -> Callable[[Step], Action]:
    """An executor that returns the line's own action."""
    prediction = record.get("prediction")
    if isinstance(prediction, str):
        return lambda step: Action(step.action_type, content=prediction)
    if prediction is not None:
        action = action_from_json(prediction, f"{where}: prediction")
        return lambda step: action
    return lambda step: _own_action(record["completion"], recorded, profile)


def _own_action(completion: str, recorded: Action, profile: grounded.GroundedProfile) -> Action:
    """The Action in the completion's first step, if it has all that must be compared."""
    parsed = parse_plan(completion, profile.reading)
    written = parsed.records[0]["action"]
    try:
        action = action_from_json({key: written[key] for key in ("action_type", *ARGUMENTS) if key in written})
    except DataError as error:
        raise InstructionError(str(error)) from None
    compared: tuple[str, ...] = ()
    if is_tool(recorded.action_type):
        compared = ("content",)
    elif same_type(action, recorded):
        compared = ACTIONS[recorded.action_type].required
    absent = [name for name in compared if getattr(action, name) is None]
    if absent:
        raise ExecutorError(f"no 'prediction' in the line, and no '{absent[0]}' in the completion's first action")
    return action
