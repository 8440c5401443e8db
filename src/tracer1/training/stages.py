"""One stage of GRPO, from the planner that it starts from to its published folder, resumed where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from datasets import Dataset

from tracer1.config.planner import FILE, planner_file, settings_of
from tracer1.config.settings import Config, StageSettings
from tracer1.data.windows_file import absolute_rows
from tracer1.errors import SetupError
from tracer1.files import write_atomic
from tracer1.models.nano import save_planner
from tracer1.models.qwen3vl import load_model, load_processor
from tracer1.results.schema import MetricsRow
from tracer1.training.checkpoints import publish
from tracer1.training.processes import first_does
from tracer1.training.scoring import make_scorer
from tracer1.training.trl.session import train_grpo

OnStep = Callable[[MetricsRow], None]  # receives the step's figures


def train_stage(config: Config, run: Path, name: str, on_step: OnStep) -> Path:
    """One stage of GRPO. Stage 2 starts from this run's stage 1 where there is one, else from ``model.path``.

    Of several processes the first publishes the folder, and the others wait for it.
    """
    out = run / "checkpoints" / name
    states = run / "trainer" / name
    if first_does(out.exists):
        first_does(lambda: _remove(states))  # the run was killed before it could
        return out
    settings: StageSettings = getattr(config, name)
    before = run / "checkpoints" / "stage1"
    start = str(before) if name == "stage2" and before.exists() else config.model.path
    model = load_model(start)
    own = deepcopy(model.config)
    train_grpo(
        model=model,
        processor=load_processor(start, config.model.pixels),
        rows=training_rows(config.data.train),
        scorer=make_scorer(config, name),
        settings=settings,
        run=run,
        stage=name,
        seed=config.seed,
        on_step=on_step,
        extra=config.trainer,
    )
    model.config = own  # the trainer switches off its cache, and sets a tokenizer's padding
    processor = load_processor(start, config.model.pixels)

    def write(folder: Path) -> None:
        save_planner(model, processor.tokenizer, folder, processor)
        write_atomic(folder / FILE, planner_file(settings_of(config, name)))

    def finish() -> None:
        publish(out, write)
        _remove(states)  # its optimiser states are of no more use

    first_does(finish)
    return out


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def training_rows(path: str) -> Dataset:
    """The windows of a Parquet file as TRL reads them, with image paths made absolute; pixels stay on disk."""
    return Dataset.from_list(list(absolute_rows(path)))


def checkpoint_of(run: Path, names: tuple[str, ...] = ("stage2", "stage1")) -> Path:
    """A run's last finished checkpoint; SetupError when it has none."""
    for name in names:
        if (run / "checkpoints" / name).exists():
            return run / "checkpoints" / name
    raise SetupError(f"{run} has no finished checkpoint; train it with: tracer1 train {run}/config.yaml")
