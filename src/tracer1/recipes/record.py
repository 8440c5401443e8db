"""Demonstrations from the live browser: experts play, and what they saw, said and hit becomes episodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from tracer1.data.store import EPISODES, EpisodeStore, read_episodes, write_episodes
from tracer1.envs.miniwob.browser import Browser
from tracer1.envs.miniwob.experts import Demonstration, demonstrate, expert_for
from tracer1.errors import EnvironmentFailure
from tracer1.types import Episode, EpisodeStep

Job: TypeAlias = tuple[str, int]  # task, seed
Progress: TypeAlias = Callable[[int, int], None]  # episodes done, episodes in all


@dataclass(frozen=True, slots=True)
class TaskCount:
    """How one task's episodes went. ``failures``: seed to the reason why it was not kept."""

    kept: int = 0
    steps: int = 0
    failures: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordReport:
    """What a recording left behind."""

    out: Path
    tasks: dict[str, TaskCount]
    seconds: float

    @property
    def kept(self) -> int:
        """Episodes written."""
        return sum(count.kept for count in self.tasks.values())

    @property
    def failed(self) -> int:
        """Episodes played but not kept, because they did not earn reward 1."""
        return sum(len(count.failures) for count in self.tasks.values())

    @property
    def steps(self) -> int:
        """Steps of the episodes written."""
        return sum(count.steps for count in self.tasks.values())


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
    """Play ``episodes`` episodes of each task (seeds ``seed``, ``seed`` + 1, ...) and store those that earn reward 1.

    ``out`` becomes an episode store: its ``episodes.jsonl`` is written once all are played, ordered by task and seed;
    other episodes that it held stay in front, those of the same task and seed are replaced.
    Screenshots are 160 x 210 times ``scale`` pixels; ``pages`` play at once. Raises UsageError for a task without an
    expert, SetupError when the browser or the disk is missing.
    """
    jobs = [(task, seed + i) for task in dict.fromkeys(tasks) for i in range(episodes)]
    for task in tasks:
        expert_for(task)
    return asyncio.run(_record(jobs, Path(out), scale, pages, split, progress))


def verify_experts(tasks: Sequence[str], seeds: Iterable[int], *, pages: int = 8) -> dict[str, float]:
    """The share of ``seeds`` on which each task's expert earns reward 1."""
    chosen = list(seeds)

    async def count() -> dict[str, float]:
        solved = dict.fromkeys(tasks, 0)
        with TemporaryDirectory() as images:
            async with Browser(images) as browser:
                async for demonstration in play(browser, [(task, seed) for task in solved for seed in chosen], pages):
                    solved[demonstration.task] += demonstration.reward == 1
        return {task: number / len(chosen) for task, number in solved.items()}

    return asyncio.run(count())


async def play(browser: Browser, jobs: Sequence[Job], pages: int, scale: int = 1) -> AsyncIterator[Demonstration]:
    """The demonstrations of ``jobs`` as they come, from ``pages`` pages at once.

    An episode whose page fails is played once more on a fresh page; if that fails too it is yielded with the reason.
    """
    waiting = list(reversed(jobs))
    finished: asyncio.Queue[Demonstration] = asyncio.Queue()

    async def work() -> None:
        env = await browser.new_page(scale)
        while waiting:
            task, seed = waiting.pop()
            try:
                demonstration = await demonstrate(env, expert_for(task), task, seed)
            except EnvironmentFailure:
                try:
                    demonstration = await demonstrate(env, expert_for(task), task, seed)
                except EnvironmentFailure as error:
                    demonstration = Demonstration(task, seed, "", (), 0.0, str(error))
            await finished.put(demonstration)
        await env.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(pages, len(jobs))):
            group.create_task(work())
        for _ in jobs:
            yield await finished.get()


async def _record(
    jobs: Sequence[Job], out: Path, scale: int, pages: int, split: str, progress: Progress | None
) -> RecordReport:
    started = time.monotonic()
    store = EpisodeStore(out)
    kept: dict[Job, Episode] = {}
    failures: dict[Job, str] = {}
    async with Browser(out / "images") as browser:
        async for shown in play(browser, jobs, pages, scale):
            job = (shown.task, shown.seed)
            if shown.reward == 1:
                kept[job] = _episode(shown, store, split)
            else:
                failures[job] = shown.reason or f"reward {shown.reward:g}"
            if progress is not None:
                progress(len(kept) + len(failures), len(jobs))
    played = {f"miniwob/{task}/{seed}" for task, seed in jobs}
    held = [episode for episode in _held(out) if episode.episode_id not in played]
    write_episodes(out, [*held, *(kept[job] for job in jobs if job in kept)])
    counts = {
        task: TaskCount(
            kept=sum(job[0] == task for job in kept),
            steps=sum(len(episode.steps) for job, episode in kept.items() if job[0] == task),
            failures={seed: why for (name, seed), why in failures.items() if name == task},
        )
        for task in dict.fromkeys(task for task, _ in jobs)
    }
    return RecordReport(out, counts, time.monotonic() - started)


def _held(out: Path) -> Iterable[Episode]:
    return read_episodes(out) if (out / EPISODES).is_file() else ()


def _episode(shown: Demonstration, store: EpisodeStore, split: str) -> Episode:
    steps = tuple(
        EpisodeStep(
            screenshot=step.observation.screenshot and f"images/{Path(step.observation.screenshot).name}",
            size=step.observation.size,
            abstraction=step.abstraction,
            instruction=step.instruction,
            action=step.action,
            box=step.box,
            status=step.status,
            elements=store.put_elements(step.observation.elements or ()),
        )
        for step in shown.steps
    )
    return Episode(
        episode_id=f"miniwob/{shown.task}/{shown.seed}",
        source="miniwob",
        platform="web",
        goal=shown.goal,
        split=split,
        steps=steps,
        labels={"task": shown.task, "seed": shown.seed},
    )
