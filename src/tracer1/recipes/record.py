"""Demonstrations: the scripted experts of an environment play, and the episodes that earn reward 1 are stored."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from tracer1.data.store import EPISODES, EpisodeStore, put_last, read_episodes
from tracer1.envs.experts import Demonstration, Expert, ExpertStep, demonstrate
from tracer1.envs.options import EnvOptions
from tracer1.envs.registry import find_env
from tracer1.errors import EnvironmentFailure
from tracer1.types import Env, Episode, EpisodeStep

Job: TypeAlias = tuple[str, int]  # task, seed
Progress: TypeAlias = Callable[[int, int], None]  # episodes done, episodes in all


@dataclass(frozen=True, slots=True)
class TaskCount:
    """How one task's episodes went. ``failures``: seed to the reason why it was not stored."""

    kept: int = 0
    steps: int = 0
    failures: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordReport:
    """What a recording wrote."""

    out: Path
    tasks: dict[str, TaskCount]
    seconds: float

    @property
    def kept(self) -> int:
        """Episodes written."""
        return sum(count.kept for count in self.tasks.values())

    @property
    def failed(self) -> int:
        """Episodes played but not written, because they did not earn reward 1."""
        return sum(len(count.failures) for count in self.tasks.values())

    @property
    def steps(self) -> int:
        """Steps of the episodes written."""
        return sum(count.steps for count in self.tasks.values())


def record(
    env_name: str,
    tasks: Sequence[str],
    episodes: int,
    seed: int,
    out: Path | str,
    *,
    scale: int = 1,
    pages: int = 8,
    split: str = "train",
    progress: Progress | None = None,
) -> RecordReport:
    """Play ``episodes`` episodes of each task (seeds ``seed``, ``seed`` + 1, ...) and store those that earn reward 1.

    ``env_name``: an environment with scripted experts, as ``tracer1.envs.registry`` names it. ``out`` becomes an
    episode store, ordered by task and seed: other episodes that it held stay in front, those of the same task and seed
    are replaced. Each episode is appended as soon as it is played, so that an interrupted or killed recording keeps
    it. ``scale`` multiplies the size of screenshots; ``pages`` environments play at once.
    Raises UsageError for a task without an expert, DataError when ``out`` holds a store that cannot be read, both
    before anything is played; SetupError when the browser or the disk is missing.
    """
    factory = find_env(env_name)
    experts = {task: factory.expert(task) for task in dict.fromkeys(tasks)}
    recording = _Recording(env_name, Path(out), split, [(task, seed + i) for task in experts for i in range(episodes)])
    started = time.monotonic()
    recording.read_store()
    try:
        opening = factory(recording.out / "images", min(pages, len(recording.jobs)), EnvOptions(scale=scale))
        asyncio.run(_play_all(opening, recording, experts, progress))
    finally:
        recording.write()
    return RecordReport(recording.out, recording.counts(), time.monotonic() - started)


def record_miniwob(
    tasks: Sequence[str],
    episodes: int,
    seed: int,
    out: Path | str,
    *,
    scale: int = 1,
    pages: int = 8,
    split: str = "train",
    progress: Progress | None = None,
) -> RecordReport:
    """``record`` on MiniWoB++, whose screenshots are 160 x 210 times ``scale`` pixels."""
    return record("miniwob", tasks, episodes, seed, out, scale=scale, pages=pages, split=split, progress=progress)


def verify_experts(
    tasks: Sequence[str], seeds: Iterable[int], *, pages: int = 8, env_name: str = "miniwob"
) -> dict[str, float]:
    """The share of ``seeds`` on which each task's expert earns reward 1."""
    chosen = list(seeds)
    factory = find_env(env_name)
    experts = {task: factory.expert(task) for task in tasks}
    solved = dict.fromkeys(tasks, 0)

    async def count() -> None:
        jobs = [(task, seed) for task in solved for seed in chosen]
        with TemporaryDirectory() as images:
            async with factory(images, min(pages, len(jobs))) as envs:
                async for shown in play(envs, experts, jobs):
                    solved[shown.task] += shown.reward == 1

    asyncio.run(count())
    return {task: number / len(chosen) for task, number in solved.items()}


