"""Guards: each looks at figures of a run and warns, in one line, of what is wrong, where, and what to change.

None changes the training. What they need of the model is measured in `training/probes.py`.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tracer1.results.schema import MetricsRow, SamplerMismatch
from tracer1.training.scoring import Scorer
from tracer1.types import Score

logger = logging.getLogger(__name__)
Warn = Callable[[str], None]

CANARY_ROWS = 4
CANARY = 1e-3  # nats: equal inputs give equal figures up to rounding, other screenshots give others by far
MISMATCH_EVERY = 20  # steps
MISMATCH_MEAN, MISMATCH_MAX = 0.05, 2.0  # nats: bf16 and another engine's kernels stay well below
LATELY = 5  # recent steps, over which a drift is averaged
LOOPS = 0.15  # more looping plans, as a share, than there may be
MEMORY_STEPS = 20
QUIET_STEPS = 10  # between two warnings of one kind


class RateLimitedWarnings:
    """Issues each kind of warning at most once in QUIET_STEPS steps."""

    def __init__(self, warn: Warn = logger.warning) -> None:
        self.warn = warn
        self.last: dict[str, int] = {}  # by kind, the step of its last warning

    def __call__(self, kind: str, step: int, message: str | None) -> None:
        """Issue a message, if there is one and none of its kind was issued lately."""
        if message is not None and step >= self.last.get(kind, -QUIET_STEPS) + QUIET_STEPS:
            self.last[kind] = step
            self.warn(message)


# ---- the image canary ------------------------------------------------------------------------------------------------


def image_canary_warning(stage: str, moved: float, rows: int) -> str | None:
    """The warning when swapped screenshots moved log-probabilities by less than CANARY; None when they moved enough.

    ``moved`` is the largest absolute difference, in nats, over the tokens of ``rows`` recorded plans.
    """
    if moved >= CANARY:
        return None
    return (
        f"image canary, {stage}: swapping the screenshots of {rows} rows moved no log-probability by more than "
        f"{moved:.1g} (threshold {CANARY:g}): the model trains without seeing the image; check that the chat template "
        "has a place for the image, that pixel_values reach the model and that its vision tower is used (or go on "
        f"regardless with {stage}.image_canary=warn)"
    )


# ---- sampler and trainer agree ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Absolute differences, in nats, of the sampler's and the trainer's log-probabilities of the same tokens."""

    mean: float
    max: float
    tokens: int

    @property
    def fine(self) -> bool:
        return self.mean <= MISMATCH_MEAN and self.max <= MISMATCH_MAX

    @property
    def row(self) -> SamplerMismatch:
        """The figures for ``metrics.jsonl``."""
        return SamplerMismatch(self.mean, self.max, self.tokens, "fine" if self.fine else "off")

    def warning(self, where: str) -> str | None:
        """The warning when they differ too much; None when they do not."""
        if self.fine:
            return None
        return (
            f"sampler and trainer are off, {where}: log-probabilities of the same {self.tokens} tokens differ by "
            f"{self.mean:.2g} on average and {self.max:.2g} at most (fine up to {MISMATCH_MEAN:g} and "
            f"{MISMATCH_MAX:g}): what is trained is not what was sampled; check that both have the same weights, "
            "precision, image size, chat template and temperature"
        )


def mismatch_of(sampler: Sequence[Sequence[float | None]], trainer: Sequence[Sequence[float]]) -> Mismatch | None:
    """Compare (samples, tokens) of both, as far as the sampler's go; a None in its is left out. None for no tokens."""
    pairs = [
        abs(a - b)
        for one, two in zip(sampler, trainer, strict=True)
        for a, b in zip(one, two, strict=False)
        if a is not None
    ]
    return Mismatch(statistics.fmean(pairs), max(pairs), len(pairs)) if pairs else None


# ---- plans drift from the recordings ---------------------------------------------------------------------------------


