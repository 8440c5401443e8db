"""Training as a user starts it: the warm-up or the two stages, each resumed where it stopped."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from datasets import Dataset

from tracer1.config import Config, StageSettings
from tracer1.data.store import read_episodes
from tracer1.data.windows_file import read_rows, row_messages, windows_store
from tracer1.errors import SetupError, TrainingError, UsageError
from tracer1.models.nano import build_model, save_planner
from tracer1.models.qwen3vl import LocalPlanner, load_model, load_processor, make_processor
from tracer1.models.tokenizer import build_tokenizer
from tracer1.plan.prompt import PROMPTS
from tracer1.progress import progress
from tracer1.recipes import gate
from tracer1.recipes.record import record_miniwob
from tracer1.recipes.run import prepare, write_json
from tracer1.tools.agents import make_tool_agent
from tracer1.training.checkpoints import publish
from tracer1.training.reward_fn import GroundedScorer, Scorer, TrajectoryScorer
from tracer1.training.trl_backend import make_trainer, train_grpo
from tracer1.training.warmup import STATE, run_warmup
from tracer1.training.warmup_data import WarmupSource

logger = logging.getLogger(__name__)
Row = dict[str, Any]
OnStep = Callable[[Row], None]  # told the step's figures
Say = Callable[[str], None]
SEEN = "strings_seen.json"  # beside a base: every string that its demonstrations quote
Stage = Literal["warmup", "1", "2", "both"]


def train(config: Config, stage: Stage = "both", *, force: bool = False, say: Say = logger.info) -> dict[str, Path]:
    """Run the asked stages and return their checkpoint folders by name; a stage that is finished is not run again.

    Raises TrainingError where stage 1 does not pass the gate to stage 2, unless it is to be forced.
    """
    run = prepare(config)
    if stage == "warmup":
        return {"base": base_with_progress(config, run)}
    made = {}
    for name in names_of(stage):
        if name == "stage2":
            pass_gate(config, run, force=force, say=say)
        made[name] = stage_with_progress(config, run, name)
    return made


def names_of(stage: Stage) -> list[str]:
    return ["stage1", "stage2"] if stage == "both" else [f"stage{stage}"]


def plan_of(config: Config, stage: Stage) -> list[str]:
    """What a run would do, after building everything up to its first step (``--dry-run``)."""
    if stage == "warmup":
        w = config.warmup
        return [
            f"warmup: {w.drill_steps} drill steps of {w.drill_batch} examples, then {w.steps} of {w.batch}, "
            f"into {config.model.path}"
        ]
    lines = []
    rows = training_rows(config.data.train)
    processor, model = load_processor(config.model.path, config.model.pixels), load_model(config.model.path)
    for name in names_of(stage):
        settings: StageSettings = getattr(config, name)
        scorer = make_scorer(config, name)
        with TemporaryDirectory() as scratch:
            make_trainer(
                model, processor, rows, scorer, settings, Path(scratch), name, config.seed, extra=config.trainer
            )
        lines.append(
            f"{name}: {settings.arithmetic()}; {len(rows)} windows; into {config.output_dir}/checkpoints/{name}"
        )
    return lines


def stage_with_progress(config: Config, run: Path, name: str) -> Path:
    """One stage, with the figures that matter in the bar."""
    settings: StageSettings = getattr(config, name)
    with progress(f"train {name}") as tick:

        def on_step(row: Row) -> None:
            figures = {"reward": row["reward"], "no signal": row["zero_signal_groups"], "KL": row["kl"]}
            note = ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if v is not None)
            tick(row["step"], settings.steps, f"{note}, {row['rss_mb']:.0f} MB")

        return train_stage(config, run, name, on_step)


def base_with_progress(config: Config, run: Path) -> Path:
    """The warm-up, with its loss in the bar."""
    total = config.warmup.drill_steps + config.warmup.steps
    with progress("warm-up") as tick:
        return train_base(config, run, lambda row: tick(int(row["step"]) + 1, total, f"loss {row['loss']:.3f}"))


# ---- the two stages --------------------------------------------------------------------------------------------------


def train_stage(config: Config, run: Path, name: str, on_step: OnStep) -> Path:
    """One stage of GRPO. Stage 2 starts from this run's stage 1 where there is one, else from ``model.path``."""
    out = run / "checkpoints" / name
    states = run / "trainer" / name
    if out.exists():
        shutil.rmtree(states, ignore_errors=True)  # the run was killed before it could
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
    if name == "stage1":
        gate.forget_stage_1(run)
    model.config = own  # the trainer switches off its cache, and sets a tokenizer's padding
    processor = load_processor(start, config.model.pixels)
    publish(out, lambda folder: save_planner(model, processor.tokenizer, folder, processor))
    shutil.rmtree(states, ignore_errors=True)  # its optimiser states are of no more use
    return out


def training_rows(path: str) -> Dataset:
    """The windows of a Parquet file as TRL reads them, with image paths made absolute; pixels stay on disk."""
    return Dataset.from_list(list(absolute_rows(path)))


def absolute_rows(path: str) -> Iterable[Row]:
    """Rows of a windows file whose image paths can be opened from anywhere."""
    store = windows_store(path)
    for row in read_rows(path):
        yield {**row, "images": [str(store.path(image).resolve()) for image in row["images"]]}


