"""A planner evaluated as a configuration says: on held-out windows and live, with the baselines beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tracer1.agent.baselines import AlwaysFinished, RandomPlanner
from tracer1.assets import resolve
from tracer1.config.settings import Config, EvaluationSettings
from tracer1.data.store import read_episodes
from tracer1.data.windows_file import absolute_rows, read_rows, windows_stores
from tracer1.envs.registry import find_env
from tracer1.errors import UsageError
from tracer1.evaluation.constant_plan import best_constant_plan
from tracer1.evaluation.live import LiveResult, evaluate_live, jobs_of
from tracer1.evaluation.offline import OfflineResult, evaluate_windows
from tracer1.evaluation.planners import Planner, PlannerSource, live_manifest, prediction_manifest, prompt_of
from tracer1.evaluation.quotes import quoted_strings
from tracer1.executors.registry import make_executor
from tracer1.executors.running import TimeLimited
from tracer1.progress import progress
from tracer1.results.manifest import claim
from tracer1.results.schema import AgentResult, ConstantPlan
from tracer1.training.base import SEEN
from tracer1.training.scoring import make_scorer, recorded

HELDOUT = "heldout"  # a run's folder of predictions on the held-out windows, one file a planner
BASELINES: dict[str, type[AlwaysFinished] | type[RandomPlanner]] = {
    "random_plan": RandomPlanner,
    "always_finished": AlwaysFinished,
}


# ---- live ------------------------------------------------------------------------------------------------------------


def live(
    planner: Planner,
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
    with progress(f"live: {name}") as tick:
        return evaluate_live(
            planner.model,
            TimeLimited(make_executor(config.executor.name, **config.executor.options), config.executor.timeout),
            prompt_of(config, horizon),
            jobs_of(tasks or settings.tasks, settings.first_seed, settings.seeds_per_task),
            settings,
            run / "live" / f"{name}.jsonl",
            run / "live" / "images",
            live_manifest(planner.source, config, settings, horizon),
            find_env(settings.environment),
            lambda done, total, success: tick(done, total, f"success {success:.0%}"),
        )


def baselines(config: Config, run: Path) -> dict[str, AgentResult]:
    """What planners that know nothing earn on the same episodes."""
    planners = {name: Planner(make(), PlannerSource(name)) for name, make in BASELINES.items()}
    return {name: live_figures(live(planner, config, run, name)) for name, planner in planners.items()}


def live_figures(result: LiveResult) -> AgentResult:
    """A live result for ``results.json``."""
    success = result.success
    return AgentResult(
        live_success=round(success.value, 4),
        interval=success.interval,
        episodes=success.count,
        planner_calls=round(result.planner_calls, 3),
        per_task=result.per_task(),
    )


# ---- held-out windows ------------------------------------------------------------------------------------------------


def heldout(planner: Planner, config: Config, run: Path, name: str) -> OfflineResult:
    """A planner on the held-out windows; its predictions go to ``run/heldout/<name>.jsonl``."""
    if config.data.heldout is None:
        raise UsageError("data.heldout is not set; name a windows file that no training step has seen")
    rows = list(absolute_rows(config.data.heldout))
    out = run / HELDOUT / f"{name}.jsonl"
    claim(out, prediction_manifest(planner.source, config))
    with progress(f"held-out windows: {name}") as tick:
        return evaluate_windows(
            planner.model,
            rows,
            make_scorer(config, "stage1"),
            make_scorer(config, "stage2"),
            horizon=config.plan.horizon,
            known_strings=known_strings(config),
            out=out,
            on_batch=lambda done: tick(done, len(rows)),
        )


def known_strings(config: Config) -> set[str]:
    """Every string that demonstrations quote on which the base or the two stages were trained."""
    stores = {store.directory.resolve() for file in config.data.train_files for store in windows_stores(file)}
    seen = Path(resolve(config.model.path)) / SEEN
    base = set(json.loads(seen.read_text(encoding="utf-8"))) if seen.exists() else set()
    steps = (step for store in sorted(stores) for episode in read_episodes(store) for step in episode.steps)
    return {text for step in steps for text in quoted_strings(step.instruction)} | base


def constant_plan(config: Config, windows: Sequence[str] = ()) -> ConstantPlan:
    """The best constant plan on windows files, by default on the held-out one."""
    rows = (row for file in windows or [str(config.data.heldout)] for row in read_rows(file))
    references = ([step.action_type for step in recorded(row).steps] for row in rows)
    return best_constant_plan(references, config.reward.trajectory_profile(), config.plan.horizon)
