from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.store import EPISODES, EpisodeStore, write_episodes
from tracer1.data.windows import is_heldout, make_windows
from tracer1.data.windows_file import absolute_rows, read_windows, windows_settings, windows_stores
from tracer1.errors import DataError, UsageError
from tracer1.types import Action, Episode, Point


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
    assert windows_stores(out)[0].path(windows[0].images[0]).exists()


def test_the_store_may_be_named_by_its_file(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    store.append(episode)
    assert make_windows(store.directory / EPISODES, tmp_path / "w.parquet").windows == 2
    assert windows_stores(tmp_path / "w.parquet")[0].directory.resolve() == store.directory.resolve()


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


# ---- several stores, and a held-out share ----------------------------------------------------------------------------


def make_store(folder: Path, name: str, episodes: Sequence[Episode]) -> Path:
    """A store whose image lies under the same path as in every other, with other bytes."""
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "screen.png").write_bytes(name.encode())
    (folder / "elements").mkdir()
    steps = [tuple(replace(s, screenshot="images/screen.png", elements=None) for s in e.steps) for e in episodes]
    write_episodes(folder, [replace(e, steps=s) for e, s in zip(episodes, steps, strict=True)])
    return folder


def renamed(episode: Episode, *names: str) -> list[Episode]:
    return [replace(episode, episode_id=name) for name in names]


def test_several_stores_in_one_file_and_each_image_is_found(episode: Episode, tmp_path: Path) -> None:
    first = make_store(tmp_path / "a", "A", renamed(episode, "one", "two"))
    second = make_store(tmp_path / "deep" / "b", "B", renamed(episode, "three"))
    out = tmp_path / "windows" / "all.parquet"
    report = make_windows([first, second], out)
    assert (report.episodes, report.windows) == (3, 6)
    assert [store.directory.resolve() for store in windows_stores(out)] == [first, second]
    rows = list(absolute_rows(str(out)))
    assert [(row["episode_id"], Path(row["images"][0]).read_bytes()) for row in rows[::2]] == [
        ("one", b"A"),
        ("two", b"A"),
        ("three", b"B"),
    ]
    assert [row["store"] for row in rows[::2]] == [str(first), str(first), str(second)]
    card = (out.parent / "README.md").read_text()
    assert "tracer1 data windows ../a ../deep/b --horizon 5 --history 5 --prompt full-2-thinking --out all.parquet" in card
    assert "stores = ['../a', '../deep/b']" in card


def test_an_inspection_opens_the_image_of_the_rows_own_store(
    episode: Episode, png: Callable[..., bytes], tmp_path: Path
) -> None:
    stores = [make_store(tmp_path / name, name, renamed(episode, name)) for name in "ab"]
    (stores[0] / "images" / "screen.png").write_bytes(png())
    make_windows(stores, tmp_path / "w.parquet")
    problems = [str(problem) for problem in inspect_path(tmp_path / "w.parquet").problems]
    assert len(problems) == 2
    assert all(f"images[0]: {stores[1]}/images/screen.png: corrupt image" in problem for problem in problems)


def test_files_of_one_store_and_of_several_load_from_one_folder(episode: Episode, tmp_path: Path) -> None:
    stores = [make_store(tmp_path / name, name, renamed(episode, name)) for name in "ab"]
    make_windows(stores[0], tmp_path / "out" / "one.parquet")
    make_windows(stores, tmp_path / "out" / "two.parquet")
    cache = str(tmp_path / "cache")
    assert set(load_dataset(str(tmp_path / "out"), "default", cache_dir=cache)) == {"one"}
    assert load_dataset(str(tmp_path / "out"), "others", cache_dir=cache)["two"]["store"] == [0, 0, 1, 1]


def test_an_id_that_two_stores_have_is_refused(episode: Episode, tmp_path: Path) -> None:
    stores = [make_store(tmp_path / name, name, renamed(episode, "same", name)) for name in "ab"]
    with pytest.raises(DataError, match=r"b/episodes\.jsonl line 1: episode_id: 'same' is in .*/a too; correct it"):
        make_windows(stores, tmp_path / "w.parquet")
    report = make_windows(stores, tmp_path / "w.parquet", skip_invalid=True)
    assert (report.episodes, report.invalid) == (3, 1)


