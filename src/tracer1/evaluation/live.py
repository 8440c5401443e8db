"""A planner acting live over many episodes, one line of a file for each, so that a stopped evaluation resumes."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tracer1.agent.loop import Limits, run_episodes
from tracer1.config.settings import EvaluationSettings
from tracer1.evaluation.statistics import share
from tracer1.plan.prompt import PromptSpec
from tracer1.results.files import append, mend, read_lines
from tracer1.results.manifest import Manifest, claim
from tracer1.results.schema import EpisodeRow, Estimate, PlannedStep, TaskResult, TurnRow
from tracer1.types import Env, Executor, Model, Trajectory, Turn

Job: TypeAlias = tuple[str, int]  # task and seed
OpenEnvs: TypeAlias = Callable[[Path, int], AbstractAsyncContextManager[Sequence[Env]]]
"""Opens environments (the folder for screenshots, how many), such as ``envs.registry.find_env(name)``."""
ENDINGS = ("finished", "truncated", "failed")


@dataclass(frozen=True, slots=True)
class LiveResult:
    """Live episodes of one planner, in the order of the jobs."""

    episodes: tuple[EpisodeRow, ...]

    @property
    def successes(self) -> list[bool]:
        return [episode.success for episode in self.episodes]

    @property
    def success(self) -> Estimate:
        return share(self.successes)

    @property
    def planner_calls(self) -> float:
        """How often the planner was asked, mean of an episode."""
        return sum(episode.planner_calls for episode in self.episodes) / max(1, len(self.episodes))

    def only(self, tasks: Sequence[str]) -> LiveResult:
        """The episodes of some tasks."""
        return LiveResult(tuple(episode for episode in self.episodes if episode.task in tasks))

    def per_task(self) -> dict[str, TaskResult]:
        """By task: success, count, and how the episodes ended."""
        return {task: self.only([task])._as_task() for task in dict.fromkeys(e.task for e in self.episodes)}

    def _as_task(self) -> TaskResult:
        endings = Counter(episode.ending for episode in self.episodes)
        return TaskResult(
            success=sum(self.successes) / len(self.episodes),
            episodes=len(self.episodes),
            endings={name: endings.get(name, 0) for name in ENDINGS},
            planner_calls=self.planner_calls,
        )


def jobs_of(tasks: Sequence[str], first_seed: int, seeds: int) -> list[Job]:
    """Every task on the same seeds, so that two planners meet the same episodes."""
    return [(task, first_seed + i) for task in tasks for i in range(seeds)]


def evaluate_live(
    model: Model,
    executor: Executor,
    spec: PromptSpec,
    jobs: Sequence[Job],
    settings: EvaluationSettings,
    out: Path,
    images: Path,
    manifest: Manifest,
    open_envs: OpenEnvs,
    on_episode: Callable[[int, int, float], None] = lambda *_: None,
) -> LiveResult:
    """Run the jobs that ``out`` does not hold yet; each finished episode is one more line of ``out``.

    ``on_episode`` receives (episodes done, in all, success so far). The environments keep their screenshots in
    ``images``. Raises UsageError where ``out`` was made with another manifest.
    """
    claim(out, manifest)
    mend(out)
    known = {(row.task, row.seed): row for row in read_lines(out, EpisodeRow)}
    missing = [job for job in jobs if job not in known]

    def record(trajectory: Trajectory) -> None:
        row = episode_row(trajectory, out.parent.parent)
        known[(trajectory.task, trajectory.seed)] = row
        append(out, [row])
        done = [known[job].success for job in jobs if job in known]
        on_episode(len(done), len(jobs), sum(done) / len(done))

    if missing:
        asyncio.run(_run(model, executor, spec, missing, settings, open_envs, images, record))
    return LiveResult(tuple(known[job] for job in jobs))


async def _run(
    model: Model,
    executor: Executor,
    spec: PromptSpec,
    jobs: Sequence[Job],
    settings: EvaluationSettings,
    open_envs: OpenEnvs,
    images: Path,
    record: Callable[[Trajectory], None],
) -> None:
    limits = Limits(
        dict(settings.max_steps), settings.default_max_steps, settings.episode_seconds, settings.steps_per_plan
    )
    async with open_envs(images, min(settings.pages, len(jobs))) as envs:
        await run_episodes(jobs, envs, model, executor, spec, limits, record)


# ---- an episode as a row ---------------------------------------------------------------------------------------------


def episode_row(trajectory: Trajectory, root: Path) -> EpisodeRow:
    """A live episode for the file; screenshots relative to ``root``."""
    return EpisodeRow(
        task=trajectory.task,
        seed=trajectory.seed,
        goal=trajectory.goal,
        turns=tuple(_turn_row(turn, root) for turn in trajectory.turns),
        reward=trajectory.reward,
        success=trajectory.success,
        ending=trajectory.ending,
        where=trajectory.where,
        seconds=trajectory.seconds,
    )


def _turn_row(turn: Turn, root: Path) -> TurnRow:
    steps = turn.plan.steps if turn.plan else ()
    return TurnRow(
        screenshot=os.path.relpath(turn.screenshot, root) if turn.screenshot else None,
        completion=turn.completion,
        steps=tuple(PlannedStep(s.abstraction, s.action_type, s.instruction, s.status, s.arguments) for s in steps),
        action=turn.action,
        error=turn.error,
    )
