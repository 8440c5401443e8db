"""The README's numbers: three seeds of the demo's two stages, and a reactive agent (T = 1) trained beside each.

Each seed is a run of its own under ``OUT/seed-N`` and ``OUT/reactive-N``. A stopped reproduction resumes when it is
started again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tracer1.checks.requirements import require_all
from tracer1.config.loading import load_config
from tracer1.config.settings import Config
from tracer1.evaluation.live import LiveResult
from tracer1.evaluation.planners import folder_source, live_manifest, load_planner
from tracer1.evaluation.run import baselines, constant_plan, live, live_figures
from tracer1.evaluation.statistics import mean
from tracer1.recipes.demo import (
    Clock,
    Say,
    describe,
    describe_constant,
    evaluate_stage,
    gain,
    protocol,
    run_stages,
)
from tracer1.recipes.prepare_data import ensure_data
from tracer1.recipes.train import stage_with_progress
from tracer1.results.files import write_json
from tracer1.results.manifest import claim
from tracer1.results.run import prepare
from tracer1.results.schema import AgentResult, Results, SeedMeans, SeedResult


def reproduce(path: str, out: Path, seeds: Sequence[int], overrides: Sequence[str], say: Say) -> Results:
    """Run ``path`` once for every seed; returns what goes to ``OUT/results.json``: mean and spread over the seeds."""
    loaded = load_config(path, overrides, run_paths(out, out / "base"))
    shared = configured(loaded, out, "base", 0)
    require_all(shared)
    base_source = folder_source(shared.model.path)
    claim(out / "results.json", replace(live_manifest(base_source, shared, shared.evaluation, None), kind="results"))
    run = prepare(shared)
    clock = Clock(out / "minutes.json")
    clock.run("record", lambda: ensure_data(shared, say))
    base_live, base = clock.run("evaluate base", lambda: evaluate_stage(shared, run, "base"))
    say(describe(base))
    without_knowledge = clock.run("baselines", baselines, shared, run)
    by_seed = [_one_seed(loaded, out, seed, base_live, clock, say) for seed in seeds]
    results = Results(
        tasks=shared.evaluation.tasks,
        seeds_per_task=shared.evaluation.seeds_per_task,
        protocol=protocol(shared),
        base=base,
        baselines=without_knowledge,
        constant_plan=constant_plan(shared),
        seeds=tuple(by_seed),
        mean=means(base, by_seed),
        minutes=clock.minutes,
    )
    write_json(out / "results.json", results)
    return results


def run_paths(out: Path, run: Path) -> dict[str, str]:
    """The settings that put a run and its data under ``out``."""
    data = out / "data"
    return {
        "output_dir": str(run),
        "data.episodes": str(data),
        "data.train": str(data / "train.parquet"),
        "data.heldout": str(data / "heldout.parquet"),
    }


def configured(loaded: Config, out: Path, name: str, seed: int) -> Config:
    """The configuration of the run ``out/name``."""
    return loaded.model_copy(update={"output_dir": str(out / name), "seed": seed})


def one_step(config: Config, data: Path) -> Config:
    """The same configuration for the reactive agent (T = 1), with windows of its own."""
    windows = {"train": str(data / "train-1.parquet"), "heldout": str(data / "heldout-1.parquet")}
    return config.model_copy(
        update={
            "plan": config.plan.model_copy(update={"horizon": 1}),
            "data": config.data.model_copy(update=windows),
        }
    )


def _one_seed(loaded: Config, out: Path, seed: int, base: LiveResult, clock: Clock, say: Say) -> SeedResult:
    config = configured(loaded, out, f"seed-{seed}", seed)
    lives, stages = clock.run(f"seed {seed}", seed_stages, config, say)
    short = one_step(configured(loaded, out, f"reactive-{seed}", seed), out / "data")
    reactive = clock.run(f"reactive {seed}", train_reactive, short, say)
    say(f"seed {seed}: reactive agent (T = 1) live {reactive.success.value:.0%}")
    return SeedResult(
        seed=seed,
        stages=tuple(stages),
        reactive=live_figures(reactive),
        live_stage2_minus_base=gain(lives["stage2"], base),
        live_stage2_minus_stage1=gain(lives["stage2"], lives["stage1"]),
        live_stage2_minus_reactive=gain(lives["stage2"], reactive),
    )


def seed_stages(config: Config, say: Say) -> tuple[dict[str, LiveResult], list[AgentResult]]:
    """Both stages of one seed, with the minutes of each in its own run."""
    clock = Clock(Path(config.output_dir) / "minutes.json")
    return run_stages(config, prepare(config), ("stage1", "stage2"), clock, say)


def train_reactive(config: Config, say: Say) -> LiveResult:
    """The same two stages with T = 1, in training and in acting."""
    run = prepare(config)
    ensure_data(config, say)
    for name in ("stage1", "stage2"):
        stage_with_progress(config, run, name)
    return live(load_planner(run / "checkpoints" / "stage2", config), config, run, "stage2")


# ---- over the seeds --------------------------------------------------------------------------------------------------


def means(base: AgentResult, seeds: Sequence[SeedResult]) -> dict[str, SeedMeans]:
    """Live success over the seeds by planner; the base is the same for every seed."""
    values = {
        "base": [base.live_success],
        "stage1": [s.stages[0].live_success for s in seeds],
        "stage2": [s.stages[1].live_success for s in seeds],
        "reactive": [s.reactive.live_success for s in seeds if s.reactive],
    }
    return {name: over_seeds([v for v in found if v is not None]) for name, found in values.items()}


def over_seeds(values: Sequence[float]) -> SeedMeans:
    """Mean, spread and the values themselves: with three seeds the values say more than an interval."""
    return SeedMeans(round(mean(values).value, 4), min(values), max(values), tuple(values))


def headline(results: Results) -> Sequence[str]:
    """The last lines of a reproduction."""
    base = results.mean["base"].mean
    lines = [f"live success, mean of {len(results.seeds)} seeds (lowest to highest):", f"  base {base:.0%}"]
    for name in ("stage1", "stage2", "reactive"):
        m = results.mean[name]
        lines.append(f"  {name} {m.mean:.0%} ({m.lowest:.0%} to {m.highest:.0%})")
    return lines + ([describe_constant(results.constant_plan)] if results.constant_plan else [])
