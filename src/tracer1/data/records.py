"""Episodes and elements as JSON records, and back.

Reading is strict: a key that is missing, unknown or of the wrong type raises a DataError that names the place and the
field, because a record read wrongly teaches something that was never recorded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

from tracer1.actions import action_from_json, action_to_json
from tracer1.coordinates import box_from_json
from tracer1.errors import DataError
from tracer1.files import parse_json
from tracer1.types import Element, Episode, EpisodeStep, Platform, Size, Status

T = TypeVar("T")
LARGEST = sys.float_info.max
WIDEST = 1 << 31  # pixels of a screenshot's side


# ---- records to JSON -------------------------------------------------------------------------------------------------


def element_to_json(element: Element) -> dict[str, Any]:
    """An Element as a JSON object; the box is in fractions of the screenshot."""
    return {
        "role": element.role,
        "name": element.name,
        "box": list(element.box),
        "focused": element.focused,
        "bears_text": element.bears_text,
    }


def episode_to_json(episode: Episode) -> dict[str, Any]:
    """An Episode as a JSON object: the contract's keys always, the optional ones where they say something."""
    record: dict[str, Any] = {
        "episode_id": episode.episode_id,
        "source": episode.source,
        "platform": episode.platform,
        "goal": episode.goal,
        "split": episode.split,
        "steps": [_step_to_json(step) for step in episode.steps],
    }
    optional = {"files": list(episode.files), "answer": episode.answer, "labels": dict(episode.labels)}
    return record | _present(optional)


def _step_to_json(step: EpisodeStep) -> dict[str, Any]:
    record: dict[str, Any] = {
        "screenshot": step.screenshot,
        "size": list(step.size),
        "abstraction": step.abstraction,
        "instruction": step.instruction,
        "action": action_to_json(step.action),
        "box": None if step.box is None else list(step.box),
        "observation": step.observation,
        "status": step.status,
    }
    optional = {"elements": step.elements, "thought": step.thought, "labels": dict(step.labels), "text": step.text}
    return record | _present(optional)


def _present(optional: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in optional.items() if value is not None and value not in ([], {})}


# ---- records from JSON -----------------------------------------------------------------------------------------------

_EPISODE = ("episode_id", "source", "platform", "goal", "split", "steps")
_EPISODE_KNOWN = dict.fromkeys((*_EPISODE, "files", "answer", "labels"))  # a set that keeps its order
_STEP = ("screenshot", "size", "abstraction", "instruction", "action", "box", "observation", "status")
_STEP_KNOWN = dict.fromkeys((*_STEP, "elements", "thought", "labels", "text"))
_ELEMENT = dict.fromkeys(("role", "name", "box", "focused", "bears_text"))
_PLATFORMS, _STATUSES = get_args(Platform), get_args(Status)


def episode_from_json(record: Any, where: str = "episode") -> Episode:
    """Read one record, strictly; ``where`` (file and line) begins every DataError."""
    r = _record(record, where, _EPISODE, _EPISODE_KNOWN)
    return Episode(
        episode_id=_text(r["episode_id"], f"{where}: episode_id"),
        source=_text(r["source"], f"{where}: source"),
        platform=_one_of(r["platform"], _PLATFORMS, f"{where}: platform"),
        goal=_text(r["goal"], f"{where}: goal"),
        split=_text(r["split"], f"{where}: split"),
        steps=_steps(_list(r["steps"], f"{where}: steps"), f"{where}: steps"),
        files=tuple(
            _text(f, f"{where}: files[{i}]") for i, f in enumerate(_list(r.get("files", []), f"{where}: files"))
        ),
        answer=_or_none(_text, r.get("answer"), f"{where}: answer"),
        labels=_labels(r.get("labels", {}), f"{where}: labels"),
    )


def _steps(records: list[Any], where: str) -> tuple[EpisodeStep, ...]:
    steps: list[EpisodeStep] = []
    try:
        for record in records:
            steps.append(_step_from_json(record))  # noqa: PERF401 - its length says which one is wrong
    except DataError as error:
        raise DataError(f"{where}[{len(steps)}]{error}") from error
    return tuple(steps)


def _step_from_json(record: Any) -> EpisodeStep:
    # Millions are read: where a step stands is put before an error once there is one.
    r = _record(record, "", _STEP, _STEP_KNOWN)
    return EpisodeStep(
        screenshot=_or_none(_text, r["screenshot"], ".screenshot"),
        size=_size(r["size"], ".size"),
        abstraction=_text(r["abstraction"], ".abstraction"),
        instruction=_text(r["instruction"], ".instruction"),
        action=action_from_json(r["action"], ".action"),
        box=_or_none(box_from_json, r["box"], ".box"),
        observation=_or_none(_text, r["observation"], ".observation"),
        status=_one_of(r["status"], _STATUSES, ".status"),
        elements=_or_none(_text, r.get("elements"), ".elements"),
        thought=_or_none(_text, r.get("thought"), ".thought"),
        labels=_labels(r.get("labels", {}), ".labels"),
        text=_or_none(_text, r.get("text"), ".text"),
    )


def parse_elements(data: bytes, where: str) -> tuple[Element, ...]:
    """Read the bytes of a file of elements; ``where`` begins every DataError."""
    try:
        items = parse_json(data)
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    return tuple(element_from_json(item, f"{where} item {i}") for i, item in enumerate(_list(items, where)))


def element_from_json(record: Any, where: str = "element") -> Element:
    """Read one Element, strictly; ``where`` begins every DataError."""
    r = _record(record, where, _ELEMENT, _ELEMENT)
    return Element(
        role=_text(r["role"], f"{where}: role"),
        name=_text(r["name"], f"{where}: name"),
        box=box_from_json(r["box"], f"{where}: box"),
        focused=_flag(r["focused"], f"{where}: focused"),
        bears_text=_flag(r["bears_text"], f"{where}: bears_text"),
    )


def _record(value: Any, where: str, required: Iterable[str], known: Mapping[str, None]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "a JSON object", value)
    if missing := [key for key in required if key not in value]:
        others = f", and so are {', '.join(missing[1:])}" if missing[1:] else ""
        raise DataError(f"{where}: {missing[0]} is missing{others}; add it (null where there is none)")
    for key in value:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    return value


def _wrong(where: str, expected: str, found: Any) -> DataError:
    shown = json.dumps(found, default=str)
    return DataError(f"{where}: expected {expected}, found {shown if len(shown) <= 60 else shown[:57] + '...'}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "text", value)
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return value


def _is_number(value: Any) -> bool:
    """Whether this is a finite number that fits a float; an integer of 400 digits does not."""
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST


def _size(value: Any, where: str) -> Size:
    if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int and 0 <= v <= WIDEST for v in value)):
        raise _wrong(where, "[width, height] in pixels", value)
    return value[0], value[1]


def _labels(value: Any, where: str) -> dict[str, str | float | bool]:
    if not isinstance(value, dict):
        raise _wrong(where, "an object of labels", value)
    for key, label in value.items():
        if not (isinstance(label, str | bool) or _is_number(label)):
            raise _wrong(f"{where}.{key}", "text, a number, true or false", label)
    return value


def _one_of(value: Any, allowed: tuple[Any, ...], where: str) -> Any:
    if value not in allowed:
        raise _wrong(where, "one of " + ", ".join(f'"{a}"' for a in allowed), value)
    return value


def _or_none(read: Callable[[Any, str], T], value: Any, where: str) -> T | None:
    return None if value is None else read(value, where)
