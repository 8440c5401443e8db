"""Every setting as one record, for a reference page: its dotted key, type, default and description."""

from __future__ import annotations

import ast
import inspect
import io
import json
import textwrap
import tokenize
from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tracer1.config.settings import Config


class Setting(NamedTuple):
    """One setting. ``default`` is YAML text, or "required"; it is "" for a section."""

    key: str
    type: str
    default: str
    description: str


def config_reference() -> Iterator[Setting]:
    """Every setting and section, in the order of the file. A section's description is its docstring's first line."""
    yield from _section(Config, "")


def _section(section: type[BaseModel], prefix: str) -> Iterator[Setting]:
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        inner = _inner(field.annotation)
        if inner is None:
            description = field.description or _comments(section).get(name, "")
            yield Setting(key, _type(field), _default(field), description)
            continue
        yield Setting(key, "section", "" if field.default is not None else "null", _first_line(inner))
        yield from _section(inner, f"{key}.")


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation holds, optional or not."""
    choices = (annotation, *get_args(annotation))
    return next((each for each in choices if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _first_line(section: type[BaseModel]) -> str:
    return (inspect.getdoc(section) or "").partition("\n")[0]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "required" if value is PydanticUndefined else json.dumps(value, ensure_ascii=False)


def _type(field: FieldInfo) -> str:
    limits = [text for each in field.metadata if (text := _limit(each))]
    return " ".join([_name(field.annotation), *limits])


def _name(annotation: Any) -> str:
    """A type in words: "int", "float >= 0", "paper or prototype", "list of str"."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [text for each in inner[1:] for text in _limits(each)]
        return " ".join([_name(inner[0]), *limits])
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin in (Union, UnionType):
        return " or ".join("null" if each is NoneType else _name(each) for each in inner)
    if origin is tuple:
        each = [part for part in inner if part is not Ellipsis]
        return f"list of {_name(each[0])}" if Ellipsis in inner else f"{len(each)} x {_name(each[0])}"
    if origin is dict:
        return "mapping"
    return str(getattr(annotation, "__name__", annotation))


def _limits(annotation: Any) -> list[str]:
    metadata = annotation.metadata if isinstance(annotation, FieldInfo) else [annotation]
    return [text for each in metadata if (text := _limit(each))]


def _limit(constraint: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [f"{sign} {getattr(constraint, name)}" for name, sign in signs.items() if hasattr(constraint, name)]
    return " ".join(limits)


@cache
def _comments(section: type[BaseModel]) -> dict[str, str]:
    """The comment on each declaration ``name: type = value`` in the class's source."""
    source = textwrap.dedent(inspect.getsource(section))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(token.start[0], token.string.lstrip("# ")) for token in tokens if token.type == tokenize.COMMENT]
    declared = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AnnAssign)]
    return {
        ast.unparse(node.target): " ".join(text for line, text in comments if _holds(node, line)) for node in declared
    }


def _holds(node: ast.AnnAssign, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)
