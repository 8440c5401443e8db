from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import mind2web as fixture
from PIL import Image as Pillow

from tracer1.coordinates import inside
from tracer1.data.conversion.convert import convert
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, RawRecord, UnusableRecord
from tracer1.data.corpora.mind2web import page as web_page
from tracer1.data.corpora.mind2web import words as web_words
from tracer1.data.corpora.mind2web.corpus import Mind2Web, Task
from tracer1.data.images import Image, read_image
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.store import read_episodes
from tracer1.data.windows import make_windows
from tracer1.data.windows_file import read_windows
from tracer1.errors import DataError
from tracer1.executors.instruction import parse_instruction
from tracer1.plan.text import render_plan
from tracer1.rewards.terms import repetitions
from tracer1.rewards.trajectory import score_trajectory
from tracer1.types import Action, Plan

Make = Callable[..., ConvertedEpisode]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw")
    fixture.make(path)
    return path


@pytest.fixture(scope="module")
def rows() -> dict[str, Rows]:
    return fixture.tasks()


def made(rows: Rows, settings: ConvertSettings | None = None) -> ConvertedEpisode:
    """The Episode of these rows."""
    task = Task("train", rows[0]["annotation_id"], tuple((row["target_action_index"], row) for row in rows))
    return Mind2Web(Path(), settings or ConvertSettings()).convert(RawRecord("shard task x", task))


def one(row: dict[str, Any], settings: ConvertSettings | None = None, **changed: Any) -> ConvertedEpisode:
    """The Episode of one row alone, changed as told."""
    return made(
        [{**row, "target_action_index": "0", "action_reprs": [row["target_action_reprs"]], **changed}], settings
    )


def reasons(converted: ConvertedEpisode) -> list[str]:
    return [note.reason for note in converted.notes]


def first_row(image: Image) -> int:
    """The row of the page that an image begins with."""
    high, low, _ = Pillow.open(io.BytesIO(image.data)).convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    return int(high) << 8 | int(low)


# ---- actions ---------------------------------------------------------------------------------------------------------


def test_what_was_done_is_told_by_original_op(rows: dict[str, Rows]) -> None:
    steps = made(rows["plan"]).episode.steps
    assert [step.action.action_type for step in steps] == ["click", "hover", "type", "select", "hotkey"]
    assert [step.instruction for step in steps] == [
        "click the 'Plans' link",
        "point at the 'Plans' link",
        "type '90001' in the 'Postcode' field",
        "select '02:30 PM' in the 'Time' list",
        "press enter",
    ]
    assert [step.status for step in steps] == ["not done"] * 4 + ["done"]
    assert (steps[2].action.content, steps[2].action.point is None) == ("90001", False)  # one step, place and text
    assert steps[4].action == Action("hotkey", key="enter")
    assert steps[4].box is not None  # where it was pressed; the block is chosen by it
    for step in (steps[0], steps[2], steps[4]):
        assert parse_instruction(step.instruction).action_type == step.action.action_type


def test_what_ui_tars_has_no_name_for_may_be_dropped_and_is_told_in_what_comes_next(rows: dict[str, Rows]) -> None:
    converted = made(rows["plan"], ConvertSettings(extra_actions="drop"))
    steps = converted.episode.steps
    assert [step.action.action_type for step in steps] == ["click", "type", "hotkey"]
    assert reasons(converted) == ["no equivalent: hover", "no equivalent: select"]
    assert steps[1].labels["unseen_before"] == "point at the 'Plans' link"
    assert steps[1].abstraction.startswith("after point at the 'Plans' link: The Shop & more: ")
    assert "unseen_before" not in steps[0].labels


def test_a_selected_value_gets_its_punctuation_back(rows: dict[str, Rows]) -> None:
    row = rows["plan"][3]
    converted = one(row)
    assert converted.episode.steps[0].action.content == "02:30 PM"
    assert converted.notes[0].detail == "'02 30 PM', now '02:30 PM'"
    other = one(row, operation=fixture.operation("SELECT", "03 30 PM"))
    assert other.episode.steps[0].action.content == "03 30 PM"  # another value is none of ours to correct
    assert reasons(other) == []


