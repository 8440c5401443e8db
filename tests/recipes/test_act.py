"""One live episode in an environment by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from nano_planner import Nano

from tracer1.errors import UsageError
from tracer1.recipes.act import act
from tracer1.recipes.record import record
from tracer1.results.files import read_lines
from tracer1.results.schema import EpisodeRow


@pytest.mark.parametrize("env", ["toy:toy-press", "toy-text:toy-form", "replay"])
def test_acts_in_any_environment(nano: Nano, env: str, tmp_path: Path) -> None:
    if env == "replay":
        record("toy", ["toy-form"], 1, 0, tmp_path / "store")
        env = f"replay:{tmp_path / 'store'}"
    lines: list[str] = []
    episode = act(env, str(nano.folder), seed=0, horizon=2, out=tmp_path / "act", say=lines.append)
    assert episode.ending in ("finished", "truncated", "failed")
    assert lines[0] == f"goal: {episode.goal}"
    assert list(read_lines(tmp_path / "act" / "live" / "act.jsonl", EpisodeRow)) == [episode]


@pytest.mark.parametrize(("env", "says"), [("desk", "no environment 'desk'"), ("toy", "toy needs a task")])
def test_an_environment_that_is_not_there(env: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        act(env, "no-planner-is-loaded", out=tmp_path)
    assert not list(tmp_path.iterdir())
