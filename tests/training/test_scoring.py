from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from nano_planner import Nano

from tracer1.config.settings import Config
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import absolute_rows
from tracer1.errors import DataError, ExecutorError, TrainingError, UsageError
from tracer1.executors.dom import DomExecutor
from tracer1.executors.running import TimeLimited
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.text import render_plan
from tracer1.plan.windows import episode_rows
from tracer1.rewards import grounded, trajectory
from tracer1.training.scoring import (
    GroundedScorer,
    RewardFunction,
    TrajectoryScorer,
    make_scorer,
    recorded,
    recorded_observation,
    text_of,
)
from tracer1.types import Action, Episode, EpisodeStep, Observation, Plan, Reference, Score, Step


class Unreachable:
    """An executor that is down."""

    name = "unreachable"

    async def act(self, step: Step, observation: Observation) -> Action:
        raise ExecutorError("no answer within 30 s")


@pytest.fixture(scope="module")
def rows(nano: Nano) -> list[dict[str, Any]]:
    return list(absolute_rows(str(nano.windows)))


def row_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a trainer has it: no image is opened here."""
    return {**row, "images": list(row["images"])}


def gold(row: dict[str, Any]) -> str:
    return render_plan(Plan(recorded(row).steps, "", row["step"] + 1))


@pytest.fixture(scope="module")
def stage_2(nano: Nano) -> GroundedScorer:
    return GroundedScorer(grounded.PAPER, DomExecutor())


@pytest.mark.parametrize("profile", ["paper", "prototype"])
def test_the_gold_plan_earns_one_in_stage_1(rows: list[dict[str, Any]], profile: str) -> None:
    scorer = TrajectoryScorer(trajectory.PROFILES[profile])
    for row in rows:
        (score,) = scorer([gold(row)], [row])
        ends = json.loads(row["reference"])[-1]["status"] == "done"
        # The prototype's bonus, which only a plan that ends the episode earns, is always part of its maximum.
        assert (score.overall == pytest.approx(1.0)) is (profile == "paper" or ends)
        assert score.format == 1.0


@pytest.mark.parametrize("profile", ["paper", "prototype"])
def test_the_gold_step_is_executed_right_in_stage_2(nano: Nano, rows: list[dict[str, Any]], profile: str) -> None:
    scorer = GroundedScorer(grounded.PROFILES[profile], DomExecutor())
    for row in rows:
        (score,) = scorer([gold(row)], [row])
        assert (score.accuracy, score.overall) == (1.0, pytest.approx(1.0))


def test_stage_2_looks_at_the_first_step_alone(rows: list[dict[str, Any]], stage_2: GroundedScorer) -> None:
    row = next(row for row in rows if len(recorded(row).steps) == 3)
    first = recorded(row).steps[0]
    nonsense = Step("?", "drag", "dance")
    plans = [render_plan(Plan((first, nonsense))), render_plan(Plan((nonsense, first)))]
    assert [score.accuracy for score in stage_2(plans, [row, row])] == [1.0, 0.0]


def test_the_wrong_target_and_no_target_earn_nothing(rows: list[dict[str, Any]], stage_2: GroundedScorer) -> None:
    row = next(row for row in rows if recorded(row).steps[0].instruction.endswith("button"))
    right = recorded(row).steps[0].instruction
    other = next(b for b in ("Send", "Help", "Back") if f"'{b}'" not in right)
    plans = [render_plan(Plan((Step("", "click", f"click the '{name}' button"),))) for name in (other, "Nowhere")]
    wrong, lost = stage_2(plans, [row, row])
    assert (wrong.accuracy, wrong.terms["no_target"]) == (0.0, 0.0)
    assert (lost.accuracy, lost.terms["no_target"]) == (0.0, 1.0)


@pytest.mark.parametrize("completion", ["", "I do not know.", "<think></think><answer></answer>", "Step 1: {"])
def test_garbage_is_scored(rows: list[dict[str, Any]], stage_2: GroundedScorer, completion: str) -> None:
    for scorer in (TrajectoryScorer(trajectory.PAPER), stage_2):
        assert scorer([completion], [rows[0]])[0].overall == 0.0


def test_a_tool_agent_that_fails_leaves_the_sample_unscored(nano: Nano, rows: list[dict[str, Any]]) -> None:
    function = RewardFunction(GroundedScorer(grounded.PAPER, Unreachable()))
    said = [gold(rows[0]), "no plan at all"]
    columns = {name: [row[name] for row in rows[:2]] for name in ("reference", "images", "episode_id", "step", "store")}
    assert function(said, **columns) == [None, 0.0]
    assert function.last[0].unscored == "no answer within 30 s"
    assert function.last[1].unscored is None


def test_the_reward_function_scores_what_trl_hands_it(rows: list[dict[str, Any]]) -> None:
    function = RewardFunction(TrajectoryScorer(trajectory.PAPER))
    texts = [gold(row) for row in rows[:3]]
    columns = {name: [row[name] for row in rows[:3]] for name in ("reference", "images", "episode_id", "step")}
    spoken = [[{"role": "assistant", "content": text}] for text in texts]
    rewards = function(spoken, prompts=[], completion_ids=[], trainer_state=None, **columns)
    assert rewards == pytest.approx([1.0, 1.0, 1.0])
    assert [score.overall for score in function.last] == rewards
    assert function.__name__ == "tracer1"
    with pytest.raises(ValueError, match="zip"):
        function(spoken[:2], **columns)


def test_a_completion_is_text_or_a_message() -> None:
    assert text_of("a") == text_of([{"role": "assistant", "content": "a"}]) == "a"


def test_the_recorded_screen_is_what_the_tool_agent_sees(nano: Nano, rows: list[dict[str, Any]]) -> None:
    reference = recorded(rows[0])
    seen = recorded_observation(["a.png", "b.png"], reference, nano.store)
    assert seen.screenshot == "b.png"
    assert seen.elements == nano.store.load_elements(reference.elements or "")
    assert recorded_observation([], Reference(()), nano.store) == Observation(None, (0, 0), None, None)


def test_missing_elements_are_an_error_and_no_zero(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    scorer = GroundedScorer(grounded.PAPER, DomExecutor())
    with pytest.raises(DataError, match="cannot be read"):
        scorer([gold(rows[0])], [{**rows[0], "store": str(tmp_path)}])


def test_a_row_without_an_action_is_unscored_and_costs_no_other(
    rows: list[dict[str, Any]], stage_2: GroundedScorer
) -> None:
    empty = {"reference": json.dumps(["click"]), "images": []}
    lost, kept = stage_2(["", gold(rows[0])], [empty, rows[0]])
    assert (lost.overall, kept.overall) == (None, pytest.approx(1.0))
    assert "no recorded action to compare with" in (lost.unscored or "")


class Echo:
    """An executor that gives back whatever it is shown of the tool's output."""

    name = "echo"

    async def act(self, step: Step, observation: Observation) -> Action:
        return Action(step.action_type, arguments=step.arguments, content=observation.text or "")


