"""A planner is asked as it was trained to be asked, wherever it acts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracer1.config.loading import dump_config
from tracer1.config.planner import FILE, PlannerSettings, as_trained, planner_file, planner_settings, settings_of
from tracer1.config.settings import Config
from tracer1.errors import DataError

OWN = PlannerSettings(prompt_version="brief-1", horizon=3, history=2, max_completion_tokens=99, pixels=(1024, 65536))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints" / "stage2"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(planner_file(OWN))
    return folder


def test_the_file_is_read_back(published: Path) -> None:
    assert planner_settings(published) == OWN
    assert OWN.prompt().history == 2
    assert OWN.prompt().horizon == 3
    assert OWN.prompt().version == "brief-1"


def test_the_file_moves_with_its_folder(published: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    published.rename(moved)
    assert planner_settings(str(moved)) == OWN


def test_without_the_file_the_runs_configuration_says_it(published: Path, tmp_path: Path) -> None:
    (published / FILE).unlink()
    assert planner_settings(published) is None
    run = Config.model_validate(
        {
            "output_dir": str(tmp_path),
            "plan": {"horizon": 2, "history": 1, "prompt_version": "brief-1"},
            "stage1": {"max_completion_tokens": 11},
            "stage2": {"max_completion_tokens": 22},
        }
    )
    (tmp_path / "config.yaml").write_text(dump_config(run))
    assert planner_settings(published) == settings_of(run, "stage2")
    assert settings_of(run, "stage2").max_completion_tokens == 22
    (tmp_path / "checkpoints" / "stage1").mkdir()
    assert planner_settings(tmp_path / "checkpoints" / "stage1") == settings_of(run)


@pytest.mark.parametrize("model", ["Qwen/Qwen3-VL-8B-Thinking", "http://127.0.0.1:1/v1", "nowhere"])
def test_nothing_is_known_of_a_hub_name_or_a_server(model: str) -> None:
    assert planner_settings(model) is None
    config = Config(output_dir="x")
    assert as_trained(config, model) == config


def test_a_configuration_takes_the_planners_own_settings_and_a_given_horizon(published: Path) -> None:
    config = as_trained(Config(output_dir="x"), published)
    assert settings_of(config) == OWN
    assert as_trained(Config(output_dir="x"), published, horizon=1).plan.horizon == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt_version": "v9"}, "unknown prompt_version 'v9'"),
        ({"horizon": 0}, "greater than or equal to 1"),
        ({"pixels": [5, 4]}, "5 is above 4"),
    ],
)
def test_a_damaged_file_is_one_line(published: Path, change: dict[str, object], says: str) -> None:
    (published / FILE).write_text(json.dumps(json.loads(planner_file(OWN)) | change))
    with pytest.raises(DataError) as raised:
        planner_settings(published)
    assert says in str(raised.value)
    assert FILE in str(raised.value)
    (published / FILE).write_text("{")
    with pytest.raises(DataError, match=FILE):
        planner_settings(published)


def test_the_shipped_base_says_how_it_is_asked() -> None:
    own = planner_settings(Path(__file__).parents[2] / "models" / "nano-base")
    assert own is not None
    assert (own.prompt_version, own.horizon, own.history) == ("brief-1", 5, 5)
