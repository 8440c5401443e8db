"""The gate between the stages: stage 2 starts from a stage 1 that forecasts better than the base it came from.

Better means: on held-out windows, the 95 % interval of the paired difference in plan reward lies above zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tracer1.config.settings import Config
from tracer1.data.windows_file import absolute_rows, row_messages
from tracer1.errors import TrainingError
from tracer1.evaluation.statistics import mean, paired_difference
from tracer1.models.local import LocalPlanner
from tracer1.progress import progress
from tracer1.results.run import write_json
from tracer1.training.scoring import make_scorer

GATE = "gate.json"
HELDOUT = "heldout"  # a folder of a run: plan rewards by window, one file for each planner
WINDOWS = 300  # at most
Say = Callable[[str], None]
Rewards: TypeAlias = dict[str, float | None]  # by window
Row: TypeAlias = dict[str, Any]


def window_id(row: Mapping[str, Any]) -> str:
    """What names a window in a file."""
    return f"{row['episode_id']}#{row['step']}"


def chosen(rows: Sequence[Row]) -> list[Row]:
    """Up to WINDOWS of the rows, evenly spaced."""
    count = min(WINDOWS, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def keep_rewards(run: Path, name: str, of: Row, rewards: Rewards) -> None:
    """Keep a planner's plan rewards; ``of`` says what they were measured with."""
    write_json(run / HELDOUT / f"{name}.json", {"of": of, "plan_rewards": rewards})


def kept_rewards(run: Path, name: str, of: Row, rows: Sequence[Row]) -> Rewards | None:
    """The kept plan rewards, if they were measured with ``of`` and cover the rows."""
    kept = _read(run / HELDOUT / f"{name}.json")
    rewards: Rewards = kept.get("plan_rewards", {})
    return rewards if kept.get("of") == of and all(window_id(row) in rewards for row in rows) else None


def forget_stage_1(run: Path) -> None:
    """Stage 1 is made anew: nothing that was measured of the one before holds."""
    for path in (run / GATE, run / HELDOUT / "stage1.json"):
        path.unlink(missing_ok=True)


def decided(run: Path, of: Row) -> Row | None:
    """The outcome in ``gate.json``, if it was measured with ``of``."""
    outcome = _read(run / GATE)
    return outcome if outcome.get("of") == of else None


def decide(run: Path, of: Row, rows: Sequence[Row], measure: Callable[[str], Rewards]) -> Row:
    """Compare stage 1 with the base on the rows; the outcome is returned and written to ``gate.json``.

    measure: gives the plan rewards of "base" or "stage1".
    """
    base, stage1 = (measure(name) for name in ("base", "stage1"))
    pairs = [
        (a, b) for row in rows if (a := stage1[window_id(row)]) is not None and (b := base[window_id(row)]) is not None
    ]
    after, before = [a for a, _ in pairs], [b for _, b in pairs]
    difference = paired_difference(after, before)
    passed = math.isfinite(difference.low) and difference.low > 0
    figures = f"{mean(after).value:.3f} against {mean(before).value:.3f}, difference {difference.value:+.3f}"
    outcome = {
        "passed": passed,
        "line": f"gate: stage 1 is {'' if passed else 'not '}better than the base on {len(pairs)} held-out windows: "
        f"plan reward {figures} ({difference.low:+.3f} to {difference.high:+.3f})",
        "stage1": mean(after).to_json(),
        "base": mean(before).to_json(),
        "difference": difference.to_json(),
        "of": of,
    }
    write_json(run / GATE, outcome)
    return outcome


def _read(path: Path) -> Row:
    found: Row = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def pass_gate(config: Config, run: Path, *, force: bool, say: Say) -> None:
    """Say whether stage 1 is good enough for stage 2 to start; TrainingError when it is not and nothing forces it.

    What is measured once, here or by the demo's evaluation, is kept in the run and not measured again.
    """
    stage1, windows = run / "checkpoints" / "stage1", config.data.heldout
    if (run / "checkpoints" / "stage2").exists():
        return
    if not stage1.exists():
        say(f"gate: skipped: there is no stage 1 in {run}; stage 2 starts from {config.model.path}")
        return
    if windows is None or not Path(windows).exists():
        say(f"gate: skipped: no held-out windows ({windows or 'data.heldout is not set'}); stage 2 starts from stage 1")
        return
    of = measured_with(config)
    outcome = decided(run, of)
    if outcome is None:
        rows = chosen(list(absolute_rows(windows)))

        def measure(name: str) -> Rewards:
            kept = kept_rewards(run, name, of, rows)
            return plan_rewards(config.model.path if name == "base" else stage1, config, rows) if kept is None else kept

        outcome = decide(run, of, rows, measure)
    if not (outcome["passed"] or force):
        raise TrainingError(
            f"{outcome['line']}; stage 2 does not start: train stage 1 longer (more stage1.steps, another output_dir), "
            f"or start stage 2 anyway with: tracer1 train {run}/config.yaml --stage 2 --force"
        )
    say(f"{outcome['line']}; stage 2 starts{'' if outcome['passed'] else ' all the same'}")


def measured_with(config: Config) -> Row:
    """What a plan reward on the held-out windows depends on, beside the planner's own weights."""
    return {
        "windows": config.data.heldout,
        "base": config.model.path,
        "reward": config.reward.model_dump(mode="json"),
        "tokens": config.stage1.max_completion_tokens,
    }


def plan_rewards(path: str | Path, config: Config, rows: Sequence[Row]) -> Rewards:
    """Stage 1's reward of a planner's greedy plans, by window."""
    tokens = config.stage1.max_completion_tokens
    planner = LocalPlanner(path, max_new_tokens=tokens, settings=config.model, pixels=config.model.pixels)
    score = make_scorer(config, "stage1")
    rewards: Rewards = {}
    with progress(f"gate: {path}") as tick:
        for start in range(0, len(rows), planner.batch_size):
            part = rows[start : start + planner.batch_size]
            completions = planner.complete([row_messages(row) for row in part])
            scores = score(completions, part)
            rewards |= {window_id(r): s.overall for r, s in zip(part, scores, strict=True)}
            tick(len(rewards), len(rows))
    return rewards
