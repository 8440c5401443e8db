"""The planner under evaluation: what it was loaded from, and the manifests of the files that it makes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tracer1.config.settings import Config, EvaluationSettings
from tracer1.errors import UsageError
from tracer1.models.address import is_url, shown_url
from tracer1.models.choice import open_planner
from tracer1.models.encoding import require_style
from tracer1.models.local import LocalPlanner
from tracer1.plan.prompt import PROMPTS, PromptSpec
from tracer1.results.manifest import Manifest, code_version, file_hash, weights_hash
from tracer1.types import Model


@dataclass(frozen=True, slots=True)
class PlannerSource:
    """What a planner is loaded from: a folder, a server's URL with the model's name, or a baseline's name."""

    name: str
    weights: str = ""  # their hash
    blank_images: bool = False


@dataclass(frozen=True, slots=True)
class Planner:
    """A model and its source."""

    model: Model
    source: PlannerSource


def planner_source(path: str | Path, *, name: str | None = None, blank_images: bool = False) -> PlannerSource:
    """The source of a planner by ``--model`` and ``--model-name``: a folder, or a server and its model."""
    if is_url(str(path)):
        return PlannerSource(f"{shown_url(str(path))} {name}" if name else shown_url(str(path)))
    return folder_source(path, blank_images=blank_images)


def folder_source(path: str | Path, *, blank_images: bool = False) -> PlannerSource:
    """The source of a planner in a folder, its weights hashed."""
    return PlannerSource(str(path), weights_hash(path), blank_images)


def load_planner(path: str | Path, config: Config, *, name: str | None = None, blank_images: bool = False) -> Planner:
    """A planner with the run's decoding settings: a folder in this process, or a server's address.

    name: the server's model, where it has several. Raises UsageError for a prompt that does not fit the chat template.
    """
    if blank_images and is_url(str(path)):
        raise UsageError(f"blank images are for a planner in this process, and --model is the server {path}")
    model = open_planner(
        path,
        name=name,
        max_tokens=config.stage1.max_completion_tokens,
        temperature=config.evaluation.temperature,
        seed=config.seed,
        settings=config.model,
        pixels=config.model.pixels,
    )
    if isinstance(model, LocalPlanner):
        model.blank_images = blank_images
        require_style(config.plan.prompt_version, model.processor, path)
    return Planner(model, planner_source(path, name=name, blank_images=blank_images))


def prompt_of(config: Config, horizon: int | None = None) -> PromptSpec:
    """The configured prompt with its horizon and history."""
    spec = PROMPTS[config.plan.prompt_version]
    return replace(spec, history=config.plan.history, horizon=horizon or config.plan.horizon)


def live_manifest(source: PlannerSource, config: Config, settings: EvaluationSettings, horizon: int | None) -> Manifest:
    """What a file of live episodes depends on."""
    return replace(
        _manifest(source, config),
        kind="live episodes",
        horizon=horizon or config.plan.horizon,
        executor=config.executor.name,
        executor_options=config.executor.options,
        protocol=f"{settings.environment}: raw reward above 0",
        first_seed=settings.first_seed,
        limits={
            "steps": settings.default_max_steps,
            "seconds": settings.episode_seconds,
            "steps_by_task": dict(settings.max_steps),
        },
        steps_per_plan=settings.steps_per_plan,
    )


def prediction_manifest(source: PlannerSource, config: Config) -> Manifest:
    """What a file of predictions on the held-out windows depends on."""
    return replace(
        _manifest(source, config),
        kind="predictions",
        data=file_hash(config.data.heldout or ""),
        reward=config.reward.model_dump(mode="json"),
    )


def _manifest(source: PlannerSource, config: Config) -> Manifest:
    return Manifest(
        model=source.name,
        weights=source.weights,
        prompt=config.plan.prompt_version,
        horizon=config.plan.horizon,
        history=config.plan.history,
        sampling={
            "temperature": config.evaluation.temperature,
            "top_p": 1.0,
            "max_tokens": config.stage1.max_completion_tokens,
            "seed": config.seed,
            "images": "blank" if source.blank_images else "shown",
            "pixels": list(config.model.pixels) if config.model.pixels else None,
        },
        code=code_version(),
    )
