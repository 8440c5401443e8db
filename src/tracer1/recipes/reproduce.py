"""The README's numbers: three seeds of the demo's two stages, and a reactive agent (T = 1) trained beside each.

The runs are ``OUT/seed-N`` and ``OUT/reactive-N``; each is resumed when the command is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracer1.checks.requirements import require_all
from tracer1.config.loading import load_config
from tracer1.config.settings import Config
from tracer1.evaluation.live import LiveResult
from tracer1.evaluation.run import live, load_planner, summary
from tracer1.evaluation.statistics import Estimate, mean
from tracer1.recipes.demo import Clock, Say, describe, evaluate_stage, gain, protocol, run_stages
from tracer1.recipes.prepare_data import ensure_data
from tracer1.recipes.train import stage_with_progress
from tracer1.results.run import prepare, write_json


def reproduce(path: str, out: Path, seeds: Sequence[int], overrides: Sequence[str], say: Say) -> dict[str, Any]:
    """Run ``path`` once for every seed; returns what goes to ``OUT/results.json``: mean and spread over the seeds."""

    loaded = load_config(path, overrides, run_paths(out, out / "base"))

    def configured(name: str, seed: int) -> Config:
        return loaded.model_copy(update={"output_dir": str(out / name), "seed": seed})

    shared = configured("base", 0)
    require_all(shared)
    run = prepare(shared)
    clock = Clock(out / "minutes.json")
    clock.run("record", lambda: ensure_data(shared, say))
    base_live, base = clock.run("evaluate base", lambda: evaluate_stage(shared, run, "base"))
    say(describe(base))
    baselines = clock.run("baselines", lambda: baselines(shared, run))
    by_seed: list[dict[str, Any]] = []
    for seed in seeds:
        config = configured(f"seed-{seed}", seed)
        lives, entries = clock.run(f"seed {seed}", seed_stages, config, say)
        short = one_step(configured(f"reactive-{seed}", seed), out / "data")
        reactive = clock.run(f"reactive {seed}", train_reactive, short, say)
        by_seed.append(
            {
                "seed": seed,
                "stages": entries,
                "reactive": summary(reactive),
                "live_stage2_minus_base": gain(lives["stage2"], base_live).to_json(),
                "live_stage2_minus_stage1": gain(lives["stage2"], lives["stage1"]).to_json(),
                "live_stage2_minus_reactive": gain(lives["stage2"], reactive).to_json(),
            }
        )
        say(f"seed {seed}: reactive agent (T = 1) live {reactive.success.value:.0%}")
    results = {
        "tasks": list(shared.evaluation.tasks),
        "seeds_per_task": shared.evaluation.seeds_per_task,
        "protocol": protocol(shared),
        "base": base,
        "baselines": baselines,
        "seeds": by_seed,
        "mean": {
            "base": base["live_success"],
            "stage1": over_seeds([s["stages"][0]["live_success"] for s in by_seed]),
            "stage2": over_seeds([s["stages"][1]["live_success"] for s in by_seed]),
            "reactive": over_seeds([s["reactive"]["live_success"] for s in by_seed]),
        },
        "minutes": clock.minutes,
    }
    write_json(out / "results.json", results)
    return results


def run_paths(out: Path, run: Path) -> dict[str, str]:
    """The settings that keep a run and its data under ``out``."""
    data = out / "data"
    return {
        "output_dir": str(run),
        "data.episodes": str(data),
        "data.train": str(data / "train.parquet"),
        "data.heldout": str(data / "heldout.parquet"),
    }


def one_step(config: Config, data: Path) -> Config:
    """The same configuration for the reactive agent (T = 1), with windows of its own."""
    windows = {"train": str(data / "train-1.parquet"), "heldout": str(data / "heldout-1.parquet")}
    return config.model_copy(
        update={
            "plan": config.plan.model_copy(update={"horizon": 1}),
            "data": config.data.model_copy(update=windows),
        }
    )


def seed_stages(config: Config, say: Say) -> tuple[dict[str, LiveResult], list[dict[str, Any]]]:
    """Both stages of one seed, with the minutes of each kept in its own run."""
    clock = Clock(Path(config.output_dir) / "minutes.json")
    return run_stages(config, prepare(config), ("stage1", "stage2"), clock, say)


def train_reactive(config: Config, say: Say) -> LiveResult:
    """The same two stages with T = 1, in training and in acting."""
    run = prepare(config)
    ensure_data(config, say)
    for name in ("stage1", "stage2"):
        stage_with_progress(config, run, name)
    return live(load_planner(run / "checkpoints" / "stage2", config), config, run, "stage2")


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean, spread and the values themselves: with three seeds the values say more than an interval."""
    estimate: Estimate = mean(values)
    return {"mean": round(estimate.value, 4), "lowest": min(values), "highest": max(values), "values": list(values)}


def headline(results: dict[str, Any]) -> Sequence[str]:
    """The last words."""
    means = results["mean"]
    lines = [f"live success, mean of {len(results['seeds'])} seeds (lowest to highest):", f"  base {means['base']:.0%}"]
    for name in ("stage1", "stage2", "reactive"):
        m = means[name]
        lines.append(f"  {name} {m['mean']:.0%} ({m['lowest']:.0%} to {m['highest']:.0%})")
    return lines
