"""Training in two processes, as torchrun starts them on CPUs (gloo)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from nano_planner import STAGE, Nano
from ranks import by_row
from safetensors.torch import load_file

from tracer1.config.loading import load_config
from tracer1.recipes.train import train
from tracer1.training.trl.trainer import PlanTrainer

SCRIPT = Path(__file__).with_name("ranks.py")


def two_ranks(config: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Both stages in two processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    return subprocess.run(
        [sys.executable, *launch, str(SCRIPT), "train", str(config), *overrides],
        cwd=SCRIPT.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@pytest.fixture
def config_file(nano: Nano, tmp_path: Path) -> Path:
    stage = {
        **STAGE,
        "prompts_per_batch": 4,
        "micro_batch": 2,
        "resample_zero_variance": True,
        "save_every": 2,
        "lr": 1e-4,
    }
    values = {
        "output_dir": str(tmp_path / "run"),
        "model": {"path": str(nano.folder), "min_pixels": 1024, "max_pixels": 65536},
        "data": {"episodes": str(nano.store.directory), "train": str(nano.windows)},
        "plan": {"horizon": 3, "history": 2, "prompt_version": "brief-1"},
        "executor": {"name": "dom"},
        "reward": {"function": "ranks:variety"},
        "stage1": stage,
        "stage2": stage,
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_two_ranks_train_as_one(nano: Nano, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same global batch gives the same samples and, up to rounding, the same losses, gradients and weights."""
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.chdir(SCRIPT.parent)  # reward.function is found there
    monkeypatch.setattr(PlanTrainer, "_generate_single_turn", by_row(PlanTrainer._generate_single_turn))
    train(load_config(config_file, [f"output_dir={one}"]))
    done = two_ranks(config_file, f"output_dir={two}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert lines(two / "rollouts.jsonl") == lines(one / "rollouts.jsonl")
    expected, found = lines(one / "metrics.jsonl"), lines(two / "metrics.jsonl")
    assert [(row["stage"], row["step"]) for row in found] == [(s, k) for s in ("stage1", "stage2") for k in (1, 2)]
    assert sum(row["resampled_groups"] for row in found) > 0
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("loss", "reward", "reward_std", "kl", "entropy", "grad_norm", "completion_tokens"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-5), name
        for name in ("terms", "signal", "plans", "unscored", "zero_variance_first", "resampled_groups"):
            assert ours[name] == theirs[name], name
    base = load_file(nano.folder / "model.safetensors")
    for stage in ("stage1", "stage2"):
        ours, theirs = (load_file(out / "checkpoints" / stage / "model.safetensors") for out in (two, one))
        moved = sum((theirs[name] - base[name]).norm() ** 2 for name in base) ** 0.5
        apart = sum((theirs[name] - ours[name]).norm() ** 2 for name in base) ** 0.5
        assert apart < 0.02 * moved  # Adam makes whole steps of gradients that are nothing but rounding
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
