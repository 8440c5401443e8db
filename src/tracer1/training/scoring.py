"""The rewards as a trainer calls them: completions and dataset columns in, Scores out; None where none can be given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from tracer1.config.settings import Config
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import windows_store
from tracer1.executors.registry import make_executor
from tracer1.plan.windows import reference_from_json
from tracer1.rewards.grounded import GroundedProfile, score_grounded
from tracer1.rewards.trajectory import TrajectoryProfile, score_trajectory
from tracer1.types import Action, Executor, Observation, Reference, Score, Step


class Scorer(Protocol):
    """Scores one completion for one dataset row."""

    def __call__(self, completion: str, row: dict[str, Any]) -> Score: ...


class TrajectoryScorer:
    """Stage 1: the whole forecast against the recorded continuation (Eq. 6-10)."""

    def __init__(self, profile: TrajectoryProfile) -> None:
        self.profile = profile

    def __call__(self, completion: str, row: dict[str, Any]) -> Score:
        return score_trajectory(completion, recorded(row).steps, self.profile)


class GroundedScorer:
    """Stage 2: the frozen executor does the first predicted step on the recorded screen (Eq. 4-5)."""

    def __init__(self, profile: GroundedProfile, executor: Executor, store: EpisodeStore) -> None:
        self.profile, self.executor, self.store = profile, executor, store

    def __call__(self, completion: str, row: dict[str, Any]) -> Score:
        reference = recorded(row)
        observation = recorded_observation(row["images"], reference, self.store)

        def act(step: Step) -> Action:
            return self.executor.act(step.instruction, observation)

        return score_grounded(completion, reference, act, self.profile)


def recorded(row: dict[str, Any]) -> Reference:
    """The reference of a dataset row, whose ``reference`` column is JSON text."""
    return reference_from_json(json.loads(row["reference"]))


def recorded_observation(images: Sequence[str], reference: Reference, store: EpisodeStore) -> Observation:
    """What an executor is shown of a recorded step. ``size`` is not kept in a window (0, 0): points are fractions."""
    elements = store.load_elements(reference.elements) if reference.elements else None
    return Observation(images[-1] if images else None, (0, 0), elements, reference.observation)


class RewardFunction:
    """What TRL calls, once per generation batch. ``last`` keeps the Scores, in order, for the record of rollouts."""

    __name__ = "tracer1"  # the column under which TRL logs it

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.last: list[Score] = []

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        names = [name for name in ("reference", "images", "episode_id", "step") if name in columns]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*(columns[n] for n in names), strict=True)]
        self.last = [self.scorer(text_of(c), row) for c, row in zip(completions, rows, strict=True)]
        return [score.overall for score in self.last]


def text_of(completion: Any) -> str:
    """TRL hands a conversational completion as one assistant message."""
    return str(completion if isinstance(completion, str) else completion[0]["content"])


def make_scorer(config: Config, name: str, windows: str | None = None) -> Scorer:
    """The stage's reward with the configured profile, constants and executor, for the rows of ``windows`` (data.train
    if None), whose store holds what the executor is shown."""
    if name == "stage1":
        return TrajectoryScorer(config.reward.trajectory_profile())
    agent = make_executor(config.executor.name, **config.executor.options)
    return GroundedScorer(config.reward.grounded_profile(), agent, windows_store(windows or config.data.train))
