"""How fast one GRPO update is: a group's prompt encoded once, against TRL's own trainer.

An update is what follows generation and scoring: the log-probabilities of the old policy, the reference and the policy,
the loss and its gradients, for one group of n completions of one prompt, on the same model, ids and pixels. Encoding a
prompt once leaves p + n c of n (p + c) tokens, hence the bound n (p + c) / (p + n c); attention can go beyond it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from datasets import Dataset
from torch.nn.functional import pad

from tracer1.config.settings import StageSettings
from tracer1.models.loading import load_model, load_processor
from tracer1.training.trl.comparison import one_update, stock_trainer
from tracer1.training.trl.session import make_trainer
from tracer1.types import Score

BASE: Final = "models/nano-base"
GRID: Final = tuple((p, c, n) for p in (300, 1000, 3000) for c in (50, 200) for n in (5, 8))
HEADLINE: Final = (1000, 100, 5)
REPEATS: Final = 3
Row = dict[str, Any]


def bench_grpo(points: tuple[tuple[int, int, int], ...] = (HEADLINE, *GRID), repeats: int = REPEATS) -> Iterator[Row]:
    """One object for each point (prompt and completion tokens, n) and modality.

    ``ratio``: stock seconds over ours, medians of ``repeats`` that take turns; ``bound``: n (p + c) / (p + n c);
    ``samples``: seconds; ``peak_mb``: most memory above what was resident before; ``parity``: the largest difference of
    a log-probability, and of the gradient over its norm.
    """
    machine = {"cpus": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.platform()}
    with TemporaryDirectory() as folder:
        ours, stock = _trainers(Path(folder))
        for modality in ("text", "images"):
            for prompt, completion, n in points:
                batch = group_batch(ours.model.config, prompt, completion, n, images=modality == "images")
                yield {
                    "name": "grpo-step",
                    "prompt": prompt,
                    "completion": completion,
                    "n": n,
                    "modality": modality,
                    **compare(partial(one_update, ours, batch), partial(one_update, stock, batch), repeats),
                    "bound": round(n * (prompt + completion) / (prompt + n * completion), 2),
                    "parity": _parity(ours, stock, batch),
                    "machine": machine,
                }


def compare(ours: Callable[[], Any], stock: Callable[[], Any], repeats: int) -> Row:
    """Seconds and peak memory of both, turn by turn after one run each that does not count."""
    seconds: dict[str, list[float]] = {"ours": [], "stock": []}
    peaks: dict[str, float] = {}
    for name, run in (("ours", ours), ("stock", stock)):
        with _peak_mb() as peak:
            run()
        peaks[name] = round(peak[0], 1)
    for _ in range(repeats):
        for name, run in (("ours", ours), ("stock", stock)):
            started = time.perf_counter()
            run()
            seconds[name].append(round(time.perf_counter() - started, 4))
    ratio = statistics.median(seconds["stock"]) / statistics.median(seconds["ours"])
    return {"ratio": round(ratio, 2), "samples": seconds, "peak_mb": peaks}


def group_batch(config: Any, prompt: int, completion: int, n: int, *, images: bool, seed: int = 0) -> Row:
    """One group as TRL hands it to its loss: random ids; ``images``: a picture makes up half of the prompt."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(300, config.text_config.vocab_size - 60, (1, prompt), generator=generator)
    pixels: Row = {}
    if images:
        side = int((prompt / 2) ** 0.5)  # merged tokens on each side of a square picture
        merge = config.vision_config.spatial_merge_size
        ids[0, 1] = config.vision_start_token_id
        ids[0, 2 : 2 + side * side] = config.image_token_id
        ids[0, 2 + side * side] = config.vision_end_token_id
        v = config.vision_config
        dim = v.in_channels * v.temporal_patch_size * v.patch_size**2
        picture = torch.rand((side * merge) ** 2, dim, generator=generator) * 2 - 1
        pixels = {
            "pixel_values": picture.repeat(n, 1),
            "image_grid_thw": torch.tensor([[1, side * merge, side * merge]]).repeat(n, 1),
            "num_images": [1] * n,
            "mm_token_type_ids": pad((ids == config.image_token_id).long().repeat(n, 1), (0, completion)),
        }
    return {
        "prompt_ids": ids.repeat(n, 1),
        "prompt_mask": torch.ones(n, prompt, dtype=torch.long),
        "completion_ids": torch.randint(300, config.text_config.vocab_size - 60, (n, completion), generator=generator),
        "completion_mask": torch.ones(n, completion, dtype=torch.long),
        "advantages": torch.randn(n, generator=generator),
        "num_items_in_batch": torch.tensor(float(n * completion)),
        **pixels,
    }


def _trainers(folder: Path) -> tuple[Any, Any]:
    """Ours and TRL's on copies of the same model."""
    settings = StageSettings(
        prompts_per_batch=2,
        group_size=2,
        updates_per_batch=1,
        micro_batch=4,
        precision="fp32",
        gradient_checkpointing=False,
    )
    processor = load_processor(BASE)
    row = {"prompt": [{"role": "user", "content": "x"}], "images": [], "reference": "{}", "episode_id": "a/b/0"}
    rows = Dataset.from_list([{**row, "step": k} for k in range(4)])  # TRL asks for some; they are not used

    def nothing(completions: Sequence[str], rows: Sequence[Row]) -> list[Score]:
        return [Score(0.0, 0.0, 0.0) for _ in completions]

    ours = make_trainer(load_model(BASE), processor, rows, nothing, settings, folder, "stage1", 0)
    return ours, stock_trainer(load_model(BASE), processor, rows, settings, folder / "stock")


def _parity(ours: Any, stock: Any, batch: Row) -> Row:
    logps, gradients = [], []
    for trainer in (ours, stock):
        logps.append(one_update(trainer, batch))
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]))
    return {
        "log_probability": float((logps[0] - logps[1]).abs().max()),
        "gradient": float((gradients[0] - gradients[1]).norm() / gradients[1].norm()),
    }


@contextmanager
def _peak_mb() -> Iterator[list[float]]:
    """The most memory that the block had resident above what there was before; NaN where the system does not tell."""
    found = [float("nan")]
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the earlier peak
    before = _status_kb("VmRSS")
    yield found
    found[0] = (_status_kb("VmHWM") - before) / 1024


def _status_kb(field: str) -> float:
    if sys.platform != "linux":
        return float("nan")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(next(line for line in lines if line.startswith(field)).split()[1])
