from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from corpora import androidcontrol as fixture

from tracer1.coordinates import inside
from tracer1.data.conversion.convert import convert
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, RawRecord, UnusableRecord
from tracer1.data.corpora.androidcontrol import screen as screens
from tracer1.data.corpora.androidcontrol.corpus import AndroidControl
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.readers.android_accessibility import Forest, Node, ScreenWindow
from tracer1.data.readers.tfexample import encode_example
from tracer1.data.readers.tfrecord import read_tfrecord, write_tfrecord
from tracer1.data.store import EpisodeStore, read_episodes
from tracer1.data.windows import make_windows
from tracer1.data.windows_file import read_windows
from tracer1.errors import DataError
from tracer1.plan.text import render_plan
from tracer1.rewards.terms import repetitions
from tracer1.rewards.trajectory import score_trajectory
from tracer1.types import Plan

Make = Callable[..., ConvertedEpisode]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    fixture.make(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.fixture
def one(raw: Path) -> Make:
    """Convert one episode of the fixture, changed as told."""

    def make(number: int, settings: ConvertSettings | None = None, **changed: Any) -> ConvertedEpisode:
        features = fixture.good()[number - 1] | changed
        return AndroidControl(raw, settings or ConvertSettings()).convert(RawRecord(f"shard record {number}", features))

    return make


def reasons(converted: ConvertedEpisode) -> list[str]:
    return [note.reason for note in converted.notes]


# ---- actions ---------------------------------------------------------------------------------------------------------


def test_all_eight_actions_and_the_added_end(one: Make) -> None:
    steps = one(1).episode.steps
    assert [step.action.action_type for step in steps] == [
        *("open_app", "click", "type", "long_press", "scroll", "wait", "press_back", "press_home", "finished")
    ]
    assert steps[0].action.app_name == "Clock"
    assert steps[2].action.content == "hello"
    assert steps[2].action.point is None
    assert steps[4].action.direction == "down"  # told as "Swipe up": new content comes from below
    assert [step.status for step in steps] == ["not done"] * 8 + ["done"]


def test_instructions_are_the_recorded_ones_also_where_two_steps_share_one(one: Make) -> None:
    told = [step.instruction for step in one(1).episode.steps]
    assert told[1] == "Click on the search field"
    assert told[3] == told[4] == "Swipe up to the alarm and hold it"
    assert told[8] == "finished"


def test_without_terminal_the_last_action_is_done_and_its_next_screen_unused(one: Make) -> None:
    converted = one(1, ConvertSettings(terminal=False))
    assert [step.status for step in converted.episode.steps] == ["not done"] * 7 + ["done"]
    assert len(converted.images) == 8


def test_no_actions_is_one_finished_step_or_none(one: Make) -> None:
    (step,) = one(2).episode.steps
    assert (step.action.action_type, step.status) == ("finished", "done")
    assert one(2, ConvertSettings(terminal=False)).episode.steps == ()
    features = fixture.good()[1]
    del features["actions"], features["step_instructions"]  # as an Example without empty lists has it
    corpus = AndroidControl(Path(), ConvertSettings())
    assert len(corpus.convert(RawRecord("r", features)).episode.steps) == 1


def test_text_without_a_click_before_it(one: Make) -> None:
    assert [step.action.action_type for step in one(3).episode.steps] == ["type", "finished"]


def test_what_has_no_equivalent_or_no_place_is_dropped_by_name(one: Make) -> None:
    converted = one(5)
    dropped = {note.where.rpartition(": ")[2]: note.reason for note in converted.notes if note.kind == "dropped"}
    assert dropped == {
        "actions[0]": "coordinate off the screen",
        "actions[2]": "invalid action",
        "actions[3]": "unknown action",
    }
    kept = converted.episode.steps
    assert [step.action.action_type for step in kept] == ["click", "wait", "finished"]
    assert kept[0].action.point is not None
    assert (kept[0].action.point.x, kept[0].action.point.y) == (1.0, 1.0)
    assert kept[1].instruction == "wait"  # its instruction is empty
    assert "no step instruction" in reasons(converted)


@pytest.mark.parametrize(
    "action",
    [b"[" * 1_000_000, b'{"action_type": 7}', b"{}", b'{"action_type":"click","x":"5","y":1}', b"\xff", b"[]", b"null"],
)
def test_a_bad_action_costs_its_step(one: Make, action: bytes) -> None:
    converted = one(3, actions=[action])
    assert [step.action.action_type for step in converted.episode.steps] == ["finished"]
    (note,) = converted.notes
    assert (note.kind, note.where) == ("damaged", note.where)
    assert note.where.startswith("shard record 3: actions[0]")


def test_a_direction_that_is_none_is_dropped(one: Make) -> None:
    assert reasons(one(3, actions=[b'{"action_type":"scroll","direction":"in"}'])) == ["invalid action"]


# ---- boxes, screens, trees -------------------------------------------------------------------------------------------


def test_the_box_is_the_smallest_visible_node_under_the_point(one: Make) -> None:
    steps = one(1).episode.steps
    assert steps[1].box == pytest.approx((10 / 108, 20 / 240, 98 / 108, 40 / 240))  # not the invisible one inside
    assert steps[3].box == pytest.approx((20 / 108, 100 / 240, 100 / 108, 140 / 240))
    for step in (steps[1], steps[3]):
        assert step.action.point is not None
        assert step.box is not None
        assert inside(step.action.point, step.box)


def test_edges_that_are_zero_and_edges_that_are_not_given() -> None:
    assert screens.target(fixture.screen(), 5, 10, fixture.SIZE) == (0, 0, 40, 15)
    assert screens.target(fixture.screen(), 108, 240, fixture.SIZE) == (90, 200, 108, 240)
    assert screens.target(Forest(), 5, 10, fixture.SIZE) is None
    outside = Forest((ScreenWindow((Node(bounds=(-50, -9, 500, 12), visible=True),)),))
    assert screens.target(outside, 5, 10, fixture.SIZE) == (0, 0, 108, 12)


def test_a_landscape_screen(one: Make) -> None:
    step = one(4).episode.steps[0]
    assert step.size == (240, 108)
    assert step.action.point is not None
    assert (step.action.point.x, step.action.point.y) == pytest.approx((200 / 240, 54 / 108))


def test_a_scaled_image_keeps_the_device_for_its_coordinates(one: Make) -> None:
    converted = one(6)
    step = converted.episode.steps[0]
    assert step.size == fixture.SIZE
    assert step.action.point is not None
    assert (step.action.point.x, step.action.point.y) == pytest.approx((0.5, 0.125))
    assert step.box == pytest.approx((10 / 108, 20 / 240, 98 / 108, 40 / 240))
    assert reasons(converted).count("image size differs from record") == 2


def test_where_the_recorded_size_has_another_shape_the_image_is_believed(one: Make) -> None:
    converted = one(7)
    step = converted.episode.steps[0]
    assert step.size == fixture.SIZE
    assert step.action.point is not None
    assert (step.action.point.x, step.action.point.y) == pytest.approx((0.5, 0.125))
    assert reasons(converted).count("image size differs from record") == 2


@pytest.mark.parametrize("sizes", [[], [0, 0], [-108, 240], [108]])
def test_sizes_that_are_no_sizes(one: Make, sizes: list[int]) -> None:
    step = one(3, screenshot_widths=sizes, screenshot_heights=sizes).episode.steps[0]
    assert step.size == fixture.SIZE


def test_a_tree_that_is_empty_or_unreadable_costs_only_box_and_words(one: Make) -> None:
    converted = one(8)
    step = converted.episode.steps[0]
    assert (step.box, step.abstraction, step.action.action_type) == (None, "", "click")
    assert reasons(converted) == ["unreadable accessibility tree"]  # the empty one is a screen without windows
    assert reasons(one(3, accessibility_trees=[])) == ["no accessibility tree"] * 2


def test_a_screen_in_words_names_the_app_and_what_it_shows_in_reading_order(one: Make) -> None:
    episode = one(1).episode
    said = "com.android.deskclock: 'Menu', 'Search', 'to the right', 'Alarm'"
    assert {step.abstraction for step in episode.steps} == {said}  # not the status bar, not what is hidden, each once
    assert episode.labels["abstraction"] == "rules-2"
    without = one(1, ConvertSettings(abstractions="none")).episode
    assert {step.abstraction for step in without.steps} == {""}
    assert "abstraction" not in without.labels


def test_the_active_window_gives_the_title_and_a_screen_of_the_system_alone_is_told() -> None:
    windows = [ScreenWindow((Node(text=name, package_name=name, visible=True),), kind="application") for name in "ab"]
    assert screens.title(Forest(tuple(windows))) == "a"
    assert screens.title(Forest((windows[0], replace(windows[1], active=True)))) == "b"
    alone = Forest((replace(windows[0], kind="system"),))
    assert (screens.title(alone), list(screens.names(alone, (9, 9)))) == ("a", ["a"])
    assert screens.title(Forest()) == ""


def test_elements_are_kept_when_asked_for(one: Make) -> None:
    assert one(1).elements == {}
    converted = one(1, ConvertSettings(elements=True))
    assert list(converted.elements) == [step.elements for step in converted.episode.steps]
    found = {element.name or element.role: element for element in converted.elements["0.png"]}
    roles = {name: element.role for name, element in found.items()}
    assert roles == {
        "12:00": "text",
        "Search": "field",
        "Alarm": "text",
        "Menu": "icon",
        "checkbox": "checkbox",
        "to the right": "text",
    }
    assert found["Search"].focused
    assert found["Search"].bears_text
    assert not found["Menu"].bears_text
    assert found["checkbox"].box == pytest.approx((90 / 108, 200 / 240, 1, 1))


@pytest.mark.parametrize(
    ("node", "role"),
    [
        (Node(class_name="android.widget.ImageView"), "image"),
        (Node(class_name="android.widget.ImageView", clickable=True), "icon"),
        (Node(class_name="androidx.appcompat.app.ActionBar$Tab"), "tab"),
        (Node(class_name="my.own.View", editable=True), "field"),
        (Node(class_name="my.own.View", checkable=True), "checkbox"),
        (Node(class_name="android.view.View", long_clickable=True), "button"),
        (Node(class_name="android.view.ViewGroup", scrollable=True), "list"),
        (Node(class_name="android.view.View", text="hello"), "text"),
        (Node(), "section"),
    ],
)
def test_roles(node: Node, role: str) -> None:
    assert screens.role(node) == role


# ---- records and shards ----------------------------------------------------------------------------------------------


def test_splits_and_overlapping_sub_splits(raw: Path, one: Make) -> None:
    assert [one(n).episode.split for n in range(1, 7)] == ["train", "train", "validation", "test", "test", "unknown"]
    assert {"IDD": True, "app_unseen": True}.items() <= one(4).episode.labels.items()
    assert {"app_unseen", "task_unseen", "category_unseen"} <= set(one(5).episode.labels)
    assert "split unknown" in reasons(one(6))
    (raw / "splits.json").unlink()
    (raw / "test_subsplits.json").unlink()
    assert one(4).episode.split == "unknown"
    assert reasons(one(4)) == ["split unknown"]


def test_split_files_that_are_none_stop_the_run_before_it_begins(raw: Path) -> None:
    for bad in ("[", '{"train": 7}', "[1]", "[" * 100_000):
        (raw / "splits.json").write_text(bad)
        with pytest.raises(DataError, match=r"splits\.json: not lists of episodes"):
            AndroidControl(raw, ConvertSettings()).shards()


def test_other_split_files_make_another_conversion(raw: Path, tmp_path: Path) -> None:
    before = convert("androidcontrol", raw, tmp_path / "a")
    (raw / "splits.json").unlink()
    assert convert("androidcontrol", raw, tmp_path / "b")["task"] != before["task"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"episode_id": []}, "no usable episode_id"),
        ({"episode_id": [b"x"]}, "no usable episode_id"),
        ({"goal": []}, "no usable goal"),
        ({"goal": [b"\xff"]}, "not UTF-8"),
        ({"goal": [b" "]}, "no goal"),
        ({"screenshots": [1, 2]}, "no usable screenshots"),
        ({"screenshots": []}, "lists of unequal length"),
        ({"step_instructions": []}, "lists of unequal length"),
    ],
)
def test_records_of_which_there_is_no_episode(one: Make, changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableRecord, match=reason):
        one(3, **changed)


