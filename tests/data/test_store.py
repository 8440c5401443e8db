from __future__ import annotations

import dataclasses
import json
import logging
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.data.records import episode_from_json, episode_to_json
from tracer1.data.store import (
    EPISODES,
    EpisodeStore,
    load_elements,
    put_last,
    read_episodes,
    write_episodes,
)
from tracer1.errors import DataError, SetupError
from tracer1.files import atomic, parse_json, write_atomic
from tracer1.types import Action, Element, Episode, EpisodeStep, Point

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
share = st.floats(0, 1)
box = st.tuples(share, share, share, share)
labels = st.dictionaries(
    text, st.one_of(text, st.booleans(), st.floats(allow_nan=False, allow_infinity=False)), max_size=2
)
optional = st.none() | text
actions = st.one_of(
    st.builds(Action, st.just("click"), st.builds(Point, share, share)),
    st.builds(Action, st.just("type"), content=text),
    st.builds(Action, st.just("ocr"), arguments=st.dictionaries(text, st.integers() | text, max_size=2)),
)
steps = st.builds(
    EpisodeStep,
    optional,
    st.tuples(st.integers(0, 4000), st.integers(0, 4000)),
    text,
    text,
    actions,
    st.none() | box,
    optional,
    st.sampled_from(["not done", "done"]),
    optional,
    optional,
    labels,
    optional,
)
episodes = st.builds(
    Episode,
    text,
    text,
    st.sampled_from(["desktop", "mobile", "web", "tools"]),
    text,
    text,
    st.lists(steps, max_size=3).map(tuple),
    st.lists(text, max_size=2).map(tuple),
    optional,
    labels,
)


@given(episodes)
def test_an_episode_survives_its_json(episode: Episode) -> None:
    assert episode_from_json(parse_json(json.dumps(episode_to_json(episode)))) == episode


def test_appended_episodes_are_read_back_in_order(store: EpisodeStore, episode: Episode) -> None:
    second = dataclasses.replace(episode, episode_id="login-user/8")
    store.append(episode)
    store.append(second)
    assert list(read_episodes(store.directory)) == [episode, second]
    assert list(read_episodes(store.directory / EPISODES)) == [episode, second]


def test_a_tool_use_episode_keeps_files_answer_and_observations(store: EpisodeStore) -> None:
    step = EpisodeStep(None, (0, 0), "", "count", Action("count", arguments={"image": "a.jpg"}), observation="3")
    episode = Episode("t", "mm-traj", "tools", "How many?", "train", (step,), ("files/a.jpg",), "3")
    store.append(episode)
    assert list(read_episodes(store.directory)) == [episode]


def test_equal_images_are_kept_once(store: EpisodeStore, png: Callable[..., bytes]) -> None:
    assert store.put_image(png()) == store.put_image(png())
    assert store.put_image(png(colour="black")) != store.put_image(png())
    assert len(list((store.directory / "images").iterdir())) == 2


def test_elements_come_back_equal(store: EpisodeStore) -> None:
    elements = (Element("button", "Sign “in”", (0.0, 0.1, 0.25, 1.0), True, False), Element("field", "", (0, 0, 1, 1)))
    relative = store.put_elements(elements)
    assert store.load_elements(relative) == elements == load_elements(store.path(relative))


def test_a_path_out_of_the_store_is_refused(store: EpisodeStore) -> None:
    for path in ("../secret.png", "/etc/passwd"):
        with pytest.raises(DataError, match="outside the episode store"):
            store.path(path)


# ---- bad records -----------------------------------------------------------------------------------------------------


def broken(record: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """``record`` with one field (``steps.0.size``) replaced, or taken out when the value is ..."""
    copy = json.loads(json.dumps(record))
    *path, last = field.split(".")
    node = copy
    for key in path:
        node = node[int(key) if key.isdigit() else key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return dict(copy)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("goal", ..., "line 1: goal is missing"),
        ("goal", 3, "line 1: goal: expected text, found 3"),
        ("platform", "watch", "platform: expected one of"),
        ("colour", "red", "unknown key 'colour'"),
        ("steps", {}, "steps: expected a list"),
        ("steps.1.instruction", ..., r"steps\[1\]: instruction is missing"),
        ("steps.1.box", [0, 0, 1], r"steps\[1\]\.box: expected \[x0, y0, x1, y1\]"),
        ("steps.1.size", [160.5, 210], r"steps\[1\]\.size: expected \[width, height\]"),
        ("steps.0.status", "finished", r"steps\[0\]\.status: expected one of"),
        ("steps.0.colour", 1, r"steps\[0\]: unknown key 'colour'"),
        ("steps.1.action", {"action_type": "click", "point": [0.5]}, r"steps\[1\]\.action: 'point'"),
        ("steps.1.action", {}, r"steps\[1\]\.action: 'action_type' is missing"),
        ("labels", {"a": [1]}, r"labels\.a: expected text, a number, true or false, found \[1\]"),
    ],
)
def test_a_bad_record_is_named_by_file_line_and_field(
    store: EpisodeStore, episode: Episode, field: str, value: Any, message: str
) -> None:
    line = json.dumps(broken(episode_to_json(episode), field, value)) + "\n"
    write_atomic(store.directory / EPISODES, line.encode())
    with pytest.raises(DataError, match=message) as raised:
        list(read_episodes(store.directory))
    assert str(raised.value).startswith(str(store.directory / EPISODES) + " line 1: ")
    assert "\n" not in str(raised.value)


