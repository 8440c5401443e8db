"""The records of every results file, as frozen dataclasses: metrics, rollouts, predictions, live episodes, results.

A field's name is its key in the file. ``results.json_records`` writes and reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tracer1.results.json_records import OMIT, finite, from_json
from tracer1.types import Action

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value, its 95 % interval and the count behind it; None where one is not known."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None

    @property
    def interval(self) -> Interval | None:
        """Both bounds, rounded for the file; None where one is missing or infinite."""
        if self.low is None or self.high is None or not (math.isfinite(self.low) and math.isfinite(self.high)):
            return None
        return round(self.low, 4), round(self.high, 4)

    def to_json(self) -> dict[str, Any]:
        """``{"value", "interval", "count"}``, rounded; a value or bound that is no finite number is null."""
        bounds = [None if b is None or not math.isfinite(b) else round(b, 4) for b in (self.low, self.high)]
        value = round(self.value, 4) if math.isfinite(self.value) else None
        return {"value": value, "interval": bounds, "count": self.count}

    @staticmethod
    def from_json(data: Any, place: str) -> Estimate | None:
        """Read an object, or a bare number; None where the value is absent."""
        raw = from_json(_EstimateFields, data, place) if isinstance(data, Mapping) else _EstimateFields(data)
        value = None if raw.value is None else finite(raw.value, place)
        return None if value is None else estimate(value, raw.interval, raw.count)


@dataclass(frozen=True, slots=True)
class _EstimateFields:
    value: Any = None
    interval: tuple[float | None, ...] | None = None
    count: int | None = None


def estimate(
    value: float | None, interval: tuple[float | None, ...] | None, count: int | None = None
) -> Estimate | None:
    """The Estimate of a value whose interval and count stand beside it; None where there is no value."""
    if value is None:
        return None
    low, high = interval if interval is not None and len(interval) == 2 else (None, None)
    return Estimate(value, low, high, count)


# ---- training --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GroupSignal:
    """How many groups of a step there were, and how many had zero variance, by reason (training/diagnosis.py)."""

    groups: int = 0
    zero_variance: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """Mean length in steps, and the share that repeats a step at once, of a step's plans and of their recordings."""

    steps: float | None = None
    loops: float | None = None
    reference_steps: float | None = None
    reference_loops: float | None = None


