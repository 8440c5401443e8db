"""From recorded episodes to training instances: one window per step, with the recorded continuation as reference.

Also the JSON of steps and references (docs of the formats: Step and Window of the public contract).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast, get_args

from tracer1.actions import action_from_json, action_to_json
from tracer1.coordinates import box_from_json
from tracer1.errors import DataError
from tracer1.plan.prompt import PromptSpec, case_text, history_line, shown
from tracer1.plan.text import STATUSES
from tracer1.types import (
    Box,
    Episode,
    EpisodeStep,
    HistoryStep,
    Observation,
    Platform,
    Reference,
    Size,
    Step,
    Task,
    Window,
)


def episode_windows(episode: Episode, prompt: PromptSpec, history: int = 5, horizon: int = 5) -> Iterator[Window]:
    """One window for every step t of ``episode``: its prompt, and up to ``horizon`` steps from t on as the reference.

    history: K, past steps shown. A GUI step shows its screenshot; a tool-use step the task's images, its other files
    by name, and what the last tool returned; a step whose screen was recorded as text shows that text.
    """
    spec = replace(prompt, history=history, horizon=horizon)
    task = Task(episode.goal, episode.platform, episode.source, episode.files)
    planned = [_planned(step) for step in episode.steps]
    past = [HistoryStep(step.abstraction, step.action_type, step.instruction) for step in planned]
    for t, (step, seen) in enumerate(zip(episode.steps, observations(episode), strict=True)):
        yield Window(
            prompt=spec.prompt(task, seen, past[max(0, t - history) : t], t + 1),
            images=shown(seen, episode.files)[0],
            reference=_reference(tuple(planned[t : t + horizon]), step, seen),
            episode_id=episode.episode_id,
            step=t,
            source=episode.source,
        )


def episode_rows(episode: Episode, prompt: PromptSpec, history: int = 5, horizon: int = 5) -> Iterator[dict[str, Any]]:
    """``episode_windows`` as the rows of a file (``tracer1.data.windows_file``), several times as fast.

    Text that many windows share is rendered once: the guide, the line of a past step, the JSON of a step to come.
    """
    guide = prompt.system(episode.platform, horizon, episode.source)
    system = [{"role": "system", "content": guide}] if guide else []
    planned = [_planned(step) for step in episode.steps]
    lines = [history_line(number, step) for number, step in enumerate(planned, 1)]
    ahead = [_dump(step_to_json(step)) for step in planned]
    for t, (step, seen) in enumerate(zip(episode.steps, observations(episode), strict=True)):
        images, observed, files = shown(seen, episode.files)
        text = case_text(episode.goal, lines[max(0, t - history) : t], t + 1, horizon, observed, files)
        first = _first_to_json(planned[t], _reference((), step, seen))
        yield {
            "prompt": [*system, {"role": "user", "content": text}],
            "images": list(images),
            "reference": f"[{', '.join([_dump(first), *ahead[t + 1 : t + horizon]])}]",
            "episode_id": episode.episode_id,
            "step": t,
            "source": episode.source,
        }


def observations(episode: Episode) -> Iterator[Observation]:
    """What is seen before each recorded step: its screenshot, the screen as text, or what the last tool returned."""
    returned = None
    for step in episode.steps:
        text = None if step.screenshot is not None else step.text or returned
        yield Observation(step.screenshot, step.size, None, text, episode.platform, episode.files)
        returned = step.observation


def _reference(steps: tuple[Step, ...], step: EpisodeStep, seen: Observation) -> Reference:
    return Reference(
        steps, step.action, step.box, step.elements, step.observation, seen.text, seen.size, seen.platform, seen.files
    )


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
    ``box``, ``elements``, ``observation`` (what came of it) and what was known before: ``text``, ``size``,
    ``platform``, ``files``, where there are any."""
    if not reference.steps:
        return []
    step, *later = reference.steps
    return [_first_to_json(step, reference), *map(step_to_json, later)]


def _first_to_json(step: Step, reference: Reference) -> dict[str, Any]:
    record = step_to_json(step)
    if reference.action is not None:
        record["action"].update(action_to_json(reference.action))
    if reference.box is not None:
        record["box"] = list(reference.box)
    for name in ("elements", "observation", "text"):
        value = getattr(reference, name)
        if value is not None:
            record[name] = value
    if reference.size != (0, 0):
        record["size"] = list(reference.size)
    if reference.platform != "web":
        record["platform"] = reference.platform
    if reference.files:
        record["files"] = list(reference.files)
    return record


def reference_from_json(records: object, where: str = "reference") -> Reference:
    """The Reference in a list of Step records (or bare action types); raises DataError naming ``where`` and the field.

    The first record's ``action`` becomes the Action to compare with; a bare action type has none.
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
        _text(first, "text", where),
        _size(first.get("size"), where),
        _platform(first.get("platform", "web"), where),
        _files(first.get("files", ()), where),
    )


def _text(record: Mapping[str, Any], key: str, where: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: '{key}' is not a string")
    return value


def _size(value: object, where: str) -> Size:
    if value is None:
        return (0, 0)
    whole = isinstance(value, Sequence) and len(value) == 2 and all(type(v) is int and 0 <= v < 1 << 31 for v in value)
    if not whole:
        raise DataError(f"{where}: 'size' is not [width, height] in pixels")
    width, height = cast("Sequence[int]", value)
    return width, height


def _platform(value: object, where: str) -> Platform:
    if value not in get_args(Platform):
        raise DataError(f"{where}: 'platform' is {value!r}; use one of {', '.join(get_args(Platform))}")
    return cast("Platform", value)


def _files(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise DataError(f"{where}: 'files' is not a list of paths")
    return tuple(value)


def _box(value: object, where: str) -> Box | None:
    if value is None:
        return None
    x0, y0, x1, y1 = box = box_from_json(value, f"{where}: 'box'")
    if not (x0 <= x1 and y0 <= y1):
        raise DataError(f"{where}: 'box' has its corners in the wrong order: {value}")
    return box
