from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st

from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import (
    SourceCount,
    count_sources,
    count_windows,
    read_windows,
    row_messages,
    row_to_window,
    window_to_row,
    windows_settings,
    windows_stores,
    write_rows,
    write_windows,
)
from tracer1.errors import DataError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_rows, episode_windows
from tracer1.types import Action, Episode, EpisodeStep, Point, Window


@pytest.fixture
def windows(episode: Episode) -> list[Window]:
    return list(episode_windows(episode, PROMPTS["full-1"]))


@pytest.fixture
def file(tmp_path: Path, windows: list[Window], store: EpisodeStore) -> Path:
    path = tmp_path / "out" / "train.parquet"
    write_windows(path, windows, store.directory, {"horizon": 5, "history": 5})
    return path


def test_windows_come_back_equal(file: Path, windows: list[Window]) -> None:
    assert list(read_windows(file)) == windows
    assert count_windows(file) == 2


@pytest.mark.parametrize("version", sorted(PROMPTS))
def test_a_row_rebuilds_the_messages_byte_for_byte(episode: Episode, version: str) -> None:
    for window in episode_windows(episode, PROMPTS[version]):
        row = window_to_row(window)
        assert all(isinstance(message["content"], str) for message in row["prompt"])
        assert json.dumps(row_messages(row)) == json.dumps(list(window.prompt))
        assert row_to_window(row) == window


share = st.floats(0, 1)
maybe_text = st.none() | st.text()
points = st.builds(Point, share, share)
arguments = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.floats(allow_nan=False)), max_size=2)
recorded = st.builds(
    Action,
    st.sampled_from(["click", "type", "ocr"]),
    st.none() | points,
    content=maybe_text,
    arguments=st.none() | arguments,
)
episodes = st.builds(
    Episode,
    st.text(),
    st.sampled_from(["miniwob", "agentnet", "gui-odyssey", "mind2web"]),  # some offer actions of their own
    st.sampled_from(["desktop", "mobile", "web", "tools"]),
    st.text(),
    st.just("train"),
    st.lists(
        st.builds(
            EpisodeStep,
            maybe_text,
            st.just((160, 210)),
            st.text(),
            st.text(),
            recorded,
            st.none() | st.tuples(share, share, share, share),
            maybe_text,
            st.sampled_from(["not done", "done"]),
            maybe_text,
        ),
        max_size=6,
    ).map(tuple),
    st.lists(st.sampled_from(["a.png", "b.JPG", "c.csv", "files/d"]), max_size=3).map(tuple),
)


@given(episodes, st.sampled_from(sorted(PROMPTS)), st.integers(0, 4), st.integers(1, 4))
def test_the_rows_of_an_episode_are_those_of_its_windows(episode: Episode, version: str, past: int, ahead: int) -> None:
    windows = episode_windows(episode, PROMPTS[version], past, ahead)
    assert list(episode_rows(episode, PROMPTS[version], past, ahead)) == [window_to_row(w) for w in windows]


def test_tool_use_with_two_images_a_file_and_no_screenshot() -> None:
    step = EpisodeStep(None, (0, 0), "two photos", "count", Action("count", arguments={"n": 1}), observation="3")
    end = EpisodeStep(None, (0, 0), "", "answer", Action("finished", content="3"), status="done")
    files = ("files/a.png", "files/b.jpg", "files/c.xlsx")
    episode = Episode("t", "mm-traj", "tools", "How many?", "train", (step, end), files, "3")
    for window in episode_windows(episode, PROMPTS["full-1"]):
        assert window.images == files[:2]
        assert row_to_window(window_to_row(window)) == window


def test_a_window_without_images_is_text(windows: list[Window]) -> None:
    content = [{"type": "text", "text": "hello"}]
    window = dataclasses.replace(windows[0], prompt=({"role": "user", "content": content},), images=())
    assert row_to_window(window_to_row(window)) == window