def test_a_share_of_the_episodes_is_held_out(episode: Episode, tmp_path: Path) -> None:
    names = [f"e{i}" for i in range(60)]
    store = make_store(tmp_path / "a", "A", renamed(episode, *names))
    out = tmp_path / "train.parquet"
    report = make_windows(store, out, heldout=0.2)
    assert report.heldout == tmp_path / "train.heldout.parquet"
    train, held = ({w.episode_id for w in read_windows(path)} for path in (out, report.heldout))
    assert held == {name for name in names if is_heldout(name, 0.2)}
    assert train == set(names) - held
    assert 4 <= len(held) <= 20
    assert (report.windows, report.heldout_windows) == (2 * len(train), 2 * len(held))
    assert (
        "--heldout 0.2 --heldout-out train.heldout.parquet --out train.parquet" in (tmp_path / "README.md").read_text()
    )

    backwards = make_store(tmp_path / "b", "B", renamed(episode, *reversed(names)))  # the order does not matter
    make_windows(backwards, tmp_path / "again.parquet", heldout=0.2, heldout_out=tmp_path / "mine.parquet")
    assert {w.episode_id for w in read_windows(tmp_path / "mine.parquet")} == held


def test_a_share_that_holds_nothing_is_refused(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    store.append(episode)
    with pytest.raises(DataError, match="of 1 episodes none is in the held-out share"):
        make_windows(store.directory, tmp_path / "w.parquet", heldout=1e-9)
    with pytest.raises(DataError, match="of 1 episodes none is in the training share"):
        make_windows(store.directory, tmp_path / "w.parquet", heldout=0.999999)
    with pytest.raises(UsageError, match=r"heldout 1\.5: give a share"):
        make_windows(store.directory, tmp_path / "w.parquet", heldout=1.5)
    assert not list(tmp_path.glob("*.parquet"))


# ---- invalid episodes ------------------------------------------------------------------------------------------------

PIXELS = Action("click", Point(400, 300))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": PIXELS}, r"steps\[1\]\.action: action 'click': 'point' is off the screen: \(400, 300\)"),
        ({"action": Action("swipe")}, r"steps\[1\]\.action: action 'swipe' is unknown on web: use one of click"),
        ({"action": Action("click", content="x")}, r"steps\[1\]\.action: action 'click' lacks 'point'"),
        ({"box": (0.1, 0.5, 40.0, 0.7)}, r"steps\[1\]\.box: \[0\.1, 0\.5, 40\.0, 0\.7\] is not"),
        ({"box": (0.8, 0.8, 0.9, 0.9)}, r"steps\[1\]\.action\.point: \(0\.25, 0\.6\) lies outside the box"),
        ({"instruction": " "}, r"steps\[1\]\.instruction: empty"),
    ],
)
def test_what_may_not_be_trained_on_is_refused_and_can_be_left_out(
    store: EpisodeStore, episode: Episode, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    bad = replace(episode, episode_id="bad", steps=(episode.steps[0], replace(episode.steps[1], **change)))
    write_episodes(store.directory, [episode, bad])
    with pytest.raises(DataError, match=rf"episodes\.jsonl line 2: {message}.*--skip-invalid") as raised:
        make_windows(store.directory, tmp_path / "w.parquet")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "w.parquet").exists()
    report = make_windows(store.directory, tmp_path / "w.parquet", skip_invalid=True)
    assert (report.episodes, report.windows, report.invalid) == (1, 2, 1)
    assert re.search(message, report.invalid_first[0])
    assert any(re.search(message, str(problem)) for problem in inspect_path(store.directory).problems)


def test_lines_that_cannot_be_read_are_left_out_too(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    store.append(episode)
    with (store.directory / EPISODES).open("a") as file:
        file.write('{"episode_id": "x"}\n{\n{"episode_id": "\\ud800"}\n' + json.dumps({"steps": [[10**400]]}) + "\n")
    report = make_windows(store.directory, tmp_path / "w.parquet", skip_invalid=True)
    assert (report.episodes, report.invalid) == (1, 4)
    assert [line.partition("jsonl ")[2][:35] for line in report.invalid_first] == [
        "line 2: source is missing, and so a",
        "line 3: not JSON: Expecting propert",
        "line 4: not JSON: half a character,",
        "line 5: episode_id is missing, and ",
    ]