def test_the_executor_is_not_shown_what_came_of_the_step(tmp_path: Path) -> None:
    """The recorded output of the very call would be worth 1.0 to an executor that only repeats it."""
    steps = tuple(
        EpisodeStep(None, (0, 0), "", "read it", Action("ocr", arguments={"image": "a.png"}), observation=output)
        for output in ("total: 42", "sum: 7")
    )
    episode = Episode("e", "mm-traj", "tools", "What is the total?", "train", steps, files=("files/a.png",))
    store = EpisodeStore(tmp_path)
    made = [{**row_of(row), "store": str(tmp_path)} for row in episode_rows(episode, PROMPTS["brief-1"])]
    assert [recorded_observation([], recorded(row), store).text for row in made] == [None, "total: 42"]
    assert recorded_observation([], recorded(made[0]), store).files == (str(tmp_path / "files/a.png"),)
    scorer = GroundedScorer(grounded.PAPER, Echo())
    plan = render_plan(Plan((Step("", "ocr", "read it", arguments={"image": "a.png"}),)))
    assert [score.accuracy for score in scorer([plan, plan], made)] == [0.0, 0.0]


def test_many_steps_are_executed_at_once(rows: list[dict[str, Any]], nano: Nano) -> None:
    """Eight executions that each wait for the seven others: one after the other they would never end."""
    together = asyncio.Barrier(8)

    class Waiting(DomExecutor):
        async def act(self, step: Step, observation: Observation) -> Action:
            await together.wait()
            return await super().act(step, observation)

    scorer = GroundedScorer(grounded.PAPER, TimeLimited(Waiting(), 20), concurrency=8)
    scores = scorer([gold(row) for row in rows[:8]], rows[:8])
    assert [score.accuracy for score in scores] == [1.0] * 8