def test_op_is_taken_where_there_is_no_original(rows: dict[str, Rows]) -> None:
    for operation in ('{"op": "CLICK", "value": ""}', {"original_op": "CLICK", "value": "", "op": "CLICK"}):
        assert one(rows["plan"][0], operation=operation).episode.steps[0].action.action_type == "click"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"operation": "[" * 1_000_000}, "unreadable JSON"),
        ({"operation": None}, "unreadable JSON"),
        ({"operation": "{}"}, "no usable op"),
        ({"operation": '{"original_op": ["CLICK"]}'}, "no usable original_op"),
        ({"operation": fixture.operation("FLING", "")}, "unknown action"),
        ({"operation": '{"original_op": "TYPE", "op": "TYPE"}'}, "no usable value"),
        ({"operation": fixture.operation("TYPE", "")}, "invalid action"),
        ({"pos_candidates": []}, "no target box"),
        ({"pos_candidates": None}, "no target box"),
        ({"pos_candidates": [fixture.candidate("0,0,0,0")]}, "no target box"),
        ({"pos_candidates": [fixture.candidate("nan,0,1,1")]}, "no target box"),
        ({"pos_candidates": [fixture.candidate("1,2,3")]}, "no target box"),
        ({"pos_candidates": [fixture.candidate("400,9,9,9")]}, "no target box"),
        ({"pos_candidates": ["[" * 1_000_000]}, "unreadable JSON"),
        ({"screenshot": None}, "no screenshot"),
        ({"screenshot": {"bytes": None, "path": "x"}}, "no screenshot"),
        ({"screenshot": {"bytes": b"GIF8", "path": "x"}}, "corrupt image"),
    ],
)
def test_what_costs_a_step(rows: dict[str, Rows], changed: dict[str, Any], reason: str) -> None:
    converted = one(rows["plan"][0], **changed)
    assert converted.episode.steps == ()
    assert converted.notes[0].reason == reason
    assert converted.notes[0].where.startswith("shard task x: action 0: ")


# ---- targets ---------------------------------------------------------------------------------------------------------


def test_a_target_below_the_fold_is_in_its_block(rows: dict[str, Rows]) -> None:
    converted = one(rows["places"][0])
    (step,) = converted.episode.steps
    assert step.box == pytest.approx((100 / 320, 0.7, 140 / 320, 0.72))
    assert step.labels == {"page_top": 800, "page_height": 2300}
    (image,) = converted.images.values()
    assert (image.size, step.size, first_row(image)) == ((320, 1000), (320, 1000), 800)


def test_the_original_target_comes_before_others(rows: dict[str, Rows]) -> None:
    (step,) = one(rows["places"][1]).episode.steps
    assert step.box == pytest.approx((50 / 320, 0.05, 70 / 320, 0.07))
    others = [fixture.candidate("5,5,20,20", original=False), fixture.candidate("0,0,0,0")]
    (step,) = one(rows["places"][1], pos_candidates=others).episode.steps
    assert step.box == pytest.approx((5 / 320, 0.005, 25 / 320, 0.025))  # the original one has no place


def test_a_box_beyond_the_page_is_cut_and_told(rows: dict[str, Rows]) -> None:
    converted = one(rows["places"][2])
    (step,) = converted.episode.steps
    assert step.box == pytest.approx((200 / 320, 0.01, 1.0, 0.03))
    assert step.action.point is not None
    assert step.action.point.x == pytest.approx(260 / 320)
    assert reasons(converted) == ["box clipped to the page"]


def test_a_box_without_extent_is_a_place(rows: dict[str, Rows]) -> None:
    converted = one(rows["places"][3])
    (step,) = converted.episode.steps
    assert step.box is None
    assert step.action.point is not None
    assert (step.action.point.x, step.action.point.y) == pytest.approx((30 / 320, 0.05))
    assert step.instruction == "click the 'Plans' section"  # the corpus gives no name
    assert reasons(converted) == ["box without extent: only its point is kept"]


