"""Every quirk of GUI-Odyssey, one by one, and a whole conversion of a small one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from corpora import gui_odyssey as fixture
from corpora.whole import actions, broken, by_id, check_broken, check_whole, reasons
from hypothesis import given
from hypothesis import strategies as st
from zip_writer import Entry, write_zip

from tracer1.data.conversion.convert import convert
from tracer1.data.conversion.corpus import ConvertSettings, RawRecord
from tracer1.data.corpora.gui_odyssey import corpus as module
from tracer1.errors import DataError
from tracer1.types import Action, Episode, Point


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odyssey") / "raw"
    fixture.make(folder)
    return folder


@pytest.fixture(scope="module")
def made(raw: Path) -> dict[str, Any]:
    return convert("gui-odyssey", raw, raw.parent / "out")


@pytest.fixture(scope="module")
def episodes(raw: Path, made: dict[str, Any]) -> dict[str, Episode]:
    return by_id(raw.parent / "out")


def first(conversion: dict[str, Any], kind: str, reason: str) -> str:
    return str(conversion["notes"][kind][reason]["first"][0])


# ---- the whole -------------------------------------------------------------------------------------------------------


def test_a_converted_corpus_is_whole(raw: Path, made: dict[str, Any]) -> None:
    check_whole(raw.parent / "out", raw.parent / "windows.parquet")
    assert (made["source"], made["counts"]["platform"]) == ("gui-odyssey", {"mobile": made["episodes"]})
    assert [file["file"] for file in made["files"]] == ["annotations", "splits/random_split.json"]


def test_every_record_is_an_episode_or_counted(made: dict[str, Any]) -> None:
    assert made["records"] == len(fixture.EPISODES) + len(fixture.bad_files())
    assert made["episodes"] == len(fixture.EPISODES) - len(fixture.UNUSABLE)


def test_shares_of_any_size_hold_each_episode_once(
    raw: Path, made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARE", 3)
    again = convert("gui-odyssey", raw, tmp_path / "out")
    assert again["records"] == made["records"]
    assert (tmp_path / "out/episodes.jsonl").read_bytes() == (raw.parent / "out/episodes.jsonl").read_bytes()


def test_other_annotations_are_another_conversion(raw: Path, made: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw/annotations/1001.json").unlink()
    again = convert("gui-odyssey", tmp_path / "raw", tmp_path / "out")
    assert again["files"][0]["sha256"] != made["files"][0]["sha256"]
    assert again["files"][1] == made["files"][1]
    assert made["files"][0]["bytes"] == sum(path.stat().st_size for path in (raw / "annotations").iterdir())


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotations.*no episode files"):
        convert("gui-odyssey", tmp_path, tmp_path / "out")


# ---- words, labels, splits -------------------------------------------------------------------------------------------


def test_words_of_version_2(episodes: dict[str, Episode]) -> None:
    episode = episodes["1000"]
    assert episode.goal == "Use Chrome to look up the tides and note them in Keep."
    step = episode.steps[1]
    assert step.abstraction == "A home screen, seen 1 times."
    assert step.instruction == "Do step 1"
    assert step.thought == "Nothing was done yet.\nIt is to be looked up."
    assert (step.action, step.size) == (Action("type", content="tides"), fixture.SIZE)
    assert episode.labels == {
        "abstraction": "corpus",
        "category": "General_Tool",
        "app": "Chrome, Keep",
        "meta_task": "Search {} and note it",
        "task": "Search tides and note it",
        "device_name": "Medium Phone",
        "product": "x",
        "release_version": "14",
        "sdk_version": "34",
        "w": 1080,
        "h": 2400,
    }


def test_version_1_has_no_words(episodes: dict[str, Episode]) -> None:
    episode = episodes["1001"]
    told = [(step.abstraction, step.instruction, step.thought) for step in episode.steps]
    assert told == [("", "click the point 41% from the left, 66% from the top", None), ("", "finished", None)]
    assert "abstraction" not in episode.labels


def test_without_an_instruction_the_task_is_the_goal(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert episodes["1022"].goal == "Search tides and note it"
    assert reasons(made, "changed")["goal from task"] == 1


def test_the_split_is_that_of_the_file(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    split = {name: episode.split for name, episode in episodes.items()}
    assert (split.pop("1003"), split.pop("1011"), split.pop("1012")) == ("test", "unknown", "test")
    assert set(split.values()) == {"train"}
    assert reasons(made, "changed")["in no random split"] == 1
    assert first(made, "changed", "in several random splits") == "annotations/1012.json: test, train"


def test_the_split_of_another_file_can_be_asked_for(raw: Path, tmp_path: Path) -> None:
    made = convert("gui-odyssey", raw, tmp_path / "out", ConvertSettings(split_by="device", split="test"))
    assert list(by_id(tmp_path / "out")) == ["1015"]
    assert reasons(made, "filtered")["another split"] == len(fixture.EPISODES) - len(fixture.UNUSABLE) - 1


@pytest.mark.parametrize("text", [None, "[1, 2]", '{"train": "all"}', "[" * 1_000_000])
def test_without_a_split_file_all_are_unknown(raw: Path, tmp_path: Path, text: str | None) -> None:
    shutil.copytree(raw, tmp_path / "raw")
    path = tmp_path / "raw/splits/random_split.json"
    if text is None:
        path.unlink()
        with pytest.raises(DataError, match="random_split"):
            convert("gui-odyssey", tmp_path / "raw", tmp_path / "none", ConvertSettings(split="train"))
    else:
        path.write_text(text)
    made = convert("gui-odyssey", tmp_path / "raw", tmp_path / "out")
    assert list(made["counts"]["split"]) == ["unknown"]
    assert ("splits/random_split.json" in json.dumps(made["notes"]["damaged"])) == (text is not None)


@pytest.mark.parametrize("beside", [False, True])
def test_the_release_of_2025_is_converted_from_its_zip_in_parts(
    raw: Path, made: dict[str, Any], tmp_path: Path, beside: bool
) -> None:
    shutil.copytree(raw / "annotations", tmp_path / "raw/annotations")
    shutil.copytree(raw / "splits", tmp_path / "raw/splits")
    (tmp_path / "raw/screenshots").mkdir()
    files = list((raw / "screenshots").rglob("*.png"))
    place = tmp_path / "raw" / ("." if beside else "screenshots") / "screenshots.zip"
    parts = write_zip(place, [Entry(path.name, path.read_bytes()) for path in files], part_size=1000)
    assert len(parts) > 3
    assert parts[0].name == "screenshots.z01"
    again = convert("gui-odyssey", tmp_path / "raw", tmp_path / "out")
    assert again["counts"] == made["counts"]
    assert (tmp_path / "out/episodes.jsonl").read_bytes() == (raw.parent / "out/episodes.jsonl").read_bytes()


def test_a_missing_part_or_no_screenshots_stop_the_conversion(raw: Path, tmp_path: Path) -> None:
    shutil.copytree(raw / "annotations", tmp_path / "raw/annotations")
    with pytest.raises(DataError, match="screenshots: no images and no zip of images there"):
        convert("gui-odyssey", tmp_path / "raw", tmp_path / "out")
    (tmp_path / "raw/screenshots").mkdir()
    first, *_ = write_zip(tmp_path / "raw/screenshots/screenshots.zip", [Entry("a.png", b"a" * 900)], part_size=400)
    first.unlink()
    with pytest.raises(DataError, match=r"1 of its . parts are missing: screenshots\.z01"):
        convert("gui-odyssey", tmp_path / "raw", tmp_path / "out")


# ---- actions ---------------------------------------------------------------------------------------------------------


def test_keys_are_clicks_on_a_string(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert list(actions(episodes["1002"])) == ["press_home", "press_back", "press_appselect", "press_home", "finished"]
    assert reasons(made, "changed")["key held down"] == 1


def test_the_first_point_counts(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert [step.action for step in episodes["1003"].steps[:3]] == [Action("click", Point(0.1, 0.2))] * 3
    assert reasons(made, "changed")["first of several points"] == 1  # the same point twice is not worth a word


def test_typed_text_under_both_names(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert [step.action.content for step in episodes["1004"].steps] == ["by another name", "two\nlines ", None]
    assert first(made, "dropped", "empty text") == "annotations/1004.json: steps[1]: info"


def test_content_comes_from_where_the_finger_comes_from(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    scrolls = [step.action for step in episodes["1005"].steps[:-1]]
    assert [scroll.direction for scroll in scrolls] == ["down", "up", "right", "left", "down"]
    assert scrolls[0].point == Point(0.5, 0.8)
    assert reasons(made, "dropped")["scroll of length 0"] == 1


def test_scrolls_after_a_long_press_are_drags(episodes: dict[str, Episode]) -> None:
    steps = episodes["1006"].steps
    assert list(actions(episodes["1006"])) == ["long_press", "drag", "drag", "click", "scroll", "finished"]
    assert steps[1].action == Action("drag", start_point=Point(0.3, 0.4), end_point=Point(0.6, 0.4))


def test_given_up_with_the_annotators_words(episodes: dict[str, Episode]) -> None:
    end = episodes["1007"].steps[-1]
    assert end.action == Action("call_user", content="the app asks for a login")
    assert (end.status, end.labels, episodes["1007"].labels["incomplete"]) == (
        "done",
        {"ps": "the app asks for a login"},
        True,
    )


def test_own_types_can_be_left_out(raw: Path, tmp_path: Path) -> None:
    made = convert("gui-odyssey", raw, tmp_path / "out", ConvertSettings(extra_actions="drop"))
    check_whole(tmp_path / "out", tmp_path / "windows.parquet")
    left = by_id(tmp_path / "out")
    assert list(actions(left["1002"])) == ["press_home", "press_back", "press_home", "finished"]
    assert (list(actions(left["1007"])), left["1007"].labels["incomplete"]) == (["click"], True)
    dropped = reasons(made, "dropped")
    assert (dropped["no equivalent: press_appselect"], dropped["no equivalent: call_user"]) == (1, 1)


def test_what_has_no_name_costs_its_step(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert list(actions(episodes["1014"])) == ["click", "finished"]
    assert reasons(made, "dropped")["unknown action"] == 2
    assert first(made, "dropped", "unknown action") == "annotations/1014.json: steps[1]: action: 'SWIPE'"


def test_the_end_comes_once_and_last(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert list(actions(episodes["1013"])) == ["click", "click", "finished"]
    dropped = reasons(made, "dropped")
    assert (dropped["terminal action before the end"], dropped["repeated terminal action"]) == (1, 1)
    for episode in episodes.values():
        assert [step.status for step in episode.steps] == ["not done"] * (len(episode.steps) - 1) + ["done"]


# ---- places, pictures, damage ----------------------------------------------------------------------------------------


def test_points_on_and_over_the_edge(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert [step.action.point for step in episodes["1008"].steps[:2]] == [Point(1.0, 0.0), Point(1.0, 0.5)]
    assert reasons(made, "changed")["point moved to the edge of the screen"] == 1
    assert first(made, "damaged", "point off the screen") == "annotations/1009.json: steps[0]: info: (1080, 2400)"


def test_a_box_holds_its_point_or_is_left_out(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert episodes["1000"].steps[0].box == pytest.approx((0.38, 0.63, 0.45, 0.69))
    assert all(step.box is None for step in episodes["1000"].steps[1:])
    boxes = [step.box for step in episodes["1010"].steps]
    assert boxes == [(0.38, 0.63, 0.45, 1.0), None, None, None, None]
    changed = reasons(made, "changed")
    assert changed["box dropped: the point lies outside"] == 2
    assert changed["box dropped: not four numbers"] == 1


def test_screenshots_a_folder_deeper_and_on_their_side(episodes: dict[str, Episode]) -> None:
    assert {step.size for step in episodes["1015"].steps} == {fixture.TABLET}


def test_numbers_that_do_not_fit_the_steps_are_noted(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert len(episodes["1023"].steps) == 3
    changed = reasons(made, "changed")
    assert (changed["steps numbered out of order"], changed["number of steps differs from step_length"]) == (1, 1)


def test_damage_is_counted_by_name(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert not set(fixture.UNUSABLE) & set(episodes)
    assert reasons(made, "damaged") == {
        "nested too deep": 1,
        "no usable episode_id": 3,
        "no usable info": 1,
        "no usable point": 2,
        "no usable screenshot": 3,
        "no usable steps": 1,
        "not JSON": 1,
        "point off the screen": 1,
    }
    assert first(made, "damaged", "nested too deep") == "annotations/2000.json"
    no_file = "annotations/1016.json: steps[1]: screenshots: no file '1016_1.png'"
    assert first(made, "damaged", "no usable screenshot") == no_file  # the same wherever the corpus lies


def test_strict_stops_at_damage(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotations/1009\.json"):
        convert("gui-odyssey", raw, tmp_path / "out", ConvertSettings(strict=True))


@given(data=st.data())
def test_whatever_a_record_holds_is_an_episode_or_refused(raw: Path, data: st.DataObject) -> None:
    corpus = module.GuiOdyssey(raw, ConvertSettings())
    record = next(r for r in corpus.read(corpus.shards()[-1]) if isinstance(r, RawRecord))
    check_broken(corpus, record, data.draw(broken(record.data)))
