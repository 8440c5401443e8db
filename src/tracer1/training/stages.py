"""One stage of GRPO, from the planner that it starts from to its published folder, resumed where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from datasets import Dataset

from tracer1.config.planner import FILE, planner_file, settings_of
from tracer1.config.settings import Config, StageSettings
from tracer1.data.windows_file import absolute_rows
from tracer1.errors import SetupError, UsageError
from tracer1.files import write_atomic
from tracer1.models.encoding import reads_images, require_style
from tracer1.models.loading import load_processor
from tracer1.models.policy import load_policy, save_policy
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
    processor, rows = load_processor(start, config.model.pixels), training_rows(config.data.train_files)
    require_style(config.plan.prompt_version, processor, start)
    require_images(processor, rows, start)
    model = load_policy(start, config.model, config.peft, config.seed)
    own = deepcopy(model.config)
    train_grpo(
        model=model,
        processor=processor,
        rows=rows,
        scorer=make_scorer(config, name),
        settings=settings,
        run=run,
        stage=name,
        seed=config.seed,
        on_step=on_step,
        extra=engine_settings(config),
    )
    restore_config(model, own)  # the trainer switches off its cache, and sets a tokenizer's padding
    processor = load_processor(start, config.model.pixels)

    def write(folder: Path) -> None:
        save_policy(model, processor, folder, config.peft)
        write_atomic(folder / FILE, planner_file(settings_of(config, name)))

    def finish() -> None:
        publish(out, write)
        _remove(states)  # its optimiser states are of no more use

    first_does(finish)
    return out


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def engine_settings(config: Config) -> dict[str, Any]:
    """The engine's own settings, with the device that the model section names."""
    return {**({"use_cpu": True} if config.model.device == "cpu" else {}), **config.trainer}


def restore_config(model: Any, own: Any) -> None:
    """Give a model, or the one under an adapter, the configuration that it was loaded with."""
    (model.get_base_model() if hasattr(model, "get_base_model") else model).config = own


def require_images(processor: Any, rows: Dataset, path: object) -> None:
    """Raise UsageError where a text-only model would be trained on windows with screenshots."""
    if reads_images(processor):
        return
    number = next((number for number, images in enumerate(rows["images"]) if images), None)
    if number is not None:
        raise UsageError(
            f"{path} reads text only, but window {number} of the training data shows an image; "
            "use a vision-language model, or windows of observations as text"
        )


def training_rows(paths: str | Sequence[str]) -> Dataset:
    """The windows of one or more Parquet files as TRL reads them, with image paths made absolute; pixels stay on
    disk."""
    return Dataset.from_list(list(absolute_rows(paths)))


def checkpoint_of(run: Path, names: tuple[str, ...] = ("stage2", "stage1")) -> Path:
    """A run's last finished checkpoint; SetupError when it has none."""
    for name in names:
        if (run / "checkpoints" / name).exists():
            return run / "checkpoints" / name
    raise SetupError(f"{run} has no finished checkpoint; train it with: tracer1 train {run}/config.yaml")
