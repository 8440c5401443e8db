"""A run directory as a whole: every results file in it, by stage. Every file and every key is optional.

A run may be read while it is written: half a last line is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tracer1.errors import DataError
from tracer1.results.files import read_json, read_lines, read_text, read_value
from tracer1.results.schema import ConstantPlan, EpisodeRow, MetricsRow, Results, RolloutRow

FILES = ("config.yaml", "env.json", "metrics.jsonl", "rollouts.jsonl", "results.json")
STAGES = ("base", "stage1", "stage2")
CONSTANT_PLAN = "constant_plan.json"  # the best one on the training windows
LAST_STEPS = 5  # of a stage's rollouts that are held: the file can be huge

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Run:
    """What a run directory holds. ``metrics``, ``rollouts`` and ``live`` go by stage, in the order of the method."""

    path: Path
    name: str = ""
    config: str = ""  # the file's text
    env: Mapping[str, Any] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    constant_plan: ConstantPlan = field(default_factory=ConstantPlan)
    metrics: Mapping[str, list[MetricsRow]] = field(default_factory=dict)  # by step, ascending
    rollouts: Mapping[str, list[RolloutRow]] = field(default_factory=dict)  # of the last LAST_STEPS steps
    live: Mapping[str, list[EpisodeRow]] = field(default_factory=dict)


def read_run(path: Path | str) -> Run:
    """Read a run directory. Raises DataError for a directory that is no run, or a file of it that cannot be read."""
    path = Path(path)
    if not path.is_dir():
        raise DataError(f"{path}: no such directory; give the output directory of a training run")
    live = sorted((path / "live").glob("*.jsonl"))
    if not live and not any((path / name).is_file() for name in FILES):
        raise DataError(f"{path}: not a run directory: it holds none of {', '.join(FILES)}")
    return Run(
        path,
        path.resolve().name,
        read_text(path / "config.yaml"),
        read_value(path / "env.json", dict[str, Any]),
        read_json(path / "results.json", Results),
        read_json(path / CONSTANT_PLAN, ConstantPlan),
        _metrics(path / "metrics.jsonl"),
        _last_rollouts(path),
        _in_order({file.stem: list(read_lines(file, EpisodeRow)) for file in live}),
    )


def all_rollouts(path: Path) -> Iterator[RolloutRow]:
    """Every rollout of the run directory ``path``, streaming: there can be millions."""
    return read_lines(path / "rollouts.jsonl", RolloutRow)


def _metrics(path: Path) -> dict[str, list[MetricsRow]]:
    """By stage; a step that was written twice counts once, as it was written last."""
    stages: dict[str, dict[int, MetricsRow]] = {}
    for row in read_lines(path, MetricsRow):
        stages.setdefault(row.stage, {})[row.step] = row
    return _in_order({stage: [steps[step] for step in sorted(steps)] for stage, steps in stages.items()})


def _last_rollouts(path: Path) -> dict[str, list[RolloutRow]]:
    stages: dict[str, dict[int, list[RolloutRow]]] = {}
    for row in all_rollouts(path):
        steps = stages.setdefault(row.stage, {})
        steps.setdefault(row.step or 0, []).append(row)
        if len(steps) > LAST_STEPS:
            del steps[min(steps)]
    return _in_order({stage: [row for step in sorted(steps) for row in steps[step]] for stage, steps in stages.items()})


def _in_order(stages: dict[str, V]) -> dict[str, V]:
    known = [stage for stage in STAGES if stage in stages]
    return {stage: stages[stage] for stage in [*known, *sorted(set(stages) - set(known))]}