def test_nothing_there_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="android_control-000NN-of-00020"):
        AndroidControl(tmp_path, ConvertSettings()).shards()


def test_a_whole_conversion(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = convert("androidcontrol", raw, out, ConvertSettings(elements=True))
    assert (made["records"], made["episodes"], made["steps"]) == (17, 10, 27)
    assert {reason: said["count"] for reason, said in made["notes"]["damaged"].items()} == {
        "corrupt image": 1,
        "lists of unequal length": 1,
        "no usable goal": 1,
        "not UTF-8": 1,
        "not a tf.train.Example": 1,
        "truncated": 1,
        "unreadable accessibility tree": 1,
        "unreadable action": 1,
        "wrong CRC": 1,
    }
    assert made["notes"]["damaged"]["wrong CRC"]["first"] == [
        f"{fixture.BAD} record 0: its bytes are damaged; fetch the file again"
    ]
    assert made["notes"]["dropped"]["no goal"]["first"] == [f"{fixture.BAD} record 6: goal: 10"]
    assert made["counts"]["split"] == {"test": 2, "train": 6, "unknown": 1, "validation": 1}
    assert [*inspect_path(out).problems] == []


def test_images_are_the_recorded_bytes(raw: Path, tmp_path: Path) -> None:
    convert("androidcontrol", raw, tmp_path / "out")
    (first, *_) = read_episodes(tmp_path / "out")
    for step, data in zip(first.steps, fixture.good()[0]["screenshots"], strict=True):
        assert step.screenshot == f"images/{hashlib.sha256(data).hexdigest()}.png"
        assert EpisodeStore(tmp_path / "out").path(step.screenshot).read_bytes() == data


def test_the_gold_plan_of_every_window_scores_one(raw: Path, tmp_path: Path) -> None:
    scrolls = [({"action_type": "scroll", "direction": "down"}, "Scroll down")] * 4
    write_tfrecord(raw / "android_control-00008-of-00020", [encode_example(fixture.episode(30, "Scroll", scrolls))])
    convert("androidcontrol", raw, tmp_path / "out")
    report = make_windows(tmp_path / "out", tmp_path / "w.parquet", horizon=5)
    penalties = 0
    for window in read_windows(tmp_path / "w.parquet"):
        steps = window.reference.steps
        penalty = 0.1 * repetitions([step.action_type for step in steps])
        penalties += penalty > 0
        score = score_trajectory(render_plan(Plan(steps, "", window.step + 1)), steps)
        assert score.format == 1.0
        assert score.accuracy == pytest.approx(1.0 - penalty)
    assert report.windows == 27 + 5
    assert penalties == 2  # the windows that hold three scrolls and more


def test_strict_stops_at_the_first_damage(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unreadable accessibility tree"):
        convert("androidcontrol", raw, tmp_path / "out", ConvertSettings(strict=True))


def test_a_cut_shard_keeps_the_records_before_the_cut(raw: Path, tmp_path: Path) -> None:
    shard = raw / fixture.GOOD
    whole = gzip.decompress(shard.read_bytes())
    shard.write_bytes(gzip.compress(whole)[: shard.stat().st_size // 2])
    (raw / fixture.BAD).unlink()
    readable = sum(isinstance(payload, bytes) for _, payload in read_tfrecord(shard))
    made = convert("androidcontrol", raw, tmp_path / "out")
    assert 0 < made["episodes"] == readable < 8
    assert list(made["notes"]["damaged"]) == ["truncated"]


def test_a_number_too_long_for_a_coordinate(one: Make) -> None:
    action = json.dumps({"action_type": "click", "x": 10**4000, "y": 1}).encode()
    assert "coordinate off the screen" in reasons(one(3, actions=[action]))
