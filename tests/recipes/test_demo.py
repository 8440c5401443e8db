"""The demo on the toy environment, so that no browser is needed; all else is real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from nano_planner import SEEDS, STAGE, Nano
from safetensors.torch import load_file, save_file

from tracer1.agent.baselines import AlwaysFinished
from tracer1.config.settings import Config
from tracer1.data.store import write_episodes
from tracer1.data.windows import make_windows
from tracer1.errors import UsageError
from tracer1.evaluation.live import LiveResult
from tracer1.evaluation.planners import Planner, PlannerSource, load_planner, prompt_of
from tracer1.evaluation.run import baselines, heldout, known_strings, live
from tracer1.recipes.demo import Clock, blank_images, demo, describe, gain, headline
from tracer1.recipes.prepare_data import ensure_data
from tracer1.results.files import read_json
from tracer1.results.schema import EpisodeRow, Results

TASKS = ("toy-press", "toy-field")


def result(*successes: bool, task: str = "a") -> LiveResult:
    return LiveResult(tuple(EpisodeRow(task, seed, success=s) for seed, s in enumerate(successes)))


@pytest.fixture(scope="module")
def config(nano: Nano, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run whose data is there already."""
    root = tmp_path_factory.mktemp("demo")
    data = root / "data"
    data.mkdir()
    (data / "train").symlink_to(nano.store.directory)
    heldout = data / "heldout"
    heldout.mkdir()
    for part in ("images", "elements"):
        (heldout / part).symlink_to(nano.store.directory / part)
    write_episodes(heldout, nano.episodes[-4:])
    make_windows(data / "train", data / "train.parquet", 3, 2, "brief-1")
    make_windows(heldout, data / "heldout.parquet", 3, 2, "brief-1")
    return Config.model_validate(
        {
            "output_dir": str(root / "run"),
            "model": {"path": str(nano.folder), "min_pixels": 1024, "max_pixels": 65536},
            "data": {
                "episodes": str(data),
                "train": str(data / "train.parquet"),
                "heldout": str(data / "heldout.parquet"),
                "record": {"tasks": list(TASKS)},
            },
            "plan": {"horizon": 3, "history": 2, "prompt_version": "brief-1"},
            "executor": {"name": "dom"},
            "stage1": STAGE,
            "stage2": STAGE,
            "evaluation": {
                "environment": "toy",
                "tasks": TASKS,
                "visual_tasks": TASKS[:1],
                "seeds_per_task": 2,
                "first_seed": 50,
            },
        }
    )


def test_the_whole_demo(config: Config) -> None:
    lines: list[str] = []
    results = demo(config, lines.append)
    run = Path(config.output_dir)
    assert read_json(run / "results.json", Results).stages[2].per_task.keys() == set(TASKS)
    assert results.tasks == TASKS
    assert results.seeds_per_task == 2
    assert [stage.name for stage in results.stages] == ["base", "stage1", "stage2"]
    for stage in results.stages:
        assert stage.windows == stage.first_step_count == 1 + 3 + 5 + 7
        assert len(stage.hit_rate_by_depth) == 3
        assert stage.episodes == 4
        assert 0 <= (stage.plan_reward or 0.0) <= 1
    assert results.gains["live_stage2_minus_base"].count == 4
    assert results.baselines.keys() == {"random_plan", "always_finished"}
    assert results.blank_images is not None
    assert results.blank_images.tasks == ("toy-press",)
    assert results.blank_images.difference is not None
    assert results.blank_images.difference.count == 2
    assert results.executors["dom"].hit_rate == 1.0
    assert results.executors["ocr"].count == results.executors["dom"].count
    assert results.minutes["all"] > 0
    assert results.constant_plan is not None
    assert results.constant_plan.windows == 16
    assert (run / "report.html").stat().st_size > 1000
    assert any(line.startswith("Training stage2: 2 steps") for line in lines)
    last = headline(results)
    assert last[-1].startswith("reactive (T = 1): ")
    assert last[-2].startswith("live gain over the base: ")
    assert last[-3].startswith("best constant plan: plan reward 0.")
    assert all(describe(stage) in last for stage in results.stages)
    for name in ("stage1", "stage2"):
        assert (run / "checkpoints" / name / "config.json").exists()


def test_results_of_another_base_are_refused(config: Config, tmp_path: Path) -> None:
    run = Path(config.output_dir)
    before = (run / "results.json").read_bytes()
    other = shutil.copytree(config.model.path, tmp_path / "base")
    weights = load_file(other / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, other / "model.safetensors")
    changed = config.model_copy(update={"model": config.model.model_copy(update={"path": str(other)})})
    with pytest.raises(
        UsageError, match=r"results\.json was made with model .*planner \(weights .*, not .*base \(weights "
    ):
        demo(changed, print)
    assert (run / "results.json").read_bytes() == before


