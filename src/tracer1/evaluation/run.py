"""A planner evaluated as a configuration says: on held-out windows and live, with the baselines beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracer1.agent.baselines import AlwaysFinished, RandomPlanner
from tracer1.assets import resolve
from tracer1.config.settings import Config, EvaluationSettings
from tracer1.data.store import read_episodes
from tracer1.data.windows_file import absolute_rows, read_windows, windows_store, with_absolute_images
from tracer1.errors import UsageError
from tracer1.evaluation.live import LiveResult, evaluate_live, jobs_of, planner_calls
from tracer1.evaluation.offline import OfflineResult, evaluate_windows
from tracer1.executors.registry import make_executor
from tracer1.models.qwen3vl import LocalPlanner
from tracer1.plan.prompt import PROMPTS, PromptSpec
from tracer1.progress import progress
from tracer1.training.base import SEEN
from tracer1.training.scoring import make_scorer
from tracer1.training.warmup_data import arguments_of
from tracer1.types import Model

BASELINES: dict[str, type[AlwaysFinished] | type[RandomPlanner]] = {
    "random_plan": RandomPlanner,
    "always_finished": AlwaysFinished,
}


def prompt_of(config: Config, horizon: int | None = None) -> PromptSpec:
    """The configured prompt with its horizon and history."""
    if config.plan.prompt_version not in PROMPTS:
        raise UsageError(f"unknown plan.prompt_version {config.plan.prompt_version!r}: use {' or '.join(PROMPTS)}")
    return replace(
        PROMPTS[config.plan.prompt_version], history=config.plan.history, horizon=horizon or config.plan.horizon
    )


def load_planner(path: str | Path, config: Config, *, blank_images: bool = False) -> LocalPlanner:
    """A planner in this process with the run's decoding settings."""
    return LocalPlanner(
        path,
        max_new_tokens=config.stage1.max_completion_tokens,
        temperature=config.evaluation.temperature,
        blank_images=blank_images,
        seed=config.seed,
        pixels=config.model.pixels,
    )


def live(
    model: Model,
    config: Config,
    run: Path,
    name: str,
    *,
    horizon: int | None = None,
    tasks: Sequence[str] | None = None,
    settings: EvaluationSettings | None = None,
) -> LiveResult:
    """Live episodes of one planner into ``run/live/<name>.jsonl``, on the configured tasks and unseen seeds."""
    settings = settings or config.evaluation
    jobs = jobs_of(tasks or settings.tasks, settings.first_seed, settings.seeds_per_task)
    agent = make_executor(config.executor.name, **config.executor.options)
    with progress(f"live: {name}") as tick:
        return evaluate_live(
            model,
            agent,
            prompt_of(config, horizon),
            jobs,
            settings,
            run / "live" / f"{name}.jsonl",
            run / "live" / "images",
            lambda done, total, success: tick(done, total, f"success {success:.0%}"),
        )


def baselines(config: Config, run: Path) -> dict[str, Any]:
    """What knowing nothing earns on the same episodes."""
    return {name: summary(live(make(), config, run, name)) for name, make in BASELINES.items()}


def summary(result: LiveResult) -> dict[str, Any]:
    """A live result for ``results.json``."""
    success = result.success
    return {
        "live_success": round(success.value, 4),
        "interval": [round(success.low, 4), round(success.high, 4)],
        "episodes": success.count,
        "planner_calls": round(sum(map(planner_calls, result.records)) / len(result.records), 3),
        "per_task": result.per_task(),
    }


def heldout(model: Model, config: Config, name: str) -> OfflineResult:
    """A planner on the held-out windows, their images by absolute path as everywhere."""
    if config.data.heldout is None:
        raise UsageError("data.heldout is not set; name a windows file that no training step has seen")
    rows = list(absolute_rows(config.data.heldout))
    windows = [
        with_absolute_images(w, row["images"]) for w, row in zip(read_windows(config.data.heldout), rows, strict=True)
    ]
    with progress(f"held-out windows: {name}") as tick:
        return evaluate_windows(
            model,
            windows,
            rows,
            make_scorer(config, "stage1"),
            make_scorer(config, "stage2", config.data.heldout),
            horizon=config.plan.horizon,
            known_strings=known_strings(config),
            on_batch=lambda done: tick(done, len(rows)),
        )


def known_strings(config: Config) -> set[str]:
    """Every string that demonstrations quote on which the base or the two stages were trained."""
    episodes = windows_store(config.data.train).directory
    seen = Path(resolve(config.model.path)) / SEEN
    base = json.loads(seen.read_text(encoding="utf-8")) if seen.exists() else []
    return {s for e in read_episodes(episodes) for step in e.steps for s in arguments_of(step.instruction)} | set(base)
