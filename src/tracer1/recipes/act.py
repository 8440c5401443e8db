"""One live episode, step by step: ``tracer1 act``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tracer1.config.settings import EvaluationSettings
from tracer1.errors import UsageError
from tracer1.evaluation.live import evaluate_live
from tracer1.executors.registry import make_executor
from tracer1.models.choice import open_planner
from tracer1.plan.prompt import PROMPTS


def act(
    env: str,
    model: str,
    *,
    model_name: str | None = None,
    seed: int = 0,
    horizon: int = 5,
    history: int = 5,
    executor: str = "dom",
    prompt_version: str = "brief-1",
    out: Path = Path("runs/act"),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Let a planner (a folder, or a server's address and ``model_name``) act once in ``env`` ("miniwob:TASK").

    The episode goes to ``out/live/act.jsonl``, its screens beside it.
    """
    kind, _, task = env.partition(":")
    if kind != "miniwob" or not task:
        raise UsageError(f"no environment {env!r}; write miniwob:TASK, such as miniwob:login-user")
    file = out / "live" / "act.jsonl"
    file.unlink(missing_ok=True)
    result = evaluate_live(
        open_planner(model, name=model_name),
        make_executor(executor),
        replace(PROMPTS[prompt_version], history=history, horizon=horizon),
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
