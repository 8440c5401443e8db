"""TraceR1: train a vision-language planner to forecast its next steps before it acts, and let it act.

The public names below are loaded when they are first used, so that ``import tracer1`` takes no time and needs no
other package.
"""

from importlib import import_module

TYPE_CHECKING = False  # as type checkers read it; typing's own costs ten milliseconds
if TYPE_CHECKING:
    from tracer1.api import (
        Planner,
        check_env,
        load_planner,
        run_episode,
        score_plan,
    )
    from tracer1.config.loading import load_config
    from tracer1.envs.registry import open_envs
    from tracer1.executors.registry import make_executor
    from tracer1.plan.text import parse_plan, render_plan
    from tracer1.recipes.train import train
    from tracer1.results.reading import Run, all_rollouts, read_run
    from tracer1.types import Action, Episode, Observation, Plan, Score, Step, Task, Trajectory

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Episode",
    "Observation",
    "Plan",
    "Planner",
    "Run",
    "Score",
    "Step",
    "Task",
    "Trajectory",
    "__version__",
    "all_rollouts",
    "check_env",
    "load_config",
    "load_planner",
    "make_executor",
    "open_envs",
    "parse_plan",
    "read_run",
    "render_plan",
    "run_episode",
    "score_plan",
    "train",
]

_MODULES = {
    "tracer1.api": ("Planner", "check_env", "load_planner", "run_episode", "score_plan"),
    "tracer1.config.loading": ("load_config",),
    "tracer1.envs.registry": ("open_envs",),
    "tracer1.executors.registry": ("make_executor",),
    "tracer1.plan.text": ("parse_plan", "render_plan"),
    "tracer1.recipes.train": ("train",),
    "tracer1.results.reading": ("Run", "all_rollouts", "read_run"),
    "tracer1.types": ("Action", "Episode", "Observation", "Plan", "Score", "Step", "Task", "Trajectory"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tracer1' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
