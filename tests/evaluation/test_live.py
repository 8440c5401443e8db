"""Live evaluation on the toy form's pages: what is kept of an episode, and how an interrupted evaluation goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nano_planner import PROMPT, toy_envs

from tracer1.agent.baselines import AlwaysFinished
from tracer1.config.settings import EvaluationSettings
from tracer1.errors import DataError, EnvironmentFailure, UsageError
from tracer1.evaluation.live import LiveResult, episode_row, evaluate_live, jobs_of
from tracer1.executors.dom import DomExecutor
from tracer1.models.scripted import ScriptedModel
from tracer1.plan.text import render_plan
from tracer1.results.json_records import from_json, to_json
from tracer1.results.manifest import Manifest
from tracer1.results.schema import EpisodeRow, TaskResult
from tracer1.types import Action, Env, Model, Plan, Point, Step, Trajectory, Turn

JOBS = jobs_of(["toy-press", "toy-field"], 5, 3)
SETTINGS = EvaluationSettings(default_max_steps=2, max_steps={"toy-press": 1}, pages=2)
MANIFEST = Manifest(kind="live episodes", model="runs/a/checkpoints/stage2", weights="aaaa", horizon=3)
SEND = render_plan(Plan((Step("a form", "click", "click the 'Send' button", "done"),)))


@asynccontextmanager
async def no_envs(images: Path, count: int) -> AsyncIterator[Sequence[Env]]:
    raise EnvironmentFailure("no environment was needed")
    yield  # never reached: it makes this a generator


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., LiveResult]:
    def run(model: Model, jobs: Any = JOBS, **options: Any) -> LiveResult:
        out, images = tmp_path / "run/live/planner.jsonl", tmp_path / "run/live/images"
        options = {"open_envs": toy_envs, "manifest": MANIFEST, **options}
        return evaluate_live(model, DomExecutor(), PROMPT, jobs, SETTINGS, out, images, **options)

    return run


def lines_of(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "run/live/planner.jsonl").read_text().splitlines()]


def test_every_task_gets_the_same_seeds() -> None:
    assert [seed for task, seed in JOBS if task == "toy-press"] == [5, 6, 7]
    assert [seed for task, seed in JOBS if task == "toy-field"] == [5, 6, 7]
    assert jobs_of([], 0, 9) == []


def test_episodes_are_kept_line_by_line(evaluate: Callable[..., LiveResult], tmp_path: Path) -> None:
    told: list[tuple[int, int, float]] = []
    result = evaluate(ScriptedModel(lambda _: SEND), on_episode=lambda *figures: told.append(figures))
    assert [(e.task, e.seed) for e in result.episodes] == JOBS
    assert [(done, total) for done, total, _ in told] == [(n, 6) for n in range(1, 7)]
    assert told[-1][2] == result.success.value
    lines = lines_of(tmp_path)
    assert sorted(map(str, lines)) == sorted(str(to_json(e)) for e in result.episodes)
    first = to_json(result.episodes[0])
    assert first["goal"].startswith("Press ")
    assert first["success"] == (first["reward"] > 0)
    (turn,) = first["turns"]
    assert (tmp_path / "run" / turn["screenshot"]).is_file()
    assert turn["completion"] == SEND
    assert turn["steps"] == [
        {"abstraction": "a form", "action_type": "click", "instruction": "click the 'Send' button", "status": "done"}
    ]
    assert turn["action"]["action_type"] == "click"
    assert turn["error"] is None


def test_the_configured_limits_hold(evaluate: Callable[..., LiveResult]) -> None:
    wait = render_plan(Plan((Step("", "wait", "wait"),)))
    result = evaluate(ScriptedModel(lambda _: wait))
    assert [len(e.turns) for e in result.episodes] == [1, 1, 1, 2, 2, 2]
    assert {e.ending for e in result.episodes} == {"truncated"}


def test_a_finished_evaluation_opens_no_page(evaluate: Callable[..., LiveResult]) -> None:
    first = evaluate(ScriptedModel(lambda _: SEND))
    assert evaluate(ScriptedModel([]), open_envs=no_envs) == first


def test_an_interrupted_evaluation_goes_on(evaluate: Callable[..., LiveResult], tmp_path: Path) -> None:
    def stop(done: int, total: int, success: float) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(ScriptedModel(lambda _: SEND), on_episode=stop)
    before = lines_of(tmp_path)
    assert len(before) == 3
    with (tmp_path / "run/live/planner.jsonl").open("a") as file:
        file.write('{"task": "toy-field", "se')  # as a kill leaves it
    model = ScriptedModel(lambda _: SEND)
    result = evaluate(model)
    assert len(model.prompts) == 3
    assert lines_of(tmp_path)[:3] == before
    assert len(lines_of(tmp_path)) == 6
    whole = evaluate(ScriptedModel([]), open_envs=no_envs)
    assert whole == result


def test_more_seeds_later_run_only_what_is_new(evaluate: Callable[..., LiveResult]) -> None:
    evaluate(ScriptedModel(lambda _: SEND), jobs_of(["toy-press"], 5, 2))
    model = ScriptedModel(lambda _: SEND)
    result = evaluate(model, jobs_of(["toy-press"], 5, 4))
    assert len(model.prompts) == 2
    assert [e.seed for e in result.episodes] == [5, 6, 7, 8]


def test_another_planners_episodes_are_refused(evaluate: Callable[..., LiveResult]) -> None:
    evaluate(ScriptedModel(lambda _: SEND))
    other = replace(MANIFEST, model="runs/b/checkpoints/stage2", weights="bbbb")
    with pytest.raises(UsageError, match=r"planner\.jsonl was made with model .*runs/a.*aaaa.*not .*runs/b.*bbbb"):
        evaluate(ScriptedModel([]), manifest=other)


def test_the_same_planner_from_another_folder_resumes(evaluate: Callable[..., LiveResult]) -> None:
    first = evaluate(ScriptedModel(lambda _: SEND))
    assert evaluate(ScriptedModel([]), manifest=replace(MANIFEST, model="moved"), open_envs=no_envs) == first


def test_a_damaged_line_is_named(evaluate: Callable[..., LiveResult], tmp_path: Path) -> None:
    evaluate(ScriptedModel(lambda _: SEND))
    path = tmp_path / "run/live/planner.jsonl"
    path.write_text("garbage\n" + path.read_text())
    with pytest.raises(DataError, match=r"planner\.jsonl line 1: not JSON"):
        evaluate(ScriptedModel([]))


def test_an_unknown_task_is_wrong_usage(evaluate: Callable[..., LiveResult]) -> None:
    with pytest.raises(UsageError, match="no toy task"):
        evaluate(ScriptedModel([]), [("dance", 0)])


def test_figures_by_task(evaluate: Callable[..., LiveResult]) -> None:
    result = evaluate(AlwaysFinished())
    assert result.successes == [False] * 6
    assert (result.success.value, result.success.count) == (0.0, 6)
    endings = {"finished": 3, "truncated": 0, "failed": 0}
    assert result.per_task() == {task: TaskResult(0.0, 3, endings, 1.0) for task in ("toy-press", "toy-field")}
    assert len(result.only(["toy-press"]).episodes) == 3
    assert result.only([]).episodes == ()


def test_a_rollout_as_a_record(tmp_path: Path) -> None:
    turns = (
        Turn(
            str(tmp_path / "live/images/a.png"),
            "said",
            Plan((Step("a", "click", "b"),)),
            Action("click", Point(0.5, 0.25)),
        ),
        Turn(None, "garbage", None, None, "no plan"),
    )
    row = episode_row(Trajectory("t", 3, "goal", turns, 0.0, False, "failed", "step 2", 1.5), tmp_path)
    record = to_json(row)
    assert record["turns"][0]["screenshot"] == "live/images/a.png"
    assert record["turns"][0]["action"] == {"action_type": "click", "point": [0.5, 0.25]}
    assert record["turns"][1] == {
        "screenshot": None,
        "completion": "garbage",
        "steps": [],
        "action": None,
        "error": "no plan",
    }
    assert (record["task"], record["seed"], record["ending"], record["where"]) == ("t", 3, "failed", "step 2")
    assert from_json(EpisodeRow, json.loads(json.dumps(record)), "here") == row
