"""Recorded code as calls with literal arguments: parsed, never run."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST = 100_000  # characters of code; agents write a few thousand
DEPTH = 8  # of nested lists and objects in an argument
LARGEST = 2**63  # readers of JSON hold smaller integers


class UnparsableCode(ValueError):
    """Code that does not parse. ``damaged``: it is longer or nested deeper than any agent would write."""

    def __init__(self, detail: str, damaged: bool = False) -> None:
        super().__init__(detail)
        self.damaged = damaged


@dataclass(frozen=True, slots=True)
class Bound:
    """The arguments of a call by name. ``whole``: all are parameters of the function and literals that fit JSON."""

    values: Mapping[str, Any]
    whole: bool


def parse_code(text: str) -> list[ast.stmt]:
    """The statements of Python code. Raises UnparsableCode."""
    if len(text) > LONGEST:
        raise UnparsableCode(f"{len(text)} characters", damaged=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd code that parses, such as "\d" and 1if
            return ast.parse(text).body
    except (RecursionError, MemoryError) as error:
        raise UnparsableCode("nested too deep", damaged=True) from error
    except (SyntaxError, ValueError) as error:  # ValueError: a zero byte
        deep = "too many" in str(error)  # parentheses, levels of indentation
        raise UnparsableCode(getattr(error, "msg", str(error)), damaged=deep) from error


def bind(call: ast.Call, parameters: Sequence[str]) -> Bound:
    """The literal arguments of ``call`` by name. ``parameters``: names in the order of positional arguments."""
    named = dict(zip(parameters, call.args, strict=False))
    whole = len(call.args) <= len(parameters)
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg in parameters and keyword.arg not in named:
            named[keyword.arg] = keyword.value
        else:
            whole = False
    values = {}
    for name, node in named.items():
        try:
            values[name] = literal(node)
        except ValueError:
            whole = False
    return Bound(values, whole)


def literal(node: ast.expr) -> Any:
    """The value of a literal, tuples as lists. Raises ValueError for anything that JSON cannot hold exactly."""
    if isinstance(node, ast.Constant):  # nearly all of them
        return _plain(node.value)
    try:
        return _plain(ast.literal_eval(node))
    except (TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error


def _plain(value: Any, depth: int = DEPTH) -> Any:
    match value:
        case None | bool():
            return value
        case str() if value.isascii() or value.encode():  # encode raises for a lone surrogate
            return value
        case "":
            return value
        case int() if -LARGEST < value < LARGEST:
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple() if depth:
            return [_plain(item, depth - 1) for item in value]
        case dict() if depth and all(isinstance(key, str) for key in value):
            return {_plain(key): _plain(item, depth - 1) for key, item in value.items()}
    raise ValueError(f"not a JSON value: {type(value).__name__}")
