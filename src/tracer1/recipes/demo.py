"""The main job on this machine, from nothing: record, train stage 1 then 2, act live before, between and after, report.

Every part stores its results, so a demo that was stopped resumes when it is started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tracer1.checks.requirements import require_all
from tracer1.config.settings import Config
from tracer1.data.store import read_episodes
from tracer1.evaluation.constant_plan import describe as describe_types
from tracer1.evaluation.gate import pass_gate
from tracer1.evaluation.grounding import grounding_report
from tracer1.evaluation.live import LiveResult
from tracer1.evaluation.offline import OfflineResult
from tracer1.evaluation.planners import folder_source, live_manifest, load_planner
from tracer1.evaluation.run import baselines, constant_plan, heldout, live, live_figures
from tracer1.evaluation.statistics import paired_difference
from tracer1.executors.registry import make_executor
from tracer1.recipes.prepare_data import ensure_data
from tracer1.recipes.train import stage_with_progress
from tracer1.report.html import build_report
from tracer1.results.files import read_value, write_json
from tracer1.results.manifest import claim
from tracer1.results.model_card import write_model_card
from tracer1.results.run import locked, prepare
from tracer1.results.schema import AgentResult, ConstantPlan, Estimate, ExecutorResult, Results

T = TypeVar("T")
Say = Callable[[str], None]
STAGES = ("base", "stage1", "stage2")


class Clock:
    """Minutes by phase, stored in a file so that they survive an interruption."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.minutes = read_value(file, dict[str, float])

    def run(self, phase: str, work: Callable[..., T], *args: Any) -> T:
        """``work(*args)``, its time added to the phase's."""
        started = time.monotonic()
        result = work(*args)
        self.minutes[phase] = round(self.minutes.get(phase, 0.0) + (time.monotonic() - started) / 60, 2)
        write_json(self.file, self.minutes)
        return result


def demo(config: Config, say: Say) -> Results:
    """Run all parts into ``config.output_dir``; returns what ``results.json`` holds."""
    require_all(config)
    with locked(Path(config.output_dir)):
        return _demo(config, say)


def _demo(config: Config, say: Say) -> Results:
    base = folder_source(config.model.path)
    manifest = replace(live_manifest(base, config, config.evaluation, None), kind="results")
    claim(Path(config.output_dir) / "results.json", manifest)  # before anything in the folder is replaced
    run = prepare(config)
    clock = Clock(run / "minutes.json")
    say(
        f"The planner starts from {config.model.path}, a nano Qwen3-VL that a supervised warm-up made "
        "(it stands in for a pretrained model)."
    )
    clock.run("record", lambda: ensure_data(config, say))
    lives, stages = run_stages(config, run, STAGES, clock, say)
    results = Results(
        tasks=config.evaluation.tasks,
        seeds_per_task=config.evaluation.seeds_per_task,
        protocol=protocol(config),
        stages=tuple(stages),
        gains=gains(lives),
        constant_plan=constant_plan(config),
        reactive=clock.run("reactive agent", reactive, config, run),
        blank_images=clock.run("blank images", blank_images, config, run, lives["stage2"]),
        baselines=clock.run("baselines", baselines, config, run),
        executors=clock.run("executors", executors, config),
    )
    results = replace(results, minutes={**clock.minutes, "all": round(sum(clock.minutes.values()), 2)})
    write_json(run / "results.json", results)
    for name in STAGES[1:]:
        write_model_card(run / "checkpoints" / name, config, name)  # now with its scores
    build_report([run], run / "report.html")
    return results


def run_stages(
    config: Config, run: Path, names: Sequence[str], clock: Clock, say: Say
) -> tuple[dict[str, LiveResult], list[AgentResult]]:
    """Train the stages that are not trained yet, and evaluate each, in order."""
    lives: dict[str, LiveResult] = {}
    entries: list[AgentResult] = []
    for name in names:
        if name == "stage2":
            pass_gate(config, run, force=True, say=say)  # each stage is measured, whatever the gate finds
        if name != "base":
            say(f"Training {name}: {getattr(config, name).arithmetic()}")
            clock.run(f"train {name}", stage_with_progress, config, run, name)
        lives[name], entry = clock.run(f"evaluate {name}", evaluate_stage, config, run, name)
        entries.append(entry)
        say(describe(entry))
    return lives, entries


def evaluate_stage(config: Config, run: Path, name: str) -> tuple[LiveResult, AgentResult]:
    """Held-out windows, then live episodes."""
    planner = load_planner(config.model.path if name == "base" else run / "checkpoints" / name, config)
    offline = heldout(planner, config, run, name)
    result = live(planner, config, run, name)
    return result, offline_figures(replace(live_figures(result), name=name), offline)


