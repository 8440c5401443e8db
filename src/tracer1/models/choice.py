"""The planner that ``--model`` names: a folder or hub name in this process, or a server's address."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tracer1.config.settings import ModelSettings
from tracer1.errors import UsageError
from tracer1.models.address import is_url
from tracer1.models.encoding import thinking_style
from tracer1.models.local import LocalPlanner
from tracer1.plan.prompt import PROMPTS, PromptSpec
from tracer1.types import Model


def open_planner(
    model: str | Path,
    *,
    name: str | None = None,
    max_tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
    settings: ModelSettings | None = None,
    pixels: tuple[int, int] | None = None,
) -> Model:
    """A planner by ``--model`` and ``--model-name`` (for a server with several models).

    The address comes from the command line, so the server gets the user's key. Its answers are not cached: another
    model may stand behind the same name tomorrow.
    """
    if is_url(str(model)):
        from tracer1.models.endpoint import Endpoint, find_model

        url = str(model)
        served = name or find_model(url, trusted=True)
        return Endpoint(served, url, max_tokens=max_tokens, temperature=temperature, cached=False, trusted=True)
    if name:
        raise UsageError(f"--model-name is for a server's address, and --model is the folder {model}")
    return LocalPlanner(
        model, max_new_tokens=max_tokens, temperature=temperature, seed=seed, settings=settings, pixels=pixels
    )


def fitting_prompt(spec: PromptSpec, planner: Model) -> PromptSpec:
    """The prompt in the style of the planner's chat template. A server's template is unknown: taken for a plain one."""
    style = thinking_style(planner.processor) if isinstance(planner, LocalPlanner) else "ours"
    return replace(PROMPTS[spec.for_template(style)], history=spec.history, horizon=spec.horizon)
