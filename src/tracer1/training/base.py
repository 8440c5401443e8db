"""The base: a nano planner made from nothing by the supervised warm-up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from tracer1.config.planner import FILE, PlannerSettings, planner_file, settings_of
from tracer1.config.settings import Config
from tracer1.data.store import read_episodes
from tracer1.errors import SetupError, UsageError
from tracer1.files import write_atomic
from tracer1.models.nano import build_model, save_planner
from tracer1.models.placement import placement_of
from tracer1.models.qwen3vl import make_processor
from tracer1.models.tokenizer import build_tokenizer
from tracer1.plan.prompt import PROMPTS
from tracer1.results.files import write_json
from tracer1.training.checkpoints import publish
from tracer1.training.warmup import STATE, run_warmup
from tracer1.training.warmup_data import WarmupSource

logger = logging.getLogger(__name__)
OnStep = Callable[[dict[str, float]], None]  # receives the step's figures
SEEN = "strings_seen.json"  # beside a base: every string that its demonstrations quote


def train_base(config: Config, run: Path, on_step: OnStep) -> Path:
    """The supervised warm-up from a random network (``nano`` gives its dimensions) to ``model.path``."""
    if config.nano is None or config.data.episodes is None:
        raise UsageError("the warm-up builds a nano model: give the config a 'nano' section and data.episodes")
    out = Path(config.model.path)
    if out.exists():
        raise UsageError(f"{out} exists; name another model.path, or remove it to train the base again")
    torch.manual_seed(config.seed)
    source = WarmupSource(
        read_episodes(config.data.episodes), PROMPTS[config.plan.prompt_version], config.data.episodes
    )
    if not source.tasks:
        raise SetupError(f"{config.data.episodes} holds no episodes; record some with: tracer1 data record miniwob")
    tokenizer = build_tokenizer(source.templates(), source.strings(), config.nano.pieces, config.nano.word_episodes)
    model = build_model(config.nano, tokenizer, config.seed).to(placement_of(config.model).device)
    logger.info("%.2f M parameters, %d tokens", model.num_parameters() / 1e6, len(tokenizer))
    run_warmup(model, source, config.warmup, make_processor(tokenizer), run, config.seed, on_step)

    def write(folder: Path) -> None:
        save_planner(model, tokenizer, folder)
        write_json(folder / SEEN, sorted(source.quoted()))
        write_atomic(folder / FILE, planner_file(_settings(config)))

    publish(out, write)
    (run / STATE).unlink(missing_ok=True)  # the base is made: removing it is how one asks for another
    return out


def _settings(config: Config) -> PlannerSettings:
    """How the base is to be asked: with the horizon and history of its own warm-up."""
    own = {"horizon": config.warmup.horizon, "history": config.warmup.history}
    return settings_of(config).model_copy(update=own)
