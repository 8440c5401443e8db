"""Both stages on other models than the nano planner: text-only, Qwen2.5-VL, and adapters of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_models import THINKING_TEMPLATE, write_llama, write_qwen2_5_vl
from nano_planner import STAGE, Nano, each, write_text_windows

from tracer1.config.settings import Config, ModelSettings, PeftSettings, StageSettings
from tracer1.errors import UsageError
from tracer1.models.loading import adapter_base, load_model, load_processor
from tracer1.models.local import LocalPlanner
from tracer1.models.policy import load_policy, save_policy
from tracer1.results.schema import MetricsRow
from tracer1.training.stages import engine_settings, train_stage, training_rows
from tracer1.training.trl.session import train_grpo
from tracer1.types import Score

LORA = {"rank": 4, "alpha": 8}
Configured = Callable[..., Config]


@pytest.fixture
def configured(nano: Nano, tmp_path: Path) -> Configured:
    """A configuration of both stages for a model and its windows."""

    def make(model: Path, train: Path, peft: Mapping[str, Any] | None = None, **stage: Any) -> Config:
        return Config.model_validate(
            {
                "output_dir": str(tmp_path / "run"),
                "model": {"path": str(model), "min_pixels": 1024, "max_pixels": 65536, "device": "cpu"},
                "data": {"train": str(train)},
                "plan": {"horizon": 3, "history": 2, "prompt_version": "brief-1"},
                "executor": {"name": "dom"},
                "peft": peft,
                "stage1": STAGE | stage,
                "stage2": STAGE | stage,
            }
        )

    return make


@pytest.fixture
def text_file(nano: Nano, tmp_path: Path) -> Path:
    return write_text_windows(nano, tmp_path / "text.parquet")


def both_stages(config: Config) -> tuple[Path, Path]:
    run = Path(config.output_dir)
    first, second = (train_stage(config, run, name, lambda _: None) for name in ("stage1", "stage2"))
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    assert [(line["stage"], line["step"]) for line in lines] == [
        (stage, step) for stage in ("stage1", "stage2") for step in (1, 2)
    ]
    return first, second


def moved(before: Path, after: Path) -> bool:
    a, b = load_model(before).state_dict(), load_model(after).state_dict()
    assert a.keys() == b.keys()
    return any(not torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("peft", [None, {**LORA, "export": "merged"}, {**LORA, "export": "adapter"}])
def test_a_text_only_model_trains_in_both_stages(
    configured: Configured, nano: Nano, text_file: Path, tmp_path: Path, peft: Mapping[str, Any] | None
) -> None:
    base = write_llama(tmp_path / "base", nano.tokenizer)
    first, second = both_stages(configured(base, text_file, peft))
    is_adapter = peft is not None and peft["export"] == "adapter"
    assert [adapter_base(path) is not None for path in (first, second)] == [is_adapter, is_adapter]
    assert moved(base, first) == moved(first, second) == (peft is None)  # weight decay; an adapter needs a gradient
    assert LocalPlanner(second, max_new_tokens=3).complete([[{"role": "user", "content": "Press Send."}]])


@pytest.mark.parametrize("peft", [None, LORA])
def test_qwen2_5_vl_trains_on_screenshots(
    configured: Configured, nano: Nano, tmp_path: Path, peft: Mapping[str, Any] | None
) -> None:
    base = write_qwen2_5_vl(tmp_path / "base", nano.tokenizer)
    first, second = both_stages(configured(base, nano.windows, peft, freeze_vision=True))
    assert moved(base, first) == moved(first, second) == (peft is None)
    a, b = load_model(base).state_dict(), load_model(second).state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a if "visual" in name)


def learn(start: Path, windows: Path, run: Path, on_step: Callable[[MetricsRow], None] = lambda _: None) -> Path:
    """Train an adapter with a reward that differs within groups; returns its published folder."""
    peft = PeftSettings(rank=4, alpha=8, export="adapter")
    processor, model = load_processor(start), load_policy(start, ModelSettings(device="cpu"), peft)
    train_grpo(
        model=model,
        processor=processor,
        rows=training_rows(str(windows)),
        scorer=each(lambda text, _: Score(sum(text.encode()) % 7 / 6, 1.0, 1.0)),
        settings=StageSettings(**{**STAGE, "steps": 4}),
        run=run,
        stage="stage1",
        seed=0,
        on_step=on_step,
    )
    save_policy(model, processor, run / "out", peft)
    return run / "out"


class Stopped(Exception):
    pass


def stop_at_step_3(row: MetricsRow) -> None:
    if row.step == 3:  # the checkpoint of step 2 is written by now
        raise Stopped


@pytest.mark.parametrize("family", ["nano", "llama"])
def test_an_adapter_learns_and_a_stopped_run_ends_as_one_left_alone(nano: Nano, tmp_path: Path, family: str) -> None:
    start, windows = nano.folder, nano.windows
    if family == "llama":
        start, windows = (
            write_llama(tmp_path / "base", nano.tokenizer),
            write_text_windows(nano, tmp_path / "w.parquet"),
        )
    alone = learn(start, windows, tmp_path / "alone")
    assert moved(start, alone)
    with pytest.raises(Stopped):
        learn(start, windows, tmp_path / "stopped", stop_at_step_3)
    resumed = learn(start, windows, tmp_path / "stopped")
    assert (alone / "adapter_model.safetensors").read_bytes() == (resumed / "adapter_model.safetensors").read_bytes()
    done = learn(start, windows, tmp_path / "stopped")  # nothing is left to train: the last checkpoint is published
    assert (alone / "adapter_model.safetensors").read_bytes() == (done / "adapter_model.safetensors").read_bytes()


def test_a_text_only_model_is_not_trained_on_screenshots(configured: Configured, nano: Nano, tmp_path: Path) -> None:
    base = write_llama(tmp_path / "base", nano.tokenizer)
    with pytest.raises(UsageError, match=r"base reads text only, but window 0 of the training data shows an image"):
        train_stage(configured(base, nano.windows), tmp_path / "run", "stage1", lambda _: None)


def test_a_prompt_of_the_other_style_is_refused_before_training(
    configured: Configured, nano: Nano, text_file: Path, tmp_path: Path
) -> None:
    """Defect 20."""
    base = write_llama(tmp_path / "base", nano.tokenizer, THINKING_TEMPLATE)
    config = configured(base, text_file)
    config = config.model_copy(update={"plan": config.plan.model_copy(update={"prompt_version": "full-1"})})
    with pytest.raises(UsageError, match=r"set plan\.prompt_version=full-2-thinking"):
        train_stage(config, tmp_path / "run", "stage1", lambda _: None)


def test_the_trainer_keeps_to_the_device(configured: Configured, nano: Nano) -> None:
    config = configured(nano.folder, nano.windows)
    assert engine_settings(config) == {"use_cpu": True}
    assert engine_settings(config.model_copy(update={"trainer": {"use_cpu": False}})) == {"use_cpu": False}
    on_gpu = config.model_copy(update={"model": config.model.model_copy(update={"device": "auto"})})
    assert engine_settings(on_gpu) == {}
