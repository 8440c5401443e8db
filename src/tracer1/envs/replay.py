"""A store of recorded episodes as an environment: each step shows the recorded screen for as long as the actions match.

A task is an episode's id or its place in the store (from 0); the seed changes nothing. The reward is 1 when every
action matched the recorded one. The first action that does not match ends the episode with reward 0, because what it
would have led to was never recorded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tracer1.actions import action_to_json, same_action, validate
from tracer1.data.store import EpisodeStore, read_episodes
from tracer1.envs.options import DEFAULTS, EnvOptions
from tracer1.errors import ActionError, DataError, EnvironmentFailure, UsageError
from tracer1.plan.windows import observations
from tracer1.types import Action, Env, Episode, Observation, Task, Transition


class Recordings:
    """The episodes of one store, read once for all environments that replay them.

    Raises DataError when the store cannot be read or holds no episode.
    """

    def __init__(self, directory: Path | str) -> None:
        self.store = EpisodeStore(directory)
        self.episodes = {episode.episode_id: episode for episode in read_episodes(directory)}
        if not self.episodes:
            raise DataError(f"{directory}: no episodes to replay; record some with `tracer1 data record`")

    def task_names(self) -> list[str]:
        return list(self.episodes)

    @asynccontextmanager
    async def open_envs(self, images: Path, count: int, options: EnvOptions = DEFAULTS) -> AsyncIterator[list[Env]]:
        """``count`` environments; the screenshots stay where they are in the store."""
        yield [Replay(self, options.elements) for _ in range(count)]

    def episode(self, task: str) -> Episode:
        """The episode with this id or place; "" is the first. Raises UsageError when there is none."""
        if task in self.episodes:
            return self.episodes[task]
        place = int(task or 0) if not task or task.isdecimal() else -1
        if not 0 <= place < len(self.episodes):
            first = ", ".join(self.task_names()[:5])
            raise UsageError(
                f"no episode {task!r} in {self.store.directory}: give an id ({first}, ...) or a place below"
                f" {len(self.episodes)}"
            )
        return list(self.episodes.values())[place]

    def screens(self, episode: Episode, elements: bool = True) -> list[Observation]:
        """What was seen before each step, with paths that can be opened."""
        files = tuple(str(self.store.path(file)) for file in episode.files)
        screens = []
        for step, seen in zip(episode.steps, observations(episode), strict=True):
            known = self.store.load_elements(step.elements) if elements and step.elements else None
            screenshot = None if seen.screenshot is None else str(self.store.path(seen.screenshot))
            screens.append(replace(seen, screenshot=screenshot, elements=known, files=files))
        return screens


class Replay:
    """``tracer1.types.Env``: one recorded episode at a time."""

    def __init__(self, recordings: Recordings, elements: bool = True) -> None:
        self._recordings = recordings
        self._elements = elements
        self._episode: Episode | None = None  # None: no episode is running
        self._screens: Sequence[Observation] = ()
        self._at = 0

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        """Begin an episode by its id or place. Raises UsageError for one that the store does not hold, DataError for
        one that cannot be replayed."""
        episode = self._recordings.episode(task)
        if not episode.steps:
            raise DataError(f"episode {episode.episode_id!r} has no steps to replay")
        self._screens = self._recordings.screens(episode, self._elements)
        self._episode, self._at = episode, 0
        seen = self._screens[0]
        return Task(episode.goal, episode.platform, episode.source, seen.files), seen

    async def step(self, action: Action) -> Transition:
        """Compare an action with the recorded one, and show what followed.

        Raises ActionError for an action that its platform does not have, UsageError when no episode is running,
        EnvironmentFailure when the record does not say what its action was.
        """
        if self._episode is None:
            raise UsageError("no episode is running; reset the environment first")
        validate(action, self._episode.platform, self._episode.source)
        if not self._matches(action, self._episode):
            return self._end(0.0, f"step {self._at + 1} leaves the recording, where it is {self._recorded()}")
        if self._at + 1 == len(self._screens):
            return self._end(1.0, "every action matched the recording")
        self._at += 1
        return Transition(self._screens[self._at], 0.0, False)

    async def close(self) -> None:
        """End the episode; nothing else is held open."""
        self._episode = None

    def _matches(self, action: Action, episode: Episode) -> bool:
        recorded = episode.steps[self._at]
        try:
            return same_action(action, recorded.action, recorded.box)
        except ActionError as error:
            self._episode = None
            raise EnvironmentFailure(f"episode {episode.episode_id!r}, step {self._at + 1}: {error}") from error

    def _recorded(self) -> str:
        assert self._episode is not None
        fields = action_to_json(self._episode.steps[self._at].action)
        kind = fields.pop("action_type")
        return f"{kind}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"

    def _end(self, reward: float, reason: str) -> Transition:
        self._episode = None
        return Transition(self._screens[self._at], reward, True, reason)
