"""A small GUI-Odyssey in the published format, made by code: each episode holds one quirk. Values are invented."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

SIZE = (36, 80)
TABLET = (80, 50)
HOME: tuple[str, Any] = ("CLICK", "KEY_HOME")
TAP: tuple[str, Any] = ("CLICK", [[412, 655], [412, 655]])
DONE: tuple[str, Any] = ("COMPLETE", "")

EPISODES: dict[str, Sequence[tuple[str, Any]]] = {  # by id: (action, info) of the steps
    "1000": [TAP, ("TEXT", "tides"), ("SCROLL", [[500, 800], [500, 300]]), HOME, DONE],  # version 2, with words
    "1001": [TAP, DONE],  # version 1, without
    "1002": [HOME, ("CLICK", "KEY_BACK"), ("CLICK", "KEY_APPSELECT"), ("LONG_PRESS", "KEY_HOME"), DONE],
    "1003": [("CLICK", [[100, 200]]), ("CLICK", [100, 200]), ("CLICK", [[100, 200], [300, 400]]), DONE],
    "1004": [("TYPE", "by another name"), ("TEXT", "  "), ("TEXT", "two\nlines "), DONE],
    "1005": [  # fingers up, down, left, right, as far both ways, nowhere
        ("SCROLL", [[500, 800], [500, 300]]),
        ("SCROLL", [[500, 300], [500, 800]]),
        ("SCROLL", [[800, 500], [300, 500]]),
        ("SCROLL", [[300, 500], [800, 500]]),
        ("SCROLL", [[400, 200], [300, 100]]),
        ("SCROLL", [[500, 500], [500, 500]]),
        DONE,
    ],
    "1006": [
        ("LONG_PRESS", [[300, 400], [300, 400]]),
        ("SCROLL", [[300, 400], [600, 400]]),
        ("SCROLL", [[300, 400], [100, 400]]),
        TAP,
        ("SCROLL", [[500, 800], [500, 300]]),
        DONE,
    ],
    "1007": [TAP, ("INCOMPLETE", "")],
    "1008": [("CLICK", [[1000, 0]]), ("CLICK", [[1010, 500]]), DONE],
    "1009": [("CLICK", [[1080, 2400]]), DONE],  # pixels
    "1010": [TAP, TAP, TAP, TAP, DONE],  # boxes: with the point, without it, turned round, of three numbers
    "1011": [TAP, DONE],  # in no split
    "1012": [TAP, DONE],  # in both
    "1013": [TAP, DONE, TAP, DONE, DONE],
    "1014": [TAP, ("SWIPE", [[1, 2]]), ("CLICK", "KEY_POWER"), DONE],
    "1015": [TAP, DONE],  # a tablet on its side, a folder deeper
    "1016": [TAP, TAP, DONE],  # a screenshot is missing
    "1017": [TAP, DONE],  # a screenshot is cut off
    "1018": [TAP, DONE],  # a screenshot's name climbs
    "1019": [("CLICK", []), DONE],
    "1020": [("SCROLL", [[1, 2]]), DONE],
    "1021": [("TEXT", ["a"]), DONE],
    "1022": [TAP, DONE],  # no instruction
    "1023": [TAP, TAP, DONE],  # numbered out of order, and fewer than said
}
UNUSABLE = ("1009", "1016", "1017", "1018", "1019", "1020", "1021")
TEST = ("1003", "1012")


def make(raw: Path) -> None:
    """Write the annotations, the screenshots, flat and a folder deeper, and the four split files."""
    (raw / "annotations").mkdir(parents=True)
    (raw / "screenshots" / "data_0").mkdir(parents=True)
    (raw / "splits").mkdir()
    for name, steps in EPISODES.items():
        record = episode(name, steps)
        deeper = name in ("1001", "1015")
        folder = raw / "screenshots" / ("data_0" if deeper else ".")
        for step in record["steps"]:
            picture = png(step["screenshot"], TABLET if name == "1015" else SIZE)
            if step["screenshot"] == "1017_1.png":
                picture = picture[:-20]
            if step["screenshot"] != "1016_1.png":
                (folder / step["screenshot"]).write_bytes(picture)
        _bend(record)
        (raw / "annotations" / f"{name}.json").write_text(json.dumps(record, indent=1))
    (raw / "outside.png").write_bytes(png("outside"))
    for name, text in bad_files().items():
        (raw / "annotations" / name).write_text(text)
    (raw / "annotations" / "all_anno.json").write_text("[]")
    names = [f"{name}.json" for name in EPISODES if name != "1011"]
    test = [f"{name}.json" for name in TEST]
    train = [name for name in names if name not in test]
    for kind in ("random", "task", "device", "app"):
        split = {"train": [*train, "1012.json"], "test": test}
        if kind == "device":
            split = {"train": [name for name in names if name != "1015.json"], "test": ["1015.json"]}
        (raw / "splits" / f"{kind}_split.json").write_text(json.dumps(split))


def episode(name: str, steps: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An episode of version 1."""
    return {
        "episode_id": name,
        "device_info": {
            "product": "x",
            "release_version": "14",
            "sdk_version": "34",
            "h": 2400,
            "w": 1080,
            "device_name": "Medium Phone",
        },
        "task_info": {
            "category": "General_Tool",
            "app": ["Chrome", "Keep"],
            "meta_task": "Search {} and note it",
            "task": "Search tides and note it",
            "instruction": "Use Chrome to look up the tides and note them in Keep.",
        },
        "step_length": len(steps),
        "steps": [
            {"step": i, "screenshot": f"{name}_{i}.png", "action": action, "info": info, "ps": ""}
            for i, (action, info) in enumerate(steps)
        ],
    }


def bad_files() -> dict[str, str]:
    """Files of which nothing can be made, by name."""
    good = episode("slash", [TAP, DONE])
    return {
        "2000.json": "[" * 1_000_000 + "]" * 1_000_000,
        "2001.json": json.dumps({**good, "episode_id": "../../slash"}),
        "2002.json": '{"episode_id": "2002", "steps": [{"step": 0, "acti',
        "2003.json": json.dumps({**good, "episode_id": 2003}),
        "2004.json": json.dumps({**good, "steps": None}),
        "2005.json": "[]",
    }


def _bend(record: dict[str, Any]) -> None:
    """What the records themselves have of some quirks."""
    steps = record["steps"]
    match record["episode_id"]:
        case "1000":
            for i, step in enumerate(steps):
                step |= {
                    "description": f"A home screen,\nseen {i} times.",
                    "intention": "It is to be looked up.",
                    "context": "Nothing was done yet.",
                    "low_level_instruction": f"Do step {i}",
                    "sam2_bbox": [380, 630, 450, 690] if i == 0 else [],
                }
        case "1007":
            steps[1]["ps"] = "the app asks for a login"
        case "1010":
            boxes = ([380, 630, 450, 1010], [0, 0, 10, 10], [450, 690, 380, 630], [380, 630, 450])
            for step, box in zip(steps, boxes, strict=False):
                step["sam2_bbox"] = box
        case "1018":
            steps[1]["screenshot"] = "../outside.png"
        case "1022":
            record["task_info"]["instruction"] = " "
        case "1023":
            steps[0]["step"], steps[1]["step"] = 1, 0
            record["step_length"] = 7


def png(name: str, size: tuple[int, int] = SIZE) -> bytes:
    """A plain PNG whose colour is its name's."""
    colour = tuple(sum(name.encode()[i::3]) * 37 % 256 for i in range(3))
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()
