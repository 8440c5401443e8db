"""TRL's own trainer, and one update of any trainer: what ``tracer1 bench grpo-step`` compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOTrainer

from tracer1.config.settings import StageSettings
from tracer1.models.encoding import suppressed_tokens
from tracer1.training.trl.arguments import grpo_config

Row = dict[str, Any]


def stock_trainer(model: Any, processor: Any, rows: Dataset, settings: StageSettings, run: Path) -> GRPOTrainer:
    """TRL's own trainer with the same settings: what one would use instead."""
    return GRPOTrainer(
        model=model,
        processing_class=processor,
        args=grpo_config(settings, run, 0, suppressed_tokens(processor.tokenizer)),
        train_dataset=rows,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
    )


def one_update(trainer: GRPOTrainer, batch: Row) -> torch.Tensor:
    """Old and reference log-probabilities, the loss and its gradients for a batch as TRL hands it to its loss.

    Returns the policy's log-probabilities (B, C); the gradients are left in the model.
    """
    trainer.model.train()
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    fields = {k: batch[k] for k in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids") if k in batch}
    length = batch["completion_ids"].shape[1]
    with torch.no_grad():
        old: torch.Tensor
        old, ref = (
            trainer._get_per_token_logps_and_entropies(model, ids, mask, length, batch_size=len(ids), **fields)[0]
            for model in (trainer.model, trainer.ref_model)
        )
    inputs = {**batch, "old_per_token_logps": old, "ref_per_token_logps": ref}
    trainer._compute_loss(trainer.model, inputs).backward()
    return old
