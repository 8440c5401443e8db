"""Raw values to ours: images, places on the screen, and actions by name or as text."""

from __future__ import annotations

import ast
import base64
import binascii
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracer1.actions import ACTIONS
from tracer1.coordinates import per_mille, pixels
from tracer1.data.conversion.calls import UnparsableCode, literal, parse_code
from tracer1.data.conversion.corpus import Note, UnusableRecord
from tracer1.data.conversion.fields import number, on_screen, shown
from tracer1.data.corpora.rows.mapping import RowMap, look_up
from tracer1.data.images import Image, read_image
from tracer1.data.readers.image_sources import ImageSource
from tracer1.errors import DataError
from tracer1.files import parse_json
from tracer1.types import FRACTION, Action, Box, Frame, Point, Size

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_CALL = re.compile(r"[A-Za-z_][\w.]*\s*\(")


# ---- images ----------------------------------------------------------------------------------------------------------


def read_row_image(value: Any, files: ImageSource, where: str) -> Image:
    """An image that a row holds: its bytes, a structure of bytes and path, a data URI, or the path of a file."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, list) and len(value) == 1:
        return read_row_image(value[0], files, where)
    if isinstance(value, bytes):
        return read_image(value, where)
    if not isinstance(value, str):
        raise UnusableRecord(Note("damaged", "no usable image", where, f"found {type(value).__name__}"))
    try:
        if value.startswith("data:"):
            return read_image(base64.b64decode(value.partition(",")[2], validate=True), where)
        name = value.removeprefix("file://").lstrip("/")
        return read_image(files.read(name), where, files.path(name))
    except (DataError, binascii.Error) as error:
        raise UnusableRecord(Note("damaged", "no usable image", where, str(error))) from error


# ---- places ----------------------------------------------------------------------------------------------------------


def numbers(value: Any) -> list[float]:
    """The numbers of a list, of {"x", "y"}, or of a text such as "<point>10 20</point>"; empty where there are none."""
    if isinstance(value, str):
        return [float(part) for part in _NUMBER.findall(value[:200])]
    if isinstance(value, Mapping):
        value = [value.get("x"), value.get("y")]
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    found = [number(part) for part in value] if isinstance(value, list) else []
    return [part for part in found if part is not None] if None not in found else []


def read_place(
    value: Any, mapping: RowMap, size: Size, where: str, notes: list[Note]
) -> tuple[Point, Box | None] | None:
    """(point, box) of two or four numbers, the point of a box being its middle; None for anything else."""
    found = numbers(value)
    frame = _frame(mapping, found, size)
    if len(found) == 2:
        return on_screen(found[0], found[1], frame, where, notes), None
    if len(found) != 4:
        return None
    x0, y0, x1, y1 = found
    if mapping.boxes == "size":
        x1, y1 = x0 + x1, y0 + y1
    low = on_screen(min(x0, x1), min(y0, y1), frame, where, notes)
    high = on_screen(max(x0, x1), max(y0, y1), frame, where, notes)
    return Point((low.x + high.x) / 2, (low.y + high.y) / 2), (low.x, low.y, high.x, high.y)


def _frame(mapping: RowMap, found: list[float], size: Size) -> Frame:
    match mapping.coordinates:
        case "per_mille":
            return per_mille()
        case "pixels":
            return pixels(size)
        case "auto":
            return FRACTION if all(part <= 1 for part in found) else pixels(size)
        case _:
            return FRACTION


# ---- actions ---------------------------------------------------------------------------------------------------------

_TEXTS = ("content", "key", "direction", "app_name")


def read_action(record: Any, mapping: RowMap, size: Size, where: str, notes: list[Note]) -> tuple[Action, Box | None]:
    """The action of a row or of a parsed text, and its target's box. UnusableRecord where there is none."""
    name = look_up(record, mapping.fields.action, mapping.empty)
    if not isinstance(name, str):
        raise UnusableRecord(Note("damaged", "no action", where, shown(name)), notes)
    theirs = name.strip()
    ours = mapping.actions.get(theirs, mapping.actions.get(theirs.lower(), theirs.lower()))
    fixed = {"action_type": ours} if isinstance(ours, str) else dict(ours)
    kind = fixed.pop("action_type")
    if kind not in ACTIONS:
        detail = f"{shown(theirs)}; add it to the map's actions"
        raise UnusableRecord(Note("dropped", "no equivalent", where, detail), notes)
    spec = ACTIONS[kind]
    values: dict[str, Any] = dict(fixed)
    for argument in _TEXTS:
        if argument in spec.required + spec.optional and argument not in values:
            values[argument] = _text(record, argument, mapping)
    box = _places(record, mapping, spec.required, size, where, notes, values)
    return Action(kind, **{key: value for key, value in values.items() if value is not None}), box


def _text(record: Any, argument: str, mapping: RowMap) -> str | None:
    value = look_up(record, getattr(mapping.fields, argument), mapping.empty)
    if value is None:
        value = look_up(record, mapping.fields.text, mapping.empty)
    if not isinstance(value, str):
        return None
    return value.strip().lower() if argument in ("direction", "key") else value


def _places(
    record: Any,
    mapping: RowMap,
    required: tuple[str, ...],
    size: Size,
    where: str,
    notes: list[Note],
    values: dict[str, Any],
) -> Box | None:
    """Put the points that an action needs into ``values``; returns the target's box."""
    fields, box = mapping.fields, None
    for argument in ("point", "start_point"):
        if argument in required:
            candidates = (fields.box, fields.point)
            found = [
                read_place(look_up(record, path, mapping.empty), mapping, size, where, notes) for path in candidates
            ]
            if place := next((one for one in found if one is not None), None):
                values[argument], box = place
    if "end_point" in required and (
        place := read_place(look_up(record, fields.end_point, mapping.empty), mapping, size, where, notes)
    ):
        values["end_point"] = place[0]
    return box


def parse_action(text: str, form: str, where: str) -> Mapping[str, Any]:
    """An action written as a call, ``click(point='(1,2)')``, or as a JSON object; a call's name is its ``action``."""
    try:
        return _object(text) if form == "json" else _call(text)
    except (ValueError, UnparsableCode) as error:
        raise UnusableRecord(
            Note("damaged", "an action that cannot be parsed", where, f"{shown(text)}: {error}")
        ) from error


def _call(text: str) -> Mapping[str, Any]:
    text = text.strip()
    if not _CALL.match(text):
        return {"action": text}
    statements = parse_code(text)
    node = statements[0].value if statements and isinstance(statements[0], ast.Expr) else None
    if not isinstance(node, ast.Call) or node.args or len(statements) > 1:
        raise ValueError("not one call with named arguments")
    named = {keyword.arg: literal(keyword.value) for keyword in node.keywords if keyword.arg}
    return {**named, "action": ast.unparse(node.func).rpartition(".")[2]}


def _object(text: str) -> Mapping[str, Any]:
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ValueError("no JSON object")
    try:
        value = parse_json(text[start : end + 1])
    except ValueError:
        value, _ = json.JSONDecoder().raw_decode(text, start)  # text with brackets may follow
    if not isinstance(value, Mapping):
        raise ValueError("no JSON object")
    return value


def parent_folder(raw: Path) -> Path:
    """The folder that paths of images are relative to."""
    return raw if raw.is_dir() else raw.parent
