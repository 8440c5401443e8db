"""Rows in the formats in which others publish theirs, small ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tracer1.data.conversion.convert import convert, convert_settings
from tracer1.data.corpora.rows.mapping import load_map, shipped_maps
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.store import EpisodeStore, read_episodes
from tracer1.data.windows import make_windows
from tracer1.errors import DataError, UsageError
from tracer1.types import Action, Episode, Point

SIZE = (1000, 2000)


@pytest.fixture
def image(png: Callable[..., bytes]) -> bytes:
    return png(SIZE)


def gui_r1(image: bytes, **values: Any) -> dict[str, Any]:
    row = {
        "image": {"bytes": image, "path": None},
        "gt_bbox": [0.25, 0.5],
        "instruction": "Open the settings and switch Wi-Fi on",
        "id": "ac/1",
        "gt_action": "click",
        "gt_input_text": "no input text",
        "history": "None",
        "task_type": "high",
    }
    return row | values


def converted(raw: Path, out: Path, mapping: str, **settings: Any) -> tuple[dict[str, Any], list[Episode]]:
    made = convert("rows", raw, out, convert_settings([], map=load_map(mapping), **settings))
    return made, list(read_episodes(out))


# ---- GUI-R1 and EasyR1 -----------------------------------------------------------------------------------------------


def test_gui_r1_rows(tmp_path: Path, image: bytes) -> None:
    rows = [
        gui_r1(image),
        gui_r1(image, id="ac/2", gt_bbox=[100.0, 200.0, 300.0, 600.0], history="Step 1: open_app Settings"),
        gui_r1(image, id="ac/3", gt_action="type", gt_input_text="wifi", gt_bbox=[-100.0, -100.0]),
        gui_r1(image, id="ac/4", gt_action="scroll", gt_input_text="DOWN", gt_bbox=[-100.0, -100.0]),
        gui_r1(image, id="ac/5", gt_action="open_app", gt_input_text="Settings"),
        gui_r1(image, id="ac/6", gt_action="complete"),
        gui_r1(image, id="ac/7", gt_action="press_back"),
        gui_r1(image, id="ac/8", gt_action="close/delete"),
        gui_r1(image, id="ac/9", gt_bbox=[5000.0, 200.0]),
        gui_r1(b"none", id="ac/10"),
    ]
    file = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    made, episodes = converted(file, tmp_path / "store", "gui_r1")
    assert {e.episode_id: e.steps[0].action for e in episodes} == {
        "ac/1": Action("click", Point(0.25, 0.5)),
        "ac/2": Action("click", Point(0.2, 0.2)),
        "ac/3": Action("type", content="wifi"),
        "ac/4": Action("scroll", direction="down"),
        "ac/5": Action("open_app", app_name="Settings"),
        "ac/6": Action("finished"),
        "ac/7": Action("press_back"),
    }
    first, second = episodes[:2]
    assert (first.source, first.platform, first.labels) == ("gui-r1", "mobile", {"end_missing": True})
    assert (first.goal, first.steps[0].status) == ("Open the settings and switch Wi-Fi on", "not done")
    assert second.goal.endswith("\nDone so far: Step 1: open_app Settings")
    assert second.steps[0].box == (0.1, 0.1, 0.3, 0.3)
    assert episodes[5].steps[0].status == "done"
    assert {reason: skip["count"] for reason, skip in made["skipped"].items()} == {
        "no equivalent": 1,
        "point off the screen": 1,
        "unreadable": 1,
    }
    assert made["skipped"]["no equivalent"]["first"] == [
        "train.parquet row 7: 'close/delete'; add it to the map's actions"
    ]
    assert (made["source"], made["files"][0]["file"]) == ("gui-r1", "train.parquet")
    assert EpisodeStore(tmp_path / "store").read(first.steps[0].screenshot or "") == image
    assert not inspect_path(tmp_path / "store").problems
    assert make_windows(tmp_path / "store", tmp_path / "w.parquet").windows == 7


def test_rows_of_one_trajectory_are_put_together(tmp_path: Path, image: bytes) -> None:
    (tmp_path / "raw" / "shots").mkdir(parents=True)
    (tmp_path / "raw" / "shots" / "a.png").write_bytes(image)
    uri = "data:image/png;base64," + base64.b64encode(image).decode()
    rows = [
        {"task": "t1", "n": 2, "shot": uri, "do": {"kind": "end"}, "goal": "Do it"},
        {
            "task": "t1",
            "n": 1,
            "shot": "shots/a.png",
            "do": {"kind": "tap", "at": {"x": 500, "y": 500}},
            "goal": "Do it",
        },
        {"task": "t2", "n": 1, "shot": "shots/a.png", "do": {"kind": "tap", "at": "(100, 200)"}, "goal": "Other"},
    ]
    (tmp_path / "raw" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    mapping = {
        "source": "own",
        "layout": "steps",
        "platform": "web",
        "coordinates": "pixels",
        "licence": "CC-BY-4.0",
        "fields": {
            "episode": "task",
            "order": "n",
            "image": "shot",
            "goal": "goal",
            "action": "do.kind",
            "point": ["do.at", "do.to"],
        },
        "actions": {"tap": "click", "end": "finished"},
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(mapping))
    made, (first, second) = converted(tmp_path / "raw", tmp_path / "store", str(tmp_path / "map.yaml"))
    assert first.episode_id == "t1"
    assert [step.action for step in first.steps] == [Action("click", Point(0.5, 0.25)), Action("finished")]
    assert [step.status for step in first.steps] == ["not done", "done"]
    assert first.steps[0].instruction == "click the point 50% from the left, 25% from the top"
    assert (second.episode_id, second.steps[0].action.point) == ("t2", Point(0.1, 0.1))
    assert made["licence"] == "CC-BY-4.0"
    assert list(made["skipped"]) == ["not JSON"]


# ---- ShareGPT --------------------------------------------------------------------------------------------------------


def sharegpt(tmp_path: Path, image: bytes, replies: list[str], images: int | None = None, **values: Any) -> Path:
    raw = tmp_path / "raw"
    (raw / "images").mkdir(parents=True, exist_ok=True)
    names = []
    for i in range(len(replies) if images is None else images):
        (raw / "images" / f"{i}.png").write_bytes(image)
        names.append(f"images/{i}.png")
    turns = [{"from": "system", "value": "You are a GUI agent."}]
    for i, reply in enumerate(replies):
        turns.append({"from": "human", "value": "<image>\nBook a table" if i == 0 else "<image>"})
        turns.append({"from": "gpt", "value": reply})
    row = {"id": "s1", "images": names, "conversations": turns} | values
    (raw / "train.json").write_text(json.dumps([row]))
    return raw


def test_sharegpt_trajectories_with_calls(tmp_path: Path, image: bytes) -> None:
    replies = [
        "Thought: I open it.\nAction: click(start_box='<|box_start|>(250,500)<|box_end|>')",
        "Thought: I type.\nAction: type(content='it\\'s two\\n')",
        "Action: drag(start_box='(0,0)', end_box='(1000,500)')",
        "Action: scroll(point='<point>1 2</point>', direction='down')",
        "Action: hotkey(key='ctrl c')",
        "Action: finished(content='done')",
    ]
    raw = sharegpt(tmp_path, image, replies)
    _, (episode,) = converted(raw, tmp_path / "store", "sharegpt", limit=1)
    assert (episode.episode_id, episode.goal, episode.platform) == ("s1", "Book a table", "desktop")
    assert [step.action for step in episode.steps] == [
        Action("click", Point(0.25, 0.5)),
        Action("type", content="it's two\n"),
        Action("drag", start_point=Point(0.0, 0.0), end_point=Point(1.0, 0.5)),
        Action("scroll", direction="down"),
        Action("hotkey", key="ctrl c"),
        Action("finished", content="done"),
    ]
    assert [step.thought for step in episode.steps][:3] == ["I open it.", "I type.", None]
    assert [step.status for step in episode.steps] == ["not done"] * 5 + ["done"]
    assert not inspect_path(tmp_path / "store").problems


def test_sharegpt_trajectories_with_json(tmp_path: Path, image: bytes) -> None:
    call = {"name": "mobile_use", "arguments": {"action": "click", "coordinate": [500, 1000]}}
    end = {"name": "mobile_use", "arguments": {"action": "terminate", "status": "success"}}
    replies = [f"<tool_call>\n{json.dumps(reply)}\n</tool_call>" for reply in (call, end)]
    raw = sharegpt(tmp_path, image, replies)
    mapping = {
        "source": "qwen",
        "layout": "conversations",
        "platform": "mobile",
        "coordinates": "pixels",
        "fields": {"id": "id", "image": "images", "action": "arguments.action", "point": "arguments.coordinate"},
        "actions": {"terminate": "finished"},
        "conversation": {"format": "json", "pattern": "<tool_call>(?P<action>.*)</tool_call>"},
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(mapping))
    _, (episode,) = converted(raw, tmp_path / "store", str(tmp_path / "map.yaml"))
    assert [step.action for step in episode.steps] == [Action("click", Point(0.5, 0.5)), Action("finished")]


@pytest.mark.parametrize(
    ("reply", "images", "reason"),
    [
        ("I do not know", 1, "a turn without an action: 'I do not know'"),
        ("Action: click(", 1, "an action that cannot be parsed"),
        ("Action: click(1, 2)", 1, "not one call with named arguments"),
        ("Action: click(point=__import__('os'))", 1, "an action that cannot be parsed"),
        ("Action: fly(point='(1,2)')", 1, "no equivalent: 'fly'; add it to the map's actions"),
        ("Action: wait()", 2, "images do not fit the turns: 2 images for 1 turns of the assistant"),
    ],
)
def test_what_cannot_be_read_is_counted(tmp_path: Path, image: bytes, reply: str, images: int, reason: str) -> None:
    raw = sharegpt(tmp_path, image, [reply], images)
    (row,) = json.loads((raw / "train.json").read_text())
    turns = [{"from": "human", "value": "<image>Wait"}, {"from": "gpt", "value": "Action: wait()"}]
    good = {"id": "good", "images": ["images/0.png"], "conversations": turns}
    (raw / "train.json").write_text(json.dumps([row, good]))
    made, episodes = converted(raw, tmp_path / "store", "sharegpt")
    assert [episode.episode_id for episode in episodes] == ["good"]
    ((name, skip),) = made["skipped"].items()
    assert reason in f"{name}: {skip['first'][0].partition(': ')[2]}"


# ---- maps ------------------------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "source": "own",
    "layout": "steps",
    "platform": "web",
    "coordinates": "fraction",
    "fields": {"goal": "g", "image": "i", "action": "a"},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown key 'colour'; known are source"),
        ({"fields": {**SMALL["fields"], "acton": "a"}}, "unknown key 'fields.acton'; did you mean 'action'?"),
        ({"fields": {"goal": "g", "image": "i"}}, "fields.action is missing; add it"),
        ({"fields": {"image": "i", "action": "a"}}, "fields.goal is missing"),
        ({"platform": "watch"}, "platform: Input should be 'desktop', 'mobile', 'web' or 'tools'"),
        ({"actions": {"tap": "push"}}, "actions: tap: no action 'push'; there are click, left_double"),
        ({"actions": {"e": {"action_type": "hotkey", "keys": "x"}}}, "actions: e: an action has no 'keys'"),
        ({"conversation": {"pattern": "("}}, "conversation.pattern: not a regular expression"),
        ({"conversation": {"pattern": ".*"}}, "conversation.pattern: has no group (?P<action>...)"),
        ({"source": "a/b"}, "source: String should match pattern"),
    ],
)
def test_a_wrong_map_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(SMALL | change))
    with pytest.raises(UsageError) as raised:
        load_map(str(tmp_path / "map.yaml"))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_maps_are_found(tmp_path: Path) -> None:
    assert shipped_maps() == ["gui_r1", "sharegpt"]
    with pytest.raises(UsageError, match="no map 'gui_r2'; give a YAML file, or one of gui_r1, sharegpt"):
        load_map("gui_r2")
    with pytest.raises(UsageError, match=r"none\.yaml: cannot be read"):
        load_map(str(tmp_path / "none.yaml"))
    (tmp_path / "map.yaml").write_text("a: [")
    with pytest.raises(UsageError, match=r"map\.yaml: not YAML: line"):
        load_map(str(tmp_path / "map.yaml"))
    with pytest.raises(UsageError, match="rows need a map"):
        convert("rows", tmp_path, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.parquet, \.jsonl, \.json there"):
        converted(tmp_path / "empty", tmp_path / "out", "gui_r1")
