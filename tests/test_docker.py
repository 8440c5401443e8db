"""The Dockerfile, read line by line: what a linter would say, and that it names what is in the repository."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
KNOWN = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD", "ENV"}


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of each logical line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    parsed = [line.partition(" ") for line in lines if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in parsed]


def of(name: str) -> list[str]:
    return [arguments for found, arguments in instructions() if found == name]


def test_every_instruction_is_known_and_the_base_is_pinned() -> None:
    assert instructions()[0][0] == "FROM"
    assert {name for name, _ in instructions()} <= KNOWN
    (base,) = of("FROM")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)


def test_packages_are_installed_without_leftovers() -> None:
    for command in of("RUN"):
        if "apt-get install" in command:
            assert command.startswith("apt-get update && apt-get install -y --no-install-recommends ")
            assert command.endswith("&& rm -rf /var/lib/apt/lists/*")
        if "pip install" in command:
            assert "--no-cache-dir" in command
            assert "-c constraints.txt" in command or "==" in command


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {source for arguments in of("COPY") for source in arguments.split()[:-1]}
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    # all that the wheel is built from (pyproject.toml)
    assert {"src", "configs", "models", "README.md", "LICENSE", "pyproject.toml"} <= copied


def test_the_versions_are_those_that_were_tested() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = re.findall(r"\S+==\S+", " ".join(of("RUN")))
    assert pinned
    assert set(pinned) <= set(constraints)
    wanted = re.findall(r"for package in (.*); do", (ROOT / "scripts/setup.sh").read_text(encoding="utf-8"))[0].split()
    assert all(any(fnmatch(word, package) for word in " ".join(of("RUN")).split()) for package in wanted)


def test_it_does_not_run_as_root_and_starts_the_command_line() -> None:
    names = [name for name, _ in instructions()]
    assert of("USER") == ["tracer1"]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")
    assert [json.loads(arguments) for arguments in of("ENTRYPOINT") + of("CMD")] == [["tracer1"], ["--help"]]
