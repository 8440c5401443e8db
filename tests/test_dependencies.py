"""Every package that the project asks for is imported somewhere, or is loaded by one that is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORTED_AS = {"pillow": "PIL", "protobuf": "google.protobuf", "google-crc32c": "google_crc32c", "pyyaml": "yaml"}
LOADED_BY_ANOTHER = {
    "accelerate": "TRL's trainer",
    "gguf": "transformers, where a model is a GGUF file",
    "miniwob": "the browser: its pages are read as files",
    "onnxruntime": "rapidocr",
    "tensorboard": "the trainer, where report_to names it",
    "wandb": "the trainer, where report_to names it",
    "trackio": "the trainer, where report_to names it",
}
SOURCE = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))


def packages() -> list[str]:
    extras = {name: needed for name, needed in PROJECT["optional-dependencies"].items() if name not in ("dev", "docs")}
    needed = [*PROJECT["dependencies"], *(each for extra in extras.values() for each in extra)]
    names = {re.split(r"[\[<>=~! ]", each, maxsplit=1)[0] for each in needed}
    return sorted(names - {"tracer1"} - LOADED_BY_ANOTHER.keys())


@pytest.mark.parametrize("package", packages())
def test_a_dependency_is_used(package: str) -> None:
    module = IMPORTED_AS.get(package, package.replace("-", "_"))
    assert re.search(rf"^\s*(import|from) {re.escape(module)}\b", SOURCE, re.MULTILINE), (
        f"{package} is never imported: remove it"
    )


def test_each_logger_has_an_extra() -> None:
    assert {"tensorboard", "wandb", "trackio"} <= PROJECT["optional-dependencies"].keys()