async def play(envs: Sequence[Env], experts: dict[str, Expert], jobs: Sequence[Job]) -> AsyncGenerator[Demonstration]:
    """The demonstrations of ``jobs`` as they are finished, played in all ``envs`` at once.

    An episode whose environment fails is played once more; where that fails too, its demonstration has the reason.
    """
    waiting = deque(jobs)
    finished: asyncio.Queue[Demonstration | Exception] = asyncio.Queue()

    async def work(env: Env) -> None:
        try:
            while waiting:
                task, seed = waiting.popleft()
                await finished.put(await _demonstrated(env, experts[task], task, seed))
        except Exception as error:  # raised below, where the caller waits
            await finished.put(error)

    workers = [asyncio.create_task(work(env)) for env in envs]
    try:
        for _ in jobs:
            shown = await finished.get()
            if isinstance(shown, Exception):
                raise shown
            yield shown
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _demonstrated(env: Env, expert: Expert, task: str, seed: int) -> Demonstration:
    with suppress(EnvironmentFailure):
        return await demonstrate(env, expert, task, seed)
    try:
        return await demonstrate(env, expert, task, seed)
    except EnvironmentFailure as error:
        return Demonstration(task, seed, reason=str(error))


async def _play_all(
    opening: AbstractAsyncContextManager[list[Env]],
    recording: _Recording,
    experts: dict[str, Expert],
    progress: Progress | None,
) -> None:
    async with opening as envs, aclosing(play(envs, experts, recording.jobs)) as demonstrations:
        async for shown in demonstrations:
            recording.add(shown)
            if progress is not None:
                progress(recording.done, len(recording.jobs))


@dataclass(slots=True)
class _Recording:
    """The store that a recording writes, and what it has so far."""

    env_name: str
    out: Path
    split: str
    jobs: Sequence[Job]
    kept: dict[Job, int] = field(default_factory=dict)  # steps; the episodes are in the store
    failures: dict[Job, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Episodes played."""
        return len(self.kept) + len(self.failures)

    def read_store(self) -> None:
        """Read what ``out`` holds already. Raises DataError before hours are spent on playing."""
        for _ in self._held():
            pass

    def add(self, shown: Demonstration) -> None:
        job = (shown.task, shown.seed)
        if shown.reward == 1:
            EpisodeStore(self.out).append(self._episode(shown))
            self.kept[job] = len(shown.steps)
        else:
            self.failures[job] = shown.reason or f"reward {shown.reward:g}"

    def write(self) -> None:
        """Put the store in order: the episodes that it held, then the new ones in the order of the jobs."""
        if self.done < len(self.jobs) and not self.kept:
            return  # interrupted before anything was recorded
        put_last(self.out, [self._id(job) for job in self.jobs if job in self.kept], map(self._id, self.failures))

    def counts(self) -> dict[str, TaskCount]:
        return {task: self._count(task) for task in dict.fromkeys(task for task, _ in self.jobs)}

    def _count(self, task: str) -> TaskCount:
        mine = [steps for (name, _), steps in self.kept.items() if name == task]
        failures = {seed: why for (name, seed), why in self.failures.items() if name == task}
        return TaskCount(len(mine), sum(mine), failures)

    def _held(self) -> Iterable[Episode]:
        return read_episodes(self.out) if (self.out / EPISODES).is_file() else ()

    def _id(self, job: Job) -> str:
        return f"{self.env_name}/{job[0]}/{job[1]}"

    def _episode(self, shown: Demonstration) -> Episode:
        store = EpisodeStore(self.out)
        return Episode(
            episode_id=self._id((shown.task, shown.seed)),
            source=shown.asked.source or self.env_name,
            platform=shown.asked.platform,
            goal=shown.goal,
            split=self.split,
            steps=tuple(_step(step, store) for step in shown.steps),
            labels={"task": shown.task, "seed": shown.seed},
        )


def _step(step: ExpertStep, store: EpisodeStore) -> EpisodeStep:
    seen = step.observation
    return EpisodeStep(
        screenshot=_screenshot(seen.screenshot, store),
        size=seen.size,
        abstraction=step.abstraction,
        instruction=step.instruction,
        action=step.action,
        box=step.box,
        status=step.status,
        elements=None if seen.elements is None else store.put_elements(seen.elements),
        text=seen.text,
    )


def _screenshot(path: str | None, store: EpisodeStore) -> str | None:
    """A screenshot's path in the store; one that an environment keeps elsewhere is copied."""
    if path is None:
        return None
    images = store.directory / "images"
    if Path(path).parent == images:
        return f"images/{Path(path).name}"
    return store.put_image(Path(path).read_bytes())