def test_typing_without_a_target_shows_the_top_of_the_page(rows: dict[str, Rows]) -> None:
    converted = one(rows["places"][5])
    (step,) = converted.episode.steps
    assert (step.action.point, step.box, step.labels["page_top"]) == (None, None, 0)
    assert reasons(converted) == ["no target box: the top of the page is shown"]


def test_a_box_taller_than_a_block_is_cut_to_the_block_of_its_middle(rows: dict[str, Rows]) -> None:
    converted = one(rows["places"][6])
    (step,) = converted.episode.steps
    assert (step.box, step.labels["page_top"]) == ((0.0, 0.0, 1.0, 1.0), 800)
    assert reasons(converted) == ["box clipped to its block"]


def test_the_last_block_ends_where_the_page_ends(rows: dict[str, Rows]) -> None:
    converted = one(rows["places"][8])
    (image,) = converted.images.values()
    assert (first_row(image), image.size) == (1300, (320, 1000))


@pytest.mark.parametrize("height", [1, 999, 1000, 1001, 1800, 1801, 2300, 22000])
def test_every_place_of_a_page_is_in_a_block(height: int) -> None:
    for top in range(0, height, 37):
        bottom = min(height, top + 150)
        start, stop = web_page.span(height, 1000, top, bottom)
        assert 0 <= start <= top <= bottom <= stop <= height
        assert stop - start == min(height, 1000)


def test_a_whole_page_when_asked_for_or_when_it_is_one_block(rows: dict[str, Rows]) -> None:
    row = rows["places"][0]
    converted = one(row, ConvertSettings(page="full"))
    (step,) = converted.episode.steps
    (image,) = converted.images.values()
    assert image.data == row["screenshot"]["bytes"]
    assert step.size == (320, 2300)
    assert step.box == pytest.approx((100 / 320, 1500 / 2300, 140 / 320, 1520 / 2300))
    short = rows["repeated"][0]
    (image,) = one(short).images.values()
    assert image.data == short["screenshot"]["bytes"]


