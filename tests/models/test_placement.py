"""Device, precision and attention are settings, resolved the same for the gate, the evaluation and the training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nano_planner import Nano

from tracer1.config.settings import ModelSettings
from tracer1.errors import SetupError
from tracer1.models.local import LocalPlanner
from tracer1.models.placement import Placement, resolve, resolve_for_training


@pytest.mark.parametrize(
    ("settings", "cuda", "expected"),
    [
        ({}, False, Placement("cpu", "fp32", True, "sdpa")),
        ({}, True, Placement("cuda", "bf16", False, "sdpa")),
        ({"device": "cpu"}, True, Placement("cpu", "fp32", True, "sdpa")),
        ({"device": "cuda:1"}, True, Placement("cuda:1", "bf16", False, "sdpa")),
        ({"dtype": "bf16"}, False, Placement("cpu", "bf16", False, "sdpa")),
        ({"dtype": "fp32"}, True, Placement("cuda", "fp32", False, "sdpa")),
        ({"attention": "flash_attention_2"}, True, Placement("cuda", "bf16", False, "flash_attention_2")),
        ({"attention": "eager"}, False, Placement("cpu", "fp32", True, "eager")),
    ],
)
def test_settings_and_machine_make_a_placement(settings: dict[str, Any], cuda: bool, expected: Placement) -> None:
    """Defect 14: no device, autocast fixed to "cpu", always fp32."""
    assert resolve(ModelSettings(**settings), cuda=cuda) == expected


@pytest.mark.parametrize(
    ("settings", "adapter", "cuda", "weights"),
    [
        ({}, False, True, "fp32"),  # steps of 1e-6 are lost in bf16
        ({}, True, True, "bf16"),  # frozen
        ({}, True, False, "fp32"),
        ({"dtype": "bf16"}, False, True, "bf16"),
        ({"dtype": "fp32"}, True, True, "fp32"),
    ],
)
def test_trained_weights_stay_in_fp32_unless_asked(
    settings: dict[str, Any], adapter: bool, cuda: bool, weights: str
) -> None:
    placement = resolve_for_training(ModelSettings(**settings), adapter=adapter, cuda=cuda)
    assert placement.weights == weights
    assert not placement.autocast


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match=r"model\.device is 'cuda', but torch finds no GPU; set model\.device=cpu"):
        resolve(ModelSettings(device="cuda"), cuda=False)


def test_a_planner_is_loaded_as_the_settings_say(nano: Nano) -> None:
    settings = ModelSettings(device="cpu", dtype="bf16", attention="eager")
    planner = LocalPlanner(nano.folder, max_new_tokens=4, settings=settings)
    assert {p.dtype for p in planner.model.parameters()} == {torch.bfloat16}
    assert planner.model.config._attn_implementation == "eager"
    prompt = [{"role": "user", "content": "Press Send."}]
    assert planner.complete([prompt]) == planner.complete_drafted([prompt], [""])
    planner = LocalPlanner(nano.folder, settings=ModelSettings(device="cpu"))
    assert {p.dtype for p in planner.model.parameters()} == {torch.float32}
    with planner.placement.arithmetic():
        assert torch.is_autocast_enabled("cpu")
