"""Batches of prompts: a slow environment delays nobody, a failure stays with its episode, a bug is raised as itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from nano_planner import PROMPT

from tracer1.agent.loop import Limits, run_episodes
from tracer1.envs.toy import ToyForm
from tracer1.errors import ModelError
from tracer1.executors.dom import DomExecutor
from tracer1.plan.text import render_plan
from tracer1.types import Action, AsyncModel, Env, Message, Model, Plan, Step, Trajectory, Transition

SPEC = replace(PROMPT, horizon=1, history=1)
WAIT = render_plan(Plan((Step("seen", "wait", "wait"),)))
SLOW = 0.7  # seconds, well above the patience of a batch
JOBS = [("toy-press", seed) for seed in range(4)]


class SlowForm(ToyForm):
    """A form whose every step takes long."""

    async def step(self, action: Action) -> Transition:
        await asyncio.sleep(SLOW)
        return await super().step(action)


class Counting:
    """Always waits, and keeps the size of each batch and when it came."""

    def __init__(self, answer: Callable[[Sequence[Message]], str] = lambda _: WAIT) -> None:
        self.answer = answer
        self.sizes: list[int] = []
        self.times: list[float] = []

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        self.sizes.append(len(prompts))
        self.times.append(time.monotonic())
        return [self.answer(prompt) for prompt in prompts]


def goal(prompt: Sequence[Message]) -> str:
    return str(prompt[0]["content"][-1]["text"]).splitlines()[0]


def goal_of(images: Path, seed: int) -> str:
    asked, _ = asyncio.run(ToyForm(images).reset("toy-press", seed))
    return f"Task: {asked.goal}"


def run(envs: Sequence[Env], model: Model, steps: int = 3) -> list[Trajectory]:
    async def acted() -> list[Trajectory]:
        trajectories = await run_episodes(JOBS, envs, model, DomExecutor(), SPEC, Limits(default_steps=steps))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return trajectories

    return asyncio.run(acted())


def test_a_slow_environment_holds_nobody_up(tmp_path: Path) -> None:
    model = Counting()
    envs = [SlowForm(tmp_path), *(ToyForm(tmp_path) for _ in range(3))]
    trajectories = run(envs, model)
    assert [t.ending for t in trajectories] == ["truncated"] * 4
    assert model.sizes[0] == 4  # all start together
    assert model.sizes[1:3] == [3, 3]  # the three fast ones go on without the slow one
    assert model.times[2] - model.times[0] < SLOW
    assert sum(model.sizes) == 4 * 3


def test_a_model_error_fails_one_episode_only(tmp_path: Path) -> None:
    unlucky = goal_of(tmp_path, 2)
    lucky = [seed for seed in range(4) if goal_of(tmp_path, seed) != unlucky]

    def answer(prompt: Sequence[Message]) -> str:
        if goal(prompt) == unlucky:
            raise ModelError("no completion: the content filter")
        return WAIT

    trajectories = run([ToyForm(tmp_path) for _ in range(4)], Counting(answer))
    assert lucky
    assert {t.seed for t in trajectories if t.ending == "truncated"} == set(lucky)
    failed = trajectories[2]
    assert (failed.ending, failed.where) == ("failed", "planner, step 1: no completion: the content filter")


def test_an_engine_that_is_down_fails_every_episode_by_name(tmp_path: Path) -> None:
    def down(prompt: Sequence[Message]) -> str:
        raise ModelError("http://127.0.0.1:1/v1: connection refused")

    trajectories = run([ToyForm(tmp_path) for _ in range(2)], Counting(down))
    assert {t.where for t in trajectories} == {"planner, step 1: http://127.0.0.1:1/v1: connection refused"}


class Server:
    """A planner that serves many prompts by itself, and fails on some."""

    def __init__(self, fails_on: str = "") -> None:
        self.fails_on = fails_on
        self.asked = self.at_once = self.most = 0

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        raise AssertionError("a server is asked one prompt at a time")

    async def complete_one(self, prompt: Sequence[Message]) -> str:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.02)
        self.at_once -= 1
        if goal(prompt) == self.fails_on:
            raise ModelError("429: too many requests")
        return WAIT


def test_a_server_is_asked_at_once(tmp_path: Path) -> None:
    server = Server(goal_of(tmp_path, 1))
    assert isinstance(server, AsyncModel)
    trajectories = run([ToyForm(tmp_path) for _ in range(4)], server)
    assert server.most > 1
    failed = [t for t in trajectories if t.ending == "failed"]
    assert failed
    assert all(t.where == "planner, step 1: 429: too many requests" for t in failed)
    assert server.asked == len(failed) + 3 * (4 - len(failed))


def buggy(prompt: Sequence[Message]) -> str:
    raise ZeroDivisionError("a bug")


class Short(Counting):
    """Answers one prompt too few."""

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        return super().complete(prompts)[1:]


class BuggyServer(Server):
    async def complete_one(self, prompt: Sequence[Message]) -> str:
        raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("model", "error"),
    [(Counting(buggy), ZeroDivisionError), (Short(), ValueError), (BuggyServer(), ZeroDivisionError)],
    ids=["raises", "too-few", "server"],
)
def test_a_bug_in_the_model_is_raised_as_itself_and_leaves_no_tasks(
    tmp_path: Path, model: Model, error: type[Exception]
) -> None:
    async def acted() -> None:
        with pytest.raises(error):
            await run_episodes(
                JOBS, [ToyForm(tmp_path) for _ in range(3)], model, DomExecutor(), SPEC, Limits(default_steps=3)
            )
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(acted())
