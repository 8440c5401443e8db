"""One stage of GRPO in this process: from a loaded model to a trained one, resumed from the newest whole checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate.utils import is_peft_model
from datasets import Dataset

from tracer1.config.settings import StageSettings
from tracer1.models.encoding import suppressed_tokens
from tracer1.models.loading import tokenizer_of, vision_parameters
from tracer1.models.policy import restore_policy
from tracer1.results.schema import MetricsRow
from tracer1.training.checkpoints import newest_intact
from tracer1.training.processes import first_does
from tracer1.training.records import drop_steps_after
from tracer1.training.requirements import check_stages
from tracer1.training.scoring import Scorer
from tracer1.training.trl.arguments import grpo_config, updates_per_step
from tracer1.training.trl.trainer import SIGNAL, PlanTrainer, Stage

REFERENCE = "ref"  # TRL's copy of the adapter that a stage starts from, against which the KL is measured


def train_grpo(
    *,
    model: Any,
    processor: Any,
    rows: Dataset,
    scorer: Scorer,
    settings: StageSettings,
    run: Path,
    stage: str,
    seed: int,
    on_step: Callable[[MetricsRow], None] = lambda _: None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Train ``model`` in place for one stage, from the newest whole checkpoint under ``run/trainer/<stage>`` on.

    ``model``: a vision-language or a text-only model, or one with a PEFT adapter, which alone is then trained.
    ``on_step`` is called with each line of ``metrics.jsonl``, in the first process.
    """
    updates = updates_per_step(settings)
    checkpoint, done = first_does(lambda: _resume_point(run, stage, updates))
    if done >= settings.steps:  # TRL would train one step more
        if checkpoint:
            restore_policy(model, checkpoint)
        return
    trainer = make_trainer(model, processor, rows, scorer, settings, run, stage, seed, on_step, extra)
    if checkpoint:
        trainer.resampler.memory.visits = json.loads((checkpoint / SIGNAL).read_text(encoding="utf-8"))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if is_peft_model(model) and REFERENCE in model.peft_config:
        model.delete_adapter(REFERENCE)


def make_trainer(
    model: Any,
    processor: Any,
    rows: Dataset,
    scorer: Scorer,
    settings: StageSettings,
    run: Path,
    stage: str,
    seed: int,
    on_step: Callable[[MetricsRow], None] = lambda _: None,
    extra: Mapping[str, Any] | None = None,
) -> PlanTrainer:
    """Everything up to the first step."""
    check_stages({stage: settings})
    if settings.freeze_vision:
        for parameter in vision_parameters(model):
            parameter.requires_grad_(False)
    suppress = suppressed_tokens(tokenizer_of(processor))
    args = grpo_config(settings, run / "trainer" / stage, seed, suppress, extra)
    return PlanTrainer(Stage(stage, settings, scorer, run, on_step), model, processor, rows, args)


def _resume_point(run: Path, stage: str, updates: int) -> tuple[Path | None, int]:
    """(the checkpoint to go on from, steps done); lines of steps that will be done again are dropped."""
    checkpoint = newest_intact(run / "trainer" / stage)
    done = int(checkpoint.name.split("-")[1]) // updates if checkpoint else 0
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        drop_steps_after(run / name, stage, done)
    return checkpoint, done