def test_a_broken_line_in_the_middle_is_an_error(store: EpisodeStore, episode: Episode) -> None:
    store.append(episode)
    with (store.directory / EPISODES).open("ab") as file:
        file.write(b'{"episode_id"\n')
    store.append(episode)
    with pytest.raises(DataError, match="line 2: not JSON"):
        list(read_episodes(store.directory))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value: Any, ascii_only: bool) -> None:
    line = json.dumps(value, ensure_ascii=ascii_only)
    assert repr(parse_json(line.encode())) == repr(parse_json(line)) == repr(json.loads(line))


@given(st.text('{}[]",:0123456789.eE+-\\u d8\n\t\x00NaInfityrulse', max_size=12))
def test_what_is_no_json_is_refused_as_there(line: str) -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    def outcome(read: Callable[[str], Any]) -> str:
        try:
            return repr(read(line))
        except ValueError:
            return "refused"

    assert outcome(parse_json) == outcome(lambda text: json.loads(text, parse_constant=refuse))


def test_nan_is_no_number() -> None:
    with pytest.raises(ValueError, match="NaN is not a JSON number"):
        parse_json('{"x": NaN}')


def test_a_lone_surrogate_is_refused_on_writing(store: EpisodeStore, episode: Episode) -> None:
    with pytest.raises(DataError, match="'login-user/7': cannot be written as JSON"):
        store.append(dataclasses.replace(episode, goal="\ud800"))
    assert not (store.directory / EPISODES).exists()


def test_no_episodes_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no episodes\.jsonl there"):
        list(read_episodes(tmp_path))


def test_elements_that_are_none(store: EpisodeStore) -> None:
    write_atomic(store.directory / "e.json", b'[{"role": "button"}]')
    with pytest.raises(DataError, match=r"e\.json item 0: name is missing"):
        store.load_elements("e.json")
    with pytest.raises(DataError, match=r"absent\.json: cannot be read: No such file"):
        store.load_elements("absent.json")


# ---- crashes and full disks ------------------------------------------------------------------------------------------


def test_a_half_written_last_line_is_dropped_and_told(
    store: EpisodeStore, episode: Episode, caplog: pytest.LogCaptureFixture
) -> None:
    store.append(episode)
    file = store.directory / EPISODES
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        assert list(read_episodes(store.directory)) == [episode]
    assert "1 half-written last line dropped (line 2)" in caplog.text

    store.append(dataclasses.replace(episode, episode_id="next"))  # the writer mends it for good
    assert [e.episode_id for e in read_episodes(store.directory)] == ["login-user/7", "next"]
    assert file.read_bytes().startswith(whole)


def test_a_whole_last_line_without_its_end_is_kept(store: EpisodeStore, episode: Episode) -> None:
    write_atomic(store.directory / EPISODES, json.dumps(episode_to_json(episode)).encode())
    store.append(episode)
    assert list(read_episodes(store.directory)) == [episode, episode]


def test_write_episodes_replaces_all_or_nothing(store: EpisodeStore, episode: Episode) -> None:
    assert write_episodes(store.directory, [episode, episode]) == 2
    before = (store.directory / EPISODES).read_bytes()
    bad = dataclasses.replace(episode, goal="\ud800")
    with pytest.raises(DataError):
        write_episodes(store.directory, [episode, bad])
    assert (store.directory / EPISODES).read_bytes() == before
    assert sorted(p.name for p in store.directory.iterdir()) == ["elements", EPISODES, "images"]


def test_a_failed_atomic_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def interrupted() -> None:
        with atomic(path) as handle:
            handle.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be written"):
        write_atomic(tmp_path / "file" / "below", b"")


FULL_DISK = """
import resource, sys
from tracer1.data.store import EpisodeStore, read_episodes
from tracer1.errors import SetupError
store = EpisodeStore(sys.argv[1])
episode = next(read_episodes(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for attempt in (lambda: store.append(episode), lambda: store.put_image(bytes(100_000))):
    try:
        attempt()
    except SetupError as error:
        print(error)
"""


def test_a_full_disk_is_told_in_one_line_and_taken_back(store: EpisodeStore, episode: Episode) -> None:
    assert hasattr(resource, "RLIMIT_FSIZE")
    store.append(episode)
    before = (store.directory / EPISODES).read_bytes()
    images = sorted((store.directory / "images").iterdir())
    limit = len(before) + 100  # room for a part of a line
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(store.directory), str(limit)], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == f"{store.directory / EPISODES}: the disk is full; free some space and run the same command again"
    assert "the disk is full" in second
    assert (store.directory / EPISODES).read_bytes() == before
    assert sorted((store.directory / "images").iterdir()) == images


# ---- order -----------------------------------------------------------------------------------------------------------


def test_episodes_are_put_last_in_an_order(store: EpisodeStore, episode: Episode) -> None:
    def ids() -> list[str]:
        return [e.episode_id for e in read_episodes(store.directory)]

    put_last(store.directory, ["x"])
    assert ids() == []
    for name in ("a", "b", "c", "d", "b"):
        store.append(dataclasses.replace(episode, episode_id=name, goal=f"goal {len(ids())}"))
    with (store.directory / EPISODES).open("ab") as file:
        file.write(b'{"half')  # by a writer that was killed
    put_last(store.directory, ["c", "b", "x"], without=["d"])
    assert ids() == ["a", "c", "b"]
    assert [e.goal for e in read_episodes(store.directory)] == ["goal 0", "goal 2", "goal 4"]  # the last "b" is kept
    assert (store.directory / EPISODES).read_bytes().endswith(b"}\n")
