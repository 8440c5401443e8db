"""The map of a row's fields: a YAML file, checked before anything is read. docs/IMPORT.md describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tracer1.actions import ACTIONS, ARGUMENTS
from tracer1.errors import DataError, UsageError
from tracer1.files import parse_yaml, read_yaml
from tracer1.types import Platform

FieldPath = str | tuple[str, ...]  # a dotted path into a row, or several of which the first that is there counts
ABSENT = object()


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fields(_Part):
    """Where a row, or a parsed action, has each thing."""

    id: FieldPath = ()
    episode: FieldPath = ()  # rows of one trajectory have the same value here, and follow one another
    order: FieldPath = ()  # a number by which the rows of a trajectory are sorted
    split: FieldPath = ()
    platform: FieldPath = ()
    goal: FieldPath = ()
    history: FieldPath = ()  # past steps in words, where a row is a single step
    image: FieldPath
    abstraction: FieldPath = ()
    thought: FieldPath = ()
    instruction: FieldPath = ()
    action: FieldPath
    point: FieldPath = ()
    end_point: FieldPath = ()
    box: FieldPath = ()
    text: FieldPath = ()  # whichever text the action takes
    content: FieldPath = ()
    key: FieldPath = ()
    direction: FieldPath = ()
    app_name: FieldPath = ()


class Conversation(_Part):
    """How turns of a conversation are read."""

    turns: FieldPath = ("conversations", "messages")
    role: FieldPath = ("from", "role")
    text: FieldPath = ("value", "content")
    user: tuple[str, ...] = ("human", "user")
    assistant: tuple[str, ...] = ("gpt", "assistant")
    format: Literal["call", "json"] = "call"
    pattern: str = r"(?P<action>.+)"  # its group "action" is parsed; "thought" and "instruction" are kept

    @field_validator("pattern")
    @classmethod
    def _has_action(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern, re.DOTALL).groupindex
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if "action" not in groups:
            raise ValueError("has no group (?P<action>...)")
        return pattern


class RowMap(_Part):
    """A whole map."""

    source: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    licence: str = "not stated in the map"
    citation: str = ""
    url: str = ""
    layout: Literal["steps", "conversations"]
    platform: Platform
    platforms: dict[str, Platform] = Field(default_factory=dict)  # by the value of fields.platform
    split: str = "train"
    coordinates: Literal["fraction", "per_mille", "pixels", "auto"]
    boxes: Literal["corners", "size"] = "corners"  # x0, y0, x1, y1 or x, y, width, height
    empty: tuple[str, ...] = ("",)  # texts that stand for nothing
    fields: Fields
    actions: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    conversation: Conversation = Conversation()

    @field_validator("actions")
    @classmethod
    def _known(cls, actions: dict[str, str | dict[str, str]]) -> dict[str, str | dict[str, str]]:
        for theirs, ours in actions.items():
            fixed = {"action_type": ours} if isinstance(ours, str) else ours
            if (kind := fixed.get("action_type", "")) not in ACTIONS:
                raise ValueError(f"{theirs}: no action {kind!r}; there are {', '.join(ACTIONS)}")
            if unknown := sorted(set(fixed) - {"action_type", *ARGUMENTS}):
                raise ValueError(f"{theirs}: an action has no {unknown[0]!r}")
        return actions

    @model_validator(mode="after")
    def _goal(self) -> Self:
        if self.layout == "steps" and not self.fields.goal:
            raise ValueError("fields.goal is missing; where rows are steps it says which field holds the task")
        return self


def load_map(name: str) -> str:
    """The map in a file, or a shipped one by name, as JSON text; UsageError in one line names what is wrong."""
    shipped = files("tracer1.data.maps").joinpath(f"{name}.yaml")
    try:
        if re.fullmatch(r"\w+", name) and not Path(name).exists():
            if not shipped.is_file():
                raise UsageError(f"no map {name!r}; give a YAML file, or one of {', '.join(shipped_maps())}")
            values = parse_yaml(shipped.read_text(encoding="utf-8"))
        else:
            values = read_yaml(Path(name))
        return RowMap.model_validate(values).model_dump_json()
    except DataError as error:
        raise UsageError(str(error)) from error
    except ValidationError as error:
        raise UsageError(f"{name}: {_explain(error)}") from error


def shipped_maps() -> list[str]:
    """The names of the maps that come with the library."""
    names = (file.name for file in files("tracer1.data.maps").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "the map"
    if first["type"] == "extra_forbidden":
        parts: dict[str, type[BaseModel]] = {"fields": Fields, "conversation": Conversation}
        known = parts.get(str(first["loc"][0]), RowMap).model_fields
        near = get_close_matches(str(first["loc"][-1]), known, n=1)
        return f"unknown key {key!r}; " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}")
    if first["type"] == "missing":
        return f"{key} is missing; add it"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}"


# ---- looking values up -----------------------------------------------------------------------------------------------


def look_up(record: Any, path: FieldPath, empty: Sequence[str] = ()) -> Any:
    """The value at a path, or at the first of several that is there and not empty; None where there is none."""
    for one in (path,) if isinstance(path, str) else path:
        value = _at(record, one)
        if value is not ABSENT and value is not None and not (isinstance(value, str) and value.strip() in empty):
            return value
    return None


def _at(record: Any, path: str) -> Any:
    if isinstance(record, Mapping) and path in record:
        return record[path]
    for name in path.split("."):
        if isinstance(record, Mapping) and name in record:
            record = record[name]
        elif isinstance(record, list) and name.isdigit() and int(name) < len(record):
            record = record[int(name)]
        else:
            return ABSENT
    return record
