"""A stage's settings as TRL's GRPOConfig: Table 4 (METHOD section 4), row by row, and the arguments of each sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig

from tracer1.config.settings import StageSettings
from tracer1.errors import UsageError
from tracer1.training.processes import process_count
from tracer1.training.requirements import check_batch

Row = dict[str, Any]
BANNED = -100.0  # vLLM's lowest logit bias, with which a token is never sampled


def grpo_config(
    settings: StageSettings, out: Path, seed: int, suppress: Sequence[int], extra: Mapping[str, Any] | None = None
) -> GRPOConfig:
    """Table 4 as TRL's settings.

    The flags set here against TRL's defaults are those under which its loss is the paper's. The global batch is shared
    among the processes. ``suppress`` are tokens that are never sampled. ``extra``, the config's ``trainer`` section,
    has the last word.
    Raises UsageError when it names what TRL does not know, or when the batch cannot be shared among the processes.
    """
    updates = updates_per_step(settings)
    processes = process_count()
    check_batch(out.name, settings, processes)
    values: Row = dict(
        output_dir=str(out),
        seed=seed,
        max_steps=settings.steps * updates,
        per_device_train_batch_size=settings.micro_batch,
        gradient_accumulation_steps=settings.sequences_per_update // (settings.micro_batch * processes),
        generation_batch_size=settings.prompts_per_batch * settings.group_size,
        num_generations=settings.group_size,
        num_iterations=settings.epochs_per_batch,
        learning_rate=settings.lr,
        optim="adamw_torch",
        lr_scheduler_type=settings.schedule,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        warmup_steps=settings.warmup_steps,
        max_grad_norm=settings.max_grad_norm,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_completion_length=settings.max_completion_tokens,
        beta=settings.beta,
        use_bias_correction_kl=False,
        epsilon=settings.epsilon_low,
        epsilon_high=settings.epsilon_high,
        delta=settings.delta,
        loss_type=settings.loss_type,
        scale_rewards=settings.scale_rewards,
        bf16=settings.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=settings.gradient_checkpointing,
        remove_unused_columns=False,
        **_sampler(settings, suppress),
        logging_steps=1,
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,
        save_steps=settings.save_every * updates,
        save_total_limit=settings.keep_checkpoints,
        dataloader_pin_memory=False,
    )
    try:
        return GRPOConfig(**{**values, **(extra or {})})
    except TypeError as error:
        raise UsageError(f"trainer: {error}; its keys are those of TRL's GRPOConfig") from error


def updates_per_step(settings: StageSettings) -> int:
    """Optimiser updates, which TRL calls steps, in one of our steps."""
    return settings.updates_per_batch * settings.epochs_per_batch


def _sampler(settings: StageSettings, suppress: Sequence[int]) -> Row:
    """The engine, and the suppressed tokens in its own words: vLLM's SamplingParams knows no ``suppress_tokens``."""
    if not settings.vllm:
        return {"generation_kwargs": {"suppress_tokens": list(suppress)}}
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_tensor_parallel_size": settings.tensor_parallel,
        "vllm_max_model_length": settings.max_prompt_tokens + settings.max_completion_tokens,
        "vllm_importance_sampling_correction": False,  # parity with the paper's engine, which has none
        "generation_kwargs": {"logit_bias": dict.fromkeys(suppress, BANNED)},
    }
