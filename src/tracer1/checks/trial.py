"""A trial: two real steps of each stage in a temporary folder, to see that they work and how long all would take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tracer1.checks.findings import CheckItem
from tracer1.checks.requirements import stage_of
from tracer1.config.settings import Config, StageSettings
from tracer1.errors import TraceR1Error
from tracer1.results.schema import MetricsRow

TRIAL_STEPS = 2  # the first warms caches, the second is timed


def trial_items(config: Config, stages: Sequence[str], folder: Path | None) -> Iterator[CheckItem]:
    """A finding on each stage; ``folder`` is the planner's, None where it is not there."""
    if folder is None or not all(Path(file).exists() for file in config.data.train_files):
        yield CheckItem("trial", False, "not run: the model or the data is missing", "see the items above")
        return
    for name in stages:
        yield _trial(config, name, stage_of(config, name))


def _trial(config: Config, name: str, stage: StageSettings) -> CheckItem:
    """Two steps of one stage, from the base, and its checkpoint."""
    from tracer1.training.stages import train_stage

    short = config.model_copy(update={name: stage.model_copy(update={"steps": TRIAL_STEPS, "report_to": ()})})
    rows: list[MetricsRow] = []
    with TemporaryDirectory(prefix="tracer1-trial-") as folder:
        try:
            train_stage(short, Path(folder), name, rows.append)
        except (TraceR1Error, OSError, ValueError, RuntimeError) as error:  # RuntimeError: also memory that is used up
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            remedy = f"`tracer1 --debug train CONFIG --stage {name[-1]}` shows where"
            return CheckItem(f"{name} trial", False, f"fails after {len(rows)} steps: {reason}", remedy)
    return CheckItem(f"{name} trial", True, _estimate(rows, stage))


def _estimate(rows: Sequence[MetricsRow], stage: StageSettings) -> str:
    first, last = (row.seconds["step"] for row in (rows[0], rows[-1]))
    minutes = (first + last * (stage.steps - 1)) / 60
    return (
        f"{last:.1f} s a step ({rows[-1].seconds['generate']:.1f} s of them to sample), {first:.1f} s the first; "
        f"{stage.steps} steps take about {minutes:.0f} minutes and {rows[-1].rss_mb:.0f} MB, without checkpoints"
    )
