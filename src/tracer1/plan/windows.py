"""From recorded episodes to training instances: one window per step, with the recorded continuation as reference.

Also the JSON of steps and references (docs of the formats: Step and Window of the public contract).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from tracer1.actions import action_from_json, action_to_json
from tracer1.errors import DataError
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import STATUSES
from tracer1.types import Box, Episode, EpisodeStep, HistoryStep, Reference, Step, Window

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


def episode_windows(episode: Episode, prompt: PromptSpec, history: int = 5, horizon: int = 5) -> Iterator[Window]:
    """One window for every step t of ``episode``: the prompt as it stood, the next up to ``horizon`` steps to come.

    history: K, past steps shown. A GUI step shows its screenshot; a tool-use step the task's images, its other files
    by name, and what the last tool returned; a step whose screen was recorded as text shows that text.
    """
    spec = replace(prompt, history=history, horizon=horizon)
    planned = [_planned(step) for step in episode.steps]
    past = [HistoryStep(step.abstraction, step.action_type, step.instruction) for step in planned]
    pictures = tuple(path for path in episode.files if path.lower().endswith(IMAGE_SUFFIXES))
    for t, step in enumerate(episode.steps):
        on_screen = step.screenshot is not None
        images = (step.screenshot,) if step.screenshot is not None else pictures
        yield Window(
            prompt=spec.messages(
                episode.goal,
                past[max(0, t - history) : t],
                t + 1,
                platform=episode.platform,
                images=images,
                observation=step.text or (None if on_screen or t == 0 else episode.steps[t - 1].observation),
                files=() if on_screen else [path for path in episode.files if path not in pictures],
                source=episode.source,
            ),
            images=images,
            reference=Reference(
                tuple(planned[t : t + horizon]), step.action, step.box, step.elements, step.observation
            ),
            episode_id=episode.episode_id,
            step=t,
            source=episode.source,
        )


def _planned(step: EpisodeStep) -> Step:
    return Step(step.abstraction, step.action.action_type, step.instruction, step.status, step.action.arguments)


# ---- JSON ------------------------------------------------------------------------------------------------------------


def step_to_json(step: Step) -> dict[str, Any]:
    """The Step record: ``{"screenshot_abstraction", "action": {"action_type", "step_instruction", ...}, "status"}``."""
    action: dict[str, Any] = {"action_type": step.action_type, "step_instruction": step.instruction}
    if step.arguments is not None:
        action["arguments"] = dict(step.arguments)
    return {"screenshot_abstraction": step.abstraction, "action": action, "status": step.status}


def step_from_json(record: object, where: str = "step") -> Step:
    """A Step from its record, or from a bare action type. Raises DataError naming ``where`` and the field."""
    if isinstance(record, str) and record:
        return Step("", record, "")
    action = record.get("action") if isinstance(record, Mapping) else None
    if not isinstance(record, Mapping) or not isinstance(action, Mapping):
        raise DataError(f"{where}: not a step; give an action type or an object with 'action'")
    kind, arguments = action.get("action_type"), action.get("arguments")
    if not isinstance(kind, str) or not kind:
        raise DataError(f"{where}.action: 'action_type' is missing or not a string")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise DataError(f"{where}.action: 'arguments' is not an object")
    status = record.get("status", "not done")
    if status not in STATUSES:
        raise DataError(f"{where}: 'status' is {status!r}; use 'not done' or 'done'")
    abstraction = _text(record, "screenshot_abstraction", where)
    return Step(abstraction or "", kind, _text(action, "step_instruction", f"{where}.action") or "", status, arguments)


def reference_to_json(reference: Reference) -> list[dict[str, Any]]:
    """A list of Step records. The first one's ``action`` also holds the recorded Action's fields, and beside it stand
    ``box``, ``elements`` and ``observation`` where there are any."""
    records = [step_to_json(step) for step in reference.steps]
    if records:
        if reference.action is not None:
            records[0]["action"].update(action_to_json(reference.action))
        for key in ("box", "elements", "observation"):
            value = getattr(reference, key)
            if value is not None:
                records[0][key] = list(value) if key == "box" else value
    return records


def reference_from_json(records: object, where: str = "reference") -> Reference:
    """The Reference in a list of Step records (or bare action types); raises DataError naming ``where`` and the field.

    The first record's ``action`` becomes the Action to compare with; a bare action type brings none.
    """
    if not isinstance(records, Sequence) or isinstance(records, str):
        raise DataError(f"{where}: not a list of steps")
    steps = tuple(step_from_json(record, f"{where}[{i}]") for i, record in enumerate(records))
    if not records or not isinstance(records[0], Mapping):
        return Reference(steps)
    first, where = records[0], f"{where}[0]"
    fields = {key: value for key, value in first["action"].items() if key != "step_instruction"}
    return Reference(
        steps,
        action_from_json(fields, f"{where}.action"),
        _box(first.get("box"), where),
        _text(first, "elements", where),
        _text(first, "observation", where),
    )


def _text(record: Mapping[str, Any], key: str, where: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: '{key}' is not a string")
    return value


def _box(value: object, where: str) -> Box | None:
    if value is None:
        return None
    numbers = isinstance(value, Sequence) and all(type(v) in (int, float) for v in value)
    if not numbers or len(cast("Sequence[float]", value)) != 4:
        raise DataError(f"{where}: 'box' is not [x0, y0, x1, y1]")
    x0, y0, x1, y1 = cast("Sequence[float]", value)
    if not (x0 <= x1 and y0 <= y1):
        raise DataError(f"{where}: 'box' has its corners in the wrong order: {value}")
    return (float(x0), float(y0), float(x1), float(y1))
