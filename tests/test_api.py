"""The public API: what README.md shows runs, and each function does what its docstring says."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import chat_server
from nano_planner import Nano

import tracer1
from tracer1.api import Planner
from tracer1.config.loading import dump_config
from tracer1.config.settings import Config, PlanSettings
from tracer1.errors import DataError, PlanError, UsageError
from tracer1.models.scripted import ScriptedModel
from tracer1.plan.prompt import PROMPTS
from tracer1.types import HistoryStep

README = Path(__file__).parents[1] / "README.md"
STEPS = (
    tracer1.Step("form", "click", "click the 'Name' field"),
    tracer1.Step("form", "click", "click the 'Send' button", "done"),
)
PLAN = tracer1.Plan(STEPS, thought="two clicks")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """The folder of a run of two steps."""
    run = tmp_path / "runs" / "demo"
    run.mkdir(parents=True)
    plan = PlanSettings(horizon=3, prompt_version="full-1")
    (run / "config.yaml").write_text(dump_config(Config(output_dir="runs/demo", plan=plan)))
    rows = [{"stage": "stage1", "step": step, "reward": 0.5 * step} for step in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "rollouts.jsonl").write_text(json.dumps({"completion": "x", "advantage": 0.0}) + "\n")
    return run


def test_the_readmes_ten_lines_run(
    run_folder: Path, png: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(run_folder.parents[1])
    Path("screen.png").write_bytes(png())
    exec(compile(code, "README.md", "exec"), {})
    assert len(code.splitlines()) <= 14
    assert capsys.readouterr().out


def test_a_planner_plans_from_a_screenshot(tmp_path: Path, png: Callable[..., bytes]) -> None:
    screen = tmp_path / "screen.png"
    screen.write_bytes(png())
    model = ScriptedModel([tracer1.render_plan(PLAN), "no plan"])
    planner = Planner(model, PROMPTS["brief-1"])
    assert planner.plan("Send.", screen, [HistoryStep("page", "wait", "wait")], horizon=2) == PLAN
    (message,) = model.prompts[0]
    assert message["content"][0] == {"type": "image", "image": str(screen)}
    assert message["content"][1]["text"].endswith("Next: step 2, plan 2")
    with pytest.raises(PlanError, match="no plan"):
        planner.plan("Send.", screen)


def test_a_planner_knows_the_prompt_of_its_run(run_folder: Path, nano: Nano) -> None:
    folder = run_folder / "checkpoints" / "stage1"
    shutil.copytree(nano.folder, folder)
    spec = tracer1.load_planner(folder).spec
    assert (spec.version, spec.horizon) == ("full-1", 3)
    assert tracer1.load_planner(folder, prompt_version="brief-1", horizon=1).spec.version == "brief-1"
    with pytest.raises(UsageError, match="unknown prompt version 'brief-9'"):
        tracer1.load_planner(folder, prompt_version="brief-9")


def test_a_served_planner_plans(tmp_path: Path, png: Callable[..., bytes]) -> None:
    screen = tmp_path / "screen.png"
    screen.write_bytes(png())
    with chat_server() as server:
        server.script = lambda _: tracer1.render_plan(PLAN)
        planner = tracer1.load_planner(server.url)
        assert planner.plan("Send.", screen) == PLAN
    assert planner.spec.version == "full-2"


def test_an_episode_runs_where_a_loop_is_running() -> None:
    """A notebook runs its cells inside an event loop."""
    planner = Planner(ScriptedModel(lambda _: tracer1.render_plan(PLAN)), PROMPTS["brief-1"])

    async def cell() -> tracer1.Trajectory:
        return tracer1.run_episode("toy:toy-press", planner, seed=1, max_steps=2)

    assert asyncio.run(cell()).ending in ("finished", "truncated", "failed")


def test_an_open_environment_is_left_open(tmp_path: Path) -> None:
    planner = Planner(ScriptedModel(lambda _: tracer1.render_plan(PLAN)), PROMPTS["brief-1"])

    async def two() -> list[tracer1.Trajectory]:
        async with tracer1.open_envs("toy", tmp_path) as (env,):
            return [tracer1.run_episode(env, planner, "toy-press", seed) for seed in (0, 1)]

    assert [episode.seed for episode in asyncio.run(two())] == [0, 1]
    assert list(tmp_path.glob("*.png"))


def test_an_environment_is_checked() -> None:
    findings = tracer1.check_env("toy:toy-form")
    assert len(findings) > 5
    assert all(finding.ok for finding in findings)


def test_unknown_names_are_one_line() -> None:
    planner = Planner(ScriptedModel([]), PROMPTS["brief-1"])
    with pytest.raises(UsageError, match="no environment 'toys'"):
        tracer1.run_episode("toys", planner)
    with pytest.raises(UsageError, match="unknown profile 'strict'"):
        tracer1.score_plan(PLAN, ["click"], "strict")
    with pytest.raises(DataError, match="no such directory"):
        tracer1.read_run("nowhere")


def test_a_plan_is_scored_against_a_plan_or_its_types() -> None:
    assert tracer1.score_plan(PLAN, PLAN).overall == 1.0
    assert tracer1.score_plan(tracer1.render_plan(PLAN), ["click", "click"]).overall == 1.0
    assert (tracer1.score_plan(PLAN, ["type", "type"]).overall or 0.0) < 0.2


def test_a_run_is_read_from_its_files(run_folder: Path) -> None:
    run = tracer1.read_run(str(run_folder))
    assert [row.reward for row in run.metrics["stage1"]] == [0.5, 1.0]
    assert [row.completion for row in tracer1.all_rollouts(run_folder)] == ["x"]
    assert not run.results.stages
