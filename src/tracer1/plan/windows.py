"""From recorded episodes to training instances: one window per step, with the recorded continuation as reference.

Also the JSON of steps and references (docs of the formats: Step and Window of the public contract).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from tracer1.actions import action_from_json, action_to_json
from tracer1.errors import DataError
from tracer1.plan.prompt import PromptSpec, case_text, history_line
from tracer1.plan.text import STATUSES
from tracer1.types import Action, Box, Episode, EpisodeStep, HistoryStep, Reference, Step, Window

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


def episode_windows(episode: Episode, prompt: PromptSpec, history: int = 5, horizon: int = 5) -> Iterator[Window]:
    """One window for every step t of ``episode``: the prompt as it stood, the next up to ``horizon`` steps to come.

    history: K, past steps shown. A GUI step shows its screenshot; a tool-use step the task's images, its other files
    by name, and what the last tool returned; a step whose screen was recorded as text shows that text.
    """
    spec = replace(prompt, history=history, horizon=horizon)
    planned = [_planned(step) for step in episode.steps]
    past = [HistoryStep(step.abstraction, step.action_type, step.instruction) for step in planned]
    for t, (step, seen) in enumerate(zip(episode.steps, _seen(episode), strict=True)):
        yield Window(
            prompt=spec.messages(
                episode.goal,
                past[max(0, t - history) : t],
                t + 1,
                platform=episode.platform,
                images=seen.images,
                observation=seen.observation,
                files=seen.files,
                source=episode.source,
            ),
            images=seen.images,
            reference=Reference(
                tuple(planned[t : t + horizon]), step.action, step.box, step.elements, step.observation
            ),
            episode_id=episode.episode_id,
            step=t,
            source=episode.source,
        )


def episode_rows(episode: Episode, prompt: PromptSpec, history: int = 5, horizon: int = 5) -> Iterator[dict[str, Any]]:
    """``episode_windows`` as the rows of a file (``tracer1.data.windows_file``), several times as fast.

    What many windows hold is rendered once: the guide, the line of a past step, the JSON of a step to come.
    """
    guide = prompt.system(episode.platform, horizon, episode.source)
    system = [{"role": "system", "content": guide}] if guide else []
    planned = [_planned(step) for step in episode.steps]
    lines = [history_line(number, step) for number, step in enumerate(planned, 1)]
    ahead = [_dump(step_to_json(step)) for step in planned]
    for t, (step, seen) in enumerate(zip(episode.steps, _seen(episode), strict=True)):
        shown = lines[max(0, t - history) : t]
        text = case_text(episode.goal, shown, t + 1, horizon, seen.observation, seen.files)
        first = _first_to_json(planned[t], step.action, step.box, step.elements, step.observation)
        yield {
            "prompt": [*system, {"role": "user", "content": text}],
            "images": list(seen.images),
            "reference": f"[{', '.join([_dump(first), *ahead[t + 1 : t + horizon]])}]",
            "episode_id": episode.episode_id,
            "step": t,
            "source": episode.source,
        }


class _Seen(NamedTuple):
    images: tuple[str, ...]
    observation: str | None
    files: tuple[str, ...]


def _seen(episode: Episode) -> Iterator[_Seen]:
    """What is seen at each step: its screenshot, the screen as text, or a task's files and the last tool's output."""
    pictures = tuple(path for path in episode.files if path.lower().endswith(IMAGE_SUFFIXES))
    others = tuple(path for path in episode.files if path not in pictures)
    returned = None
    for step in episode.steps:
        if step.screenshot is not None:
            yield _Seen((step.screenshot,), None, ())
        else:
            yield _Seen(pictures, step.text or returned, others)
        returned = step.observation


def _planned(step: EpisodeStep) -> Step:
    return Step(step.abstraction, step.action.action_type, step.instruction, step.status, step.action.arguments)


# ---- JSON ------------------------------------------------------------------------------------------------------------

_dump = json.JSONEncoder(ensure_ascii=False).encode


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
    if not reference.steps:
        return []
    step, *later = reference.steps
    first = _first_to_json(step, reference.action, reference.box, reference.elements, reference.observation)
    return [first, *map(step_to_json, later)]


def _first_to_json(
    step: Step, action: Action | None, box: Box | None, elements: str | None, observation: str | None
) -> dict[str, Any]:
    record = step_to_json(step)
    if action is not None:
        record["action"].update(action_to_json(action))
    if box is not None:
        record["box"] = list(box)
    if elements is not None:
        record["elements"] = elements
    if observation is not None:
        record["observation"] = observation
    return record


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