def plan_drift_warning(stage: str, rows: Sequence[MetricsRow]) -> str | None:
    """The warning when plans game the reward: the last LATELY steps against the recordings and the first LATELY.

    - loops: the share of plans that repeat a step at once is LOOPS above that of the recordings and of the start;
    - length: above 1.5 times the recordings' and 1.25 times the start's, or below 0.5 and 0.8 times.

    ``rows`` are the stage's lines of metrics so far, with ``plans`` as ``diagnosis.plan_figures`` gives them.
    """
    if len(rows) < 2 * LATELY:
        return None
    start, now = _plans(rows[:LATELY]), _plans(rows[-LATELY:])
    if start is None or now is None:
        return None
    remedy = f"read rollouts.jsonl; raise {stage}.beta or lower {stage}.lr"
    if now["loops"] > max(now["reference_loops"], start["loops"]) + LOOPS:
        return (
            f"plans loop, {stage} steps {rows[-LATELY].step} to {rows[-1].step}: {_percent(now['loops'])} repeat "
            f"a step at once (recordings {_percent(now['reference_loops'])}, at the start "
            f"{_percent(start['loops'])}): the reward is gamed or the policy collapses; raise reward.lambda_rep; "
            f"{remedy}"
        )
    ratio, change = now["steps"] / now["reference_steps"], now["steps"] / start["steps"]
    if (ratio > 1.5 and change > 1.25) or (ratio < 0.5 and change < 0.8):
        return (
            f"plans grow too {'long' if ratio > 1 else 'short'}, {stage} steps {rows[-LATELY].step} to "
            f"{rows[-1].step}: {now['steps']:.1f} steps on average (recordings {now['reference_steps']:.1f}, at the "
            f"start {start['steps']:.1f}): the reward is gamed; {remedy}, and look at reward.coverage_penalty"
        )
    return None


def _plans(rows: Sequence[MetricsRow]) -> dict[str, float] | None:
    found = [row.plans for row in rows if row.plans is not None]
    names = ("steps", "loops", "reference_steps", "reference_loops")
    values = {name: [v for plans in found if (v := getattr(plans, name)) is not None] for name in names}
    return {name: statistics.fmean(v) for name, v in values.items()} if all(values.values()) else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory_warning(stage: str, rss_mb: Sequence[float], steps_left: int, free_mb: float) -> str | None:
    """The warning when memory, growing as over the last MEMORY_STEPS steps, will not last for ``steps_left`` more.

    The slope is taken between the medians of both halves, which no single spike moves. ``free_mb`` is still free.
    """
    last = rss_mb[-MEMORY_STEPS:]
    half = MEMORY_STEPS // 2
    if len(last) < MEMORY_STEPS:
        return None
    slope = (statistics.median(last[half:]) - statistics.median(last[:half])) / half
    if slope * steps_left <= free_mb:
        return None
    return (
        f"memory, {stage}: the process holds {last[-1]:.0f} MB and grew by {slope:.0f} MB a step; the {free_mb:.0f} MB "
        f"that are free last for {free_mb / slope:.0f} more steps of {steps_left}; lower {stage}.save_every so that "
        f"little is lost (the run resumes with fresh memory), or {stage}.micro_batch"
    )


def free_memory_mb() -> float:
    """Memory that this process can still take: of the machine, or of its container where that has a limit."""
    free = psutil.virtual_memory().available
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or "max"
        return free / 2**20
    return min(free, limit - used) / 2**20


# ---- a stall ---------------------------------------------------------------------------------------------------------


class Watchdog:
    """Warns of what a run waits for when nothing has happened for ``seconds``; again after twice as long, and so on.

    It stops nothing. Used as a context manager it watches from a thread of its own.
    """

    def __init__(self, seconds: float, warn: Warn = logger.warning) -> None:
        self.seconds, self.warn = seconds, warn
        self._now = ("the start", time.monotonic())
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def now(self, activity: str) -> None:
        """Note that the run has made progress, and what it does next."""
        self._now = (activity, time.monotonic())

    def __enter__(self) -> Self:
        self.now("the start")
        self._end.clear()
        self._thread = threading.Thread(target=self._watch, name="stall watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        seen, patience = self._now, self.seconds
        while not self._end.wait(min(1.0, self.seconds / 4)):
            if self._now is not seen:
                seen, patience = self._now, self.seconds
            activity, since = seen
            waited = time.monotonic() - since
            if waited >= patience:
                patience = 2 * waited
                self.warn(
                    f"no progress for {_duration(waited)}: the run waits for {activity}; if that is too long, see what "
                    "it hangs on (an executor, a server, the disk), stop it and start it again: it resumes"
                )


def watched(scorer: Scorer, watchdog: Watchdog) -> Scorer:
    """The scorer, with a note to the watchdog before every batch."""
    agent = getattr(getattr(scorer, "executor", None), "name", None)
    by = f" with executor {agent!r}" if agent else ""

    def score(completions: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Score]:
        names = dict.fromkeys(f"{row.get('episode_id')}#{row.get('step')}" for row in rows)
        shown = ", ".join([*list(names)[:3], *(["..."] if len(names) > 3 else [])])
        watchdog.now(f"the scores of {len(completions)} samples of {shown}{by}")
        return scorer(completions, rows)

    return score


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
