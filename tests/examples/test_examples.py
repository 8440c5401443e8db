"""The examples run as they stand, and are as short as the documentation says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nano_planner import Nano

from tracer1 import Step, check_env, make_executor, run_episode
from tracer1.api import Planner
from tracer1.config.settings import Config, DataSettings, RewardSettings
from tracer1.data.windows_file import absolute_rows
from tracer1.errors import InstructionError
from tracer1.models.scripted import ScriptedModel
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.text import render_plan
from tracer1.training.scoring import make_scorer
from tracer1.types import Observation, Plan

EXAMPLES = Path(__file__).parents[2] / "examples"
LINES = {"own_data.py": 40, "own_env.py": 40, "own_executor.py": 30, "own_reward.py": 15}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder of the examples is the working directory of whoever tries them."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    names = [Path(name).stem for name in LINES]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}  # other tests have such modules
    yield
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.mark.parametrize("name", LINES)
def test_an_example_is_short(name: str) -> None:
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= LINES[name]


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {*LINES, "quickstart.ipynb"}


def test_own_data_makes_windows_that_pass_the_check(tmp_path: Path) -> None:
    command = [sys.executable, "own_data.py", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "6 windows of 3 episodes"
    assert len(lines) > 5
    assert all(line.startswith("ok") for line in lines[1:])


def clicks_what_the_goal_names(prompt: Any) -> str:
    text = prompt[-1]["content"][-1]["text"]
    name = text.partition("'")[2].partition("'")[0]
    return render_plan(Plan((Step("three buttons", "click", f"click the '{name}' button", "done"),)))


@pytest.fixture
def planner() -> Planner:
    """A planner that does what the goal says."""
    return Planner(ScriptedModel(clicks_what_the_goal_names), PROMPTS["brief-1"])


@pytest.mark.parametrize("executor", ["dom", "own_executor:ByName"])
def test_own_env_and_own_executor_work_in_the_loop(planner: Planner, executor: str) -> None:
    for seed in range(4):
        episode = run_episode("own_env:Doors:open", planner, seed=seed, executor=executor)
        assert (episode.ending, episode.success) == ("finished", True), episode


def test_screenshots_go_to_a_folder_that_is_made(planner: Planner, tmp_path: Path) -> None:
    run_episode("own_env:Doors:open", planner, images=tmp_path / "a" / "b")
    assert list(tmp_path.glob("a/b/*.png"))


def test_a_wrong_door_ends_the_episode_without_success() -> None:
    wrong = ScriptedModel(lambda _: render_plan(Plan((Step("doors", "click", "click the 'Red' button"),))))
    planner = Planner(wrong, PROMPTS["brief-1"])
    assert {run_episode("own_env:Doors:open", planner, seed=seed).success for seed in range(6)} == {True, False}


def test_own_env_keeps_the_contract() -> None:
    findings = check_env("own_env:Doors:open")
    assert not [finding for finding in findings if not finding.ok]


def test_own_executor_refuses_what_it_cannot_do() -> None:
    executor = make_executor("own_executor:ByName")
    with pytest.raises(InstructionError, match="only clicks"):
        asyncio.run(executor.act(Step("", "type", "type 'a'"), Observation(None, (0, 0))))


def test_own_reward_scores_each_completion(nano: Nano) -> None:
    settings = RewardSettings(function="own_reward:short_plans")
    config = Config(output_dir="run", reward=settings, data=DataSettings(train=str(nano.windows)))
    one = render_plan(Plan((Step("a", "click", "click"),)))
    two = render_plan(Plan((Step("a", "click", "click"), Step("b", "type", "type"))))
    rows = list(absolute_rows(str(nano.windows)))[:3]
    for stage in ("stage1", "stage2"):
        scores = make_scorer(config, stage)([one, two, "nothing"], rows)
        assert [score.overall for score in scores] == [1.0, 0.5, 0.0]


def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    assert not [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", ()))
    assert "Enter" in printed