def make_scorer(config: Config, name: str, windows: str | None = None) -> Scorer:
    """The stage's reward with the configured profile, constants and tool agent, for the rows of ``windows`` (data.train
    if None), whose store holds what the tool agent is shown."""
    if name == "stage1":
        return TrajectoryScorer(config.reward.trajectory_profile())
    agent = make_tool_agent(config.tool_agent.name, **config.tool_agent.options)
    return GroundedScorer(config.reward.grounded_profile(), agent, windows_store(windows or config.data.train))


# ---- the gate between them -------------------------------------------------------------------------------------------


def pass_gate(config: Config, run: Path, *, force: bool, say: Say) -> None:
    """Say whether stage 1 is good enough for stage 2 to start; TrainingError when it is not and nothing forces it.

    What is measured once, here or by the demo's evaluation, is kept in the run and not measured again.
    """
    stage1, windows = run / "checkpoints" / "stage1", config.data.heldout
    if (run / "checkpoints" / "stage2").exists():
        return
    if not stage1.exists():
        say(f"gate: skipped: there is no stage 1 in {run}; stage 2 starts from {config.model.path}")
        return
    if windows is None or not Path(windows).exists():
        say(f"gate: skipped: no held-out windows ({windows or 'data.heldout is not set'}); stage 2 starts from stage 1")
        return
    of = measured_with(config)
    outcome = gate.decided(run, of)
    if outcome is None:
        rows = gate.chosen(list(absolute_rows(windows)))

        def measure(name: str) -> gate.Rewards:
            kept = gate.kept_rewards(run, name, of, rows)
            return plan_rewards(config.model.path if name == "base" else stage1, config, rows) if kept is None else kept

        outcome = gate.decide(run, of, rows, measure)
    if not (outcome["passed"] or force):
        raise TrainingError(
            f"{outcome['line']}; stage 2 does not start: train stage 1 longer (more stage1.steps, another output_dir), "
            f"or start stage 2 anyway with: tracer1 train {run}/config.yaml --stage 2 --force"
        )
    say(f"{outcome['line']}; stage 2 starts{'' if outcome['passed'] else ' all the same'}")


def measured_with(config: Config) -> Row:
    """What a plan reward on the held-out windows depends on, beside the planner's own weights."""
    return {
        "windows": config.data.heldout,
        "base": config.model.path,
        "reward": config.reward.model_dump(mode="json"),
        "tokens": config.stage1.max_completion_tokens,
    }


def plan_rewards(path: str | Path, config: Config, rows: Sequence[Row]) -> gate.Rewards:
    """Stage 1's reward of a planner's greedy plans, by window."""
    tokens = config.stage1.max_completion_tokens
    planner = LocalPlanner(path, max_new_tokens=tokens, pixels=config.model.pixels)
    score = make_scorer(config, "stage1")
    rewards: gate.Rewards = {}
    with progress(f"gate: {path}") as tick:
        for start in range(0, len(rows), planner.batch_size):
            part = rows[start : start + planner.batch_size]
            completions = planner.complete([row_messages(row) for row in part])
            rewards |= {gate.window_id(r): score(c, r).overall for r, c in zip(part, completions, strict=True)}
            tick(len(rewards), len(rows))
    return rewards


# ---- the base --------------------------------------------------------------------------------------------------------


def train_base(config: Config, run: Path, on_step: OnStep) -> Path:
    """The supervised warm-up from a random network (``nano`` gives its dimensions) to ``model.path``."""
    if config.nano is None or config.data.episodes is None:
        raise UsageError("the warm-up builds a nano model: give the config a 'nano' section and data.episodes")
    out = Path(config.model.path)
    if out.exists():
        raise UsageError(f"{out} is there already; name another model.path, or remove it to train the base again")
    record = config.data.record
    if record is not None and not (Path(config.data.episodes) / "episodes.jsonl").exists():
        with progress("recording demonstrations") as tick:
            record_miniwob(
                record.tasks,
                record.episodes_per_task,
                record.first_seed,
                config.data.episodes,
                pages=record.pages,
                progress=tick,
            )
    torch.manual_seed(config.seed)
    source = WarmupSource(
        read_episodes(config.data.episodes), PROMPTS[config.plan.prompt_version], config.data.episodes
    )
    if not source.tasks:
        raise SetupError(f"{config.data.episodes} holds no episodes; record some with: tracer1 data record miniwob")
    tokenizer = build_tokenizer(source.templates(), source.strings(), config.nano.pieces, config.nano.word_episodes)
    model = build_model(config.nano, tokenizer, config.seed)
    logger.info("%.2f M parameters, %d tokens", model.num_parameters() / 1e6, len(tokenizer))
    run_warmup(model, source, config.warmup, make_processor(tokenizer), run, config.seed, on_step)

    def write(folder: Path) -> None:
        save_planner(model, tokenizer, folder)
        write_json(folder / SEEN, sorted(source.quoted()))

    publish(out, write)
    (run / STATE).unlink(missing_ok=True)  # the base is made: removing it is how one asks for another
    return out


def checkpoint_of(run: Path, names: Sequence[str] = ("stage2", "stage1")) -> Path:
    """A run's last finished checkpoint; SetupError when it has none."""
    for name in names:
        if (run / "checkpoints" / name).exists():
            return run / "checkpoints" / name
    raise SetupError(f"{run} has no finished checkpoint; train it with: tracer1 train {run}/config.yaml")
