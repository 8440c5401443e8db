"""The structure holds: imports point one way, the core needs nothing installed, each framework has its named files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tracer1

ROOT = Path(tracer1.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# A layer may import itself and those before it.
LAYERS = (
    "types",
    "errors",
    "credentials",
    "extensions",
    "files",
    "assets",
    "coordinates",
    "formats",
    "keyboard",
    "actions",
    "plan",
    "rewards",
    "progress",
    "config",
    "data",
    "results",
    "models",
    "executors",
    "envs",
    "training",
    "agent",
    "evaluation",
    "checks",
    "bench",
    "report",
    "recipes",
    "api",
    "cli",
)
PURE = ("coordinates.py", "formats.py", "keyboard.py", "actions.py", "plan/", "rewards/")
CORE = ("types.py", "errors.py", "credentials.py", "extensions.py", *PURE, "executors/instruction.py")
IMPURE = {"os", "io", "pathlib", "shutil", "tempfile", "time", "datetime", "random", "secrets", "socket", "subprocess"}

# Who may import a framework, and nobody else. The doctor asks each whether it works.
ADAPTERS = {
    "torch": {
        "models/drafting.py",
        "models/nano.py",
        "models/loading.py",
        "models/local.py",
        "models/placement.py",
        "models/policy.py",
        "models/smollm2.py",
        "training/probes.py",
        "training/shared_prompt.py",
        "training/shared_prefill.py",
        "training/processes.py",
        "training/trl/arguments.py",
        "training/trl/comparison.py",
        "training/trl/trainer.py",
        "training/warmup.py",
        "training/base.py",
        "bench/grpo.py",
        "checks/doctor.py",
    },
    "transformers": {
        "models/drafting.py",
        "models/nano.py",
        "models/encoding.py",
        "models/loading.py",
        "models/local.py",
        "models/qwen3vl.py",
        "models/smollm2.py",
        "models/tokenizer.py",
        "training/shared_prompt.py",
        "training/shared_prefill.py",
        "training/trl/recording.py",
        "training/trl/trainer.py",
        "checks/model.py",
    },
    "peft": {"models/adapters.py"},
    "tokenizers": {"models/tokenizer.py"},
    "trl": {
        "training/trl/arguments.py",
        "training/trl/comparison.py",
        "training/trl/resampling.py",
        "training/trl/trainer.py",
        "training/trl/vllm.py",
    },
    "datasets": {
        "training/trl/comparison.py",
        "training/trl/session.py",
        "training/trl/trainer.py",
        "training/stages.py",
        "bench/grpo.py",
        "bench/data.py",
    },
    "playwright": {"envs/miniwob/browser.py", "envs/miniwob/input.py", "envs/miniwob/page.py", "checks/doctor.py"},
    "miniwob": {"envs/miniwob/server.py"},
    "rapidocr": {"executors/ocr.py"},
    "openai": {"models/endpoint.py"},
    "pyarrow": {"data/windows_file.py", "data/readers/parquet_rows.py"},
    "google": {"data/readers/tfexample.py", "data/readers/android_accessibility.py"},
    "google_crc32c": {"data/readers/tfrecord.py"},
}


@cache
def imports(file: str) -> list[tuple[int, str]]:
    """(line, absolute dotted name) of every import in ``file``, at any depth."""
    return list(_imports(file))


def _imports(file: str) -> Iterator[tuple[int, str]]:
    path = ROOT / file
    package = ["tracer1", *Path(file).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, name
            if name == "tracer1":
                names = [alias.name for alias in node.names if not alias.name.startswith("__")]
                yield from ((node.lineno, f"tracer1.{inner}") for inner in names)


def layer(name: str) -> str:
    """The layer of a dotted name or of a file: what stands right below ``tracer1``."""
    return name.removeprefix("tracer1.").split(".")[0]


@pytest.mark.parametrize("file", FILES)
def test_imports_point_left(file: str) -> None:
    own = layer(file.replace("/", "."))
    if own == "__init__":
        return  # lazy, which tests/test_package.py holds
    if own == "__main__":
        own = "cli"
    assert own in LAYERS, f"{file} belongs to no layer: add it to LAYERS"
    wrong = [
        f"{file}:{line} imports {name}"
        for line, name in imports(file)
        if name.startswith("tracer1.") and LAYERS.index(layer(name)) > LAYERS.index(own)
    ]
    assert not wrong, f"imports must point left in {', '.join(LAYERS)}"


def test_modules_form_no_cycle() -> None:
    names = {file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file for file in FILES}
    graph = {
        file: {
            names[inner]
            for _, name in imports(file)
            for inner in [name.removeprefix("tracer1.")]
            if inner in names and names[inner] != file
        }
        for file in FILES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"modules import each other in a circle: {' -> '.join(error.args[1])}") from error


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(CORE)])
def test_the_core_imports_only_the_standard_library(file: str) -> None:
    roots = {name.split(".")[0] for _, name in imports(file)}
    assert roots <= sys.stdlib_module_names | {"tracer1"}


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(PURE)])
def test_plan_and_rewards_are_pure(file: str) -> None:
    assert not IMPURE & {name.split(".")[0] for _, name in imports(file)}


@pytest.mark.parametrize("package", ADAPTERS)
def test_a_framework_stays_in_its_files(package: str) -> None:
    users = {file for file in FILES for _, name in imports(file) if name.split(".")[0] == package}
    assert users <= ADAPTERS[package]


def test_the_rewards_load_no_other_package() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import tracer1.rewards, tracer1.rewards.trajectory, tracer1.rewards.grounded, tracer1.plan.windows\n"
        "import tracer1.recipes.reward, tracer1.executors.instruction\n"
        "roots = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(roots - sys.stdlib_module_names - {'tracer1'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def test_the_checks_can_see() -> None:
    assert "tracer1.plan.text" in {name for _, name in imports("rewards/terms.py")}
    assert "torch" in {name for _, name in imports("models/nano.py")}
    assert {file for file in FILES if file.startswith(PURE)} >= {"actions.py", "plan/text.py", "rewards/terms.py"}
