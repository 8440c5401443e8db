"""A small AgentNet in the published format, made by code: each trajectory holds one quirk. Values are invented."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

SIZE = (64, 36)
DONE = "computer.terminate(status='success')"
CLICK = "pyautogui.click(x=0.5012, y=0.2503)"
DRAG = "pyautogui.moveTo(x=0.1, y=0.2)\npyautogui.dragTo(x=0.3, y=0.4, button='left')"
SCROLL = "pyautogui.moveTo(x=0.5, y=0.6)\npyautogui.scroll(-3)"
WRITE = "pyautogui.write(message='Grüße')\npyautogui.press(keys=['enter'])"

UBUNTU: dict[str, Sequence[str]] = {  # by the end of the task's id: the codes of its steps
    "ubuntu": [CLICK, DRAG, SCROLL, WRITE, DONE],
    "no-terminate": [CLICK, SCROLL],
    "two-terminates": [CLICK, DONE, "computer.terminate(status='failure')"],
    "early-terminate": [CLICK, DONE, SCROLL, DONE],
    "failure": [CLICK, "computer.terminate(status='failure')"],
    "keywords": ["pyautogui.press(keys=['enter'])", "pyautogui.hotkey(keys=['ctrl', 'F'])", DONE],
    "positional": [
        "pyautogui.press('enter')",
        "pyautogui.press(['tab', 'tab'])",
        "pyautogui.hotkey(['ctrl', 'c'])",
        DONE,
    ],
    "own-types": [
        "computer.tripleClick(x=0.5, y=0.5)",
        "pyautogui.middleClick(x=0.5, y=0.5)",
        "pyautogui.moveTo(x=0.9, y=0.1)",
        DONE,
    ],
    "both-scrolls": [
        "pyautogui.moveTo(x=0.5, y=0.5)\npyautogui.hscroll(7)\npyautogui.scroll(-54)",
        "pyautogui.scroll(2)",
        DONE,
    ],
    "wait": ["computer.wait()", "computer.wait(3)", DONE],
    "edges": ["pyautogui.click(x=1.0, y=0.0)", "pyautogui.click(x=1.02, y=0.5)", DONE],
    "off-screen": [CLICK, "pyautogui.click(x=512, y=300)", DONE],
    "texts": [
        r"""pyautogui.write(message="it's")""",
        r"pyautogui.write(message='a\\b \"c\"\nd')",
        "pyautogui.write(message='  ')",
        "pyautogui.write(message='')",
        DONE,
    ],
    "unparsable": [CLICK, "pyautogui.click(x=0.5, y=", DONE],
    "no-image": [CLICK, CLICK, DONE],
    "cut-image": [CLICK, CLICK, DONE],
    "climbing-image": [CLICK, CLICK, DONE],
    "unknown-call": [CLICK, "pyautogui.keyDown('shift')", DONE],
    "judged": [CLICK, SCROLL, CLICK, DONE],
    "wordless": [CLICK, DONE],
    "no-meta": [CLICK, DONE],
}
WIN_MAC: dict[str, Sequence[str]] = {
    "windows": ["pyautogui.doubleClick(x=0.1, y=0.2)", "pyautogui.rightClick(x=0.1, y=0.2)", DONE],
    "darwin": [CLICK, "pyautogui.hotkey(keys=['cmd', 'V'])", DONE],
    "twice": [CLICK, DONE],
    "same": [CLICK, DONE],
}
SYSTEMS = {"windows": "Windows", "twice": "Windows", "same": "Windows", "darwin": "Darwin"}


def task_id(name: str) -> str:
    return f"20240101000000_{name}"


def make(raw: Path) -> None:
    """Write both JSON Lines files, the meta data, the screenshots as files (Ubuntu) and in a zip (Windows, macOS)."""
    (raw / "ubuntu_images").mkdir(parents=True)
    (raw / "win_mac_images").mkdir()
    ubuntu = [task(name, codes) for name, codes in UBUNTU.items()]
    for name, data in pictures(ubuntu).items():
        if name == "cut-image-1.png":
            data = data[:-20]
        if name != "no-image-1.png":
            (raw / "ubuntu_images" / name).write_bytes(data)
    for record in ubuntu:
        _bend(record)
    (raw / "outside.png").write_bytes(png("outside"))
    win_mac = [task(name, codes) for name, codes in WIN_MAC.items()]
    again = task("twice", [CLICK, SCROLL, DONE])
    with zipfile.ZipFile(raw / "win_mac_images" / "images.zip", "w") as archive:
        for name, data in pictures([*win_mac, again]).items():
            archive.writestr(name, data)
    lines = [json.dumps(record, ensure_ascii=False) for record in ubuntu]
    (raw / "agentnet_ubuntu_5k.jsonl").write_text("\n".join([*lines, *bad_lines()]))
    (raw / "agentnet_win_mac_18k.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in [*win_mac, again, win_mac[-1]])
    )
    rows = [meta(name, SYSTEMS.get(name, "Ubuntu")) for name in [*UBUNTU, *WIN_MAC] if name != "no-meta"]
    (raw / "meta_data_merged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{not JSON\n")


def task(name: str, codes: Sequence[str]) -> dict[str, Any]:
    """A trajectory as published, with its words."""
    return {
        "task_id": task_id(name),
        "instruction": f"do what {name} is about",
        "task_completed": name not in ("judged", "failure"),
        "alignment_score": 4 if name == "judged" else 8,
        "efficiency_score": 7,
        "task_difficulty": 3,
        "natural_language_task": f"Could you do what {name} is about?",
        "actual_task": f"Did what {name} is about.",
        "reason": "It was done.",
        "domain": "Office",
        "traj": [
            {
                "index": i,
                "image": f"{name}-{i}.png",
                "value": {
                    "observation": f"The window of {name}\nafter {i} steps.",
                    "thought": f"Step {i} comes next.",
                    "action": f"Do step {i} of {name}",
                    "code": code,
                    "last_step_correct": (name, i) != ("judged", 1),
                    "last_step_redundant": (name, i) == ("judged", 2),
                    "reflection": "It went well.",
                },
            }
            for i, code in enumerate(codes)
        ],
    }


def meta(name: str, system: str) -> dict[str, Any]:
    width, height = (2560, 1600) if system == "Darwin" else (1920, 1080)
    return {
        "task_id": task_id(name),
        "system": system,
        "release": "14.0",
        "domains": "Office",
        "applications": ["Calc", "Files"],
        "websites": [],
        "screen_width": width,
        "screen_height": height,
        "complexity": 2.5,
    }


def bad_lines() -> list[str]:
    """Lines of which nothing can be made; the last one is cut off."""
    good = task("slash", [CLICK, DONE])
    torn = task("ubuntu", [CLICK])
    return [
        "[" * 1_000_000 + "]" * 1_000_000,
        json.dumps({**good, "task_id": "../slash"}),
        json.dumps({**good, "task_id": 7}),
        json.dumps({**good, "traj": "none"}),
        json.dumps({**torn, "task_id": task_id("surrogate"), "instruction": "half of a pair: \ud83d"}),
        "[1, 2]",
        "",
        '{"task_id": "20240101000000_cut", "instr',
    ]


def _bend(record: dict[str, Any]) -> None:
    """What the records themselves have of some quirks."""
    steps = record["traj"]
    match record["task_id"].removeprefix(task_id("")):
        case "climbing-image":
            steps[1]["image"] = "../outside.png"
        case "wordless":
            record["instruction"] = ""
            for step in steps:
                step["value"] = {"code": step["value"]["code"]}


def pictures(records: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """A picture of its own for every step."""
    return {step["image"]: png(step["image"]) for record in records for step in record["traj"]}


def png(name: str, size: tuple[int, int] = SIZE) -> bytes:
    """A plain PNG whose colour is its name's."""
    colour = tuple(sum(name.encode()[i::3]) * 37 % 256 for i in range(3))
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG", pnginfo=None)
    return buffer.getvalue()
