"""Code that a configuration names is inspected before it is called, and refused when it is of another kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracer1.errors import SetupError, UsageError
from tracer1.executors.registry import make_executor
from tracer1.extensions import ENVIRONMENT, EXECUTOR, REWARD, Kind, is_dotted, load_object, require_options

CODE = """
import os
from os import system
from functools import wraps
from subprocess import Popen

ran = []

class Executor:
    name = "mine"
    def __init__(self, side=1):
        ran.append(side)
    async def act(self, step, observation):
        return None

class Plain:
    name = "plain"
    def act(self, step, observation):
        ran.append("act")

class Narrow:
    name = "narrow"
    async def act(self, step):
        ran.append("act")

class Nameless:
    async def act(self, step, observation):
        return None

class Environment:
    async def reset(self, task, seed): ...
    async def step(self, action): ...
    async def close(self): ...

class Endless:
    async def reset(self, task, seed): ...
    async def step(self, action): ...

def factory(**options):
    ran.append("factory")

def reward(completions, rows):
    return []

async def late(completions, rows):
    return []

def one(completion):
    return 0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working directory."""
    name = f"own_code_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    (tmp_path / f"{name}_needy.py").write_text("import no_such_package_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def ran(module: str) -> list[object]:
    return list(sys.modules[module].ran) if module in sys.modules else []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Executor", EXECUTOR), ("Environment", ENVIRONMENT), ("reward", REWARD), ("late", REWARD)],
)
def test_what_has_the_protocol_is_returned_without_a_call(module: str, name: str, kind: Kind) -> None:
    assert load_object(f"{module}:{name}", kind).__name__ == name
    assert ran(module) == []


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("system", EXECUTOR, "it is a builtin function; write a class with: async def act(step, observation)"),
        ("factory", EXECUTOR, "it is a function; write a class with"),
        ("Popen", EXECUTOR, "it has no Python method 'act'"),
        ("Plain", EXECUTOR, "act must be async"),
        ("Narrow", EXECUTOR, "act does not take these arguments"),
        ("os", EXECUTOR, "it is of type module"),
        ("Nothing", EXECUTOR, "has no 'Nothing'"),
        ("Endless", ENVIRONMENT, "it has no Python method 'close'"),
        ("system", REWARD, "it is a builtin function; write a function: def function(completions, rows)"),
        ("Executor", REWARD, "it is a class; write a function"),
        ("one", REWARD, "one does not take these arguments"),
    ],
)
def test_anything_else_is_refused_and_not_called(module: str, name: str, kind: Kind, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_object(f"{module}:{name}", kind)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert ran(module) == []


@pytest.mark.parametrize("path", ["os:system", "subprocess:Popen", "shutil:rmtree", "os.path:join", "antigravity:fly"])
def test_pythons_own_modules_are_refused_before_their_import(path: str) -> None:
    for kind in (EXECUTOR, ENVIRONMENT, REWARD):
        with pytest.raises(UsageError, match="a module of Python itself"):
            load_object(path, kind)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("path", ["system", "os:", ":x", "a/b:c", "a:b.c", "a b:c", "..a:b"])
def test_a_path_is_a_module_and_a_name(path: str) -> None:
    assert not is_dotted(path)
    with pytest.raises(UsageError, match="write it as"):
        load_object(path, EXECUTOR)


def test_a_missing_module_and_a_missing_package(module: str) -> None:
    with pytest.raises(UsageError, match="there is no module 'no_such_module_here"):
        load_object("no_such_module_here.inner:Thing", EXECUTOR)
    with pytest.raises(SetupError, match="needs no_such_package_anywhere; run: pip install"):
        load_object(f"{module}_needy:Thing", EXECUTOR)


def test_an_own_executor(module: str) -> None:
    assert make_executor(f"{module}:Executor", side=3).name == "mine"
    assert ran(module) == [3]
    with pytest.raises(UsageError, match="options \\['colour'\\]"):
        make_executor(f"{module}:Executor", colour="red")
    with pytest.raises(UsageError, match="needs an attribute 'name'"):
        make_executor(f"{module}:Nameless")


def test_options_are_compared_with_the_signature() -> None:
    def made(side: int = 1) -> None:
        raise AssertionError

    require_options(made, {"side": 2}, "here")
    with pytest.raises(UsageError, match=r"here: options \['colour'\]: got an unexpected keyword argument"):
        require_options(made, {"colour": "red"}, "here")


def test_a_strangers_configuration_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        f"output_dir: {tmp_path}/run\nexecutor: {{name: 'os:system', options: {{command: touch {tmp_path}/ran}}}}\n"
    )
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    words = [sys.executable, "-m", "tracer1", "check", "config.yaml"]
    for more in ([], ["--allow-code"], ["executor={name: 'evil:Thing'}"]):
        done = subprocess.run([*words, *more], cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "evil.py"}
