"""``act`` and ``evaluate`` with a planner behind a server, in the live browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import Server, chat_server, last_text

from tracer1.config.loading import load_config
from tracer1.plan.text import render_plan
from tracer1.recipes.act import act
from tracer1.recipes.evaluate import benchmark
from tracer1.types import Plan, Step


def click_what_the_goal_names(request: dict[str, Any]) -> str:
    name = last_text(request).split('"')[1]
    return render_plan(Plan((Step("a page", "click", f"click the '{name}' button"),)))


@pytest.fixture
def server() -> Iterator[Server]:
    with chat_server() as server:
        server.script = click_what_the_goal_names
        yield server


def test_a_served_planner_acts(server: Server, tmp_path: Path) -> None:
    episode = act("miniwob:click-button", server.url, out=tmp_path)
    assert episode.success
    assert server.asked[0]["model"] == "m"  # the one model that the server lists
    sent = server.asked[0]["messages"][-1]["content"]
    assert [part["type"] for part in sent] == ["image_url", "text"]
    assert sent[1]["text"].startswith(f"Task: {episode.goal}")


def test_a_server_that_stops_answering_fails_its_episodes_and_not_the_evaluation(
    server: Server, tmp_path: Path
) -> None:
    """Defect 9: a dead endpoint ended a whole evaluation."""
    answers = iter([True, True])  # the two episodes of the planner; none for the reactive agent after it
    server.script = lambda request: click_what_the_goal_names(request) if next(answers, False) else None
    file = tmp_path / "config.yaml"
    evaluation = {"tasks": ["click-button"], "seeds_per_task": 2, "pages": 2, "default_max_steps": 2}
    file.write_text(yaml.safe_dump({"output_dir": str(tmp_path / "run"), "evaluation": evaluation}))
    config = load_config(file, ["executor.name=dom", "plan.prompt_version=full-2"])
    results = benchmark("miniwob", server.url, config, model_name="m")
    assert results.planner.live_success == 1.0
    assert results.reactive.per_task["click-button"].endings["failed"] == 2
    lines = (tmp_path / "run" / "live" / "reactive.jsonl").read_text().splitlines()
    assert all(json.loads(line)["where"].startswith(f"planner, step 1: {server.url}: the answer is") for line in lines)
    assert results.baselines["random_plan"].episodes == 2
