"""What makes an episode or a window invalid, field by field: the same rules for windows, check and inspect.

Problems come as (field, message); a field is a path inside the record, such as ``steps[0].action.point``. The files
that a record names are not opened here: ``data/inspection/problems.py`` does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracer1.actions import is_offered, validate
from tracer1.coordinates import inside
from tracer1.errors import ActionError
from tracer1.types import Action, Box, Episode, EpisodeStep, Platform, Step, Window

Finding = tuple[str, str]

END_MISSING = "end_missing"  # the label of an episode without its last steps, which need not end with "done"


# ---- episodes --------------------------------------------------------------------------------------------------------


def invalid_fields(episode: Episode) -> list[Finding]:
    """What is wrong with a record that could be read, and that no window may be made of."""
    found = [(name, "empty") for name in ("episode_id", "source", "goal") if not getattr(episode, name).strip()]
    last = len(episode.steps) - 1
    for i, step in enumerate(episode.steps):
        if problems := _invalid_step(step, i == last, episode):
            found += [(f"steps[{i}].{name}", message) for name, message in problems]
    return found


def _invalid_step(step: EpisodeStep, is_last: bool, episode: Episode) -> list[Finding]:
    found = invalid_action(step.action, step.box, episode.platform, episode.source)
    if not step.instruction.strip():
        found.append(("instruction", "empty"))
    if step.status == "done" and not is_last:
        found.append(("status", "'done' before the end"))
    return found


def invalid_action(action: Action, box: Box | None, platform: Platform, source: str) -> list[Finding]:
    """What is wrong with a recorded action and the box of its target."""
    found: list[Finding] = []
    try:
        validate(action, platform, source)
    except ActionError as error:
        found.append(("action", str(error)))
    if box is None:
        return found
    x0, y0, x1, y1 = box
    if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
        found.append(("box", f"{list(box)} is not x0 <= x1 and y0 <= y1 within 0 to 1"))
    elif action.point is not None and not found and not inside(action.point, box):
        message = f"({action.point.x:g}, {action.point.y:g}) lies outside the box {list(box)}"
        found.append(("action.point", message))
    return found


# ---- windows ---------------------------------------------------------------------------------------------------------


def invalid_window(window: Window) -> list[Finding]:
    """What is wrong with a row that could be read, and that nothing may be trained on."""
    reference = window.reference
    found: list[Finding] = [] if window.prompt else [("prompt", "empty")]
    if not reference.steps:
        found.append(("reference", "no steps"))
    found += _invalid_plan(reference.steps, reference.platform, window.source)
    if reference.action is not None:
        problems = invalid_action(reference.action, reference.box, reference.platform, window.source)
        found += [(f"reference[0].{name}", message) for name, message in problems]
    return found


def _invalid_plan(steps: Sequence[Step], platform: Platform, source: str) -> Iterator[Finding]:
    for i, step in enumerate(steps):
        if not step.instruction.strip():
            yield f"reference[{i}].action.step_instruction", "empty"
        if step.status == "done" and i < len(steps) - 1:
            yield f"reference[{i}].status", "'done' before the end"
        if i > 0 and not is_offered(step.action_type, platform, source):
            yield f"reference[{i}].action.action_type", f"'{step.action_type}' is unknown on {platform}"
