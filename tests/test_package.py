"""The package as others get it: its import, its public names, and the wheel in an empty folder."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tracer1

ROOT = Path(__file__).parents[1]


# ---- the import ------------------------------------------------------------------------------------------------------


def test_the_import_is_fast_and_loads_nothing_else() -> None:
    code = (
        "import sys, time; before = set(sys.modules); started = time.process_time()\n"
        "import tracer1\n"
        "took = time.process_time() - started\n"
        "print(took, *(n for n in set(sys.modules) - before if n.split('.')[0] not in sys.stdlib_module_names))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout.split()[0]) for run in runs) < 0.1
    assert runs[0].stdout.split()[1:] == ["tracer1"]


@pytest.mark.parametrize("name", [name for name in tracer1.__all__ if name != "__version__"])
def test_a_public_name_is_there_with_its_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(tracer1, name))
    assert name in dir(tracer1)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tracer1.nothing  # noqa: B018


def test_what_type_checkers_read_is_what_is_loaded() -> None:
    """The lazy names and those under TYPE_CHECKING are the same, and come from the same modules."""
    text = inspect.getsource(tracer1)
    for module, names in tracer1._MODULES.items():
        assert f"from {module} import" in text
        loaded = importlib.import_module(module)
        assert all(getattr(tracer1, name) is getattr(loaded, name) for name in names)
    assert sorted([*tracer1._HOMES, "__version__"]) == sorted(tracer1.__all__)


# ---- the wheel -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as ``pip`` would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder with the package alone: what ``pip install --no-deps --target`` makes of a wheel of pure Python."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder)
    return folder


def run(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``tracer1 WORDS`` from the wheel, as a program of its own."""
    command = [sys.executable, "-m", "tracer1", *words]
    environment = {**os.environ, "PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_wheel_holds_what_it_needs_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
    source = ROOT / "src" / "tracer1"
    wanted = {
        f"tracer1/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"tracer1/shipped/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    wanted |= {f"tracer1/shipped/models/nano-base/{path.name}" for path in (ROOT / "models/nano-base").iterdir()}
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert "tracer1/py.typed" in names
    assert wheel.stat().st_size < 8 * 2**20


def test_the_wheel_works_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    version = run(installed, tmp_path, "--version")
    assert version.stdout == f"tracer1 {tracer1.__version__}\n", version.stderr
    checked = run(installed, tmp_path, "check", "nano")
    found = {line[5:].partition(":")[0]: line for line in checked.stdout.splitlines()}
    assert found["model"].startswith("ok"), checked
    assert "Traceback" not in checked.stderr
    assert not list(tmp_path.iterdir())
