"""`tracer1 act` and `tracer1 evaluate` ask a planner as it was trained, on toy pages in place of the browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from nano_planner import PROMPT, Nano, toy_pages

from tracer1.agent.baselines import AlwaysFinished
from tracer1.config.planner import FILE, PlannerSettings, planner_file
from tracer1.config.settings import Config
from tracer1.evaluation.live import evaluate_live, jobs_of
from tracer1.evaluation.run import prompt_of
from tracer1.executors.dom import DomExecutor
from tracer1.recipes import evaluate as recipe
from tracer1.results.run import prepare

OWN = PlannerSettings(prompt_version="brief-1", horizon=3, history=2, max_completion_tokens=6, pixels=(1024, 65536))


@pytest.fixture
def planner(nano: Nano, tmp_path: Path) -> Path:
    """A published planner, whose own settings are unlike the defaults."""
    folder = tmp_path / "planner"
    shutil.copytree(nano.folder, folder)
    (folder / FILE).write_bytes(planner_file(OWN))
    return folder


def test_evaluate_asks_the_planner_as_it_was_trained(
    planner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(path: str, config: Config) -> AlwaysFinished:
        asked.append((path, prompt_of(config), config.stage1.max_completion_tokens, config.model.pixels))
        return AlwaysFinished()

    config = Config.model_validate(
        {"output_dir": str(tmp_path / "run"), "evaluation": {"tasks": ["toy-press"], "seeds_per_task": 1}}
    )
    run = prepare(config)
    for name in ("planner", "reactive", "random_plan", "always_finished"):  # played already: no browser is needed
        out = run / f"live/{name}.jsonl"
        jobs = jobs_of(["toy-press"], config.evaluation.first_seed, 1)
        evaluate_live(AlwaysFinished(), DomExecutor(), PROMPT, jobs, config.evaluation, out, run, pages=toy_pages)
    monkeypatch.setattr(recipe, "load_planner", load)
    results = recipe.benchmark("miniwob", str(planner), config)
    assert results["protocol"]["horizon"] == 3
    assert asked == [(str(planner), OWN.prompt(), 6, (1024, 65536))]
    assert json.loads((run / "results.json").read_text())["protocol"]["horizon"] == 3
    assert recipe.benchmark("miniwob", str(planner), config, horizon=1)["protocol"]["horizon"] == 1