def test_held_out_windows_are_judged_in_their_own_store(config: Config, nano: Nano) -> None:
    """Its elements lie beside the held-out episodes, not beside those of training."""
    lone = Path(config.output_dir).parent / "lone"  # a training store without them
    write_episodes(lone, nano.episodes[:1])
    make_windows(lone, lone / "windows.parquet", 3, 2, "brief-1")
    other = Config.model_validate(
        {**config.model_dump(), "data": {"train": str(lone / "windows.parquet"), "heldout": config.data.heldout}}
    )
    offline = heldout(Planner(AlwaysFinished(), PlannerSource("always_finished")), other, lone, "base")
    assert offline.first_step_accuracy.count == 16
    assert offline.first_step_accuracy.value == 0.0
    assert offline.format.value == 1.0


def test_known_strings_are_those_of_training_and_of_the_base(config: Config, nano: Nano, tmp_path: Path) -> None:
    assert known_strings(config) == nano.source.quoted()
    (tmp_path / "strings_seen.json").write_text('["never seen elsewhere"]')
    named = config.model_copy(update={"model": config.model.model_copy(update={"path": str(tmp_path)})})
    assert known_strings(named) == nano.source.quoted() | {"never seen elsewhere"}
    assert len(nano.episodes) == 4 * SEEDS


def test_the_prompt_is_the_configured_one(config: Config) -> None:
    assert (prompt_of(config).history, prompt_of(config).horizon) == (2, 3)
    assert prompt_of(config, 1).horizon == 1
    assert prompt_of(config).version == "brief-1"


def test_a_planner_is_loaded_with_the_runs_settings(config: Config) -> None:
    planner = load_planner(config.model.path, config, blank_images=True)
    assert planner.model.options["max_new_tokens"] == 6
    assert planner.source.blank_images
    assert planner.model.processor.image_processor.size["longest_edge"] == 65536


def test_live_results_on_disk_are_not_played_again(config: Config) -> None:
    run = Path(config.output_dir)
    before = (run / "live/always_finished.jsonl").read_bytes()
    assert baselines(config, run)["always_finished"].episodes == 4
    assert (run / "live/always_finished.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match="was made with model"):
        live(Planner(AlwaysFinished(), PlannerSource("always_finished")), config, run, "random_plan")


def test_blank_images_need_no_named_tasks(config: Config, tmp_path: Path) -> None:
    evaluation = config.evaluation.model_copy(update={"visual_tasks": ()})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/stage2").symlink_to(config.model.path)
    unnamed = config.model_copy(update={"evaluation": evaluation})
    seen = live(Planner(AlwaysFinished(), PlannerSource("always_finished")), config, tmp_path, "stage2")
    found = blank_images(unnamed, tmp_path, seen)
    assert found.tasks == TASKS
    assert found.difference is not None
    assert found.difference.count == 4


def test_data_that_are_there_are_not_recorded(config: Config) -> None:
    said: list[str] = []
    ensure_data(config, said.append)
    ensure_data(config.model_copy(update={"data": config.data.model_copy(update={"record": None})}), said.append)
    assert said == []


def test_windows_are_made_where_episodes_are(config: Config, tmp_path: Path) -> None:
    data = config.data.model_copy(
        update={"train": str(tmp_path / "train.parquet"), "heldout": str(tmp_path / "heldout.parquet")}
    )
    said: list[str] = []
    ensure_data(config.model_copy(update={"data": data}), said.append)
    assert [line for line in said if not line.endswith(" ...")] == [
        f"192 windows in {data.train}.",
        f"16 windows in {data.heldout}.",
    ]


def test_a_clock_adds_up_over_interruptions(tmp_path: Path) -> None:
    file = tmp_path / "minutes.json"
    clock = Clock(file)
    assert clock.run("one", lambda a, b: a + b, 1, 2) == 3
    file.write_text('{"one": 2.5}')
    again = Clock(file)
    again.run("one", str)
    again.run("two", str)
    assert json.loads(file.read_text()) == {"one": 2.5, "two": 0.0}

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again.run("three", fail)
    assert "three" not in json.loads(file.read_text())


def test_a_gain_is_paired() -> None:
    difference = gain(result(True, True, False), result(False, True, False))
    assert (difference.value, difference.count) == (pytest.approx(1 / 3), 3)
