"""The task pages that the ``miniwob`` wheel ships: where they lie, their names and their size."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tracer1.errors import SetupError
from tracer1.types import Size

VIEWPORT: Final[Size] = (160, 210)  # CSS pixels; every task is laid out for it


def pages_root() -> Path:
    """The folder of the wheel's pages. Raises SetupError when the wheel is not installed."""
    spec = find_spec("miniwob")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("the miniwob package is missing; install it with: pip install 'tracer1[web]'")
    return Path(spec.submodule_search_locations[0]) / "html"


def task_names() -> list[str]:
    """Every task that the wheel ships, sorted."""
    return sorted(path.stem for path in (pages_root() / "miniwob").glob("*.html"))


def is_task(task: str) -> bool:
    return (pages_root() / "miniwob" / f"{task}.html").is_file()
