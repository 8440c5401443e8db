"""The rewards as a trainer calls them: completions and dataset columns in, Scores out; None where none can be given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from tracer1.config.settings import Config
from tracer1.data.store import EpisodeStore
from tracer1.executors.registry import make_executor
from tracer1.executors.running import Background, attempt_all
from tracer1.plan.windows import reference_from_json
from tracer1.rewards.grounded import GroundedProfile, first_step, score_outcome
from tracer1.rewards.trajectory import TrajectoryProfile, score_trajectory
from tracer1.types import Executor, Observation, Reference, Score

Row = dict[str, Any]


class Scorer(Protocol):
    """Scores a batch of completions, each for its dataset row, in order."""

    def __call__(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Score]: ...


class TrajectoryScorer:
    """Stage 1: the whole forecast against the recorded continuation (Eq. 6-10)."""

    def __init__(self, profile: TrajectoryProfile) -> None:
        self.profile = profile

    def __call__(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Score]:
        return [
            score_trajectory(completion, recorded(row).steps, self.profile)
            for completion, row in zip(completions, rows, strict=True)
        ]


class GroundedScorer:
    """Stage 2: the frozen executor does the first predicted step on the recorded screen (Eq. 4-5).

    Each row's ``store`` is the episode store that its elements and files lie in (``windows_file.absolute_rows``).
    Up to ``concurrency`` steps are executed at once; one that takes longer than ``timeout`` seconds is unscored.
    """

    def __init__(
        self,
        profile: GroundedProfile,
        executor: Executor,
        concurrency: int = 8,
        timeout: float | None = None,
    ) -> None:
        self.profile, self.executor = profile, executor
        self.concurrency, self.timeout = concurrency, timeout
        self._background: Background | None = None

    def __call__(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Score]:
        references = [recorded(row) for row in rows]
        firsts = [first_step(completion, self.profile) for completion in completions]
        tried = [
            (step, recorded_observation(row["images"], reference, EpisodeStore(row["store"])))
            for step, row, reference in zip(firsts, rows, references, strict=True)
            if step is not None
        ]
        self._background = self._background or Background()
        outcomes = iter(self._background.run(attempt_all(self.executor, tried, self.concurrency, self.timeout)))
        return [
            score_outcome(completion, reference, None if step is None else next(outcomes), self.profile)
            for completion, reference, step in zip(completions, references, firsts, strict=True)
        ]


def recorded(row: Row) -> Reference:
    """The reference of a dataset row, whose ``reference`` column is JSON text."""
    return reference_from_json(json.loads(row["reference"]))


def recorded_observation(images: Sequence[str], reference: Reference, store: EpisodeStore) -> Observation:
    """What an executor is shown of a recorded step: all that was known before it, and nothing of what came of it."""
    elements = store.load_elements(reference.elements) if reference.elements else None
    screenshot = images[-1] if images and reference.platform != "tools" else None
    files = tuple(str(store.path(name)) for name in reference.files)
    return Observation(screenshot, reference.size, elements, reference.text, reference.platform, files)


class RewardFunction:
    """What TRL calls, once per generation batch. ``last`` keeps the Scores, in order, for the record of rollouts."""

    __name__ = "tracer1"  # the column under which TRL logs it

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.last: list[Score] = []
        self._kept: dict[tuple[str, ...], Score] = {}

    def score(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Score]:
        """The Scores, in order; each is computed once and kept until the batch is rewarded."""
        pairs = zip(completions, rows, strict=True)
        keys = [(str(row["episode_id"]), str(row["step"]), row["reference"], text) for text, row in pairs]
        new = {key: i for i, key in enumerate(keys) if key not in self._kept}
        found = self.scorer([completions[i] for i in new.values()], [rows[i] for i in new.values()]) if new else []
        self._kept.update(zip(new, found, strict=True))
        return [self._kept[key] for key in keys]

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        names = [name for name in ("reference", "images", "episode_id", "step", "store") if name in columns]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*(columns[n] for n in names), strict=True)]
        self.last = self.score([text_of(c) for c in completions], rows)
        self._kept.clear()
        return [score.overall for score in self.last]


def text_of(completion: Any) -> str:
    """TRL hands a conversational completion as one assistant message."""
    return str(completion if isinstance(completion, str) else completion[0]["content"])


def make_scorer(config: Config, name: str) -> Scorer:
    """The stage's reward with the configured profile, constants and executor."""
    if name == "stage1":
        return TrajectoryScorer(config.reward.trajectory_profile())
    agent = make_executor(config.executor.name, **config.executor.options)
    return GroundedScorer(
        config.reward.grounded_profile(),
        agent,
        config.executor.concurrency,
        config.executor.timeout,
    )
