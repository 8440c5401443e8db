"""Files that ship with the package are found in any folder, and never hide those of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer1.assets import SHIPPED, resolve, resolve_config, shipped_configs
from tracer1.config.loading import load_config
from tracer1.errors import UsageError


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["nano", "configs/nano.yaml"])
def test_a_shipped_configuration_is_found_by_path_or_name(name: str) -> None:
    assert load_config(name).output_dir == "runs/demo"


def test_the_users_own_files_come_first(empty_folder: Path) -> None:
    (empty_folder / "configs").mkdir()
    (empty_folder / "configs" / "nano.yaml").write_text("output_dir: mine")
    (empty_folder / "corpora").write_text("output_dir: plain")
    (empty_folder / "models" / "nano-base").mkdir(parents=True)
    assert load_config("configs/nano.yaml").output_dir == "mine"
    assert load_config("nano").output_dir == "mine"
    assert load_config("corpora").output_dir == "plain"
    assert resolve("models/nano-base") == "models/nano-base"


def test_the_base_is_found() -> None:
    assert Path(resolve("models/nano-base"), "model.safetensors").is_file()


@pytest.mark.parametrize(
    "name",
    ["Qwen/Qwen3-VL-8B-Thinking", "http://localhost:8000/v1", "/no/such", "models/other", "src", "../models", ""],
)
def test_anything_else_stays_as_it_is(name: str) -> None:
    assert resolve(name) == name


def test_an_unknown_configuration_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"nanoo: cannot be read: .*corpora, nano, nano-base"):
        load_config("nanoo")
    assert resolve_config("nanoo") == "nanoo"
    assert {"nano", "nano-base", "corpora", "tracer1-8b"} <= set(shipped_configs())
    assert (SHIPPED / "models" / "nano-base").is_dir()
