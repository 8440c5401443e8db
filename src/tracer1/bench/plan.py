"""What the last plan's tail saves when the next plan is decoded: drafted decoding against plain, with the same text.

On recorded episodes every planner output of a step drafts that of the next; live, the loop does so by itself. Plain
decoding needs one forward pass for each token written.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tracer1.config.loading import load_config
from tracer1.config.settings import Config
from tracer1.data.windows_file import absolute_rows, read_windows, with_absolute_images
from tracer1.errors import SetupError
from tracer1.evaluation.planners import Planner, PlannerSource
from tracer1.evaluation.run import live
from tracer1.models.local import LocalPlanner
from tracer1.plan.text import parse_plan, render_tail
from tracer1.types import Message, Window

EPISODES: Final = 48
LIVE_SEEDS: Final = 4
REPEATS: Final = 3
Row = dict[str, Any]


class Undrafted:
    """A planner without drafts: what a user would use instead."""

    def __init__(self, planner: LocalPlanner) -> None:
        self.planner = planner

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        return self.planner.complete(prompts)


def bench_plan_act(run: str = "runs/demo") -> Iterator[Row]:
    """On recorded and on live episodes of a finished run: passes per plan, share of drafted tokens kept, seconds.

    ``ratio`` is plain forward passes over ours; ``parity`` the share of completions that are the same text.
    """
    if not (Path(run) / "checkpoints" / "stage2").exists():
        raise SetupError(f"{run} holds no trained planner; make one with: tracer1 demo (or name a run with --run)")
    config = load_config(f"{run}/config.yaml")
    planner = LocalPlanner(
        f"{run}/checkpoints/stage2",
        max_new_tokens=config.stage1.max_completion_tokens,
        pixels=config.model.pixels,
        # In bf16 a tie may fall otherwise where a batch has another shape, drafted or not.
        settings=config.model.model_copy(update={"dtype": "fp32"}),
    )
    yield _recorded(planner, config)
    yield _live(planner, config)


def _recorded(planner: LocalPlanner, config: Config) -> Row:
    assert config.data.heldout is not None
    rows = absolute_rows(config.data.heldout)
    windows = [
        with_absolute_images(w, r["images"]) for w, r in zip(read_windows(config.data.heldout), rows, strict=True)
    ]
    by_episode: dict[str, list[Window]] = {}
    for window in windows:
        by_episode.setdefault(window.episode_id, []).append(window)
    episodes = list(by_episode.values())
    episodes = episodes[:: max(1, len(episodes) // EPISODES)]
    seconds: dict[str, list[float]] = {"drafted": [], "plain": []}
    texts: dict[str, list[str]] = {}
    for _ in range(REPEATS):
        planner.spent = type(planner.spent)()
        for name in ("plain", "drafted"):
            started = time.perf_counter()
            texts[name] = _plan_through(planner, episodes, drafted=name == "drafted")
            seconds[name].append(round(time.perf_counter() - started, 3))
    same = statistics.mean(a == b for a, b in zip(texts["plain"], texts["drafted"], strict=True))
    return _row("recorded", planner, seconds, same)


def _plan_through(planner: LocalPlanner, episodes: Sequence[Sequence[Window]], *, drafted: bool) -> list[str]:
    """Plans for every step of the episodes, step by step over all of them as the loop does."""
    said: list[str] = []
    last: dict[int, str] = {}
    for t in range(max(map(len, episodes))):
        going = [e for e, windows in enumerate(episodes) if t < len(windows)]
        prompts = [episodes[e][t].prompt for e in going]
        if drafted:
            plans = [parse_plan(last.get(e, "")).plan for e in going]
            completions = planner.complete_drafted(prompts, [render_tail(p) if p else "" for p in plans])
        else:
            completions = planner.complete(prompts)
        last = dict(zip(going, completions, strict=True))
        said += completions
    return said


def _live(planner: LocalPlanner, config: Config) -> Row:
    settings = config.evaluation.model_copy(update={"seeds_per_task": LIVE_SEEDS})
    seconds: dict[str, list[float]] = {"drafted": [], "plain": []}
    with TemporaryDirectory() as folder:
        planner.spent = type(planner.spent)()
        said, source = {}, PlannerSource(config.output_dir)
        for name, model in (("plain", Undrafted(planner)), ("drafted", planner)):
            started = time.perf_counter()
            result = live(Planner(model, source), config, Path(folder), name, settings=settings)
            seconds[name].append(round(time.perf_counter() - started, 3))
            said[name] = [turn.completion for episode in result.episodes for turn in episode.turns]
    same = statistics.mean(a == b for a, b in zip(said["plain"], said["drafted"], strict=False))
    return _row("live", planner, seconds, same if len(said["plain"]) == len(said["drafted"]) else 0.0)


def _row(episodes: str, planner: LocalPlanner, seconds: dict[str, list[float]], same: float) -> Row:
    spent = planner.spent
    return {
        "name": "plan-act",
        "episodes": episodes,
        "ratio": round(spent.tokens / spent.passes, 2),
        "plans": spent.completions,
        "passes_per_plan": {
            "drafted": round(spent.passes / spent.completions, 2),
            "plain": round(spent.tokens / spent.completions, 2),
        },
        "kept_share": round(spent.accepted / max(1, spent.drafted), 3),
        "samples": seconds,
        "parity": same,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform()},
    }
