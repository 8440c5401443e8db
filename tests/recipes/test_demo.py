"""The demo on toy pages: its live episodes are played beforehand, so that no browser is needed; all else is real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nano_planner import PROMPT, SEEDS, STAGE, Nano, toy_pages

from tracer1.agent.baselines import AlwaysFinished
from tracer1.config.settings import Config
from tracer1.data.store import write_episodes
from tracer1.data.windows import make_windows
from tracer1.evaluation.live import LiveResult, evaluate_live, jobs_of
from tracer1.evaluation.run import baselines, heldout, known_strings, live, load_planner, prompt_of, summary
from tracer1.executors.dom import DomExecutor
from tracer1.recipes.demo import Clock, blank_images, demo, describe, gain, headline
from tracer1.recipes.prepare_data import ensure_data
from tracer1.results.run import prepare

TASKS = ("toy-press", "toy-field")


def result(*successes: bool, task: str = "a") -> LiveResult:
    endings = {"ending": "finished", "task": task}
    return LiveResult(tuple({"success": s, "seed": seed, **endings} for seed, s in enumerate(successes)))


@pytest.fixture(scope="module")
def config(nano: Nano, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A run whose data and live episodes are there already."""
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
    config = Config.model_validate(
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
            "evaluation": {"tasks": TASKS, "visual_tasks": TASKS[:1], "seeds_per_task": 2, "first_seed": 50},
        }
    )
    run = prepare(config)
    jobs = jobs_of(TASKS, 50, 2)
    for name in ("base", "stage1", "stage2", "reactive", "random_plan", "always_finished", "blank_images"):
        model, agent, settings = AlwaysFinished(), DomExecutor(), config.evaluation
        out, images = run / f"live/{name}.jsonl", run / "live/images"
        evaluate_live(model, agent, PROMPT, jobs, settings, out, images, pages=toy_pages)
    return config


def test_the_whole_demo(config: Config) -> None:
    said: list[str] = []
    results = demo(config, said.append)
    run = Path(config.output_dir)
    assert json.loads((run / "results.json").read_text(), parse_constant=pytest.fail).keys() == results.keys()
    assert results["tasks"] == list(TASKS)
    assert results["seeds_per_task"] == 2
    assert [stage["name"] for stage in results["stages"]] == ["base", "stage1", "stage2"]
    for stage in results["stages"]:
        assert stage["windows"] == stage["first_step_count"] == 1 + 3 + 5 + 7
        assert len(stage["hit_rate_by_depth"]) == 3
        assert stage["per_task"].keys() == set(TASKS)
        assert stage["episodes"] == 4
        assert 0 <= stage["plan_reward"] <= 1
    assert results["gains"]["live_stage2_minus_base"]["value"] == 0.0
    assert results["baselines"].keys() == {"random_plan", "always_finished"}
    assert results["blank_images"]["tasks"] == ["toy-press"]
    assert results["blank_images"]["difference"]["count"] == 2
    assert results["executors"]["dom"]["hit_rate"] == 1.0
    assert results["executors"]["ocr"]["count"] == results["executors"]["dom"]["count"] > 0
    assert results["minutes"]["all"] > 0
    assert (run / "report.html").stat().st_size > 1000
    assert any(line.startswith("Training stage2: 2 steps") for line in said)
    lines = headline(results)
    assert lines[-1] == "reactive (T = 1): 0%"
    assert "live gain over the base: +0.0 points" in lines[-2]
    assert all(describe(stage) in lines for stage in results["stages"])
    for name in ("stage1", "stage2"):
        assert (run / "checkpoints" / name / "config.json").exists()


def test_held_out_windows_are_judged_in_their_own_store(config: Config, nano: Nano) -> None:
    """Its elements lie beside the held-out episodes, not beside those of training."""
    lone = Path(config.output_dir).parent / "lone"  # a training store without them
    write_episodes(lone, nano.episodes[:1])
    make_windows(lone, lone / "windows.parquet", 3, 2, "brief-1")
    other = Config.model_validate(
        {**config.model_dump(), "data": {"train": str(lone / "windows.parquet"), "heldout": config.data.heldout}}
    )
    offline = heldout(AlwaysFinished(), other, "base")
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
    assert planner.options["max_new_tokens"] == 6
    assert planner.blank_images
    assert planner.processor.image_processor.size["longest_edge"] == 65536


def test_live_results_on_disk_are_not_played_again(config: Config) -> None:
    run = Path(config.output_dir)
    found = live(AlwaysFinished(), config, run, "base")
    assert summary(found)["episodes"] == 4
    assert baselines(config, run)["always_finished"]["live_success"] == 0.0


def test_blank_images_need_no_named_tasks(config: Config) -> None:
    evaluation = config.evaluation.model_copy(update={"visual_tasks": ()})
    run = Path(config.output_dir)
    unnamed = config.model_copy(update={"evaluation": evaluation})
    (run / "checkpoints").mkdir(exist_ok=True)
    stage2 = run / "checkpoints/stage2"
    if not stage2.exists():
        stage2.symlink_to(config.model.path)
    found = blank_images(unnamed, run, live(AlwaysFinished(), config, run, "stage2"))
    assert found["tasks"] == list(TASKS)
    assert found["difference"]["count"] == 4


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
