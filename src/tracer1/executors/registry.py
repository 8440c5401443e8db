"""The executors by name: one word in a config chooses one."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from tracer1.errors import SetupError, UsageError
from tracer1.types import Executor

EXECUTORS: Final = {
    "dom": "tracer1.executors.dom:DomExecutor",
    "ocr": "tracer1.executors.ocr:OcrExecutor",
}
"""Name to class; ``module:Class`` of anything else that follows the Executor protocol works too."""


def make_executor(name: str, **options: Any) -> Executor:
    """The executor called ``name`` (or at a path ``module:Class``), built with ``options``.

    Raises UsageError for an unknown name or option, SetupError when a package that it needs is missing.
    """
    module, _, attribute = EXECUTORS.get(name, name).partition(":")
    if not attribute:
        known = ", ".join(EXECUTORS)
        raise UsageError(f"no executor {name!r}; choose one of {known}, or give a path such as 'package.module:Class'")
    try:
        made = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise UsageError(f"executor {name!r}: there is no module {module!r}") from error
        package = f"'tracer1[{name}]'" if name in EXECUTORS else error.name
        raise SetupError(f"executor {name!r} needs {error.name}; run: pip install {package}") from error
    except AttributeError as error:
        raise UsageError(f"executor {name!r}: {module} has no {attribute!r}") from error
    try:
        agent: Executor = made(**options)
    except TypeError as error:
        raise UsageError(f"executor {name!r}: {error}") from error
    return agent