def offline_figures(entry: AgentResult, offline: OfflineResult) -> AgentResult:
    """The entry with the figures of the held-out windows."""
    first, reward = offline.first_step_accuracy, offline.plan_reward
    return replace(
        entry,
        first_step_accuracy=round(first.value, 4),
        first_step_interval=first.interval,
        first_step_count=first.count,
        plan_reward=round(reward.value, 4),
        plan_reward_interval=reward.interval,
        windows=reward.count,
        format=round(offline.format.value, 4),
        hit_rate_by_depth=tuple(round(e.value, 4) for e in offline.hit_rate_by_depth),
        hit_rate_intervals=tuple(e.interval for e in offline.hit_rate_by_depth),
        copied_arguments=offline.copied,
    )


def gains(lives: Mapping[str, LiveResult]) -> dict[str, Estimate]:
    """The differences in live success between the stages."""
    pairs = (("stage1", "base"), ("stage2", "stage1"), ("stage2", "base"))
    return {f"live_{after}_minus_{before}": gain(lives[after], lives[before]) for after, before in pairs}


def gain(after: LiveResult, before: LiveResult) -> Estimate:
    """Success of one planner less that of another on the same episodes."""
    return paired_difference([float(s) for s in after.successes], [float(s) for s in before.successes])


def reactive(config: Config, run: Path) -> AgentResult:
    """The planner of stage 2, asked for one step."""
    return live_figures(live(load_planner(run / "checkpoints" / "stage2", config), config, run, "reactive", horizon=1))


def blank_images(config: Config, run: Path, stage2: LiveResult) -> AgentResult:
    """The same planner with every screenshot painted white, on the tasks whose screen decides what to do."""
    tasks = config.evaluation.visual_tasks or config.evaluation.tasks
    path = run / "checkpoints" / "stage2"
    blank = live(load_planner(path, config, blank_images=True), config, run, "blank_images", tasks=tasks)
    episodes = stage2.only(tasks).episodes
    if missing := [task for task in tasks if task not in config.evaluation.tasks]:
        episodes += live(load_planner(path, config), config, run, "with_images", tasks=missing).episodes
    shown = {(e.task, e.seed): float(e.success) for e in episodes}
    return replace(
        live_figures(blank),
        tasks=tuple(tasks),
        with_images=round(LiveResult(episodes).success.value, 4),
        difference=paired_difference(
            [float(e.success) for e in blank.episodes], [shown[e.task, e.seed] for e in blank.episodes]
        ),
    )


def executors(config: Config, sample: int = 28) -> dict[str, ExecutorResult]:
    """How often each executor hits the recorded target on a sample of held-out episodes.

    One looks for it in the page, one in the pixels.
    """
    assert config.data.episodes is not None
    folder = Path(config.data.episodes) / "heldout"
    episodes = list(read_episodes(folder))
    agents = [make_executor(name) for name in ("dom", "ocr")]
    report = grounding_report(episodes[:: max(1, len(episodes) // sample)], folder, agents)
    return {
        name: ExecutorResult(
            hit_rate=found["all"]["rate"],
            count=found["all"]["steps"],
            text_hit_rate=found["text"]["rate"],
            text_count=found["text"]["steps"],
        )
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
        "best constant plan": "the action types that earn the most plan reward when every held-out window is answered "
        "alike, without a look at the screen",
        "hit rate at depth d": "predicted action type equals the recorded one at the same place; a missing step is a "
        "miss",
        "intervals": "95 %: Wilson for shares, normal for means, paired for differences",
        "reactive": "the same planner asked for one step (T = 1)",
        "blank images": "every screenshot painted white",
    }


# ---- words -----------------------------------------------------------------------------------------------------------


def describe(entry: AgentResult) -> str:
    """A stage's figures in one line."""
    low, high = entry.interval or (0.0, 1.0)
    hits = " ".join(f"{hit or 0.0:.2f}" for hit in entry.hit_rate_by_depth)
    return (
        f"{entry.name}: live {entry.live_success:.0%} [{low:.0%}, {high:.0%}], "
        f"first step {entry.first_step_accuracy:.0%}, plan reward {entry.plan_reward:.3f}, hits by depth {hits}"
    )


def describe_constant(plan: ConstantPlan) -> str:
    """The best constant plan in one line."""
    return f"best constant plan: plan reward {plan.plan_reward or 0.0:.3f} ({describe_types(plan)})"


def headline(results: Results) -> Sequence[str]:
    """The last lines of a demo."""
    gained = results.gains["live_stage2_minus_base"]
    low, high = gained.interval or (0.0, 0.0)
    one_step = results.reactive.live_success if results.reactive else None
    return [
        *(describe(entry) for entry in results.stages),
        *([describe_constant(results.constant_plan)] if results.constant_plan else []),
        f"live gain over the base: {100 * gained.value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]",
        f"reactive (T = 1): {one_step or 0.0:.0%}",
    ]
