"""GRPO on what is no whole Qwen3-VL: a model with a LoRA adapter, and a text-only model."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from nano_planner import STAGE, Nano, each
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tracer1.config.settings import StageSettings
from tracer1.models.loading import load_model, load_processor
from tracer1.results.schema import MetricsRow
from tracer1.training.stages import training_rows
from tracer1.training.trl.session import make_trainer, train_grpo
from tracer1.types import Score

SETTINGS = StageSettings.model_validate({**STAGE, "resample_zero_variance": True, "keep_checkpoints": 1})
CHAT = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant: "


class StopError(Exception):
    """What a test ends a run with."""


def variety(completion: str, row: dict[str, Any]) -> Score:
    value = len(set(completion)) // 3 / 5
    return Score(value, 1.0, value, {"format": 1.0, "accuracy": value})


def grpo(model: Any, processor: Any, rows: Dataset, run: Path, stage: str = "stage1", **more: Any) -> None:
    train_grpo(
        model=model,
        processor=processor,
        rows=rows,
        scorer=each(variety),
        settings=more.pop("settings", SETTINGS),
        run=run,
        stage=stage,
        seed=7,
        **more,
    )


@pytest.fixture(scope="module")
def rows(nano: Nano) -> Dataset:
    return training_rows(str(nano.windows)).select(range(16))


def lora(nano: Nano) -> PeftModel:
    torch.manual_seed(0)
    return get_peft_model(load_model(nano.folder), LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))


def parts(model: PeftModel) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Copies of (the adapter's weights, the base's)."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return {n: v for n, v in state.items() if "lora" in n}, {n: v for n, v in state.items() if "lora" not in n}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ---- LoRA ------------------------------------------------------------------------------------------------------------


def test_both_stages_train_the_adapter_alone(
    nano: Nano, rows: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = lora(nano)
    adapter, base = parts(model)
    for stage in ("stage1", "stage2"):
        grpo(model, load_processor(nano.folder), rows, tmp_path, stage)
        after, base_after = parts(model)
        assert same(base_after, base)
        assert after.keys() == adapter.keys()  # TRL's copy for the reference is gone
        assert not same(after, adapter)
        adapter = after
    assert "each completion's prompt is encoded separately: the model has adapters" in caplog.text
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["step"]) for row in metrics] == [(s, k) for s in ("stage1", "stage2") for k in (1, 2)]
    assert metrics[0]["mismatch"]["verdict"] == "fine"
    assert metrics[2]["kl"] == pytest.approx(0, abs=1e-6)  # stage 2's reference is the planner that it starts from


def test_a_stopped_adapter_goes_on_as_if_it_had_not_been(nano: Nano, rows: Dataset, tmp_path: Path) -> None:
    def stop(row: MetricsRow) -> None:
        if row.step == 2:
            raise StopError

    whole, processor = lora(nano), load_processor(nano.folder)
    grpo(whole, processor, rows, tmp_path / "whole")
    with pytest.raises(StopError):
        grpo(lora(nano), processor, rows, tmp_path / "cut", on_step=stop)
    saved = tmp_path / "cut/trainer/stage1/checkpoint-1"
    assert (saved / "adapter_model.safetensors").exists()
    assert not (saved / "model.safetensors").exists()
    resumed = lora(nano)
    grpo(resumed, processor, rows, tmp_path / "cut")
    assert same(parts(resumed)[0], parts(whole)[0])
    finished = lora(nano)
    grpo(finished, processor, rows, tmp_path / "cut")  # nothing is left to do but to load it
    assert same(parts(finished)[0], parts(whole)[0])


def test_a_frozen_vision_tower_takes_its_adapter_along(nano: Nano, rows: Dataset, tmp_path: Path) -> None:
    model = get_peft_model(load_model(nano.folder), LoraConfig(r=4, target_modules=["q_proj", "qkv"]))
    settings = SETTINGS.model_copy(update={"freeze_vision": True})
    make_trainer(model, load_processor(nano.folder), rows, each(variety), settings, tmp_path, "stage1", 7)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert not [name for name in trained if "visual" in name and ".default." in name]


# ---- text only -------------------------------------------------------------------------------------------------------


@pytest.fixture
def text_model(nano: Nano) -> tuple[Any, Any]:
    """A tiny Llama with the nano planner's tokenizer, and a chat template that knows strings alone."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=nano.tokenizer.backend_tokenizer,
        eos_token=nano.tokenizer.eos_token,
        pad_token=nano.tokenizer.pad_token,
    )
    tokenizer.chat_template = CHAT
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config), tokenizer