@dataclass(frozen=True, slots=True)
class SamplerMismatch:
    """How far the sampler's and the trainer's log-probabilities of the same tokens differ, in nats."""

    mean: float = 0.0
    max: float = 0.0
    tokens: int = 0
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """One line of ``metrics.jsonl``: the figures of one training step. Steps count from 1."""

    stage: str = "training"
    step: int = 0
    loss: float | None = None
    reward: float | None = None
    reward_std: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)  # means over the step's samples
    unscored: int | None = None  # samples
    zero_variance_groups: float | None = None  # a share
    zero_variance_first: int | None = None  # groups, before any was resampled
    resampled_groups: int | None = None
    signal: GroupSignal | None = None
    plans: PlanFigures | None = None
    mismatch: SamplerMismatch | None = None
    kl: float | None = None
    entropy: float | None = None
    clip_share: float | None = None
    grad_norm: float | None = None
    learning_rate: float | None = None
    completion_tokens: float | None = None
    truncated_share: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)  # by phase; "step" is the whole
    rss_mb: float | None = None


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One line of ``rollouts.jsonl``: a completion, its score and its advantage. Steps count from 1."""

    stage: str = "training"
    step: int | None = None
    prompt: str = ""  # the window's id, "episode#step"
    completion: str = ""
    overall: float | None = None
    format: float | None = None
    accuracy: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    unscored: str | None = None  # why, when overall is None
    advantage: float | None = None


# ---- evaluation ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prediction:
    """One line of ``predictions.jsonl``: a planner's raw completion for one window, and its rewards where scored."""

    id: str
    completion: str = ""
    plan_reward: float | None = None  # stage 1's
    format: float | None = None
    first_step: float | None = None  # stage 2's accuracy


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a turn's plan."""

    abstraction: str = ""
    action_type: str = ""
    instruction: str = ""
    status: str = "not done"
    arguments: Mapping[str, Any] | None = field(default=None, metadata=OMIT)


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One turn of a live episode. ``completion`` is "" where the step comes from an earlier turn's plan."""

    screenshot: str | None = None  # relative to the run directory
    completion: str = ""
    steps: tuple[PlannedStep, ...] = ()
    action: Action | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One line of ``live/<name>.jsonl``: a live episode."""

    task: str = ""
    seed: int = 0
    goal: str = ""
    turns: tuple[TurnRow, ...] = ()
    reward: float | None = None
    success: bool = False
    ending: str = ""
    where: str = ""
    seconds: float | None = None

    @property
    def planner_calls(self) -> int:
        """How often the planner was asked."""
        return sum(bool(turn.completion) for turn in self.turns)


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """``gate.json``: whether stage 1 forecasts better than the base, and by how much."""

    passed: bool = False
    line: str = ""
    stage1: Estimate | None = None
    base: Estimate | None = None
    difference: Estimate | None = None


# ---- results.json ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task's live episodes."""

    success: float | None = None
    episodes: int | None = None
    endings: Mapping[str, int] = field(default_factory=dict)
    planner_calls: float | None = None


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What one planner earned, live and on the held-out windows; a figure that was not measured is left out."""

    name: str = field(default="", metadata=OMIT)
    live_success: float | None = field(default=None, metadata=OMIT)
    interval: Interval | None = field(default=None, metadata=OMIT)
    episodes: int | None = field(default=None, metadata=OMIT)
    steps_per_plan: int | None = field(default=None, metadata=OMIT)
    planner_calls: float | None = field(default=None, metadata=OMIT)  # an episode
    per_task: Mapping[str, TaskResult] = field(default_factory=dict, metadata=OMIT)
    first_step_accuracy: float | None = field(default=None, metadata=OMIT)
    first_step_interval: Interval | None = field(default=None, metadata=OMIT)
    first_step_count: int | None = field(default=None, metadata=OMIT)
    plan_reward: float | None = field(default=None, metadata=OMIT)
    plan_reward_interval: Interval | None = field(default=None, metadata=OMIT)
    windows: int | None = field(default=None, metadata=OMIT)
    format: float | None = field(default=None, metadata=OMIT)
    hit_rate_by_depth: tuple[float | None, ...] = field(default=(), metadata=OMIT)
    hit_rate_intervals: tuple[tuple[float | None, ...] | None, ...] = field(default=(), metadata=OMIT)
    copied_arguments: Estimate | None = field(default=None, metadata=OMIT)
    tasks: tuple[str, ...] = field(default=(), metadata=OMIT)  # where not all of the results' tasks
    with_images: float | None = field(default=None, metadata=OMIT)  # of a planner with blank images: success with them
    difference: Estimate | None = field(default=None, metadata=OMIT)  # blank less with images, paired

    @property
    def success(self) -> Estimate | None:
        return estimate(self.live_success, self.interval, self.episodes)

    @property
    def first_step(self) -> Estimate | None:
        return estimate(self.first_step_accuracy, self.first_step_interval, self.first_step_count)

    @property
    def reward(self) -> Estimate | None:
        return estimate(self.plan_reward, self.plan_reward_interval, self.windows)

    @property
    def hits(self) -> list[Estimate | None]:
        """The hit rate at each depth."""
        beside = [*self.hit_rate_intervals, *[None] * len(self.hit_rate_by_depth)]
        return [estimate(value, interval) for value, interval in zip(self.hit_rate_by_depth, beside, strict=False)]


@dataclass(frozen=True, slots=True)
class ExecutorResult:
    """How often an executor hits the recorded target; ``text``: of targets whose name is drawn on the screen."""

    hit_rate: float | None = None
    interval: Interval | None = field(default=None, metadata=OMIT)
    count: int | None = None
    text_hit_rate: float | None = field(default=None, metadata=OMIT)
    text_count: int | None = field(default=None, metadata=OMIT)

    @property
    def hits(self) -> Estimate | None:
        return estimate(self.hit_rate, self.interval, self.count)


@dataclass(frozen=True, slots=True)
class ConstantPlan:
    """The plan without content that earns the highest mean plan reward when every window is answered with it."""

    action_types: tuple[str, ...] = ()
    plan_reward: float | None = None
    windows: int | None = None


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One seed of ``tracer1 reproduce``."""

    seed: int = 0
    stages: tuple[AgentResult, ...] = ()
    reactive: AgentResult | None = None
    live_stage2_minus_base: Estimate | None = None
    live_stage2_minus_stage1: Estimate | None = None
    live_stage2_minus_reactive: Estimate | None = None


@dataclass(frozen=True, slots=True)
class SeedMeans:
    """Live success over the seeds: the mean, the spread and the values."""

    mean: float = 0.0
    lowest: float = 0.0
    highest: float = 0.0
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """``results.json``: what an evaluation, a demo or a reproduction measured. Every part is optional."""

    benchmark: str = field(default="", metadata=OMIT)
    model: str = field(default="", metadata=OMIT)
    tasks: tuple[str, ...] = field(default=(), metadata=OMIT)
    seeds_per_task: int | None = field(default=None, metadata=OMIT)
    protocol: Mapping[str, Any] = field(default_factory=dict, metadata=OMIT)  # what the numbers mean, in words
    stages: tuple[AgentResult, ...] = field(default=(), metadata=OMIT)
    gains: Mapping[str, Estimate] = field(default_factory=dict, metadata=OMIT)
    planner: AgentResult | None = field(default=None, metadata=OMIT)
    acting_on_the_plan: AgentResult | None = field(default=None, metadata=OMIT)
    reactive: AgentResult | None = field(default=None, metadata=OMIT)
    blank_images: AgentResult | None = field(default=None, metadata=OMIT)
    baselines: Mapping[str, AgentResult] = field(default_factory=dict, metadata=OMIT)
    constant_plan: ConstantPlan | None = field(default=None, metadata=OMIT)
    executors: Mapping[str, ExecutorResult] = field(default_factory=dict, metadata=OMIT)
    base: AgentResult | None = field(default=None, metadata=OMIT)
    seeds: tuple[SeedResult, ...] = field(default=(), metadata=OMIT)
    mean: Mapping[str, SeedMeans] = field(default_factory=dict, metadata=OMIT)
    minutes: Mapping[str, float] = field(default_factory=dict, metadata=OMIT)
