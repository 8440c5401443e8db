"""LoRA: what is trained, what is published, and that it reloads as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_models import write_llama
from nano_planner import FP32, Nano

from tracer1.config.settings import ModelSettings, PeftSettings
from tracer1.errors import SetupError, TrainingError
from tracer1.models.loading import adapter_base, load_model, load_processor, read_config
from tracer1.models.local import LocalPlanner
from tracer1.models.policy import load_policy, probe_logits, restore_policy, save_policy, verify

CPU = ModelSettings(device="cpu")
LORA = PeftSettings(rank=4, alpha=8)


def trained(path: Path, peft: PeftSettings, seed: int = 1) -> Any:
    """A policy whose adapter says something."""
    model = load_policy(path, CPU, peft)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(params=["nano", "llama"])
def base(request: pytest.FixtureRequest, nano: Nano, tmp_path: Path) -> Path:
    return nano.folder if request.param == "nano" else write_llama(tmp_path / "base", nano.tokenizer)


def test_a_new_adapter_changes_nothing_and_is_all_that_learns(base: Path) -> None:
    model, processor = load_policy(base, CPU, LORA), load_processor(base)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning
    assert all("lora_" in name for name in learning)
    assert torch.equal(probe_logits(model, processor), probe_logits(load_model(base), processor))
    whole = load_policy(base, CPU)
    assert all(p.requires_grad for p in whole.parameters())


@pytest.mark.parametrize("export", ["adapter", "merged"])
def test_what_is_published_reloads_as_it_was(base: Path, tmp_path: Path, export: str) -> None:
    peft = LORA.model_copy(update={"export": export})
    model, processor, out = trained(base, peft), load_processor(base), tmp_path / "out"
    logits = probe_logits(model, processor)
    assert (logits - probe_logits(load_model(base), processor)).abs().max() > 0.1
    save_policy(model, processor, out, peft)
    assert (adapter_base(out) is None) == (export == "merged")
    assert torch.allclose(probe_logits(load_model(out), load_processor(out)), logits, atol=1e-3)
    assert read_config(out).model_type == read_config(base).model_type
    planner = LocalPlanner(out, max_new_tokens=4, settings=FP32)
    prompt = [{"role": "user", "content": "Press Send."}]
    assert planner.complete_drafted([prompt], [""]) == planner.complete([prompt])


def test_an_adapters_size_is_a_small_part(nano: Nano, tmp_path: Path) -> None:
    peft = LORA.model_copy(update={"export": "adapter"})
    save_policy(trained(nano.folder, peft), load_processor(nano.folder), tmp_path, peft)
    assert not (tmp_path / "model.safetensors").exists()
    assert Path(adapter_base(tmp_path) or "") == nano.folder.resolve()


def test_an_adapter_goes_on_learning(nano: Nano, tmp_path: Path) -> None:
    peft = LORA.model_copy(update={"export": "adapter"})
    model, processor = trained(nano.folder, peft), load_processor(nano.folder)
    logits = probe_logits(model, processor)
    save_policy(model, processor, tmp_path, peft)
    again = load_policy(tmp_path, CPU, peft)
    assert torch.allclose(probe_logits(again, processor), logits, atol=1e-4)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    merged = load_policy(tmp_path, CPU)  # without a peft section the whole model is trained
    assert torch.allclose(probe_logits(merged, processor), logits, atol=1e-3)
    assert not hasattr(merged, "peft_config")


def test_a_checkpoint_restores_an_adapter_and_a_whole_model(nano: Nano, tmp_path: Path) -> None:
    processor, model = load_processor(nano.folder), trained(nano.folder, LORA)
    model.save_pretrained(tmp_path / "adapter")
    fresh = load_policy(nano.folder, CPU, LORA)
    restore_policy(fresh, tmp_path / "adapter")
    assert torch.equal(probe_logits(fresh, processor), probe_logits(model, processor))
    load_model(nano.folder).save_pretrained(tmp_path / "whole")
    whole = load_policy(nano.folder, CPU)
    whole.lm_head.weight.data.zero_()
    restore_policy(whole, tmp_path / "whole")
    assert probe_logits(whole, processor).abs().max() > 0


def test_a_save_that_lost_something_is_not_published(nano: Nano, tmp_path: Path) -> None:
    """A merge or a save that goes wrong is found by reloading, before anything is published."""
    processor = load_processor(nano.folder)
    before = probe_logits(trained(nano.folder, LORA), processor)
    with pytest.raises(TrainingError, match=r"the saved model, reloaded, differs from the trained one.*not published"):
        verify(nano.folder, before, processor, torch.float32)


def test_modules_can_be_chosen_and_trained_whole(nano: Nano) -> None:
    peft = PeftSettings(targets=("q_proj",), modules_to_save=("merger",))
    names = {n for n, p in load_policy(nano.folder, CPU, peft).named_parameters() if p.requires_grad}
    assert {"q_proj" in n or "merger" in n for n in names} == {True}
    assert any("merger" in n and "lora" not in n for n in names)
    with pytest.raises(SetupError, match=r"correct peft\.targets"):
        load_policy(nano.folder, CPU, PeftSettings(targets=("no_such_module",)))


def test_a_base_that_is_gone_is_named(nano: Nano, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/nowhere/base"}))
    with pytest.raises(SetupError, match=r"names the base /nowhere/base, which is not there"):
        load_model(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(SetupError, match="names no base model"):
        load_processor(tmp_path)
