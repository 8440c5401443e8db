"""The model card beside every published planner: base, data, stages, prompt version, scores and licence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tracer1 import __version__
from tracer1.config.settings import Config
from tracer1.data.windows_file import count_sources
from tracer1.errors import DataError
from tracer1.files import write_atomic
from tracer1.results.files import read_json
from tracer1.results.schema import Estimate, Results

CARD: Final = "README.md"
TITLES: Final = {
    "base": "the base of a TraceR1 planner",
    "stage1": "a TraceR1 planner after stage 1",
    "stage2": "a TraceR1 planner after stage 2",
}
OUR_BASE: Final = "models/nano-base"
_PAGE: Final = """\
---
{front}---

# {title}

{purpose}

| | |
|---|---|
{facts}

## Scores

{scores}

## Use

```python
import tracer1

planner = tracer1.load_planner("{folder}", prompt_version="{prompt}", horizon={horizon}, history={history})
plan = planner.plan("what is to be done", "screenshot.png")
```

Only the first step of a plan is meant to be executed, by an executor; then ask for a new plan.

## Licence

{licence}
"""
_PURPOSE: Final = (
    "It sees a task, a screenshot and a short history, and writes down the next steps. Made by "
    "[TraceR1](https://arxiv.org/abs/2603.16777)'s open implementation, `tracer1` {version}."
)
_BASE_PURPOSE: Final = (
    "A small model made by a supervised warm-up. It stands in for the pretrained model that the paper starts from. "
    "Made by [TraceR1](https://arxiv.org/abs/2603.16777)'s open implementation, `tracer1` {version}."
)


def write_model_card(folder: Path, config: Config, name: str) -> Path:
    """Write the card of the planner in ``folder`` (``name``: base, stage1 or stage2), with the run's scores if any."""
    results = read_json(Path(config.output_dir) / "results.json", Results)
    write_atomic(folder / CARD, render_model_card(config, name, results).encode())
    return folder / CARD


def render_model_card(config: Config, name: str, results: Results) -> str:
    """The text of a card. ``results``: the run's, empty before an evaluation."""
    purpose = _BASE_PURPOSE if name == "base" else _PURPOSE
    return _PAGE.format(
        front=yaml.safe_dump(_front(config, name), sort_keys=False),
        title=TITLES[name][0].upper() + TITLES[name][1:],
        purpose=purpose.format(version=__version__),
        facts="\n".join(f"| {key} | {value} |" for key, value in _facts(config, name)),
        scores=_scores(results, name),
        folder=f"{config.output_dir}/checkpoints/{name}" if name != "base" else config.model.path,
        prompt=config.plan.prompt_version,
        horizon=config.plan.horizon,
        history=config.plan.history,
        licence=_licence(config, name),
    )


def _front(config: Config, name: str) -> dict[str, Any]:
    """What the Hub reads of a card."""
    front: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "image-text-to-text"}
    if _is_ours(config, name):
        front["license"] = "apache-2.0"
    elif not Path(config.model.path).exists():
        front["base_model"] = config.model.path
    return {**front, "tags": ["tracer1", "gui-agent", "planning"]}


def _facts(config: Config, name: str) -> Iterator[tuple[str, str]]:
    if name == "base":
        warmup = config.warmup
        yield "training", f"warm-up: {warmup.drill_steps} drill steps, then {warmup.steps} steps"
        yield "data", f"demonstrations in `{config.data.episodes}`"
    else:
        yield "base", f"`{config.model.path}`"
        yield "training", "; ".join(_stage(config, stage) for stage in _stages(name))
        yield "data", "; ".join(map(_data, config.data.train_files))
        yield "reward", f"profile `{config.reward.profile}`, gamma {config.reward.gamma}"
    if name == "stage2":
        yield "executor", f"`{config.executor.name}`"
    yield "prompt version", f"`{config.plan.prompt_version}`"
    yield "horizon T, history K", f"{config.plan.horizon}, {config.plan.history}"
    yield "seed", str(config.seed)


def _stages(name: str) -> tuple[str, ...]:
    return ("stage1", "stage2") if name == "stage2" else (name,)


def _stage(config: Config, stage: str) -> str:
    return f"{stage}: GRPO, {getattr(config, stage).arithmetic()}"


def _data(windows: str) -> str:
    """A windows file with the number of its windows by source."""
    try:
        counted = ", ".join(f"{count.windows} {count.name}" for count in count_sources(windows))
    except (OSError, DataError):  # the card may be written where the data no longer is
        return f"`{windows}`"
    return f"`{windows}`: {counted} windows"


def _scores(results: Results, name: str) -> str:
    entry = next((stage for stage in results.stages if stage.name == name), None)
    if entry is None:
        return "Not evaluated yet."
    measured = {
        "live success (episodes)": entry.success,
        "plan reward (held-out windows)": entry.reward,
        "first-step accuracy (held-out windows)": entry.first_step,
    }
    lines = [_score(title, found) for title, found in measured.items() if found is not None]
    return "\n".join(["| | value | 95 % interval | count |", "|---|---|---|---|", *lines])


def _score(title: str, found: Estimate) -> str:
    interval = "" if found.interval is None else "{:.3f} to {:.3f}".format(*found.interval)
    return f"| {title} | {found.value:.3f} | {interval} | {found.count or ''} |"


def _licence(config: Config, name: str) -> str:
    if _is_ours(config, name):
        return "Apache-2.0. The training data may have a licence of its own."
    return f"That of the base model, `{config.model.path}`, and of the training data."


def _is_ours(config: Config, name: str) -> bool:
    return name == "base" or config.model.path == OUR_BASE
