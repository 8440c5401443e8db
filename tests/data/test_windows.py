from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tracer1.data.store import EPISODES, EpisodeStore
from tracer1.data.windows import make_windows
from tracer1.data.windows_file import read_windows, windows_settings, windows_store
from tracer1.errors import DataError, UsageError
from tracer1.types import Episode


def test_one_window_for_every_step(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    for i in range(3):
        store.append(dataclasses.replace(episode, episode_id=str(i)))
    told: list[tuple[int, int]] = []
    out = tmp_path / "deep" / "train.parquet"
    report = make_windows(
        store.directory, out, horizon=1, history=0, prompt_version="brief-1", progress=lambda *now: told.append(now)
    )
    assert (report.episodes, report.windows, told) == (3, 6, [(1, 3), (2, 3), (3, 3)])
    assert report.card == out.parent / "README.md"
    assert report.sources == {"miniwob": 6}
    assert report.first_action_types == {"type": 3, "click": 3}
    windows = list(read_windows(out))
    assert [(w.episode_id, w.step, len(w.reference.steps)) for w in windows[:2]] == [("0", 0, 1), ("0", 1, 1)]
    assert windows_settings(out)["horizon"] == "1"
    assert windows_store(out).path(windows[0].images[0]).exists()


def test_the_store_may_be_named_by_its_file(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    store.append(episode)
    assert make_windows(store.directory / EPISODES, tmp_path / "w.parquet").windows == 2
    assert windows_store(tmp_path / "w.parquet").directory.resolve() == store.directory.resolve()


def test_bad_wishes_and_bad_records_write_nothing(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    out = tmp_path / "w.parquet"
    store.append(dataclasses.replace(episode, steps=()))
    with pytest.raises(DataError, match="1 episodes and no step"):
        make_windows(store.directory, out)
    with pytest.raises(
        UsageError, match="unknown prompt version 'full-9': use full-2 or full-2-thinking or full-1 or brief-1"
    ):
        make_windows(store.directory, out, prompt_version="full-9")
    with pytest.raises(UsageError, match="at least 1 step ahead"):
        make_windows(store.directory, out, horizon=0)
    with (store.directory / EPISODES).open("a") as file:
        file.write("{}\n")
    with pytest.raises(DataError, match="line 2: episode_id is missing"):
        make_windows(store.directory, out)
    assert not out.exists()
    assert not (tmp_path / "README.md").exists()
