"""Held-out evaluation on a store whose instructions are in free language, as converted corpora have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer1.agent.baselines import AlwaysFinished
from tracer1.config.settings import Config
from tracer1.data.store import write_episodes
from tracer1.data.windows import make_windows
from tracer1.errors import UsageError
from tracer1.evaluation.planners import Planner, PlannerSource
from tracer1.evaluation.run import constant_plan, heldout, known_strings
from tracer1.results.files import read_lines
from tracer1.results.schema import Prediction
from tracer1.types import Action, Episode, EpisodeStep, Point

FINISHER = Planner(AlwaysFinished(), PlannerSource("always_finished"))


def episode(number: int) -> Episode:
    steps = (
        EpisodeStep(
            None,
            (1920, 1080),
            "the settings are open",
            'Choose "Dark mode" there',
            Action("click", Point(0.5, 0.5)),
            (0.4, 0.4, 0.6, 0.6),
        ),
        EpisodeStep(
            None, (1920, 1080), "a dialog", "Don't forget to type the user's name “ada”", Action("type", content="ada")
        ),
        EpisodeStep(None, (1920, 1080), "all set", "Finish", Action("finished"), status="done"),
    )
    return Episode(f"corpus/{number}", "agentnet", "desktop", 'Set "Dark mode" for ada', "train", steps)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_episodes(tmp_path / "data", [episode(i) for i in range(3)])
    windows = str(tmp_path / "windows.parquet")
    make_windows(tmp_path / "data", windows, 3, 2, "brief-1")
    return Config.model_validate(
        {
            "output_dir": str(tmp_path / "run"),
            "data": {"train": windows, "heldout": windows},
            "plan": {"horizon": 3, "history": 2, "prompt_version": "brief-1"},
            "executor": {"name": "dom"},
        }
    )


def test_strings_of_free_language_are_found_by_their_quotes(config: Config) -> None:
    assert known_strings(config) == {"Dark mode", "ada"}


def test_held_out_windows_of_a_converted_corpus(config: Config, tmp_path: Path) -> None:
    result = heldout(FINISHER, config, tmp_path / "run", "finisher")
    assert result.plan_reward.count == 9
    assert result.format.value == 1.0
    assert [hit.count for hit in result.hit_rate_by_depth] == [9, 6, 3]
    predictions = list(read_lines(tmp_path / "run/heldout/finisher.jsonl", Prediction))
    assert [p.id for p in predictions] == [f"corpus/{i}#{step}" for i in range(3) for step in range(3)]


def test_another_planners_predictions_are_refused(config: Config, tmp_path: Path) -> None:
    heldout(FINISHER, config, tmp_path / "run", "finisher")
    other = Planner(AlwaysFinished(), PlannerSource("another"))
    with pytest.raises(UsageError, match=r"finisher\.jsonl was made with model 'always_finished', not 'another'"):
        heldout(other, config, tmp_path / "run", "finisher")
    rewarded = config.model_copy(update={"reward": config.reward.model_copy(update={"gamma": 0.5})})
    with pytest.raises(UsageError, match=r"with reward\.gamma 0\.8, not 0\.5"):
        heldout(FINISHER, rewarded, tmp_path / "run", "finisher")


def test_the_constant_plan_of_a_windows_file(config: Config) -> None:
    best = constant_plan(config)
    assert best.windows == 9
    assert 0 < (best.plan_reward or 0.0) < 1


def test_without_held_out_windows_it_is_wrong_usage(config: Config, tmp_path: Path) -> None:
    without = config.model_copy(update={"data": config.data.model_copy(update={"heldout": None})})
    with pytest.raises(UsageError, match=r"data\.heldout is not set"):
        heldout(FINISHER, without, tmp_path, "finisher")
