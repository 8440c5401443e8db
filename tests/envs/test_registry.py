"""Environments by name: what a name leads to, and what is said when it leads nowhere."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tracer1.envs.options import EnvOptions
from tracer1.envs.registry import ENVIRONMENTS, EXTRAS, expert, find_env, open_envs, parse_env, split_env, task_names
from tracer1.envs.toy import TASKS, fill_in
from tracer1.errors import UsageError
from tracer1.recipes.record import record
from tracer1.types import Observation, Task


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("miniwob:login-user", ("miniwob", "login-user")),
        ("toy", ("toy", "")),
        ("my.module:Game", ("my.module:Game", "")),
        ("my.module:Game:level:1", ("my.module:Game", "level:1")),
        ("replay:data/store", ("replay:data/store", "")),
        ("replay:data/store:miniwob/login-user/3", ("replay:data/store", "miniwob/login-user/3")),
        ("replay:data/store:3", ("replay:data/store", "3")),
        ("replay:", ("replay:", "")),
    ],
)
def test_a_name_and_a_task(text: str, parts: tuple[str, str]) -> None:
    assert split_env(text) == parts


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    assert split_env(f"replay:{folder}") == (f"replay:{folder}", "")
    assert split_env(f"replay:{folder}:7") == (f"replay:{folder}", "7")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("toyy:x", "there is no module 'toyy'"),
        ("toyy", "no environment 'toyy'; choose one of miniwob, toy, toy-text, replay, or a path"),
        ("toy", "toy needs a task, such as toy:toy-press; there are: toy-press, toy-field"),
        ("replay", "replay needs a folder: write replay:DIR"),
        ("replay:", "replay needs a folder: write replay:DIR"),
        ("own_env:Nothing", "own_env has no 'Nothing'"),
        ("own_env:SIZE", "own_env:SIZE"),
        ("os:system", "os is a module of Python itself"),
    ],
)
def test_names_that_lead_nowhere(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_env(text)


def test_every_name_has_an_extra() -> None:
    assert set(EXTRAS) == set(ENVIRONMENTS)


def test_environments_are_opened_side_by_side(tmp_path: Path) -> None:
    async def act() -> list[tuple[Task, Observation]]:
        factory, task = parse_env("toy:toy-form")
        async with factory(tmp_path / "images", 3) as envs:
            assert len({id(env) for env in envs}) == 3
            return [await env.reset(task, seed) for seed, env in enumerate(envs)]

    seen = asyncio.run(act())
    assert len({asked.goal for asked, _ in seen}) == 3
    assert all(Path(observation.screenshot or "").parent == tmp_path / "images" for _, observation in seen)


def test_ones_own_class(tmp_path: Path) -> None:
    async def act() -> Task:
        async with open_envs("own_env:Question", tmp_path / "images", 2) as envs:
            asked, _ = await envs[1].reset("press", 0)
            return asked

    assert asyncio.run(act()).source == "question"
    assert task_names("own_env:Question") == []
    with pytest.raises(UsageError, match="no scripted experts"):
        expert("own_env:Question", "press")


def test_options_reach_the_browser(tmp_path: Path) -> None:
    async def look() -> Observation:
        async with open_envs("miniwob", tmp_path, 1, EnvOptions(scale=2, elements=False)) as (env,):
            return (await env.reset("enter-text", 0))[1]

    seen = asyncio.run(look())
    assert (seen.size, seen.elements) == ((320, 420), None)


def test_tasks_and_experts() -> None:
    assert task_names("toy") == task_names("toy-text") == list(TASKS)
    assert expert("toy", "toy-form") is fill_in
    assert len(task_names("miniwob")) == 130
    assert callable(expert("miniwob", "login-user"))
    assert find_env("miniwob").has_expert("login-user")
    assert not find_env("miniwob").has_expert("chase-circle")
    with pytest.raises(UsageError, match="no toy task 'x'"):
        expert("toy", "x")


def test_the_browser_is_imported_where_it_is_asked_for(tmp_path: Path) -> None:
    record("toy", ["toy-press"], 1, 0, tmp_path)
    code = (
        "import sys; from tracer1.envs.registry import *; import tracer1.recipes.record\n"
        f"parse_env('toy:toy-form'); parse_env('toy-text:toy-form'); parse_env({f'replay:{tmp_path}'!r})\n"
        "print('playwright' in sys.modules, 'torch' in sys.modules)\n"
        "parse_env('miniwob:login-user'); print('playwright' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False", "True"]
