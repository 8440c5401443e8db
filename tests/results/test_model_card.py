"""The model card: what a stranger must know of a planner, readable by people and by the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from nano_planner import Nano

from tracer1.config.settings import Config, DataSettings, ModelSettings
from tracer1.results.model_card import render_model_card, write_model_card

RESULTS: dict[str, Any] = {
    "stages": [
        {
            "name": "stage1",
            "live_success": 0.5,
            "interval": [0.4, 0.6],
            "episodes": 100,
            "plan_reward": 0.9,
            "plan_reward_interval": [0.88, 0.92],
            "windows": 50,
            "first_step_accuracy": None,
        }
    ]
}


def front(card: str) -> dict[str, Any]:
    return dict(yaml.safe_load(card.split("---\n")[1]))


def test_a_card_says_what_the_planner_is_made_of(nano: Nano) -> None:
    config = Config(output_dir="runs/x", data=DataSettings(train=str(nano.windows)), seed=3)
    card = render_model_card(config, "stage2", {})
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
        Config(output_dir="x", data=DataSettings(train="gone.parquet")), "stage1", {}
    )


@pytest.mark.parametrize("content", [None, "{", "[]", json.dumps(RESULTS)])
def test_a_card_is_written_with_the_results_that_can_be_read(tmp_path: Path, content: str | None) -> None:
    config = Config(output_dir=str(tmp_path))
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    card = write_model_card(tmp_path / "checkpoints" / "stage1", config, "stage1").read_text()
    assert ("Not evaluated yet." in card) == (content is None or len(content) < 3)
