"""Every quirk of AgentNet, one by one, and a whole conversion of a small one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from corpora import agentnet as fixture
from corpora.whole import actions, broken, by_id, check_broken, check_whole, reasons
from hypothesis import given
from hypothesis import strategies as st

from tracer1.data.conversion.convert import convert
from tracer1.data.conversion.corpus import ConvertSettings, Note, RawRecord, UnusableRecord
from tracer1.data.corpora.agentnet import corpus as module
from tracer1.data.corpora.agentnet.code import CodedAction, read_code
from tracer1.errors import DataError
from tracer1.types import Action, Episode, Point

CENTRE = Point(0.5, 0.5)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agentnet") / "raw"
    fixture.make(folder)
    return folder


@pytest.fixture(scope="module")
def made(raw: Path) -> dict[str, Any]:
    return convert("agentnet", raw, raw.parent / "out")


@pytest.fixture(scope="module")
def episodes(raw: Path, made: dict[str, Any]) -> dict[str, Episode]:
    return {name.removeprefix(fixture.task_id("")): episode for name, episode in by_id(raw.parent / "out").items()}


def first(conversion: dict[str, Any], kind: str, reason: str) -> str:
    return str(conversion["notes"][kind][reason]["first"][0])


def code(*lines: str) -> tuple[list[Action], list[tuple[str, str]]]:
    """The actions, and the notes as (kind, reason)."""
    notes: list[Note] = []
    found = [coded.action for coded in read_code("\n".join(lines), "here", notes)]
    return found, [(note.kind, note.reason) for note in notes]


# ---- the whole -------------------------------------------------------------------------------------------------------


def test_a_converted_corpus_is_whole(raw: Path, made: dict[str, Any]) -> None:
    check_whole(raw.parent / "out", raw.parent / "windows.parquet")
    assert (made["source"], made["counts"]["platform"]) == ("agentnet", {"desktop": made["episodes"]})
    assert made["counts"]["split"] == {"train": made["episodes"]}
    assert [file["file"] for file in made["files"]] == sorted([*list(module.FILES)[:2], module.META])


def test_shares_of_any_size_hold_each_line_once(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(raw, tmp_path / "raw")
    lines = (raw / "agentnet_ubuntu_5k.jsonl").read_bytes().splitlines(keepends=True)
    short = b"".join(line for line in lines if len(line) < 10_000)
    (tmp_path / "raw/agentnet_ubuntu_5k.jsonl").write_bytes(short)
    once = convert("agentnet", tmp_path / "raw", tmp_path / "once")
    monkeypatch.setattr(module, "SHARE", 1000)
    assert len(module.AgentNet(tmp_path / "raw", ConvertSettings()).shards()) > 20
    assert convert("agentnet", tmp_path / "raw", tmp_path / "out")["records"] == once["records"]
    assert (tmp_path / "out/episodes.jsonl").read_bytes() == (tmp_path / "once/episodes.jsonl").read_bytes()


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"agentnet_ubuntu_5k\.jsonl"):
        convert("agentnet", tmp_path, tmp_path / "out")


def test_a_missing_folder_of_screenshots_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "agentnet_ubuntu_5k.jsonl").write_text(json.dumps(fixture.task("ubuntu", [fixture.DONE])))
    with pytest.raises(DataError, match="ubuntu_images"):
        convert("agentnet", tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["images.zip", "images-full.zip"])
def test_screenshots_are_read_from_zips_whole_and_in_parts(
    raw: Path, made: dict[str, Any], tmp_path: Path, name: str
) -> None:
    from zip_writer import Entry, write_zip

    shutil.copytree(raw, tmp_path / "raw")
    folder = tmp_path / "raw/ubuntu_images"
    entries = [Entry(f"images/{path.name}", path.read_bytes()) for path in sorted(folder.iterdir())]
    shutil.rmtree(folder)
    folder.mkdir()
    written = write_zip(folder / name, entries, 900 if name == "images.zip" else None)
    assert len(written) == 1 or name == "images.zip"
    if name == "images-full.zip":
        (folder / "images.zip").write_bytes(b"the last of the parts that it was made of")
    convert("agentnet", tmp_path / "raw", tmp_path / "out")
    assert (tmp_path / "out/episodes.jsonl").read_bytes() == (raw.parent / "out/episodes.jsonl").read_bytes()


# From xlang-ai/OpenCUA (MIT), its example of a recorded trajectory before annotation.
EXAMPLE = (
    "pyautogui.click(x=0.9722, y=0.9701)",
    "pyautogui.rightClick(x=0.9553, y=0.5117)",
    "pyautogui.click(x=0.9283, y=0.5286)",
    "pyautogui.moveTo(x=0.4546, y=0.2682)\npyautogui.dragTo(x=0.4107, y=0.2773, button='left')",
    "pyautogui.click(x=0.2635, y=0.3333)",
    "pyautogui.moveTo(x=0.396, y=0.7839)\npyautogui.scroll(-3)",
    "pyautogui.click(x=0.4114, y=0.3607)",
    "pyautogui.click(x=0.3982, y=0.4115)",
    "pyautogui.click(x=0.5359, y=0.7331)",
    "pyautogui.click(x=0.4685, y=0.2292)",
    "pyautogui.click(x=0.7606, y=0.724)",
    "pyautogui.click(x=0.1596, y=0.8281)",
    "pyautogui.click(x=0.5534, y=0.3984)",
    "pyautogui.click(x=0.5102, y=0.8854)",
    "computer.terminate(status='success')",
)
EXAMPLE_GOAL = (
    "Open the system display settings, adjust the system brightness to 78, turn on night light, change scale and "
    "layout to 125%, change display resolution to 1680x1050, set 'turn off screen after 5 hours when it's on battery "
    "power.'"
)


def test_the_published_example(tmp_path: Path) -> None:
    steps = [{"index": i, "image": f"{i}.png", "value": {"code": each}} for i, each in enumerate(EXAMPLE)]
    record = {"task_id": "task_example_0", "instruction": EXAMPLE_GOAL, "traj": steps}
    (tmp_path / "raw/images").mkdir(parents=True)
    (tmp_path / "raw/example.jsonl").write_text(json.dumps(record) + "\n")
    for i in range(len(steps)):
        (tmp_path / f"raw/images/{i}.png").write_bytes(fixture.png(f"{i}.png", (1276, 718)))
    made = convert("agentnet", tmp_path / "raw", tmp_path / "out")
    check_whole(tmp_path / "out", tmp_path / "windows.parquet")
    (episode,) = by_id(tmp_path / "out").values()
    assert made["notes"] == {}
    assert (episode.goal, episode.labels, {step.size for step in episode.steps}) == (EXAMPLE_GOAL, {}, {(1276, 718)})
    clicks = ["click"] * 8
    assert list(actions(episode)) == ["click", "right_single", "click", "drag", "click", "scroll", *clicks, "finished"]
    assert episode.steps[5].action == Action("scroll", Point(0.396, 0.7839), direction="down")
    assert (episode.steps[5].instruction, episode.steps[5].labels) == ("scroll down", {"clicks": -3})
    assert all(step.abstraction == "" and step.thought is None for step in episode.steps)


# ---- records ---------------------------------------------------------------------------------------------------------


def test_words_and_labels_of_the_corpus_are_kept(episodes: dict[str, Episode]) -> None:
    episode = episodes["ubuntu"]
    assert episode.goal == "do what ubuntu is about"
    step = episode.steps[1]
    assert step.abstraction == "The window of ubuntu after 1 steps."
    assert (step.instruction, step.thought) == ("Do step 1 of ubuntu", "Step 1 comes next.")
    assert step.labels == {"last_step_correct": True, "last_step_redundant": False}
    assert step.size == fixture.SIZE  # of the picture, not of the screen
    assert episode.labels == {
        "abstraction": "corpus",
        "task_completed": True,
        "alignment_score": 8,
        "efficiency_score": 7,
        "task_difficulty": 3,
        "reason": "It was done.",
        "domain": "Office",
        "natural_language_task": "Could you do what ubuntu is about?",
        "actual_task": "Did what ubuntu is about.",
        "os": "ubuntu",
        "system": "Ubuntu",
        "release": "14.0",
        "domains": "Office",
        "applications": "Calc, Files",
        "screen_width": 1920,
        "screen_height": 1080,
        "complexity": 2.5,
    }


def test_darwin_is_not_windows(episodes: dict[str, Episode]) -> None:
    assert [episodes[name].labels["os"] for name in ("windows", "darwin")] == ["windows", "macos"]


def test_a_task_without_meta_data_is_noted(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert episodes["no-meta"].labels["os"] == "ubuntu"  # its file tells
    assert reasons(made, "changed")["no row in meta_data_merged.jsonl"] == 1
    assert reasons(made, "damaged")["meta data: not JSON"] == 1


def test_the_meta_data_may_be_absent(raw: Path, made: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(raw, tmp_path / "raw")
    (tmp_path / "raw" / module.META).unlink()
    again = convert("agentnet", tmp_path / "raw", tmp_path / "out")
    assert again["episodes"] == made["episodes"]
    assert "os" not in by_id(tmp_path / "out")[fixture.task_id("darwin")].labels


def test_without_words_rules_tell_the_action(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    episode = episodes["wordless"]
    assert [step.instruction for step in episode.steps] == [
        "click the point 50% from the left, 25% from the top",
        "finished",
    ]
    assert [step.abstraction for step in episode.steps] == ["", ""]
    assert "abstraction" not in episode.labels
    assert episode.goal == "Could you do what wordless is about?"
    assert reasons(made, "changed")["goal from natural_language_task"] == 1


def test_an_id_met_again_is_another_episode_and_the_same_content_none(
    episodes: dict[str, Episode], made: dict[str, Any]
) -> None:
    assert [len(episodes[name].steps) for name in ("twice", "twice~2", "same")] == [2, 3, 2]
    assert "same~2" not in episodes
    assert reasons(made, "changed")["repeated episode id"] == 1
    assert reasons(made, "dropped")["duplicate content"] == 1


# ---- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no-terminate", "click scroll"),
        ("two-terminates", "click call_user"),
        ("early-terminate", "click scroll finished"),
        ("failure", "click call_user"),
    ],
)
def test_the_end_comes_once_and_last(episodes: dict[str, Episode], name: str, expected: str) -> None:
    episode = episodes[name]
    assert " ".join(actions(episode)) == expected
    assert [step.status for step in episode.steps] == ["not done"] * (len(episode.steps) - 1) + ["done"]


def test_ends_left_out_are_counted(made: dict[str, Any]) -> None:
    dropped = reasons(made, "dropped")
    assert (dropped["repeated terminal action"], dropped["terminal action before the end"]) == (1, 1)
    assert first(made, "dropped", "repeated terminal action").startswith("agentnet_ubuntu_5k.jsonl byte ")
    assert first(made, "dropped", "repeated terminal action").endswith(": traj[1]: finished")


# ---- code ------------------------------------------------------------------------------------------------------------

NAMED = ("changed", "key names")


@pytest.mark.parametrize(
    ("lines", "expected", "noted"),
    [
        (["pyautogui.click(x=0.5, y=0.5)"], [Action("click", CENTRE)], []),
        (["pyautogui.click(0.5, 0.5)"], [Action("click", CENTRE)], []),
        (["pyautogui.doubleClick(x=0.5, y=0.5)"], [Action("left_double", CENTRE)], []),
        (["pyautogui.rightClick(x=0.5, y=0.5)"], [Action("right_single", CENTRE)], []),
        (["pyautogui.middleClick(x=0.5, y=0.5)"], [Action("middle_click", CENTRE)], []),
        (["computer.tripleClick(x=0.5, y=0.5)"], [Action("triple_click", CENTRE)], []),
        (["computer.triple_click(x=0.5, y=0.5)"], [Action("triple_click", CENTRE)], []),
        (["pyautogui.tripleClick(x=0.5, y=0.5)"], [Action("triple_click", CENTRE)], []),
        (["pyautogui.moveTo(x=0.5, y=0.5)"], [Action("hover", CENTRE)], []),
        (["pyautogui.moveTo(x=0.5, y=0.5)", "pyautogui.click()"], [Action("click", CENTRE)], []),
        (
            ["pyautogui.moveTo(x=0.5, y=0.5)", "pyautogui.click(x=0.1, y=0.2)"],
            [Action("hover", CENTRE), Action("click", Point(0.1, 0.2))],
            [],
        ),
        (
            ["pyautogui.moveTo(x=0.5, y=0.5)", "pyautogui.dragTo(x=0.1, y=0.2, button='left')"],
            [Action("drag", start_point=CENTRE, end_point=Point(0.1, 0.2))],
            [],
        ),
        (
            ["pyautogui.moveTo(x=0.5, y=0.5)", "pyautogui.dragTo(x=0.1, y=0.2, button='right')"],
            [],
            [("dropped", "unknown action")],
        ),
        (["pyautogui.scroll(5)"], [Action("scroll", direction="up")], []),
        (["pyautogui.scroll(-5)"], [Action("scroll", direction="down")], []),
        (["pyautogui.hscroll(5)"], [Action("scroll", direction="right")], []),
        (["pyautogui.hscroll(-5)"], [Action("scroll", direction="left")], []),
        (["pyautogui.scroll(0)"], [], [("dropped", "scroll of length 0")]),
        (
            ["pyautogui.moveTo(x=0.5, y=0.5)", "pyautogui.hscroll(1)", "pyautogui.scroll(-1)"],
            [Action("scroll", CENTRE, direction="right"), Action("scroll", CENTRE, direction="down")],
            [],
        ),
        (["pyautogui.press(keys=['enter'])"], [Action("hotkey", key="enter")], []),
        (["pyautogui.press('enter')"], [Action("hotkey", key="enter")], []),
        (["pyautogui.press(['a', 'b'])"], [Action("hotkey", key="a"), Action("hotkey", key="b")], []),
        (["pyautogui.press('down', presses=2)"], [Action("hotkey", key="down")] * 2, []),
        (["pyautogui.press(keys=['Page_Down'])"], [Action("hotkey", key="pagedown")], [NAMED]),
        (["pyautogui.press(keys=[' '])"], [Action("hotkey", key="space")], [NAMED]),
        (["pyautogui.press(keys=[''])"], [], [("dropped", "empty key")]),
        (["pyautogui.hotkey(keys=['ctrl', 'c'])"], [Action("hotkey", key="ctrl c")], []),
        (["pyautogui.hotkey(['ctrl', 'c'])"], [Action("hotkey", key="ctrl c")], []),
        (["pyautogui.hotkey('ctrl', 'c')"], [Action("hotkey", key="ctrl c")], []),
        (["pyautogui.hotkey(keys=['ctrl', 'V'])"], [Action("hotkey", key="ctrl v")], [NAMED]),
        (["pyautogui.write('hi')"], [Action("type", content="hi")], []),
        (["pyautogui.write(message='')"], [], [("dropped", "empty text")]),
        (["pyautogui.write(message='  ')"], [Action("hotkey", key="space")] * 2, [("changed", "blanks typed as keys")]),
        (
            ["pyautogui.write(message='hi')", "pyautogui.press('enter')"],
            [Action("type", content="hi\n")],
            [("changed", "write and enter merged")],
        ),
        (
            ["pyautogui.write(message='hi')", "pyautogui.press(['enter', 'tab'])"],
            [Action("type", content="hi\n"), Action("hotkey", key="tab")],
            [("changed", "write and enter merged")],
        ),
        (
            ["pyautogui.write(message='hi')", "computer.wait()", "pyautogui.press('enter')"],
            [Action("type", content="hi"), Action("wait"), Action("hotkey", key="enter")],
            [],
        ),
        (["computer.wait(2)"], [Action("wait")], []),
        (["computer.terminate(status='success')"], [Action("finished")], []),
        (["computer.terminate(status='failure')"], [Action("call_user")], []),
        (["computer.terminate(status='fail')"], [Action("call_user")], []),
        (["computer.terminate(status='maybe')"], [], [("dropped", "unknown action")]),
        (["pyautogui.keyDown('shift')"], [], [("dropped", "unknown action")]),
        (
            ["pyautogui.keyDown('shift')", "pyautogui.click(x=0.5, y=0.5)", "pyautogui.keyUp('shift')"],
            [],
            [("dropped", "unknown action")],
        ),
        (["pyautogui.click(x=0.5, y=0.5, clicks=4)"], [], [("dropped", "unknown action")]),
        (["__import__('os').system('true')"], [], [("dropped", "unknown action")]),
    ],
    ids=lambda value: " ; ".join(value) if value and isinstance(value[0], str) else None,
)
def test_each_form_of_code(lines: list[str], expected: list[Action], noted: list[tuple[str, str]]) -> None:
    assert code(*lines) == (expected, noted)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "no usable code"),
        ("click the button", "no usable code"),
        ("x = 1", "no usable code"),
        ("pyautogui.write(message=open('/etc/passwd').read())", "no usable code"),
        ("pyautogui.write(message='C:\\Users')", "no usable code"),
        ("pyautogui.write()", "no usable code"),
        (f"pyautogui.write('{' ' * 1000}')", "no usable code"),
        ("pyautogui.scroll('far')", "no usable code"),
        ("pyautogui.press('a', presses=10000000000)", "no usable code"),
        ("(" * 50_000, "no usable code"),
        ("-" * 50_000 + "1", "no usable code"),
        ("a" + ".b" * 30_000, "no usable code"),
        ("pyautogui.write('" + "a" * 70_000 + "')", "no usable code"),
        ("pyautogui.click()", "no usable point"),
        ("pyautogui.click(x=0.5)", "no usable point"),
        ("pyautogui.click(x='left', y=0.5)", "no usable point"),
        ("pyautogui.click(x=1e999, y=0.5)", "no usable point"),
        ("pyautogui.dragTo(x=0.5, y=0.5)", "no usable point"),
        ("pyautogui.click(x=1.06, y=0.5)", "point off the screen"),
        ("pyautogui.click(x=512, y=300)", "point off the screen"),
    ],
    ids=lambda value: value[:40],
)
def test_code_that_cannot_be_read(line: str, reason: str) -> None:
    with pytest.raises(UnusableRecord) as caught:
        read_code(line, "here", [])
    assert [(note.kind, note.reason) for note in caught.value.notes] == [("damaged", reason)]


def test_how_far_and_how_long_are_labels() -> None:
    assert read_code("pyautogui.scroll(-54)\ncomputer.wait(3)", "here", []) == [
        CodedAction(Action("scroll", direction="down"), {"clicks": -54}),
        CodedAction(Action("wait"), {"seconds": 3}),
    ]


def test_several_actions_are_steps_on_one_screenshot_told_by_rule(episodes: dict[str, Episode]) -> None:
    right, down, up, _ = episodes["both-scrolls"].steps
    assert right.screenshot == down.screenshot != up.screenshot
    assert [step.instruction for step in (right, down, up)] == [
        "scroll right",
        "scroll down",
        "Do step 1 of both-scrolls",
    ]
    assert [step.labels["clicks"] for step in (right, down, up)] == [7, -54, 2]


def test_texts_come_through(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    typed = [step.action.content or step.action.key for step in episodes["texts"].steps[:-1]]
    assert typed == ["it's", 'a\\b "c"\nd', "space", "space"]
    assert episodes["ubuntu"].steps[3].action == Action("type", content="Grüße\n")
    assert reasons(made, "dropped")["empty text"] == 1


def test_own_types_are_kept_or_left_out(raw: Path, episodes: dict[str, Episode], tmp_path: Path) -> None:
    assert list(actions(episodes["own-types"])) == ["triple_click", "middle_click", "hover", "finished"]
    made = convert("agentnet", raw, tmp_path / "out", ConvertSettings(extra_actions="drop"))
    check_whole(tmp_path / "out", tmp_path / "windows.parquet")
    assert list(actions(by_id(tmp_path / "out")[fixture.task_id("own-types")])) == ["finished"]
    dropped = reasons(made, "dropped")
    assert [dropped[f"no equivalent: {name}"] for name in ("triple_click", "middle_click", "hover")] == [1, 1, 1]


def test_a_call_of_no_known_name_costs_its_step(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    assert list(actions(episodes["unknown-call"])) == ["click", "finished"]
    assert first(made, "dropped", "unknown action").endswith(": traj[1]: value.code: 'pyautogui.keyDown'")


# ---- places and damage -----------------------------------------------------------------------------------------------


def test_points_on_and_over_the_edge(episodes: dict[str, Episode], made: dict[str, Any]) -> None:
    corner, over, _ = (step.action.point for step in episodes["edges"].steps)
    assert (corner, over) == (Point(1.0, 0.0), Point(1.0, 0.5))
    assert reasons(made, "changed")["point moved to the edge of the screen"] == 1


@pytest.mark.parametrize("name", ["off-screen", "unparsable", "no-image", "cut-image", "climbing-image", "surrogate"])
def test_damage_costs_the_trajectory(episodes: dict[str, Episode], name: str) -> None:
    assert name not in episodes


def test_damage_is_counted_by_name(made: dict[str, Any]) -> None:
    assert reasons(made, "damaged") == {
        "meta data: not JSON": 1,
        "nested too deep": 1,
        "no usable code": 1,
        "no usable screenshot": 3,
        "no usable task_id": 3,
        "no usable traj": 1,
        "point off the screen": 1,
        "truncated": 1,
        "unreadable": 1,
    }
    assert first(made, "damaged", "point off the screen").endswith(": traj[1]: value.code: (512, 300)")
    assert made["records"] == len(fixture.UBUNTU) + len(fixture.WIN_MAC) + 2 + 7 + 1
    lost = {"off-screen", "unparsable", "no-image", "cut-image", "climbing-image"}
    assert made["episodes"] == len(fixture.UBUNTU) - len(lost) + len(fixture.WIN_MAC) + 1


def test_strict_stops_at_damage(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="meta_data_merged"):
        convert("agentnet", raw, tmp_path / "out", ConvertSettings(strict=True))


@given(data=st.data())
def test_whatever_a_record_holds_is_an_episode_or_refused(raw: Path, data: st.DataObject) -> None:
    corpus = module.AgentNet(raw, ConvertSettings())
    part = next(part for part in corpus.shards() if "ubuntu" in part.name)
    record = next(r for r in corpus.read(part) if isinstance(r, RawRecord))
    check_broken(corpus, record, data.draw(broken(record.data)))


# ---- filters ---------------------------------------------------------------------------------------------------------


def test_a_filter_that_leaves_nothing_fails_with_its_reason(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 episodes from 35 records: 28 x efficiency too low"):
        convert("agentnet", raw, tmp_path / "out", ConvertSettings(min_efficiency=8))


@pytest.mark.parametrize(
    ("asked", "reason", "count", "left"),
    [
        ({"completed": True}, "task judged not completed", 2, None),
        ({"min_alignment": 5}, "alignment too low", 1, None),
        ({"incorrect": "drop"}, "step judged incorrect", 1, "click click finished"),
        ({"redundant": "drop"}, "step judged redundant", 1, "click scroll finished"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_filters_say_what_they_took(
    raw: Path, tmp_path: Path, asked: dict[str, Any], reason: str, count: int, left: str | None
) -> None:
    made = convert("agentnet", raw, tmp_path / "out", ConvertSettings(**asked))
    assert reasons(made, "filtered")[reason] >= count
    found = by_id(tmp_path / "out").get(fixture.task_id("judged"))
    assert (" ".join(actions(found)) if found else None) == left
