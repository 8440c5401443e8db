"""Where a model runs and in what precision: the settings device, dtype and attention, resolved for this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from tracer1.config.settings import ModelSettings
from tracer1.errors import SetupError

Precision = Literal["bf16", "fp32"]
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True)
class Placement:
    """Device, precision of the weights, whether arithmetic runs under bf16 autocast, attention implementation."""

    device: str
    weights: Precision
    autocast: bool
    attention: str

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type."""
        return DTYPES[self.weights]

    def arithmetic(self) -> AbstractContextManager[Any]:
        """The context in which the model computes."""
        return torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self.autocast)


def resolve(settings: ModelSettings, *, cuda: bool) -> Placement:
    """The placement for inference. ``cuda``: whether the machine has a CUDA device.

    Raises SetupError when the settings ask for a GPU that is not there.
    """
    device = ("cuda" if cuda else "cpu") if settings.device == "auto" else settings.device
    if device.startswith("cuda") and not cuda:
        raise SetupError(f"model.device is {device!r}, but torch finds no GPU; set model.device=cpu, or install CUDA")
    attention = "sdpa" if settings.attention == "auto" else settings.attention
    if settings.dtype != "auto":
        return Placement(device, settings.dtype, False, attention)
    on_cpu = device == "cpu"
    return Placement(device, "fp32" if on_cpu else "bf16", on_cpu, attention)


def resolve_for_training(settings: ModelSettings, *, adapter: bool, cuda: bool) -> Placement:
    """The placement for training: weights that are trained stay in fp32 unless the settings say otherwise.

    ``adapter``: the model's own weights are frozen. The trainer moves the model to its device and applies autocast.
    """
    placement = resolve(settings, cuda=cuda)
    frozen_on_gpu = adapter and placement.device != "cpu"
    weights: Precision = settings.dtype if settings.dtype != "auto" else "bf16" if frozen_on_gpu else "fp32"
    return Placement(placement.device, weights, False, placement.attention)


def placement_of(settings: ModelSettings | None = None) -> Placement:
    """``resolve`` on this machine, with the default settings if None."""
    return resolve(settings or ModelSettings(), cuda=torch.cuda.is_available())
