"""A planner acting in the live browser, over many pages; kept line by line, so that what was interrupted goes on."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tracer1.actions import action_to_json
from tracer1.agent.loop import Limits, run_episodes
from tracer1.config.settings import EvaluationSettings
from tracer1.envs.miniwob.browser import Browser
from tracer1.evaluation.statistics import Estimate, share
from tracer1.files import json_lines, write_atomic
from tracer1.plan.prompt import PromptSpec
from tracer1.types import Env, Executor, Model, Trajectory

Job = tuple[str, int]
Record = dict[str, Any]
NewPage = Callable[[], Awaitable[Env]]
Pages = Callable[[Path], AbstractAsyncContextManager[NewPage]]  # given the folder for screenshots


@dataclass(frozen=True, slots=True)
class LiveResult:
    """Live episodes of one planner, in the order of the jobs, as records of ``live/<name>.jsonl``."""

    records: tuple[Record, ...]

    @property
    def successes(self) -> list[bool]:
        return [bool(r["success"]) for r in self.records]

    @property
    def success(self) -> Estimate:
        return share(self.successes)

    def only(self, tasks: Sequence[str]) -> LiveResult:
        """The episodes of some tasks."""
        return LiveResult(tuple(r for r in self.records if r["task"] in tasks))

    def per_task(self) -> dict[str, Any]:
        """By task: success, count, and how the episodes ended."""
        out: dict[str, Any] = {}
        for task in dict.fromkeys(r["task"] for r in self.records):
            mine = [r for r in self.records if r["task"] == task]
            endings = Counter(r["ending"] for r in mine)
            out[task] = {
                "success": sum(r["success"] for r in mine) / len(mine),
                "episodes": len(mine),
                "endings": {name: endings.get(name, 0) for name in ("finished", "truncated", "failed")},
                "planner_calls": sum(map(planner_calls, mine)) / len(mine),
            }
        return out


def evaluate_live(
    model: Model,
    executor: Executor,
    spec: PromptSpec,
    jobs: Sequence[Job],
    settings: EvaluationSettings,
    out: Path,
    images: Path,
    on_episode: Callable[[int, int, float], None] = lambda *_: None,
    pages: Pages | None = None,
) -> LiveResult:
    """Run the jobs that ``out`` does not hold yet; each finished episode is one more line of ``out``.

    ``on_episode`` is told (episodes done, in all, success so far). ``pages`` opens the environments, which keep their
    screenshots in ``images``; pages of the browser if None.
    """
    known: dict[Job, Record] = {}
    if out.exists():
        known = {(r["task"], r["seed"]): r for _, r in json_lines(out)}
    missing = [job for job in jobs if job not in known]
    if missing:
        # Written again whole: what a killed run left of a line must not run into the next one.
        write_atomic(out, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in known.values()).encode())
        with out.open("a", encoding="utf-8") as file:

            def keep(rollout: Trajectory) -> None:
                record = trajectory_to_json(rollout, out.parent.parent)
                known[(rollout.task, rollout.seed)] = record
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                file.flush()
                on_episode(len(known), len(jobs), sum(r["success"] for r in known.values()) / len(known))

            asyncio.run(_run(model, executor, spec, missing, settings, (pages or browser_pages)(images), keep))
    return LiveResult(tuple(known[job] for job in jobs))


async def _run(
    model: Model,
    executor: Executor,
    spec: PromptSpec,
    jobs: Sequence[Job],
    settings: EvaluationSettings,
    opening: AbstractAsyncContextManager[NewPage],
    keep: Callable[[Trajectory], None],
) -> None:
    limits = Limits(
        dict(settings.max_steps), settings.default_max_steps, settings.episode_seconds, settings.steps_per_plan
    )
    async with opening as new_page:
        envs = [await new_page() for _ in range(min(settings.pages, len(jobs)))]
        await run_episodes(jobs, envs, model, executor, spec, limits, keep)


@asynccontextmanager
async def browser_pages(images: Path) -> AsyncIterator[NewPage]:
    """Pages of one browser, for as long as the block lasts."""
    async with Browser(images) as browser:
        yield browser.new_page


def planner_calls(record: Record) -> int:
    """How often the planner was asked in an episode."""
    return sum(bool(turn["completion"]) for turn in record["turns"])


def trajectory_to_json(rollout: Trajectory, root: Path) -> Record:
    """A live episode as one record; screenshots relative to ``root``."""
    record = asdict(rollout)
    record["turns"] = [
        {
            "screenshot": os.path.relpath(turn.screenshot, root) if turn.screenshot else None,
            "completion": turn.completion,
            "steps": [
                {
                    "abstraction": step.abstraction,
                    "action_type": step.action_type,
                    "instruction": step.instruction,
                    "status": step.status,
                }
                for step in (turn.plan.steps if turn.plan else ())
            ],
            "action": action_to_json(turn.action) if turn.action else None,
            "error": turn.error,
        }
        for turn in rollout.turns
    ]
    return record


def jobs_of(tasks: Sequence[str], first_seed: int, seeds: int) -> list[Job]:
    """Every task on the same seeds, so that two planners meet the same episodes."""
    return [(task, first_seed + i) for task in tasks for i in range(seeds)]
