"""One live episode, step by step: ``tracer1 act``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracer1.config.planner import planner_settings, settings_of
from tracer1.config.settings import Config, EvaluationSettings
from tracer1.errors import UsageError
from tracer1.evaluation.live import evaluate_live
from tracer1.executors.registry import make_executor
from tracer1.models.qwen3vl import LocalPlanner


def act(
    env: str,
    model: str,
    *,
    seed: int = 0,
    horizon: int | None = None,
    executor: str = "dom",
    out: Path = Path("runs/act"),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Let a planner act once in ``env`` ("miniwob:TASK").

    The planner is asked as in its own training; ``horizon`` replaces its T. The episode goes to ``out/live/act.jsonl``,
    its screens beside it.
    """
    kind, _, task = env.partition(":")
    if kind != "miniwob" or not task:
        raise UsageError(f"no environment {env!r}; write miniwob:TASK, such as miniwob:login-user")
    file = out / "live" / "act.jsonl"
    file.unlink(missing_ok=True)
    trained = planner_settings(model)
    own = trained or settings_of(Config(output_dir=str(out)))
    result = evaluate_live(
        LocalPlanner(model, max_new_tokens=own.max_completion_tokens, pixels=trained.pixels if trained else None),
        make_executor(executor),
        replace(own.prompt(), horizon=horizon or own.horizon),
        [(task, seed)],
        EvaluationSettings(tasks=(task,), pages=1),
        file,
        out / "live" / "images",
    )
    record = result.records[0]
    say(f"goal: {record['goal']}")
    for number, turn in enumerate(record["turns"], 1):
        for depth, step in enumerate(turn["steps"]):
            lead = f"{number:>3} do  " if depth == 0 else "    then"
            say(f"{lead} {step['instruction']}  [{step['abstraction']}]")
        if turn["error"]:
            say(f"    {turn['error']}")
    return dict(record)
