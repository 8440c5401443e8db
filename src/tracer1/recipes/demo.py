"""The main job on this machine, from nothing: record, train stage 1 then 2, act live before, between and after, report.

Every part keeps what it has made, so a demo that was stopped goes on where it was when it is started again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tracer1.checks.requirements import require_all
from tracer1.config.settings import Config
from tracer1.data.store import read_episodes
from tracer1.data.windows_file import read_rows
from tracer1.evaluation import gate
from tracer1.evaluation.gate import measured_with, pass_gate
from tracer1.evaluation.grounding import grounding_report
from tracer1.evaluation.live import LiveResult
from tracer1.evaluation.run import baselines, heldout, live, load_planner, summary
from tracer1.evaluation.statistics import Estimate, paired_difference
from tracer1.executors.registry import make_executor
from tracer1.recipes.prepare_data import ensure_data
from tracer1.recipes.train import stage_with_progress
from tracer1.report.html import build_report
from tracer1.results.model_card import write_model_card
from tracer1.results.run import prepare, write_json

T = TypeVar("T")
Say = Callable[[str], None]
STAGES = ("base", "stage1", "stage2")


class Clock:
    """Minutes by phase, kept in a file so that they survive an interruption."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.minutes: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def run(self, phase: str, work: Callable[..., T], *args: Any) -> T:
        """``work(*args)``, its time added to the phase's."""
        started = time.monotonic()
        result = work(*args)
        self.minutes[phase] = round(self.minutes.get(phase, 0.0) + (time.monotonic() - started) / 60, 2)
        write_json(self.file, self.minutes)
        return result


def demo(config: Config, say: Say) -> dict[str, Any]:
    """Run the whole of it into ``config.output_dir``; returns what ``results.json`` holds."""
    require_all(config)
    run = prepare(config)
    clock = Clock(run / "minutes.json")
    say(
        f"The planner starts from {config.model.path}, a nano Qwen3-VL that a supervised warm-up made "
        "(it stands in for a pretrained model)."
    )
    clock.run("record", lambda: ensure_data(config, say))
    results: dict[str, Any] = {
        "tasks": list(config.evaluation.tasks),
        "seeds_per_task": config.evaluation.seeds_per_task,
        "protocol": protocol(config),
        "stages": [],
    }
    lives, results["stages"] = run_stages(config, run, STAGES, clock, say)
    results["gains"] = {
        "live_stage1_minus_base": gain(lives["stage1"], lives["base"]).to_json(),
        "live_stage2_minus_stage1": gain(lives["stage2"], lives["stage1"]).to_json(),
        "live_stage2_minus_base": gain(lives["stage2"], lives["base"]).to_json(),
    }
    final = run / "checkpoints" / "stage2"
    results["reactive"] = clock.run(
        "reactive agent", lambda: summary(live(load_planner(final, config), config, run, "reactive", horizon=1))
    )
    results["blank_images"] = clock.run("blank images", lambda: blank_images(config, run, lives["stage2"]))
    results["baselines"] = clock.run("baselines", lambda: baselines(config, run))
    results["executors"] = clock.run("executors", lambda: executors(config, say))
    results["minutes"] = {**clock.minutes, "all": round(sum(clock.minutes.values()), 2)}
    write_json(run / "results.json", results)
    for name in STAGES[1:]:
        write_model_card(run / "checkpoints" / name, config, name)  # now with its scores
    build_report([run], run / "report.html")
    return results


def run_stages(
    config: Config, run: Path, names: Sequence[str], clock: Clock, say: Say
) -> tuple[dict[str, LiveResult], list[dict[str, Any]]]:
    """Train what is to be trained and evaluate each stage, in order."""
    lives: dict[str, LiveResult] = {}
    entries: list[dict[str, Any]] = []
    for name in names:
        if name == "stage2":
            pass_gate(config, run, force=True, say=say)  # each stage is measured, whatever it is worth
        if name != "base":
            say(f"Training {name}: {getattr(config, name).arithmetic()}")
            clock.run(f"train {name}", stage_with_progress, config, run, name)
        lives[name], entry = clock.run(f"evaluate {name}", evaluate_stage, config, run, name)
        entries.append(entry)
        say(describe(entry))
    return lives, entries