def test_the_store_is_found_from_the_file(file: Path, store: EpisodeStore, windows: list[Window]) -> None:
    assert windows_settings(file) == {"store": "../episodes", "horizon": "5", "history": "5"}
    assert windows_stores(file)[0].path(windows[0].images[0]).read_bytes()[:4] == b"\x89PNG"


def test_datasets_loads_plain_columns(tmp_path: Path, file: Path, windows: list[Window]) -> None:
    loaded = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    shape = {"reference": "string", "episode_id": "string", "step": "int64", "source": "string"}
    assert {name: loaded.features[name].dtype for name in shape} == shape
    assert {name: part.dtype for name, part in loaded.features["prompt"].feature.items()} == {
        "role": "string",
        "content": "string",
    }
    assert loaded.features["images"].feature.dtype == "string"
    assert list(loaded) == [window_to_row(window) for window in windows]


def test_sources_are_counted(tmp_path: Path, episode: Episode) -> None:
    made = [dataclasses.replace(episode, episode_id=str(i), source="ab"[i // 2]) for i in range(3)]
    rows = (row for e in made for row in episode_rows(e, PROMPTS["brief-1"]))
    assert write_rows(tmp_path / "w.parquet", rows, tmp_path) == 6
    assert count_sources(tmp_path / "w.parquet") == (SourceCount("a", 4, 2), SourceCount("b", 2, 1))


def test_many_row_groups_keep_their_order(tmp_path: Path, windows: list[Window]) -> None:
    many = [dataclasses.replace(windows[0], step=i) for i in range(2100)]
    path = tmp_path / "many.parquet"
    assert write_windows(path, iter(many), tmp_path) == 2100
    assert pq.ParquetFile(path).num_row_groups == 3
    assert [window.step for window in read_windows(path)] == list(range(2100))


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "first"}, {"type": "image", "image": "a.png"}],
        [{"type": "image", "image": "a.png"}, {"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        [{"type": "image", "image": "another.png"}, {"type": "text", "text": "one"}],
        [{"type": "text", "text": "no image"}],
    ],
)
def test_a_prompt_laid_out_otherwise_is_refused(windows: list[Window], content: list[dict[str, str]]) -> None:
    window = dataclasses.replace(windows[0], prompt=({"role": "user", "content": content},), images=("a.png",))
    with pytest.raises(DataError, match="'login-user/7' step 0: the prompt cannot be stored"):
        window_to_row(window)


def test_a_refused_window_leaves_no_file(tmp_path: Path, windows: list[Window]) -> None:
    bad = dataclasses.replace(windows[0], images=())
    with pytest.raises(DataError):
        write_windows(tmp_path / "w.parquet", [*windows, bad], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["episodes"]


def test_a_lone_surrogate_is_refused(tmp_path: Path, windows: list[Window]) -> None:
    bad = dataclasses.replace(windows[0], prompt=({"role": "user", "content": [{"type": "text", "text": "\ud800"}]},))
    with pytest.raises(DataError, match="'login-user/7' step 0: its text cannot be written"):
        write_windows(tmp_path / "w.parquet", [windows[1], dataclasses.replace(bad, images=())], tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("reference", "[{", "row 0: reference: not JSON"),
        ("reference", "[{}]", r"row 0: reference\[0\]: not a step"),
        ("source", None, "row 0: source is missing"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, windows: list[Window], field: str, value: Any, message: str) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.Table.from_pylist([window_to_row(windows[0]) | {field: value}]), path)
    with pytest.raises(DataError, match=message):
        list(read_windows(path))


def test_files_that_are_no_windows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_windows(tmp_path / "absent.parquet"))
    (tmp_path / "text.parquet").write_text("not this")
    with pytest.raises(DataError, match="not a Parquet file"):
        list(read_windows(tmp_path / "text.parquet"))
    pq.write_table(pa.table({"prompt": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="no column 'images'"):
        list(read_windows(tmp_path / "other.parquet"))
    with pytest.raises(DataError, match="names no episode store"):
        windows_stores(tmp_path / "other.parquet")
