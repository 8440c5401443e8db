"""The model that training changes: loaded whole or under an adapter, and published so that it reloads as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracer1.config.settings import ModelSettings, PeftSettings
from tracer1.errors import TrainingError
from tracer1.models.loading import adapter_base, load_model, save_processor, tokenizer_of
from tracer1.models.placement import resolve_for_training

PROBE = 'Task: Press Send.\nStep 1: {"screenshot_abstraction": "a form"}'
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}  # of the largest logit


def load_policy(path: str | Path, settings: ModelSettings, peft: PeftSettings | None = None, seed: int = 0) -> Any:
    """The model that a stage trains: all of its weights, or with ``peft`` an adapter.

    Where the folder is an adapter already and ``peft`` is set, that adapter goes on learning; without ``peft`` it is
    merged into its base first. ``seed``: of a new adapter's random half.
    """
    placement = resolve_for_training(settings, adapter=peft is not None, cuda=torch.cuda.is_available())
    base = adapter_base(path)
    start = base if base is not None and peft is not None else path
    model = load_model(start, placement.dtype, attention=placement.attention)
    if peft is None:
        return model
    from tracer1.models.adapters import add_adapter, continue_adapter

    if base is not None:
        return continue_adapter(model, path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return add_adapter(model, peft)


def restore_policy(model: Any, checkpoint: str | Path) -> None:
    """Give a policy the weights of a trainer's checkpoint, which for an adapter holds the adapter alone."""
    if adapter_base(checkpoint) is None:
        model.load_state_dict(load_model(checkpoint).state_dict())
        return
    from tracer1.models.adapters import restore_adapter

    restore_adapter(model, checkpoint)


def save_policy(model: Any, processor: Any, out: Path, peft: PeftSettings | None = None) -> None:
    """Write a policy as ``peft.export`` says; an adapter's folder or merged model is reloaded and compared.

    Raises TrainingError when the reloaded model computes other logits.
    """
    if peft is None:
        model.save_pretrained(out)
        save_processor(processor, out)
        return
    from tracer1.models.adapters import merged, save_adapter

    before = probe_logits(model, processor)
    dtype = model.dtype
    if peft.export == "adapter":
        save_adapter(model, out)
    else:
        merged(model).save_pretrained(out)
    save_processor(processor, out)
    verify(out, before, processor, dtype)


def verify(folder: Path, before: Tensor, processor: Any, dtype: torch.dtype) -> None:
    """Reload a folder and compare its logits. Raises TrainingError when they differ by more than rounding."""
    after = probe_logits(load_model(folder, dtype), processor)
    difference = (after - before).abs().max().item() / max(1.0, before.abs().max().item())
    if not difference <= TOLERANCE.get(dtype, 5e-2):
        raise TrainingError(
            f"{folder}: the saved model, reloaded, differs from the trained one (logits by {difference:.2g} of the "
            "largest); it is not published: the checkpoints under trainer/ are whole, try peft.export="
            "adapter or merged, whichever was not used"
        )


@torch.no_grad()
def probe_logits(model: Any, processor: Any) -> Tensor:
    """The logits (1, L, vocabulary) for a fixed text, as fp32 on the CPU."""
    ids = tokenizer_of(processor)(PROBE, add_special_tokens=False, return_tensors="pt")["input_ids"]
    was_training = model.training
    model.eval()
    logits: Tensor = model(input_ids=ids.to(model.device)).logits.float().cpu()
    model.train(was_training)
    return logits
