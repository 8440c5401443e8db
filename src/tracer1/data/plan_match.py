"""Whether windows were made as the ``plan`` section says: a planner must meet the prompts that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tracer1.config.settings import PlanSettings
from tracer1.data.windows_file import windows_settings
from tracer1.errors import UsageError

KEYS = {"horizon": "horizon", "history": "history", "prompt": "prompt_version"}
"""A setting in a windows file, and its name in the ``plan`` section."""


def plan_mismatch(file: Path | str, plan: PlanSettings) -> str | None:
    """How the windows of ``file`` differ from the ``plan`` section, or None. A file without settings fits any.

    Raises DataError when the file cannot be read.
    """
    made = windows_settings(file)
    wrong = [
        f"{key} {made[key]} where plan.{name} is {getattr(plan, name)}"
        for key, name in KEYS.items()
        if key in made and made[key] != str(getattr(plan, name))
    ]
    return f"{file} was made with {', '.join(wrong)}; {_remedy(file, made, plan)}" if wrong else None


def require_plan(file: Path | str, plan: PlanSettings) -> None:
    """Raise UsageError when the windows of ``file`` were made otherwise than the ``plan`` section says."""
    mismatch = plan_mismatch(file, plan)
    if mismatch is not None:
        raise UsageError(mismatch)


def _remedy(file: Path | str, made: Mapping[str, str], plan: PlanSettings) -> str:
    settings = " ".join(f"plan.{name}={made[key]}" for key, name in KEYS.items() if key in made)
    options = f"--horizon {plan.horizon} --history {plan.history} --prompt {plan.prompt_version}"
    return f"set {settings}, or write the file again with `tracer1 data windows EPISODES {options} --out {file}`"
