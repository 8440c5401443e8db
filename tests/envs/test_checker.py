"""The checker of environments: the shipped ones pass, and each broken promise is found by name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from own_env import Question
from typer.testing import CliRunner

from tracer1.cli.main import app
from tracer1.envs.checker import CHECKS, EXPERT, FIRST, EnvFinding, check_env
from tracer1.envs.experts import Moves, Screen
from tracer1.envs.registry import find_env, parse_env
from tracer1.errors import UsageError
from tracer1.recipes.record import record


def problems(findings: list[EnvFinding]) -> dict[str, str]:
    return {finding.name: finding.problem for finding in findings if not finding.ok}


@pytest.mark.parametrize(
    "name", ["toy:toy-long-form", "toy-text:toy-form", "toy:toy-press", "miniwob:login-user-popup"]
)
def test_the_shipped_environments_keep_their_promises(name: str) -> None:
    factory, task = parse_env(name)
    findings = check_env(factory, task, factory.expert(task), seed=1)
    assert problems(findings) == {}
    assert [finding.name for finding in findings] == [FIRST[0], *CHECKS, *EXPERT]


@pytest.mark.parametrize("kind", ["toy", "toy-text"])
def test_recordings_keep_their_promises(kind: str, tmp_path: Path) -> None:
    record(kind, ["toy-form"], 2, 0, tmp_path / "store")
    for task in ("", "1", f"{kind}/toy-form/0"):
        assert problems(check_env(find_env(f"replay:{tmp_path / 'store'}"), task)) == {}


def test_an_environment_of_ones_own() -> None:
    assert problems(check_env(find_env("own_env:Question"), "press")) == {}


@pytest.mark.parametrize(
    ("name", "check", "says"),
    [
        ("WrongReset", "reset gives a task and an observation", "reset returned of type Observation"),
        ("WrongSize", "sizes match the screenshot", "(40, 30) pixels, but the observation's size is (80, 60)"),
        ("Pixels", "boxes are fractions of the screen", "the box of button 'OK' is not in fractions"),
        ("Random", "the seed decides the first screen", "two resets with seed 0 differ"),
        ("Shared", "environments are independent", "raised UsageError: no episode is running"),
        ("NoEnd", "'finished' ends the episode", "does not end the episode"),
        ("Forgiving", "an impossible action raises ActionError", "did not raise ActionError"),
        ("Forgiving", "a step after the end raises UsageError", "did not raise UsageError"),
        ("Forgiving", "an unknown task raises UsageError", "did not raise UsageError"),
        ("ClosesOnce", "close may be called twice", "raised RuntimeError: already closed"),
        ("Tuples", "step gives a transition", "step returned of type tuple, not a Transition"),
    ],
)
def test_a_broken_promise_is_found(name: str, check: str, says: str) -> None:
    found = problems(check_env(find_env(f"own_env:{name}"), "press"))
    assert says in found[check]


def test_where_reset_does_not_work_nothing_else_is_tried() -> None:
    (finding,) = check_env(find_env("own_env:WrongReset"), "press")
    assert finding.name == FIRST[0]


def test_an_expert_that_fails_is_found() -> None:
    def stuck(screen: Screen) -> Moves:
        yield screen.click("form", "button", "Nowhere")

    found = problems(check_env(find_env("toy"), "toy-press", stuck))
    assert list(found) == list(EXPERT)
    assert "the expert earned 0: no 'Nowhere' button on the screen" in found[next(iter(EXPERT))]


def test_an_unknown_task_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="no toy task 'x'"):
        check_env(find_env("toy"), "x")


@pytest.mark.parametrize(
    ("env", "exit_code", "says"),
    [
        ("toy:toy-form", 0, "ok   the expert earns reward 1"),
        ("own_env:Question:press", 0, "ok   close may be called twice"),
        ("own_env:WrongSize:press", 1, "FAIL sizes match the screenshot: the screenshot has (40, 30) pixels"),
    ],
)
def test_the_command(env: str, exit_code: int, says: str) -> None:
    result = CliRunner().invoke(app, ["check-env", env])
    assert result.exit_code == exit_code
    assert says in result.output


def test_the_double_works(tmp_path: Path) -> None:
    async def reset() -> str:
        task, _ = await Question(tmp_path).reset("press", 0)
        return task.goal

    assert asyncio.run(reset()) == "Press the button."
