"""Frozen dataclasses to JSON objects and back, by their annotations: one decoder for every results file.

A reader ignores unknown keys. A key that is absent or null gets the field's default; a value of the wrong kind raises a
DataError that names its place. NaN and Infinity count as absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tracer1.actions import action_from_json, action_to_json
from tracer1.errors import DataError
from tracer1.types import Action

R = TypeVar("R")
Reader = Callable[[Any, str], Any]  # (a value that is not null, its place) -> the typed value; None counts as absent
OMIT = {"omit_default": True}  # metadata of a field that is written only when it differs from its default


# ---- writing ---------------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """A record, or anything made of records, as JSON values."""
    if isinstance(value, Action):
        return action_to_json(value)
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(v) for f in fields(value) if not _omitted(f, v := getattr(value, f.name))}
    if isinstance(value, Mapping):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _omitted(field: Field[Any], value: Any) -> bool:
    return bool(field.metadata.get("omit_default")) and value == _default(field)


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


# ---- reading ---------------------------------------------------------------------------------------------------------


def from_json(cls: type[R], data: Any, where: str) -> R:
    """The record of class ``cls`` that ``data`` describes. ``where`` names its place in errors."""
    if not isinstance(data, Mapping):
        raise DataError(f"{where}: not an object")
    values = {}
    for name, read in _readers(cls).items():  # type: ignore[arg-type]
        raw = data.get(name)
        value = None if raw is None else read(raw, f"{where}: '{name}'")
        if value is not None:
            values[name] = value
    try:
        return cls(**values)
    except TypeError as error:  # a field without a default
        missing = [f.name for f in fields(cls) if f.name not in values and _required(f)]  # type: ignore[arg-type]
        raise DataError(f"{where}: '{missing[0] if missing else ''}' is missing") from error


def value_from_json(hint: type[R], data: Any, where: str) -> R:
    """A JSON value of a type that a record's field may have."""
    value: R = _reader(hint)(data, where)  # type: ignore[arg-type]
    return value


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@cache
def _readers(cls: Any) -> dict[str, Reader]:
    hints = get_type_hints(cls)
    return {field.name: _reader(hints[field.name]) for field in fields(cls)}


@cache
def _reader(hint: Any) -> Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (inner,) = (a for a in arguments if a is not NoneType)
        return _reader(inner)
    if origin is tuple:
        return _tuple_reader(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_reader(_reader(arguments[1]))
    if hint in SCALARS:
        return SCALARS[hint]
    if hasattr(hint, "from_json"):
        return hint.from_json  # type: ignore[no-any-return]
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value, place: from_json(hint, value, place)
    raise TypeError(f"no reader for {hint}")


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    read = _reader(arguments[0])
    length = None if arguments[-1] is Ellipsis else len(arguments)
    keep_null = NoneType in get_args(arguments[0])

    def read_tuple(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise DataError(f"{place} is not a list")
        items = tuple(None if v is None else read(v, f"{place}[{i}]") for i, v in enumerate(value))
        if length is None:
            return items if keep_null else tuple(item for item in items if item is not None)
        return items if len(items) == length and None not in items else None

    return read_tuple


def _mapping_reader(read: Reader) -> Reader:
    def read_mapping(value: Any, place: str) -> Any:
        if not isinstance(value, Mapping):
            raise DataError(f"{place} is not an object")
        items = {k: read(v, f"{place}: '{k}'") for k, v in value.items() if v is not None}
        return {k: v for k, v in items.items() if v is not None}

    return read_mapping


def finite(value: Any, place: str) -> float | None:
    """A finite number; None for NaN and Infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{place} is not a number")
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _count(value: Any, place: str) -> int | None:
    number = finite(value, place)
    return None if number is None else round(number)


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place} is not a string")
    return value


def _flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise DataError(f"{place} is not true or false")
    return value


SCALARS: Mapping[Any, Reader] = {
    float: finite,
    int: _count,
    str: _text,
    bool: _flag,
    Any: lambda value, _: value,
    Action: action_from_json,
}
