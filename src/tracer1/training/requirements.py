"""What a stage's settings need of the machine, checked before any stage starts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec

from tracer1.config.settings import StageSettings
from tracer1.errors import SetupError, UsageError
from tracer1.training.processes import process_count


def check_stages(stages: Mapping[str, StageSettings]) -> None:
    """Raise SetupError or UsageError for the first of the stages (by name) that could not run here."""
    for name, settings in stages.items():
        for logger in settings.report_to:
            check_logger(name, logger)
        check_engine(name, settings)
        check_batch(name, settings, process_count())


def check_logger(stage: str, package: str) -> None:
    """A logger of ``report_to`` can be imported; SetupError where it cannot."""
    try:
        import_module(package)
    except ImportError as error:
        broken = "is not installed" if _is_missing(package) else f"cannot be imported ({error})"
        raise SetupError(
            f"{stage}.report_to: {package} {broken}; pip install 'tracer1[{package}]', or take it out of "
            f"{stage}.report_to"
        ) from error


def _is_missing(package: str) -> bool:
    try:
        return find_spec(package) is None
    except ValueError:  # an import that Python was told to refuse
        return True


def check_engine(stage: str, settings: StageSettings) -> None:
    """vLLM is installed where it is asked for, and its tensor parallelism fits the number of processes."""
    if not settings.vllm:
        return
    if find_spec("vllm") is None:
        raise SetupError(
            f"{stage}.vllm: vLLM is not installed; pip install vllm, or sample with transformers ({stage}.vllm=false)"
        )
    if process_count() % settings.tensor_parallel:
        raise UsageError(
            f"{stage}.tensor_parallel ({settings.tensor_parallel}) does not divide the number of processes "
            f"({process_count()}); start more with torchrun, or lower {stage}.tensor_parallel"
        )


def check_batch(stage: str, settings: StageSettings, processes: int) -> None:
    """Each process gets whole groups and an equal share of every update; UsageError where it does not."""
    if settings.prompts_per_batch % processes:
        raise UsageError(
            f"{stage}.prompts_per_batch ({settings.prompts_per_batch}) is not a multiple of the {processes} processes: "
            "each takes whole groups"
        )
    if settings.sequences_per_update % (settings.micro_batch * processes):
        raise UsageError(
            f"{stage}.micro_batch ({settings.micro_batch}) x {processes} processes does not divide an update's "
            f"{settings.sequences_per_update} sequences; lower {stage}.micro_batch"
        )
