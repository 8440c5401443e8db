"""Training as a user starts it: the warm-up or the two stages, each resumed where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tracer1.checks.requirements import require_all
from tracer1.config.settings import Config, StageSettings
from tracer1.data.recordings import missing_data
from tracer1.errors import UsageError
from tracer1.evaluation.gate import forget_stage_1, pass_gate
from tracer1.evaluation.run import constant_plan
from tracer1.models.loading import load_processor
from tracer1.models.policy import load_policy
from tracer1.progress import progress
from tracer1.recipes.prepare_data import data_plan, ensure_data, ensure_episodes
from tracer1.results.files import write_json
from tracer1.results.model_card import write_model_card
from tracer1.results.reading import CONSTANT_PLAN
from tracer1.results.run import locked, prepare
from tracer1.results.schema import MetricsRow
from tracer1.training.base import train_base
from tracer1.training.processes import first_does, process_count
from tracer1.training.scoring import make_scorer
from tracer1.training.stages import engine_settings, train_stage, training_rows
from tracer1.training.trl.session import make_trainer

logger = logging.getLogger(__name__)
Say = Callable[[str], None]
Stage = Literal["warmup", "1", "2", "both"]


def train(config: Config, stage: Stage = "both", *, force: bool = False, say: Say = logger.info) -> dict[str, Path]:
    """Run the named stages and return their checkpoint folders by name; a stage that is finished is not run again.

    What ``data.record`` asks for and is missing is recorded first. Raises TrainingError where stage 1 does not pass the
    gate to stage 2, unless ``force`` is set; UsageError or SetupError, before anything is written, for a part of the
    run that is missing.
    """
    if stage == "warmup" and process_count() > 1:
        raise UsageError("the warm-up trains in one process; start it without torchrun")
    if stage != "warmup":
        first_does(lambda: require_all(config, names_of(stage)))
    with locked(Path(config.output_dir)):
        run = first_does(lambda: prepare(config))
        if stage == "warmup":
            return {"base": base_with_progress(config, run)}
        first_does(lambda: ensure_data(config, say))
        return {name: _gated(config, run, name, force, say) for name in names_of(stage)}


def _gated(config: Config, run: Path, name: str, force: bool, say: Say) -> Path:
    """One stage; stage 2 only where stage 1 passes the gate."""
    if name == "stage2":
        first_does(lambda: pass_gate(config, run, force=force, say=say))
    return stage_with_progress(config, run, name)


def names_of(stage: Stage) -> list[str]:
    return ["stage1", "stage2"] if stage == "both" else [f"stage{stage}"]


def plan_of(config: Config, stage: Stage) -> list[str]:
    """What a run would do, after building everything up to its first step (``--dry-run``)."""
    if stage == "warmup":
        w = config.warmup
        return [
            f"warmup: {w.drill_steps} drill steps of {w.drill_batch} examples, then {w.steps} of {w.batch}, "
            f"into {config.model.path}"
        ]
    names = names_of(stage)
    require_all(config, names)
    missing = missing_data(config)
    if missing:
        return data_plan(missing) + [f"{name}: {getattr(config, name).arithmetic()}" for name in names]
    return _built(config, names)


def _built(config: Config, names: Sequence[str]) -> list[str]:
    """Build the trainer of each stage and describe it."""
    lines = []
    rows = training_rows(config.data.train_files)
    processor = load_processor(config.model.path, config.model.pixels)
    model = load_policy(config.model.path, config.model, config.peft, config.seed)
    for name in names:
        settings: StageSettings = getattr(config, name)
        scorer = make_scorer(config, name)
        with TemporaryDirectory() as scratch:
            make_trainer(
                model,
                processor,
                rows,
                scorer,
                settings,
                Path(scratch),
                name,
                config.seed,
                extra=engine_settings(config),
            )
        lines.append(
            f"{name}: {settings.arithmetic()}; {len(rows)} windows; into {config.output_dir}/checkpoints/{name}"
        )
    return lines


def _begin_stage_1(config: Config, run: Path) -> None:
    """Remove what was measured of an earlier stage 1, and write what the best constant plan earns.

    The report draws that beside stage 1's reward, which is a plan reward too.
    """
    forget_stage_1(run)
    write_json(run / CONSTANT_PLAN, constant_plan(config, config.data.train_files))


def stage_with_progress(config: Config, run: Path, name: str) -> Path:
    """One stage, with the figures that matter in the bar."""
    settings: StageSettings = getattr(config, name)
    with progress(f"train {name}") as tick:

        def on_step(row: MetricsRow) -> None:
            figures = {"reward": row.reward, "zero variance": row.zero_variance_groups, "KL": row.kl}
            note = ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if v is not None)
            tick(row.step, settings.steps, f"{note}, {row.rss_mb or 0.0:.0f} MB")

        if name == "stage1" and not first_does((run / "checkpoints" / name).exists):
            first_does(lambda: _begin_stage_1(config, run))
        made = train_stage(config, run, name, on_step)
    first_does(lambda: write_model_card(made, config, name))
    return made


def base_with_progress(config: Config, run: Path) -> Path:
    """The warm-up, with its loss in the bar."""
    ensure_episodes(config, logger.info)
    total = config.warmup.drill_steps + config.warmup.steps
    with progress("warm-up") as tick:
        made = train_base(config, run, lambda row: tick(int(row["step"]), total, f"loss {row['loss']:.3f}"))
    write_model_card(made, config, "base")
    return made