def evaluate_stage(config: Config, run: Path, name: str) -> tuple[LiveResult, dict[str, Any]]:
    """Held-out windows, then live episodes."""
    planner = load_planner(config.model.path if name == "base" else run / "checkpoints" / name, config)
    offline = heldout(planner, config, name)
    ids = map(gate.window_id, read_rows(str(config.data.heldout)))
    gate.keep_rewards(run, name, measured_with(config), dict(zip(ids, offline.rewards, strict=True)))
    result = live(planner, config, run, name)
    return result, {
        "name": name,
        **summary(result),
        "first_step_accuracy": round(offline.first_step_accuracy.value, 4),
        "first_step_interval": interval(offline.first_step_accuracy),
        "first_step_count": offline.first_step_accuracy.count,
        "plan_reward": round(offline.plan_reward.value, 4),
        "plan_reward_interval": interval(offline.plan_reward),
        "windows": offline.plan_reward.count,
        "format": round(offline.format.value, 4),
        "hit_rate_by_depth": [round(e.value, 4) for e in offline.hit_rate_by_depth],
        "hit_rate_intervals": [interval(e) for e in offline.hit_rate_by_depth],
        "copied_arguments": offline.copied.to_json(),
    }


def interval(estimate: Estimate) -> list[float]:
    return [round(estimate.low, 4), round(estimate.high, 4)]


def gain(after: LiveResult, before: LiveResult) -> Estimate:
    """Success of one planner less that of another on the same episodes."""
    return paired_difference([float(s) for s in after.successes], [float(s) for s in before.successes])


def blank_images(config: Config, run: Path, seen: LiveResult) -> dict[str, Any]:
    """The same planner with every screenshot painted white, on the tasks whose screen decides what to do."""
    tasks = config.evaluation.visual_tasks or config.evaluation.tasks
    planner = load_planner(run / "checkpoints" / "stage2", config, blank_images=True)
    blind = live(planner, config, run, "blank_images", tasks=tasks)
    missing = [t for t in tasks if t not in config.evaluation.tasks]
    sighted = LiveResult(
        seen.only(tasks).records
        + (
            live(
                load_planner(run / "checkpoints" / "stage2", config), config, run, "with_images", tasks=missing
            ).records
            if missing
            else ()
        )
    )
    by_job = {(r["task"], r["seed"]): float(r["success"]) for r in sighted.records}
    pairs = [(float(r["success"]), by_job[(r["task"], r["seed"])]) for r in blind.records]
    return {
        "tasks": list(tasks),
        **summary(blind),
        "with_images": round(sighted.success.value, 4),
        "difference": paired_difference([b for b, _ in pairs], [s for _, s in pairs]).to_json(),
    }


def executors(config: Config, say: Say, sample: int = 28) -> dict[str, Any]:
    """How often each executor hits the recorded target on a sample of held-out episodes.

    One looks for it in the page, one in the pixels.
    """
    assert config.data.episodes is not None
    folder = Path(config.data.episodes) / "heldout"
    episodes = list(read_episodes(folder))
    agents = [make_executor(name) for name in ("dom", "ocr")]
    report = grounding_report(episodes[:: max(1, len(episodes) // sample)], folder, agents)
    return {
        name: {
            "hit_rate": found["all"]["rate"],
            "count": found["all"]["steps"],
            "text_hit_rate": found["text"]["rate"],
            "text_count": found["text"]["steps"],
        }
        for name, found in report["agents"].items()
    }


def protocol(config: Config) -> dict[str, str]:
    """What the numbers mean."""
    e = config.evaluation
    return {
        "live success": "raw MiniWoB++ reward above 0; greedy plans, first step executed by the "
        f"{config.executor.name} executor, planned again after every step; at most {e.default_max_steps} steps",
        "live seeds": f"{e.first_seed} to {e.first_seed + e.seeds_per_task - 1} of every task, in no training set",
        "first-step accuracy": "stage-2 accuracy of greedy plans on held-out windows",
        "plan reward": f"stage-1 reward, profile {config.reward.profile}, repetition {config.reward.repetition}",
        "hit rate at depth d": "predicted action type equals the recorded one at the same place; a missing step is a "
        "miss",
        "intervals": "95 %: Wilson for shares, normal for means, paired for differences",
        "reactive": "the same planner asked for one step (T = 1)",
        "blank images": "every screenshot painted white",
    }


def describe(entry: dict[str, Any]) -> str:
    low, high = entry["interval"]
    hits = " ".join(f"{h:.2f}" for h in entry["hit_rate_by_depth"])
    return (
        f"{entry['name']}: live {entry['live_success']:.0%} [{low:.0%}, {high:.0%}], "
        f"first step {entry['first_step_accuracy']:.0%}, plan reward {entry['plan_reward']:.3f}, hits by depth {hits}"
    )


def headline(results: dict[str, Any]) -> Sequence[str]:
    """The last words of a demo."""
    gained = results["gains"]["live_stage2_minus_base"]
    low, high = gained["interval"]
    return [
        *(describe(entry) for entry in results["stages"]),
        f"live gain over the base: {100 * gained['value']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]",
        f"reactive (T = 1): {results['reactive']['live_success']:.0%}",
    ]
