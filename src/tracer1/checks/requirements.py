"""What a run needs before its first step, checked at its start rather than after stage 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tracer1.config.settings import Config, StageSettings
from tracer1.data.plan_match import require_plan
from tracer1.executors.registry import executor_class
from tracer1.extensions import REWARD, is_dotted, load_object
from tracer1.training.processes import process_count
from tracer1.training.requirements import check_batch, check_engine, check_logger

Requirement: TypeAlias = tuple[str, Callable[[], object]]  # a name, and a call that raises where it is not met
STAGES = ("stage1", "stage2")


def require_all(config: Config, stages: Sequence[str] = STAGES) -> None:
    """Raise the first of our errors that would stop one of the stages. Nothing is written or constructed."""
    for _, met in requirements(config, stages):
        met()


def requirements(config: Config, stages: Sequence[str] = STAGES) -> Iterator[Requirement]:
    """What the stages need: packages of loggers and engines, the executor, the reward, and windows that fit.

    A stage of 0 steps needs the same, since its parts are built too.
    """
    names = list(stages)
    for name in names:
        stage = stage_of(config, name)
        yield from ((f"{name} logger", partial(check_logger, name, each)) for each in stage.report_to)
        if stage.vllm:
            yield f"{name} engine", partial(check_engine, name, stage)
        if process_count() > 1:
            yield f"{name} processes", partial(check_batch, name, stage, process_count())
    if "stage2" in names:
        yield "executor", lambda: executor_class(config.executor.name, config.executor.options)
    function = reward_function(config)
    if function is not None and names:
        yield "reward function", lambda: load_object(function, REWARD)
    yield from ((f"{name} windows", _windows(config, file)) for name, file in config.data.files if Path(file).exists())


def stage_of(config: Config, name: str) -> StageSettings:
    """The settings of ``stage1`` or ``stage2``."""
    stage: StageSettings = getattr(config, name)
    return stage


def reward_function(config: Config) -> str | None:
    """The dotted path of the user's own reward, or None."""
    return config.reward.function


def own_code(config: Config) -> list[str]:
    """The dotted paths in a configuration: code that following them would import."""
    paths = [config.executor.name, reward_function(config) or ""]
    return [path for path in paths if is_dotted(path)]


def _windows(config: Config, file: str) -> Callable[[], None]:
    return lambda: require_plan(file, config.plan)