def test_pages_that_cannot_be_cut(rows: dict[str, Rows]) -> None:
    page = read_image(rows["plan"][0]["screenshot"]["bytes"], "page")
    with pytest.raises(DataError, match="at most 134,217,728 pixels are decoded"):
        web_page.cut(replace(page, size=(20_000, 10_000)), (0, 0, 1280, 1000))
    buffer = io.BytesIO()
    Pillow.effect_noise((320, 2300), 90).convert("CMYK").save(buffer, "JPEG")
    data = buffer.getvalue()
    assert web_page.cut(read_image(data, "page"), (0, 800, 320, 1800)).suffix == ".png"  # PNG has no CMYK
    cut = {"bytes": data[: len(data) // 2], "path": None}  # its header is whole, its pixels are not
    assert reasons(one(rows["plan"][0], screenshot=cut)) == ["corrupt image"]


def page_of(width: int, height: int) -> dict[str, bytes]:
    buffer = io.BytesIO()
    Pillow.new("1", (width, height)).save(buffer, "PNG", compress_level=1)
    return {"bytes": buffer.getvalue()}


def test_a_page_of_100_megapixels_is_cut(rows: dict[str, Rows]) -> None:
    target = [fixture.candidate("100,78500,40,20")]
    converted = one(rows["plan"][0], screenshot=page_of(1280, 79_000), pos_candidates=target)
    (step,) = converted.episode.steps
    assert (step.size, step.labels["page_top"]) == ((1280, 1000), 77_600)
    beyond = one(rows["plan"][0], screenshot=page_of(1280, 110_000), pos_candidates=target)
    assert reasons(beyond) == ["corrupt image"]
    assert "at most 134,217,728 pixels" in beyond.notes[0].detail


@pytest.mark.parametrize(("x", "left"), [(50, 0), (1100, 0), (1275, 1080), (2500, 1320), (2590, 1320)])
def test_a_page_wider_than_the_block_is_cut_to_both_sides(rows: dict[str, Rows], x: int, left: int) -> None:
    target = [fixture.candidate(f"{x},1500,10,20")]
    converted = one(rows["plan"][0], screenshot=page_of(2600, 2300), pos_candidates=target)
    (step,) = converted.episode.steps
    (image,) = converted.images.values()
    assert image.size == step.size == (1280, 1000)
    assert step.labels == {"page_top": 800, "page_height": 2300, "page_left": left, "page_width": 2600}
    assert step.box == pytest.approx(((x - left) / 1280, 0.7, (x - left + 10) / 1280, 0.72))
    full = one(rows["plan"][0], ConvertSettings(page="full"), screenshot=page_of(2600, 2300), pos_candidates=target)
    assert full.episode.steps[0].size == (2600, 2300)


# ---- words -----------------------------------------------------------------------------------------------------------


def test_a_page_in_words(rows: dict[str, Rows]) -> None:
    words = web_words.page_words(fixture.html(), "136", {}, None)
    assert (words.title, words.own) == ("The Shop & more", ["Plans"])
    assert words.names() == ["Welcome", "Item 5", "Item 6", "Item 7", "Item 8", "Plans", "after it"]
    assert web_words.page_words(fixture.html(), "", {}, None).names()[:3] == ["Welcome", "Welcome", "Item 0"]
    odd = web_words.page_words("</p><" + "<" * 10_000 + "x", "1", {}, None)
    assert (odd.title, odd.names()) == ("", ["x"])
    without = one(rows["plan"][0], cleaned_html=None).episode.steps[0]
    assert without.abstraction == "shop"
    assert one(rows["plan"][0], ConvertSettings(abstractions="none")).episode.steps[0].abstraction == ""


def test_a_block_is_described_by_what_it_shows(rows: dict[str, Rows]) -> None:
    html = (
        "<html><title>Shop</title><h1 backend_node_id='x' backend_node_id=\"1\"><text>Top</text></h1>"
        '<ul><li backend_node_id="2"><text> \ue92aNearby\uf08e </text></li>'
        '<li backend_node_id="3"><br/>Foot</li><li backend_node_id="4">unplaced</li></ul>'
        '<h2 backend_node_id="5"><text backend_node_id="6">Offers</text></h2><a backend_node_id="136">Buy</a></html>'
    )
    boxes = {"1": "0,10,300,40", "2": "0,1400,100,20", "3": "0,2250,100,20", "5": "0,900,100,30", "6": "0,900,80,20"}
    others = [fixture.candidate(rect, original=False, node=node) for node, rect in boxes.items()]
    row = {**rows["places"][0], "cleaned_html": html, "neg_candidates": others}
    assert one(row).episode.steps[0].abstraction == "Shop: 'Offers', 'Nearby', 'Buy'"
    row["neg_candidates"] = [json.loads(text) for text in others]  # a release that has them decoded
    assert one(row).episode.steps[0].abstraction == "Shop: 'Offers', 'Nearby', 'Buy'"
    row["neg_candidates"] = None
    assert one(row).episode.steps[0].abstraction == "Shop: 'Buy'"
    whole = one(row, ConvertSettings(page="full")).episode.steps[0].abstraction
    assert whole == "Shop: 'Top', 'Offers', 'Nearby', 'Foot', 'unplaced', 'Buy'"


@pytest.mark.parametrize(
    ("attributes", "html", "words"),
    [
        ({"aria_label": "Close", "value": "x"}, "", "click the 'Close' icon"),
        ({"aria_label": " \ue900 ", "placeholder": "City"}, "", "click the 'City' icon"),
        ({}, '<a backend_node_id="136"><b>Buy</b> now</a>', "click the 'Buy now' icon"),
        (
            {},
            f'<a backend_node_id="136">{"word " * 30}</a>',
            "click the icon at the point 38% from the left, 71% from the top",
        ),
    ],
)
def test_a_target_without_a_name_is_named_otherwise(
    rows: dict[str, Rows], attributes: dict[str, str], html: str, words: str
) -> None:
    target = json.loads(fixture.candidate("100,1500,40,20"))
    target["attributes"] = json.dumps(json.loads(target["attributes"]) | attributes)
    row = {**rows["places"][0], "target_action_reprs": "[svg]  \ue92a -> CLICK", "cleaned_html": html}
    assert one(row, pos_candidates=[json.dumps(target)]).episode.steps[0].instruction == words


@pytest.mark.parametrize(
    ("text", "target", "value"),
    [
        ("[link]  Plans -> CLICK", "the 'Plans' link", ""),
        ("[textbox]  City -> TYPE: a -> b: c", "the 'City' field", "a -> b: c"),
        ("[span]  a -> b -> CLICK", "the 'a -> b' text", ""),
        ("[svg]   -> HOVER", "the icon", ""),
        ("[odd]   -> CLICK", "the section", ""),
        ("[link]  " + "long " * 30 + "-> CLICK", f"the '{'long ' * 14}long...' link", ""),
    ],
)
def test_actions_as_the_corpus_tells_them(text: str, target: str, value: str) -> None:
    described = web_words.parse_action_words(text)
    assert described is not None
    assert (described.target(), described.value) == (target, value)


@pytest.mark.parametrize("text", ["", "Plans -> CLICK", "[link] Plans", "[link] x -> FLY", "[" + " " * 3000 + "->"])
def test_what_is_not_told_so(text: str, rows: dict[str, Rows]) -> None:
    assert web_words.parse_action_words(text) is None
    told = one(rows["plan"][0], target_action_reprs=text, action_reprs=[text]).episode.steps[0].instruction
    assert told == "click the point 19% from the left, 4% from the top"


# ---- tasks and files -------------------------------------------------------------------------------------------------


def test_a_missing_row_is_counted_and_told_before_the_next(rows: dict[str, Rows]) -> None:
    converted = made([rows["missing"][2], rows["missing"][0]])
    assert [step.instruction for step in converted.episode.steps] == [
        "click the 'First' link",
        "click the 'Third' link",
    ]
    assert reasons(converted) == ["row missing", "row missing", "end missing"]
    assert converted.notes[0].where == "shard task x: action 1"
    last = converted.episode.steps[-1]
    assert last.labels["unseen_before"] == "click the 'Second' link"
    assert [step.status for step in converted.episode.steps] == ["not done", "not done"]
    assert converted.episode.labels["end_missing"] is True


@pytest.mark.parametrize(
    ("kept", "statuses"), [((0, 1, 2), ["not done"] * 3), ((1, 3), ["not done", "done"]), ((3,), ["done"])]
)
def test_only_the_last_action_of_a_task_is_done(rows: dict[str, Rows], kept: tuple[int, ...], statuses: Rows) -> None:
    converted = made([rows["missing"][number] for number in kept])
    assert [step.status for step in converted.episode.steps] == statuses
    assert ("end_missing" in converted.episode.labels) == (3 not in kept)
    spoilt = {**rows["missing"][3], "screenshot": None}
    assert made([rows["missing"][0], spoilt]).episode.steps[-1].status == "not done"


def test_rows_met_again_and_rows_without_a_number(rows: dict[str, Rows]) -> None:
    row = rows["repeated"][0]
    assert reasons(made([row, row])) == ["repeated action"]
    with pytest.raises(UnusableRecord, match="no readable row"):
        made([{**row, "target_action_index": text} for text in ("one", "-1", None, "9" * 5000)])
    with pytest.raises(UnusableRecord, match="no usable confirmed_task"):
        one(row, confirmed_task=None)
    with pytest.raises(UnusableRecord, match="no goal"):
        one(row, confirmed_task=" ")


def test_a_whole_conversion(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = convert("mind2web", raw, out)
    assert (said["records"], said["episodes"], said["steps"]) == (7, 6, 18)
    counts = {kind: {reason: n["count"] for reason, n in notes.items()} for kind, notes in said["notes"].items()}
    assert counts["damaged"] == {
        "corrupt image": 1,
        "no usable target_action_index": 1,
        "not a Parquet file": 1,
        "unreadable JSON": 3,
    }
    assert counts["dropped"] == {
        "repeated action": 1,
        "no screenshot": 2,
        "no target box": 1,
        "row missing": 3,
        "unknown action": 1,
    }
    assert said["counts"]["split"] == {"test_domain": 2, "test_task": 1, "test_website": 1, "train": 2}
    assert said["terminal"].startswith("none is added")
    episodes = {episode.episode_id: episode for episode in read_episodes(out)}
    assert list(episodes) == ["plan", "ids/../with:slashes", "places", "missing", "repeated", "damaged"]
    assert len(episodes["plan"].steps) == 5  # over two files, its rows not in order and not together
    assert episodes["plan"].labels == {
        "website": "shop",
        "domain": "Shopping",
        "subdomain": "General",
        "abstraction": "rules-2",
    }
    for step in (step for episode in episodes.values() for step in episode.steps):
        assert step.box is None or step.action.point is None or inside(step.action.point, step.box)
    assert sorted(path.name for path in out.iterdir()) == ["conversion.json", "episodes.jsonl", "images"]
    assert [*inspect_path(out).problems] == []


@pytest.mark.parametrize("page", ["blocks", "full"])
def test_the_gold_plan_of_every_window_scores_one(raw: Path, tmp_path: Path, page: Any) -> None:
    convert("mind2web", raw, tmp_path / "out", ConvertSettings(page=page))
    assert [*inspect_path(tmp_path / "out").problems] == []
    assert make_windows(tmp_path / "out", tmp_path / "w.parquet").windows == 18
    penalties = set()
    for window in read_windows(tmp_path / "w.parquet"):
        steps = window.reference.steps
        penalty = 0.1 * repetitions([step.action_type for step in steps])
        penalties.add(penalty)
        score = score_trajectory(render_plan(Plan(steps, "", window.step + 1)), steps)
        assert score.format == 1.0
        assert score.accuracy == pytest.approx(1.0 - penalty)
    assert len(penalties) > 1  # clicks repeat in one of the tasks


def test_one_split_reads_no_other_file(raw: Path, tmp_path: Path) -> None:
    said = convert("mind2web", raw, tmp_path / "out", ConvertSettings(split="test_task"))
    assert [file["file"] for file in said["files"]] == ["data/test_task-00000-of-00001-0c.parquet"]
    assert said["episodes"] == 1
    with pytest.raises(DataError, match="no split 'test' there; it has test_domain"):
        Mind2Web(raw, ConvertSettings(split="test")).shards()


def test_files_without_their_folder_and_no_files(raw: Path, tmp_path: Path) -> None:
    assert len(Mind2Web(raw / "data", ConvertSettings()).shards()) == 6
    with pytest.raises(DataError, match=r"no train\|test_task\|.*parquet there"):
        Mind2Web(tmp_path, ConvertSettings()).shards()


def test_the_same_output_whatever_the_workers_and_batches(raw: Path, tmp_path: Path) -> None:
    convert("mind2web", raw, tmp_path / "a")
    convert("mind2web", raw, tmp_path / "b", workers=2, batch=1)
    assert (tmp_path / "a/episodes.jsonl").read_bytes() == (tmp_path / "b/episodes.jsonl").read_bytes()


def test_strict_stops_at_the_first_damage(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-00002.*: not a Parquet file"):
        convert("mind2web", raw, tmp_path / "out", ConvertSettings(strict=True))


def test_another_parquet_and_rows_without_a_task(tmp_path: Path, rows: dict[str, Rows]) -> None:
    folder = tmp_path / "raw/data"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"a": [1]}), folder / "train-00000-of-00002-x.parquet")
    row = rows["repeated"][0]
    fixture.write(folder / "train-00001-of-00002-x.parquet", [{**row, "annotation_id": None}, row])
    said = convert("mind2web", tmp_path / "raw", tmp_path / "out")
    assert set(said["notes"]["damaged"]) == {"no such column", "no usable annotation_id"}
    assert said["episodes"] == 1
    assert json.loads((tmp_path / "out/episodes.jsonl").read_text())["episode_id"] == "repeated"
