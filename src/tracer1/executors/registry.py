"""The executors by name: one word in a configuration chooses one, or a path to a class of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from tracer1.errors import SetupError, UsageError
from tracer1.extensions import EXECUTOR, is_dotted, load_object, require_options
from tracer1.types import Executor

EXECUTORS: Final = {
    "dom": "tracer1.executors.dom:DomExecutor",
    "ocr": "tracer1.executors.ocr:OcrExecutor",
}
"""Name to class; ``module:Class`` of anything else that follows the Executor protocol works too."""


def make_executor(name: str, **options: Any) -> Executor:
    """The executor called ``name`` (or at a path ``module:Class``), built with ``options``.

    Raises UsageError for an unknown name or option or for a class that is no executor, SetupError when a package that
    it needs is missing.
    """
    executor: Executor = executor_class(name, options)(**options)
    if not isinstance(getattr(executor, "name", None), str):
        raise UsageError(f"executor {name!r}: it needs an attribute 'name', the word for it in results")
    return executor


def executor_class(name: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """The class of an executor, which takes these options; not constructed. Raises as ``make_executor`` does."""
    made: Callable[..., Any] = _shipped(name) if name in EXECUTORS else _own(name)
    require_options(made, options, f"executor {name!r}")
    return made


def _shipped(name: str) -> Any:
    module, _, attribute = EXECUTORS[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise SetupError(f"executor {name!r} needs {error.name}; run: pip install 'tracer1[{name}]'") from error


def _own(name: str) -> Any:
    if not is_dotted(name):
        known = ", ".join(EXECUTORS)
        raise UsageError(f"no executor {name!r}; choose one of {known}, or give a path such as 'package.module:Class'")
    return load_object(name, EXECUTOR)
