"""The rewards as a trainer calls them: completions and data set rows in, one Score each out; unscored is not zero."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Protocol

from tracer1.config.settings import Config
from tracer1.data.store import EpisodeStore
from tracer1.errors import TrainingError
from tracer1.executors.registry import make_executor
from tracer1.executors.running import Background, TimeLimited, attempt_all
from tracer1.extensions import REWARD, load_object
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
    Up to ``concurrency`` steps are executed at once.
    """

    def __init__(
        self,
        profile: GroundedProfile,
        executor: Executor,
        concurrency: int = 8,
    ) -> None:
        self.profile, self.executor = profile, executor
        self.concurrency = concurrency
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
        outcomes = iter(self._background.run(attempt_all(self.executor, tried, self.concurrency)))
        return [
            score_outcome(completion, reference, None if step is None else next(outcomes), self.profile)
            for completion, reference, step in zip(completions, references, firsts, strict=True)
        ]


RewardResult = Score | float | None


class FunctionScorer:
    """A user's own reward: ``reward.function``, a dotted path to ``def function(completions, rows)``.

    It gets a batch of completions (texts) and, in the same order, their rows (dicts with the columns of the windows
    file: prompt, images, reference, episode_id, step, source), and returns, in that order, a Score for each, or a
    number (the whole reward), or None (unscored). It may be async.
    """

    def __init__(self, function: Callable[[list[str], list[Row]], Any], name: str) -> None:
        self.function, self.name = function, name
        self._background: Background | None = None

    @classmethod
    def load(cls, path: str) -> FunctionScorer:
        """The function at ``module:name``; UsageError where there is none."""
        return cls(load_object(path, REWARD), path)

    def __call__(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Score]:
        try:
            results = self.function(list(completions), [dict(row) for row in rows])
            if inspect.iscoroutine(results):
                self._background = self._background or Background()
                results = self._background.run(results)
        except Exception as error:
            where = f"reward.function {self.name!r}"
            raise TrainingError(f"{where} raised {type(error).__name__}: {error}; --debug shows where") from error
        return self._checked(results, len(completions))

    def _checked(self, results: Any, count: int) -> list[Score]:
        if not isinstance(results, list | tuple):
            raise TrainingError(
                f"reward.function {self.name!r} returned {_named(results)}; return a list with one Score, number or "
                "None for each completion"
            )
        if len(results) != count:
            raise TrainingError(
                f"reward.function {self.name!r} returned {len(results)} results for {count} completions"
            )
        return [self._score(result, k) for k, result in enumerate(results)]

    def _score(self, result: Any, place: int) -> Score:
        if result is None:
            return Score(None, 0.0, None, unscored=f"reward.function {self.name!r} returned None")
        if isinstance(result, Real):
            result = Score(float(result), 0.0, float(result), {"reward": float(result)})
        if not isinstance(result, Score):
            raise TrainingError(
                f"reward.function {self.name!r}: result {place} is {_named(result)}, not a Score, number or None"
            )
        if result.overall is not None and not math.isfinite(result.overall):
            raise TrainingError(
                f"reward.function {self.name!r}: result {place} is {result.overall}, not a finite number"
            )
        return result


def _named(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


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
    """What TRL calls, once per generation batch. ``last`` holds that batch's Scores, in order, to be recorded."""

    __name__ = "tracer1"  # the column under which TRL logs it

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.last: list[Score] = []
        self._cache: dict[tuple[str, ...], Score] = {}  # of the batch that is under way

    def score(self, completions: Sequence[str], rows: Sequence[Row]) -> list[Score]:
        """The Scores, in order; each is computed once and cached until the batch is rewarded."""
        pairs = zip(completions, rows, strict=True)
        keys = [(str(row["episode_id"]), str(row["step"]), row["reference"], text) for text, row in pairs]
        new = {key: i for i, key in enumerate(keys) if key not in self._cache}
        scores = self.scorer([completions[i] for i in new.values()], [rows[i] for i in new.values()]) if new else []
        self._cache.update(zip(new, scores, strict=True))
        return [self._cache[key] for key in keys]

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        names = [name for name in ("reference", "images", "episode_id", "step", "store") if name in columns]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*(columns[n] for n in names), strict=True)]
        self.last = self.score([text_of(c) for c in completions], rows)
        self._cache.clear()
        return [score.overall for score in self.last]


def text_of(completion: Any) -> str:
    """TRL hands a conversational completion as one assistant message."""
    return str(completion if isinstance(completion, str) else completion[0]["content"])


def make_scorer(config: Config, name: str) -> Scorer:
    """The stage's reward: ``reward.function`` where it is set; otherwise stage 1's or stage 2's with the configured
    profile, constants and executor."""
    if config.reward.function is not None:
        return FunctionScorer.load(config.reward.function)
    if name == "stage1":
        return TrajectoryScorer(config.reward.trajectory_profile())
    agent = TimeLimited(make_executor(config.executor.name, **config.executor.options), config.executor.timeout)
    return GroundedScorer(config.reward.grounded_profile(), agent, config.executor.concurrency)