@pytest.mark.parametrize("adapter", [False, True])
def test_a_text_only_model_trains_in_both_stages(
    text_model: tuple[Any, Any],
    rows: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    adapter: bool,
) -> None:
    caplog.set_level(logging.INFO, "tracer1")
    model, tokenizer = text_model
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    model = LlamaForCausalLM.from_pretrained(tmp_path / "base")
    if adapter:
        model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    texts = Dataset.from_list([{**row, "images": []} for row in rows], features=rows.features)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for stage in ("stage1", "stage2"):
        grpo(model, tokenizer, texts, tmp_path, stage)
    assert {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert "image canary, stage1: skipped: no row has an image" in caplog.text
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["step"]) for row in metrics] == [(s, k) for s in ("stage1", "stage2") for k in (1, 2)]
    assert metrics[0]["mismatch"]["verdict"] == "fine"


# ---- rows with and without images ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [True, False])
def test_rows_with_and_without_images_train_in_one_batch(
    nano: Nano, rows: Dataset, tmp_path: Path, share: bool
) -> None:
    mixed = Dataset.from_list(
        [{**row, "images": row["images"] if k % 3 else []} for k, row in enumerate(rows)], features=rows.features
    )
    settings = SETTINGS.model_copy(update={"shared_prompt": share})
    grpo(load_model(nano.folder), load_processor(nano.folder), mixed, tmp_path, settings=settings)
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in metrics] == [1, 2]


@pytest.mark.parametrize(
    "batch", [(1, 2, 4), (0, 3, 6), (0, 1, 2), (1, 0, 3)], ids=["images", "text", "mixed", "mixed-2"]
)
@pytest.mark.parametrize("silent", [(0,), (1, 2), (0, 1, 2)], ids=str)
def test_a_batch_of_either_kind_is_resampled(
    nano: Nano, rows: Dataset, tmp_path: Path, batch: Sequence[int], silent: Sequence[int]
) -> None:
    """Rows 0, 3, 6 ... have no image. A group is replaced by one of its own kind, and the update gets its pixels."""
    mixed = Dataset.from_list(
        [{**row, "images": row["images"] if k % 3 else []} for k, row in enumerate(rows)], features=rows.features
    )
    equal = {(mixed[batch[g]]["episode_id"], mixed[batch[g]]["step"]) for g in silent}

    def scorer(completion: str, row: dict[str, Any]) -> Score:
        return Score(1.0, 1.0, 1.0) if (row["episode_id"], row["step"]) in equal else variety(completion, row)

    settings = SETTINGS.model_copy(update={"beta": 0.0})
    model, processor = load_model(nano.folder), load_processor(nano.folder)
    trainer = make_trainer(model, processor, mixed, each(scorer), settings, tmp_path, "stage1", 7)
    trainer.model.train()
    output = trainer._generate_and_score_completions([dict(mixed[i]) for i in batch for _ in range(2)])
    assert trainer.record.resampled_groups >= len(silent)
    images = [len(row["images"]) for row in trainer._rows]
    assert images == [int(i % 3 > 0) for i in batch for _ in range(2)]
    assert output.get("num_images", [0] * 6) == images
    assert len(output.get("image_grid_thw", [])) == sum(images)
    shown = (output["prompt_ids"] == model.config.image_token_id).sum(-1)
    assert [bool(tokens) for tokens in shown] == [bool(k) for k in images]
