"""The gate between the stages: stage 2 starts from a stage 1 that forecasts better than the base it came from.

Better means: on held-out windows, the 95 % interval of the paired difference in plan reward lies above zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from tracer1.config.settings import Config
from tracer1.data.windows_file import absolute_rows
from tracer1.errors import TrainingError
from tracer1.evaluation.offline import predict, window_id
from tracer1.evaluation.planners import PlannerSource, folder_source, load_planner, prediction_manifest
from tracer1.evaluation.run import HELDOUT
from tracer1.evaluation.statistics import mean, paired_difference
from tracer1.progress import progress
from tracer1.results.files import read_json, read_lines, write_json
from tracer1.results.manifest import Manifest, claim, discard, made_with, manifest_path, weights_hash
from tracer1.results.schema import GateOutcome, Prediction
from tracer1.training.scoring import make_scorer

GATE = "gate.json"
WINDOWS = 300  # at most
Say = Callable[[str], None]
Row: TypeAlias = dict[str, Any]
Rewards: TypeAlias = dict[str, float | None]  # by window


def pass_gate(config: Config, run: Path, *, force: bool, say: Say) -> None:
    """Say whether stage 1 is good enough for stage 2 to start; TrainingError when it is not and nothing forces it.

    Predictions that the run holds already are used again.
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
    outcome = _decided(config, run)
    if not (outcome.passed or force):
        raise TrainingError(
            f"{outcome.line}; stage 2 does not start: train stage 1 longer (more stage1.steps, another output_dir), "
            f"or start stage 2 anyway with: tracer1 train {run}/config.yaml --stage 2 --force"
        )
    say(f"{outcome.line}; stage 2 starts{'' if outcome.passed else ' all the same'}")


def forget_stage_1(run: Path) -> None:
    """Remove what was measured of a stage 1 that is about to be trained anew."""
    discard(run / GATE)
    discard(run / HELDOUT / "stage1.jsonl")


def _decided(config: Config, run: Path) -> GateOutcome:
    """The outcome in ``gate.json`` if it was made with this configuration and these planners, else a new one."""
    manifest = gate_manifest(config, run)
    if made_with(run / GATE, manifest):
        return read_json(run / GATE, GateOutcome)
    rows = evenly_spaced(list(absolute_rows(str(config.data.heldout))), WINDOWS)
    outcome = decide(*(plan_rewards(config, run, name, rows) for name in ("base", "stage1")))
    write_json(manifest_path(run / GATE), manifest)
    write_json(run / GATE, outcome)
    return outcome


def gate_manifest(config: Config, run: Path) -> Manifest:
    """What the outcome depends on: both planners, the windows and the reward."""
    base = weights_hash(config.model.path)
    predictions = prediction_manifest(_source(config, run, "stage1"), config)
    return replace(predictions, kind="gate", protocol=f"plan reward less that of {config.model.path} (weights {base})")


def evenly_spaced(rows: Sequence[Row], most: int) -> list[Row]:
    """Up to ``most`` of the rows."""
    count = min(most, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def decide(base: Rewards, stage1: Rewards) -> GateOutcome:
    """Compare the plan rewards on the windows that both have."""
    pairs = [(a, b) for name, a in stage1.items() if a is not None and (b := base.get(name)) is not None]
    after, before = mean([a for a, _ in pairs]), mean([b for _, b in pairs])
    difference = paired_difference([a for a, _ in pairs], [b for _, b in pairs])
    passed = difference.low is not None and difference.low > 0
    bounds = "no interval" if difference.interval is None else "{:+.3f} to {:+.3f}".format(*difference.interval)
    line = (
        f"gate: stage 1 is {'' if passed else 'not '}better than the base on {len(pairs)} held-out windows: plan "
        f"reward {after.value:.3f} against {before.value:.3f}, difference {difference.value:+.3f} ({bounds})"
    )
    return GateOutcome(passed, line, after, before, difference)


def plan_rewards(config: Config, run: Path, name: str, rows: Sequence[Row]) -> Rewards:
    """Stage 1's reward of the plans of "base" or "stage1", by window; the predictions go to ``run/heldout``.

    The file is a cache: predictions that were made otherwise are removed and made again.
    """
    out = run / HELDOUT / f"{name}.jsonl"
    source = _source(config, run, name)
    manifest = prediction_manifest(source, config)
    if made_with(out, manifest):
        known = {p.id: p.plan_reward for p in read_lines(out, Prediction)}
        if all(window_id(row) in known for row in rows):
            return {window_id(row): known[window_id(row)] for row in rows}
    else:
        discard(out)
    claim(out, manifest)
    with progress(f"gate: {name}") as tick:
        planner = load_planner(source.name, config)
        score = make_scorer(config, "stage1")
        made = predict(planner.model, rows, score, out, lambda done: tick(done, len(rows)))
    return {p.id: p.plan_reward for p in made}


def _source(config: Config, run: Path, name: str) -> PlannerSource:
    return folder_source(config.model.path if name == "base" else run / "checkpoints" / name)
