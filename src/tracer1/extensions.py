"""Code that a configuration names as ``module:name``: inspected before it is called, and refused if of another kind.

Importing a module runs it, so ``tracer1 check`` imports nothing without ``--allow-code``. A module of the standard
library is refused before its import, an object of another kind (a builtin, a function where a class is due) after it;
neither is called.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from tracer1.errors import SetupError, UsageError


@dataclass(frozen=True, slots=True)
class Signature:
    """A function that is called with these positional arguments. ``name`` is "" for a function outside a class.

    ``coroutine``: whether it is async; None when it may be either.
    """

    name: str
    arguments: tuple[str, ...]
    coroutine: bool | None

    def __str__(self) -> str:
        words = ("async " * bool(self.coroutine), "def ", self.name or "function")
        return f"{''.join(words)}({', '.join(self.arguments)})"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a dotted path must lead to: a class with ``methods``, or, where there are none, a ``function``."""

    name: str
    methods: tuple[Signature, ...] = ()
    function: Signature | None = None


EXECUTOR = Kind("executor", (Signature("act", ("step", "observation"), True),))
ENVIRONMENT = Kind(
    "environment",
    (
        Signature("reset", ("task", "seed"), True),
        Signature("step", ("action",), True),
        Signature("close", (), True),
    ),
)
REWARD = Kind("reward function", function=Signature("", ("completions", "rows"), None))


def is_dotted(path: str) -> bool:
    """Whether ``path`` looks like ``package.module:name``, so that following it imports code."""
    module, colon, name = path.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def load_object(path: str, kind: Kind) -> Any:
    """The class or function at ``path`` (``package.module:name``), imported and inspected but not called.

    The working directory is importable, after everything that is installed.
    Raises UsageError when there is no such object or it is not of the kind, SetupError when its module needs a package
    that is not installed.
    """
    require_path(path, kind)
    module, _, name = path.partition(":")
    loaded = getattr(_import(module, f"{kind.name} {path!r}"), name, None)
    if loaded is None:
        raise UsageError(f"{kind.name} {path!r}: {module} has no {name!r}")
    reason = refusal(loaded, kind)
    if reason is not None:
        raise UsageError(f"{kind.name} {path!r}: {reason}")
    return loaded


def require_path(path: str, kind: Kind) -> None:
    """Raise UsageError for what can be refused without an import: another form, or a module of the standard library."""
    if not is_dotted(path):
        raise UsageError(f"{kind.name} {path!r}: write it as 'package.module:name'")
    module = path.partition(":")[0]
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise UsageError(f"{kind.name} {path!r}: {module} is a module of Python itself, which has no {kind.name}")


def refusal(loaded: Any, kind: Kind) -> str | None:
    """Why ``loaded`` is not of the kind, or None. Nothing of it is called."""
    if kind.function is not None:
        if not isinstance(loaded, FunctionType):
            return f"it is {_described(loaded)}; write a function: {kind.function}"
        return _mismatch(loaded, kind.function, bound=False)
    if not inspect.isclass(loaded):
        shape = "; ".join(map(str, kind.methods))
        return f"it is {_described(loaded)}; write a class with: {shape}"
    reasons = (_mismatch(inspect.getattr_static(loaded, each.name, None), each, bound=True) for each in kind.methods)
    return next((reason for reason in reasons if reason is not None), None)


def require_options(made: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Raise UsageError when the signature of ``made`` does not take the options. It is not called."""
    try:
        inspect.signature(made).bind(**options)
    except TypeError as error:
        raise UsageError(f"{where}: options {sorted(options)}: {error}") from error


def _import(module: str, where: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file here replaces an installed package
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UsageError(f"{where}: there is no module {module!r} here or among the installed ones") from error
        raise SetupError(f"{where} needs {error.name}; run: pip install {error.name}") from error


def _mismatch(loaded: Any, wanted: Signature, *, bound: bool) -> str | None:
    """Why ``loaded`` cannot be called as ``wanted``, or None."""
    if not isinstance(loaded, FunctionType):
        return f"it has no Python method {wanted.name!r}; write: {wanted}"
    if wanted.coroutine is not None and inspect.iscoroutinefunction(inspect.unwrap(loaded)) != wanted.coroutine:
        word = "must be" if wanted.coroutine else "must not be"
        return f"{wanted.name or loaded.__name__} {word} async; write: {wanted}"
    arguments = [None] * (len(wanted.arguments) + bound)
    try:
        inspect.signature(loaded).bind(*arguments)
    except TypeError as error:
        return f"{wanted.name or loaded.__name__} does not take these arguments ({error}); write: {wanted}"
    return None


def _described(loaded: Any) -> str:
    if inspect.isbuiltin(loaded):
        return "a builtin function"
    if inspect.isclass(loaded):
        return "a class"
    if inspect.isfunction(loaded):
        return "a function"
    return f"of type {type(loaded).__name__}"
