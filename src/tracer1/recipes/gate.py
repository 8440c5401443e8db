"""The gate between the stages: stage 2 starts from a stage 1 that forecasts better than the base it came from.

Better means: on held-out windows, the 95 % interval of the paired difference in plan reward lies above zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tracer1.recipes.intervals import mean, paired_difference
from tracer1.recipes.run import write_json

GATE = "gate.json"
HELDOUT = "heldout"  # a folder of a run: plan rewards by window, one file for each planner
WINDOWS = 300  # at most
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
