"""What a training step leaves behind: lines of ``rollouts.jsonl``, one line of ``metrics.jsonl``, and warnings.

Every process takes part in gathering the lines; the first alone writes them, warns and reports progress.
"""

from __future__ import annotations

import ctypes
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState

from tracer1.plan.text import parse_plan
from tracer1.results.files import append
from tracer1.results.schema import MetricsRow, PlanFigures, RolloutRow
from tracer1.training import guards
from tracer1.training.diagnosis import diagnose, plan_figures
from tracer1.training.processes import is_first_process
from tracer1.training.records import stage_lines
from tracer1.training.scoring import recorded, text_of
from tracer1.types import Score

Row = dict[str, Any]


@dataclass
class StepRecord:
    """What is known of the step that is under way, over all processes but for the times."""

    rollouts: list[RolloutRow] = field(default_factory=list)  # its lines of rollouts.jsonl
    plans: PlanFigures | None = None  # figures of the plans beside those of the recordings
    zero_variance_groups: int = 0  # before any was replaced
    resampled_groups: int = 0
    mismatch: guards.Mismatch | None = None  # where it was measured
    seconds: dict[str, float] = field(default_factory=dict)  # of this process


def rollout_lines(
    stage: str,
    step: int,
    rows: Sequence[Row],
    completions: Sequence[Any],
    scores: Sequence[Score],
    advantages: Sequence[float],
) -> list[RolloutRow]:
    """The lines of ``rollouts.jsonl`` of one process, in order."""
    return [
        RolloutRow(
            stage=stage,
            step=step,
            prompt=f"{row['episode_id']}#{row['step']}",
            completion=text_of(completion),
            overall=score.overall,
            format=score.format,
            accuracy=score.accuracy,
            terms=dict(score.terms),
            unscored=score.unscored,
            advantage=advantage,
        )
        for row, completion, score, advantage in zip(rows, completions, scores, advantages, strict=True)
    ]


def write_rollouts(record: StepRecord, file: Path, lines: list[RolloutRow], rows: Sequence[Row]) -> None:
    """Gather the lines of all processes in the order of the global batch; the first process writes them."""
    record.rollouts = gather_object(lines)
    references = gather_object([recorded(row).steps for row in rows])
    record.plans = plan_figures([parse_plan(line.completion).plan for line in record.rollouts], references)
    if is_first_process():
        append(file, record.rollouts)


class MetricsCallback(TrainerCallback):  # type: ignore[misc]
    """Writes one line of metrics a step, over its ``updates``, and warns of what the guards find in it."""

    def __init__(
        self,
        metrics: Path,
        stage: str,
        updates: int,
        group_size: int,
        record: StepRecord,
        watchdog: guards.Watchdog,
        on_step: Callable[[MetricsRow], None],
    ) -> None:
        self.metrics, self.stage, self.updates, self.group_size = metrics, stage, updates, group_size
        self.record, self.watchdog, self.on_step = record, watchdog, on_step
        self.warn = guards.RateLimitedWarnings()
        self.lines: list[MetricsRow] = []  # of this stage, those before a resume too
        self.rss: list[float] = []  # MB, of this process
        self.recent: deque[list[RolloutRow]] = deque(maxlen=guards.LATELY)  # rollouts of the last steps
        self.process = psutil.Process()
        self.began = time.perf_counter()
        self.logs: list[Row] = []  # of the updates of this step

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.lines = stage_lines(self.metrics, self.stage)

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.updates == 0:
            self.began, self.logs = time.perf_counter(), []

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        _release_memory()
        self.watchdog.now("a checkpoint to be saved" if control.should_save else "the next batch")

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: Row | None = None, **kwargs: Any
    ) -> None:
        if not logs or "loss" not in logs:  # the summary at the end is no update
            return
        self.logs.append(dict(logs))
        if state.global_step % self.updates or not is_first_process():
            return
        line = self._line(state.global_step // self.updates)
        append(self.metrics, [line])
        self._warn(line, state.max_steps // self.updates)
        self.on_step(line)

    def _line(self, step: int) -> MetricsRow:
        logs, record = _means(self.logs), self.record
        return MetricsRow(
            stage=self.stage,
            step=step,
            loss=logs.get("loss"),
            reward=logs.get("reward"),
            reward_std=logs.get("reward_std"),
            terms=_mean_terms([line.terms for line in record.rollouts]),
            unscored=sum(line.overall is None for line in record.rollouts),
            zero_variance_groups=logs.get("frac_reward_zero_std"),
            zero_variance_first=record.zero_variance_groups,
            resampled_groups=record.resampled_groups,
            signal=diagnose(record.rollouts, self.group_size).signal,
            plans=record.plans,
            mismatch=None if record.mismatch is None else record.mismatch.row,
            kl=logs.get("kl"),
            entropy=logs.get("entropy"),
            clip_share=logs.get("clip_ratio/region_mean"),
            grad_norm=logs.get("grad_norm"),
            learning_rate=logs.get("learning_rate"),
            completion_tokens=logs.get("completions/mean_length"),
            truncated_share=logs.get("completions/clipped_ratio"),
            seconds={**record.seconds, "step": time.perf_counter() - self.began},
            rss_mb=self.process.memory_info().rss / 2**20,
        )

    def _warn(self, line: MetricsRow, steps: int) -> None:
        """What the guards find after a step, of ``steps`` in all."""
        step, mismatch = line.step, self.record.mismatch
        self.lines.append(line)
        self.rss.append(line.rss_mb or 0.0)
        self.recent.append(self.record.rollouts)
        found = diagnose([line for lines in self.recent for line in lines], self.group_size)
        self.warn("signal", step, f"{self.stage}: {found}" if 2 * found.zero_variance > found.groups else None)
        self.warn("mismatch", step, None if mismatch is None else mismatch.warning(f"{self.stage} step {step}"))
        self.warn("plans", step, guards.plan_drift_warning(self.stage, self.lines))
        free = guards.free_memory_mb()
        self.warn("memory", step, guards.memory_warning(self.stage, self.rss, steps - step, free))


def _means(logs: Sequence[Row]) -> dict[str, float]:
    """The mean of each figure over the updates that have it: rewards come once a step, losses with every update."""
    names = sorted({name for log in logs for name in log})
    values = {n: [v for log in logs if isinstance(v := log.get(n), int | float) and math.isfinite(v)] for n in names}
    return {name: sum(found) / len(found) for name, found in values.items() if found}


def _mean_terms(terms: Sequence[Any]) -> dict[str, float]:
    names = sorted({name for t in terms for name in t})
    return {name: sum(float(t[name]) for t in terms if name in t) / sum(name in t for t in terms) for name in names}


def _release_memory() -> None:
    """Give freed memory back: batches of ever new shapes fragment glibc's heap, by some 30 MB a step on a CPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
