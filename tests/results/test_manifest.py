"""A results file goes on only under the manifest that it was made with."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tracer1.errors import DataError, UsageError
from tracer1.results import manifest as manifests
from tracer1.results.files import read_json
from tracer1.results.manifest import (
    Manifest,
    claim,
    code_version,
    discard,
    file_hash,
    first_difference,
    made_with,
    manifest_path,
    weights_hash,
)

MADE = Manifest(
    kind="live episodes",
    model="runs/a",
    weights="a" * 64,
    prompt="brief-1",
    horizon=5,
    history=5,
    executor="dom",
    executor_options={"depth": 2},
    protocol="miniwob: raw reward above 0",
    first_seed=5000,
    sampling={"temperature": 0.0, "top_p": 1.0, "max_tokens": 256, "pixels": None},
    limits={"steps": 12, "seconds": 120.0},
    code="0.1",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "live" / "planner.jsonl"
    claim(path, MADE)
    path.write_text("{}\n")
    return path


def test_the_manifest_stands_beside_the_file(file: Path) -> None:
    assert manifest_path(file).name == "planner.jsonl.manifest.json"
    assert read_json(manifest_path(file), Manifest).limits == MADE.limits
    claim(file, MADE)
    assert made_with(file, MADE)  # a null inside a mapping is as good as an absent key


OTHER: dict[str, Any] = {
    "kind": "predictions",
    "model": "runs/b",
    "weights": "b" * 64,
    "prompt": "full-1",
    "horizon": 1,
    "history": 0,
    "executor": "ocr",
    "executor_options": {"depth": 3},
    "protocol": "toy: raw reward above 0",
    "first_seed": 0,
    "sampling": {"temperature": 1.0, "top_p": 1.0, "max_tokens": 256},
    "limits": {"steps": 20, "seconds": 120.0},
    "steps_per_plan": 3,
    "data": "windows",
    "reward": {"gamma": 0.5},
    "code": "0.2",
}


def test_every_field_is_tried() -> None:
    assert OTHER.keys() == {field.name for field in fields(Manifest)}


@pytest.mark.parametrize("name", [name for name in OTHER if name != "model"])
def test_a_file_that_was_made_otherwise_is_refused(file: Path, name: str) -> None:
    other = replace(MADE, **{name: OTHER[name]})
    with pytest.raises(UsageError, match=r"planner\.jsonl was made with ") as caught:
        claim(file, other)
    assert "\n" not in str(caught.value)
    assert not made_with(file, other)
    assert made_with(file, MADE)


def test_both_values_are_named(file: Path) -> None:
    with pytest.raises(UsageError, match=r"with sampling\.temperature 0\.0, not 1\.0; choose another"):
        claim(file, replace(MADE, sampling=OTHER["sampling"]))
    with pytest.raises(UsageError, match=r"with horizon 5, not 1"):
        claim(file, replace(MADE, horizon=1, code="0.2"))
    with pytest.raises(UsageError, match=r"model 'runs/a \(weights aaaaaaaaaaaa\)', not 'runs/b \(weights bbbb"):
        claim(file, replace(MADE, model="runs/b", weights="b" * 64))


def test_a_setting_that_is_null_and_one_that_is_absent_are_the_same() -> None:
    older, newer = replace(MADE, reward={"gamma": 0.8}), replace(MADE, reward={"gamma": 0.8, "function": None})
    assert first_difference(older, newer) is None
    assert first_difference(newer, older) is None


def test_a_path_matters_only_where_weights_are_unknown() -> None:
    assert first_difference(MADE, replace(MADE, model="moved")) is None
    server = replace(MADE, model="http://127.0.0.1:1/v1 a", weights="")
    difference = first_difference(server, replace(server, model="http://127.0.0.1:1/v1 b"))
    assert difference is not None
    assert difference.name == "model"


def test_what_is_empty_or_gone_is_claimed_anew(file: Path) -> None:
    file.write_text("")
    claim(file, replace(MADE, horizon=1))
    assert read_json(manifest_path(file), Manifest).horizon == 1
    discard(file)
    assert list(file.parent.iterdir()) == []
    discard(file)


@pytest.mark.parametrize("text", ["{", "[1]", '{"horizon": "five"}', '{"sampling": 3}', "\x00\xff"])
def test_a_damaged_manifest_is_named(file: Path, text: str) -> None:
    manifest_path(file).write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"planner\.jsonl\.manifest\.json") as caught:
        claim(file, MADE)
    assert "\n" not in str(caught.value)
    assert not made_with(file, MADE)


def test_a_file_without_a_manifest_is_refused(file: Path) -> None:
    manifest_path(file).unlink()
    with pytest.raises(UsageError, match=r"manifest\.json is missing, so it is unknown what made the file"):
        claim(file, MADE)
    assert not made_with(file, MADE)


def test_unknown_keys_of_a_newer_version_are_ignored(file: Path) -> None:
    found = json.loads(manifest_path(file).read_text())
    manifest_path(file).write_text(json.dumps({**found, "colour": "blue"}))
    claim(file, MADE)


# ---- hashes ----------------------------------------------------------------------------------------------------------


def test_weights_are_told_apart_by_their_content(tmp_path: Path) -> None:
    assert weights_hash(tmp_path / "nowhere") == weights_hash(tmp_path) == ""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    one = weights_hash(tmp_path)
    weights.write_bytes(b"two")
    assert len({one, weights_hash(tmp_path), ""}) == 3
    (tmp_path / "config.json").write_text("{}")
    weights.write_bytes(b"one")
    assert weights_hash(tmp_path) == one


def test_large_weights_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "WHOLE", 1000)
    weights = tmp_path / "model.safetensors"
    header = b'{"a": 1}'
    content = bytearray(len(header).to_bytes(8, "little") + header + bytes(1_000_000))
    hashes = set()
    for place in (9, 20, 500_000, 999_999):  # in the header, at the start, in the middle, at the end
        content[place] ^= 1
        weights.write_bytes(content)
        hashes.add(weights_hash(tmp_path))
    weights.write_bytes(content + b"x")
    hashes.add(weights_hash(tmp_path))
    assert len(hashes) >= 4


def test_the_code_has_a_version(tmp_path: Path) -> None:
    assert code_version()
    assert file_hash(tmp_path / "none") == ""
    (tmp_path / "file").write_bytes(b"")
    assert file_hash(tmp_path / "file").startswith("e3b0c442")
