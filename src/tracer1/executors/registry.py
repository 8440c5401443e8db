"""The tool agents by name: one word in a config chooses one."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from tracer1.errors import SetupError, UsageError
from tracer1.types import ToolAgent

TOOL_AGENTS: Final = {
    "dom": "tracer1.executors.dom:DomToolAgent",
    "ocr": "tracer1.executors.ocr:OcrToolAgent",
}
"""Name to class; ``module:Class`` of anything else that follows the ToolAgent protocol works too."""


def make_tool_agent(name: str, **options: Any) -> ToolAgent:
    """The tool agent called ``name`` (or at a path ``module:Class``), built with ``options``.

    Raises UsageError for an unknown name or option, SetupError when a package that it needs is missing.
    """
    module, _, attribute = TOOL_AGENTS.get(name, name).partition(":")
    if not attribute:
        known = ", ".join(TOOL_AGENTS)
        raise UsageError(
            f"no tool agent {name!r}; choose one of {known}, or give a path such as 'package.module:Class'"
        )
    try:
        made = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise UsageError(f"tool agent {name!r}: there is no module {module!r}") from error
        package = f"'tracer1[{name}]'" if name in TOOL_AGENTS else error.name
        raise SetupError(f"tool agent {name!r} needs {error.name}; run: pip install {package}") from error
    except AttributeError as error:
        raise UsageError(f"tool agent {name!r}: {module} has no {attribute!r}") from error
    try:
        agent: ToolAgent = made(**options)
    except TypeError as error:
        raise UsageError(f"tool agent {name!r}: {error}") from error
    return agent