def test_a_step_that_takes_too_long_is_unscored(rows: list[dict[str, Any]], nano: Nano) -> None:
    class Hanging(DomExecutor):
        async def act(self, step: Step, observation: Observation) -> Action:
            await asyncio.sleep(60)
            raise AssertionError

    (score,) = GroundedScorer(grounded.PAPER, TimeLimited(Hanging(), 0.05))([gold(rows[0])], [rows[0]])
    assert (score.overall, score.unscored) == (None, "executor 'dom': no answer within 0.05 s")


def test_a_score_is_computed_once_and_kept_for_the_batch(rows: list[dict[str, Any]]) -> None:
    asked: list[str] = []

    def counting(completions: Sequence[str], batch: Sequence[dict[str, Any]]) -> list[Score]:
        asked.extend(completions)
        return [Score(1.0, 1.0, 1.0) for _ in completions]

    function = RewardFunction(counting)
    function.score(["a", "b"], rows[:2])
    columns = {name: [row[name] for row in rows[:2]] for name in ("reference", "images", "episode_id", "step")}
    function(["a", "c"], **columns)
    assert asked == ["a", "b", "c"]
    function(["a", "c"], **columns)
    assert asked == ["a", "b", "c", "a", "c"]


def test_a_scorer_is_any_function_of_text_and_row() -> None:
    def length(completions: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Score]:
        return [Score(float(len(completion)), 1.0, 1.0) for completion in completions]

    columns = {"reference": ["", ""], "images": [[], []], "episode_id": ["a", "b"], "step": [0, 0]}
    assert RewardFunction(length)(["ab", "c"], **columns) == [2.0, 1.0]


# ---- a reward of one's own -------------------------------------------------------------------------------------------

OWN = """
from tracer1.types import Score

def length(completions, rows):
    return [Score(len(c) / 10, 1.0, len(c) / 10, {"row": float(row["step"])}) for c, row in zip(completions, rows)]

async def mixed(completions, rows):
    return [None, 0.5, True][: len(completions)]

def short(completions, rows):
    return [1.0]

def words(completions, rows):
    return ["good"] * len(completions)

def nothing(completions, rows):
    return None

def infinite(completions, rows):
    return [float("nan")] * len(completions)

def broken(completions, rows):
    return [1 / 0]
"""


@pytest.fixture
def own_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """The scorer that a configuration in a folder with ``own_reward.py`` names."""
    (tmp_path / "own_reward.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_reward", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make(name: str) -> Any:
        reward = {"function": f"own_reward:{name}"}
        return make_scorer(Config.model_validate({"output_dir": "x", "reward": reward}), "stage2")

    return make


def test_a_reward_of_ones_own_replaces_both_stages(own_reward: Callable[[str], Any]) -> None:
    scores = own_reward("length")(["abc", "a"], [{"step": 1}, {"step": 2}])
    assert scores == [Score(0.3, 1.0, 0.3, {"row": 1.0}), Score(0.1, 1.0, 0.1, {"row": 2.0})]


def test_a_reward_of_ones_own_may_be_async_and_return_numbers_or_nothing(own_reward: Callable[[str], Any]) -> None:
    none, half, true = own_reward("mixed")(["a", "b", "c"], [{}, {}, {}])
    assert (none.overall, none.accuracy) == (None, None)
    assert none.unscored == "reward.function 'own_reward:mixed' returned None"
    assert (half.overall, half.accuracy, half.terms) == (0.5, 0.5, {"reward": 0.5})
    assert true.overall == 1.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short", "'own_reward:short' returned 1 results for 2 completions"),
        ("words", "result 0 is a str, not a Score, number or None"),
        ("nothing", "'own_reward:nothing' returned None; return a list with one Score, number or None for each"),
        ("infinite", "result 0 is nan, not a finite number"),
        ("broken", "'own_reward:broken' raised ZeroDivisionError: division by zero; --debug shows where"),
    ],
)
def test_a_wrong_result_of_ones_own_reward_is_named(own_reward: Callable[[str], Any], name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=re.escape(message)):
        own_reward(name)(["a", "b"], [{}, {}])


def test_a_reward_that_is_not_there_is_found_before_training(own_reward: Callable[[str], Any]) -> None:
    with pytest.raises(UsageError, match="own_reward has no 'absent'"):
        own_reward("absent")
