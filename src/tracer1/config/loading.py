"""A configuration from YAML and ``key=value`` overrides, and back.

An unknown key is an error that names the nearest known key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tracer1.assets import resolve_config, shipped_configs
from tracer1.config.settings import Config
from tracer1.errors import DataError, UsageError
from tracer1.files import parse_yaml, read_yaml


def load_config(path: Path | str, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None) -> Config:
    """Read a YAML configuration; then ``values`` replace its settings, then the ``a.b=value`` overrides, in order.

    values: by dotted key, as they are; an option of the command line comes this way, whatever its text.
    overrides: their values are YAML.

    ``path`` is a file, or the name of a configuration that ships with the package, such as ``nano``.

    Raises UsageError in one line: the file, the key, what is wrong and the nearest known key.
    """
    try:
        settings = read_yaml(Path(resolve_config(path)))
    except DataError as error:
        known = f"; configurations that ship: {', '.join(shipped_configs())}" if _is_missing(error) else ""
        raise UsageError(f"{error}{known}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: expected keys and values, such as 'output_dir: runs/mine'")
    for key, value in (values or {}).items():
        _set(settings, key, value, key)
    for override in overrides:
        _override(settings, override)
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise UsageError(f"{path}: {_explain(error)}") from error


def _is_missing(error: DataError) -> bool:
    return isinstance(error.__cause__, FileNotFoundError)


def dump_config(config: Config) -> str:
    """The resolved configuration as YAML; ``load_config`` reads it back to an equal Config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def config_keys() -> tuple[str, ...]:
    """Every dotted key, sections included, in the order of the file."""
    return tuple(_keys(Config, ""))


def _parse(text: str, where: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"{where}: not YAML: {error}") from error


def _override(settings: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UsageError(f"override {override!r}: expected key=value, such as stage1.steps=20")
    where = f"override {override!r}"
    _set(settings, key, _parse(text, where), where)


def _set(settings: dict[str, Any], key: str, value: Any, where: str) -> None:
    *sections, last = key.split(".")
    node = settings
    for depth, section in enumerate(sections):
        child = node.get(section)
        if child is None:
            child = {}
        if not isinstance(child, dict):
            raise UsageError(f"{where}: {'.'.join(sections[: depth + 1])} is a value, not a section")
        node[section] = dict(child)  # a YAML anchor may share it with another section
        node = node[section]
    node[last] = value


def _explain(error: ValidationError) -> str:
    # An unknown key comes first: it is often the misspelt name of one that is missing.
    first, *others = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if key in RENAMED:
        message = f"{key} is now called {RENAMED[key]}; rename it"
    elif first["type"] == "extra_forbidden":
        message = f"unknown key {key!r}{_nearest(key)}"
    elif first["type"] == "missing":
        message = f"{key} is missing; add it"
    else:
        said = first["msg"].removeprefix("Value error, ")
        # A section's own check gets the whole section as its input, which is too long to repeat.
        shown = "" if isinstance(first["input"], Mapping | BaseModel) else f" (found {_short(first['input'])})"
        message = f"{key}: {said[0].lower()}{said[1:]}{shown}"
    return message + (f" (and {len(others)} more)" if others else "")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


RENAMED = {
    "tool_agent": "executor",
    "stage1.rollouts": "stage1.group_size",
    "stage2.rollouts": "stage2.group_size",
    "stage1.skip_solved": "stage1.resample_zero_variance",
    "stage2.skip_solved": "stage2.resample_zero_variance",
    "warmup.loose": "warmup.vague",
}
"""Keys of earlier versions, and what they are called now."""


def _nearest(key: str) -> str:
    """The key that was meant: a like name in the same section, or else wherever the name is known."""
    section, _, last = key.rpartition(".")
    names = {known: known.rpartition(".") for known in config_keys()}
    siblings = [name for there, _, name in names.values() if there == section]
    if near := get_close_matches(last, siblings, n=1):
        return f"; did you mean {(section + '.' if section else '') + near[0]!r}?"
    if near := get_close_matches(last, {name for _, _, name in names.values()}, n=1):
        places = [known for known, (_, _, name) in names.items() if name == near[0]]
        return f"; did you mean {' or '.join(map(repr, places[:3]))}?"
    return f"; known here are {', '.join(siblings)}" if siblings else ""


def _keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        options = (field.annotation, *getattr(field.annotation, "__args__", ()))
        for inner in options:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _keys(inner, f"{prefix}{name}.")
