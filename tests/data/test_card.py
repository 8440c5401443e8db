"""A folder of windows tells what is in it, to people and to ``datasets``, and never over somebody's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset

from tracer1.data.card import MARK, write_card
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import write_rows
from tracer1.errors import DataError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_rows
from tracer1.types import Episode

SETTINGS = {"horizon": 3, "history": 2, "prompt": "brief-1"}


@pytest.fixture
def folder(tmp_path: Path, store: EpisodeStore, episode: Episode) -> Path:
    """Two windows files, and a Parquet file that is none."""
    for name in ("train", "held-out"):
        rows = episode_rows(episode, PROMPTS["brief-1"], 2, 3)
        write_rows(tmp_path / "out" / f"{name}.parquet", rows, store.directory, SETTINGS)
    (tmp_path / "out" / "other.parquet").write_bytes(b"not this")
    return tmp_path / "out"


def conversion(store: EpisodeStore, record: Any) -> None:
    (store.directory / "conversion.json").write_text(json.dumps(record))


def front_matter(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_folder_loads_by_its_card(folder: Path, tmp_path: Path) -> None:
    assert write_card(folder) == folder / "README.md"
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == {"held_out": 2, "train": 2}


def test_what_a_card_tells(folder: Path) -> None:
    write_card(folder)
    card = (folder / "README.md").read_text()
    assert "license" not in front_matter(card)
    assert "| `train` | miniwob | 2 | 1 | 3 | 2 | brief-1 |" in card
    assert (
        "tracer1 data windows ../episodes --horizon 3 --history 2 --prompt brief-1 --out held-out.parquet\n"
        "tracer1 data windows ../episodes --horizon 3 --history 2 --prompt brief-1 --out train.parquet\n"
    ) in card
    assert card.count("The episode store names none") == 1
    assert str(folder.parent) not in card


def test_licence_and_citation_come_from_the_conversion(folder: Path, store: EpisodeStore) -> None:
    cited = "@inproceedings{a,\n  title={{A}},\n}"
    conversion(store, {"source": "agentnet", "licence": ["MIT", "research only"], "citation": cited})
    write_card(folder)
    card = (folder / "README.md").read_text()
    assert front_matter(card)["license"] == ["mit", "other"]
    assert "**agentnet**: MIT; research only" in card
    assert card.count(f"```\n{cited}\n```") == 1


def test_a_card_that_is_ours_is_written_anew(folder: Path) -> None:
    write_card(folder)
    first = (folder / "README.md").read_text()
    (folder / "held-out.parquet").unlink()
    write_card(folder)
    assert "held-out" in first
    assert "held-out" not in (folder / "README.md").read_text()


def test_a_readme_of_somebody_else_stays(folder: Path) -> None:
    write_card(folder)
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace(MARK, "") + "my own words")
    before = readme.read_bytes()
    assert write_card(folder) is None
    assert readme.read_bytes() == before


@pytest.mark.parametrize(("content", "message"), [("[1]", "not a JSON object"), ("{", "not JSON")])
def test_a_conversion_that_is_none(folder: Path, store: EpisodeStore, content: str, message: str) -> None:
    (store.directory / "conversion.json").write_text(content)
    with pytest.raises(DataError, match=rf"conversion\.json: {message}"):
        write_card(folder)
    assert not (folder / "README.md").exists()
