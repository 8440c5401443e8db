"""`tracer1 evaluate` asks a planner as it was trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from nano_planner import Nano

from tracer1.config.planner import FILE, PlannerSettings, planner_file
from tracer1.config.settings import Config
from tracer1.recipes.evaluate import benchmark

OWN = PlannerSettings(prompt_version="brief-1", horizon=3, history=2, max_completion_tokens=6, pixels=(1024, 65536))


@pytest.fixture
def planner(nano: Nano, tmp_path: Path) -> Path:
    """A published planner, whose own settings are unlike the defaults."""
    folder = tmp_path / "planner"
    shutil.copytree(nano.folder, folder)
    (folder / FILE).write_bytes(planner_file(OWN))
    return folder


@pytest.mark.parametrize(("given", "horizon"), [(None, 3), (2, 2)])
def test_a_planner_is_asked_as_it_was_trained(planner: Path, tmp_path: Path, given: int | None, horizon: int) -> None:
    """Prompt, history and limits are its own; a horizon that is given outright has priority."""
    config = Config.model_validate(
        {
            "output_dir": str(tmp_path / "run"),
            "evaluation": {"tasks": ["toy-press"], "seeds_per_task": 1, "default_max_steps": 1},
        }
    )
    results = benchmark("toy", str(planner), config, given)
    assert results.protocol["horizon"] == horizon
    (manifest,) = (tmp_path / "run/live").glob("planner*manifest*")
    asked = json.loads(manifest.read_text())
    assert (asked["prompt"], asked["horizon"], asked["history"]) == ("brief-1", horizon, 2)
    assert (asked["sampling"]["max_tokens"], asked["sampling"]["pixels"]) == (6, [1024, 65536])
