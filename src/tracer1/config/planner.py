"""How a planner was trained to be asked: a small file beside its weights, read wherever the planner acts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from tracer1.assets import resolve
from tracer1.config.loading import load_config
from tracer1.config.settings import Config, Count, Positive, Settings
from tracer1.errors import DataError
from tracer1.files import parse_json
from tracer1.plan.prompt import PROMPTS, PromptSpec

FILE = "tracer1.json"


class PlannerSettings(Settings):
    """The prompt, horizon, history and limits that a planner was trained with."""

    prompt_version: str
    horizon: Positive
    history: Count
    max_completion_tokens: Positive
    pixels: tuple[Positive, Positive]  # the least and the most of an image

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.prompt_version not in PROMPTS:
            raise ValueError(f"unknown prompt_version {self.prompt_version!r}; known are {', '.join(PROMPTS)}")
        if self.pixels[0] > self.pixels[1]:
            raise ValueError(f"pixels: {self.pixels[0]} is above {self.pixels[1]}")
        return self

    def prompt(self) -> PromptSpec:
        """The prompt with this horizon and history."""
        return replace(PROMPTS[self.prompt_version], horizon=self.horizon, history=self.history)


def settings_of(config: Config, stage: str = "stage1") -> PlannerSettings:
    """What a configuration says of its planner."""
    return PlannerSettings(
        prompt_version=config.plan.prompt_version,
        horizon=config.plan.horizon,
        history=config.plan.history,
        max_completion_tokens=getattr(config, stage).max_completion_tokens,
        pixels=config.model.pixels,
    )


def planner_file(settings: PlannerSettings) -> bytes:
    """The content of ``tracer1.json`` in a published planner's folder."""
    return (settings.model_dump_json(indent=1) + "\n").encode()


def planner_settings(model: Path | str) -> PlannerSettings | None:
    """What a planner was trained with; None where nothing says (a hub name, a server, a model of another origin).

    Read from ``tracer1.json`` in its folder, else from the ``config.yaml`` of the run that holds it
    (RUN/checkpoints/NAME). Raises DataError for a file that is damaged.
    """
    folder = Path(resolve(model))
    if (folder / FILE).is_file():
        return _read(folder / FILE)
    run = folder.resolve().parent.parent
    if folder.is_dir() and folder.resolve().parent.name == "checkpoints" and (run / "config.yaml").is_file():
        return settings_of(load_config(run / "config.yaml"), folder.name if folder.name == "stage2" else "stage1")
    return None


def _read(file: Path) -> PlannerSettings:
    try:
        return PlannerSettings.model_validate(parse_json(file.read_bytes()))
    except (ValueError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(f"{file}: {reason}; correct it, or remove it and name the settings yourself") from error


def as_trained(config: Config, model: Path | str, horizon: int | None = None) -> Config:
    """``config`` with the prompt, horizon, history and limits of the planner's own training, where they are known.

    horizon: T where it is given outright.
    """
    own = planner_settings(model) or settings_of(config)
    stage = config.stage1.model_copy(update={"max_completion_tokens": own.max_completion_tokens})
    plan = {"prompt_version": own.prompt_version, "horizon": horizon or own.horizon, "history": own.history}
    pixels = {"min_pixels": own.pixels[0], "max_pixels": own.pixels[1]}
    return config.model_copy(
        update={
            "plan": config.plan.model_copy(update=plan),
            "model": config.model.model_copy(update=pixels),
            "stage1": stage,
        }
    )
