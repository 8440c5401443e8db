"""The model card: what a stranger must know of a planner, readable by people and by the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from nano_planner import Nano

from tracer1.config.settings import Config, DataSettings, ModelSettings
from tracer1.results.files import write_json
from tracer1.results.model_card import render_model_card, write_model_card
from tracer1.results.schema import AgentResult, Results

RESULTS = Results(
    stages=(
        AgentResult(
            "stage1",
            live_success=0.5,
            interval=(0.4, 0.6),
            episodes=100,
            plan_reward=0.0,
            plan_reward_interval=(0.0, 0.02),
            windows=50,
        ),
    )
)


def front(card: str) -> dict[str, Any]:
    return dict(yaml.safe_load(card.split("---\n")[1]))


def test_a_card_says_what_the_planner_is_made_of(nano: Nano) -> None:
    config = Config(output_dir="runs/x", data=DataSettings(train=str(nano.windows)), seed=3)
    card = render_model_card(config, "stage2", Results())
    executor = f"`{config.executor.name}`"
    for fact in ("Qwen/Qwen3-VL-8B-Thinking", "143 steps", "toy windows", executor, "| seed | 3 |", "5, 5"):
        assert fact in card
    assert "stage1: GRPO" in card
    assert "stage2: GRPO" in card
    assert "Not evaluated yet." in card
    assert front(card)["base_model"] == "Qwen/Qwen3-VL-8B-Thinking"
    assert "license" not in front(card)


def test_a_card_has_the_scores_of_its_own_stage() -> None:
    config = Config(output_dir="runs/x", model=ModelSettings(path="models/nano-base"))
    card = render_model_card(config, "stage1", RESULTS)
    assert "| live success (episodes) | 0.500 | 0.400 to 0.600 | 100 |" in card
    assert "first-step" not in card.partition("## Scores")[2].partition("## Use")[0]
    assert front(card)["license"] == "apache-2.0"
    assert "Not evaluated yet." in render_model_card(config, "stage2", RESULTS)


def test_data_that_is_gone_is_only_named() -> None:
    assert "| data | `gone.parquet` |" in render_model_card(
        Config(output_dir="x", data=DataSettings(train="gone.parquet")), "stage1", Results()
    )


@pytest.mark.parametrize("evaluated", [False, True])
def test_a_card_is_written_with_the_runs_results(tmp_path: Path, evaluated: bool) -> None:
    config = Config(output_dir=str(tmp_path))
    if evaluated:
        write_json(tmp_path / "results.json", RESULTS)
    card = write_model_card(tmp_path / "checkpoints" / "stage1", config, "stage1").read_text()
    assert ("Not evaluated yet." in card) != evaluated
    assert ("| plan reward (held-out windows) | 0.000 | 0.000 to 0.020 | 50 |" in card) == evaluated
