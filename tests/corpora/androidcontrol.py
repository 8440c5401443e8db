"""A small AndroidControl in the published format, made by code: one shard of good episodes with every quirk that the
converter handles, and one of damaged records. Values are invented."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from tracer1.data.readers.android_accessibility import Bounds, Forest, Node, ScreenWindow, encode_forest
from tracer1.data.readers.tfexample import encode_example
from tracer1.data.readers.tfrecord import write_tfrecord

SIZE = (108, 240)  # a tenth of a Pixel's 1080x2400
SPLITS = {"train": [1, 2, 7, 8, 9, 10, 11, 12], "validation": [3], "test": [4, 5]}  # 6 is in none
SUBSPLITS = {"IDD": [4], "app_unseen": [5, 4], "task_unseen": [5], "category_unseen": [5]}
GOOD, BAD = "android_control-00000-of-00020", "android_control-00007-of-00020"


def make(raw: Path) -> None:
    """Write the shards and the split files into the folder ``raw``."""
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "splits.json").write_text(json.dumps(SPLITS))
    (raw / "test_subsplits.json").write_text(json.dumps(SUBSPLITS))
    write_tfrecord(raw / GOOD, map(encode_example, good()))
    write_tfrecord(raw / BAD, damaged())
    data = bytearray(gzip.decompress((raw / BAD).read_bytes()))
    data[20] ^= 0xFF  # inside of the first payload: a wrong CRC
    (raw / BAD).write_bytes(gzip.compress(bytes(data[:-9]), mtime=0))  # and the last record is cut off


def good() -> list[dict[str, Sequence[Any]]]:
    """Episodes 1 to 8 as features."""
    everything = [
        ({"action_type": "open_app", "app_name": "Clock"}, "Open the Clock app"),
        ({"action_type": "click", "x": 54, "y": 30}, "Click on the search field"),
        ({"action_type": "input_text", "text": "hello"}, "Enter hello"),
        ({"action_type": "long_press", "x": 20, "y": 120}, "Swipe up to the alarm and hold it"),
        ({"action_type": "scroll", "direction": "down"}, "Swipe up to the alarm and hold it"),  # the same, for two
        ({"action_type": "wait"}, "Wait"),
        ({"action_type": "navigate_back"}, "Go back"),
        ({"action_type": "navigate_home"}, "Go to the home screen"),
    ]
    without_a_click = [({"action_type": "input_text", "text": "seven"}, "Type seven")]
    landscape = [({"action_type": "click", "x": 200, "y": 54}, "Tap play")]
    beyond = [
        ({"action_type": "click", "x": 900, "y": 30}, "Tap beside the screen"),
        ({"action_type": "click", "x": 108, "y": 240}, "Tap its last corner"),
        ({"action_type": "input_text", "text": ""}, "Type nothing"),
        ({"action_type": "fling"}, "Do what no other does"),
        ({"action_type": "wait"}, ""),
    ]
    scaled = [({"action_type": "click", "x": 540, "y": 300}, "Tap the field on a scaled image")]
    turned = [({"action_type": "click", "x": 54, "y": 30}, "Tap the field on an upright image")]
    return [
        episode(1, "Set an alarm", everything),
        episode(2, "Look at the clock", []),
        episode(3, "Type 7", without_a_click),
        episode(4, "Play the film", landscape, size=(240, 108)),
        episode(5, "Go beyond", beyond),
        episode(6, "Scaled", scaled, forest=times_ten(screen())) | {"screenshot_widths": [1080] * 2,
                                                                     "screenshot_heights": [2400] * 2},
        episode(7, "Turned", turned) | {"screenshot_widths": [240] * 2, "screenshot_heights": [108] * 2},
        episode(8, "No tree", turned) | {"accessibility_trees": [b"", b"\xff\xff\xff"]},
    ]  # fmt: skip


def damaged() -> list[bytes]:
    """Records of which no episode can be made, and two (11 and 12) that lose a step."""
    wait = [({"action_type": "wait"}, "Wait"), ({"action_type": "navigate_back"}, "Go back")]
    whole = episode(12, "Last one is cut", wait)
    shots = whole["screenshots"]
    return [
        encode_example(episode(8, "Its CRC will be wrong", wait)),
        encode_forest(screen()),
        encode_example(episode(9, "Unequal", wait) | {"screenshots": shots[:2]}),
        encode_example(episode(10, "No goal", wait) | {"goal": [1]}),
        encode_example(episode(11, "Cut image", wait) | {"screenshots": [shots[0], shots[1][:60], shots[2]]}),
        encode_example(episode(12, "Deep", wait) | {"actions": [b"[" * 1_000_000, b'{"action_type":"wait"}']}),
        encode_example(episode(10, "   ", wait)),
        encode_example(episode(10, "Not UTF-8", wait) | {"goal": [b"\xff"]}),
        encode_example(whole),
    ]


def episode(
    number: int,
    goal: str,
    steps: Sequence[tuple[dict[str, Any], str]],
    size: tuple[int, int] = SIZE,
    forest: Forest | None = None,
) -> dict[str, Sequence[Any]]:
    """One episode's features; each of its screens is of another colour."""
    count = len(steps) + 1
    return {
        "episode_id": [number],
        "goal": [goal.encode()],
        "screenshots": [png(size, (number * 20, i * 20, 100)) for i in range(count)],
        "accessibility_trees": [encode_forest(forest or screen())] * count,
        "screenshot_widths": [size[0]] * count,
        "screenshot_heights": [size[1]] * count,
        "actions": [json.dumps(action).encode() for action, _ in steps],
        "step_instructions": [told.encode() for _, told in steps],
    }


def screen() -> Forest:
    """A clock: a field, a row in it that is not visible, an alarm whose left and top are 0 and so not given, a switch
    without right and bottom, and the status bar in a window of its own."""
    package = "com.android.deskclock"

    def node(number: int, bounds: Bounds, kind: str, **told: Any) -> Node:
        return Node(number, (), bounds, f"android.widget.{kind}", package_name=package, **{"visible": True, **told})

    app = (
        Node(1, (2, 3), (0, 0, 108, 240), "android.widget.FrameLayout", package_name=package, visible=True),
        node(2, (20, 100, 100, 140), "Button", text="Alarm", clickable=True),
        node(3, (10, 20, 98, 40), "EditText", text="Search", editable=True, focused=True),
        node(4, (50, 28, 60, 32), "TextView", text="hidden", visible=False),
        node(5, (0, 0, 40, 15), "ImageButton", content_description="Menu", clickable=True),
        node(6, (90, 200, 0, 0), "Switch", checkable=True),
        node(7, (60, 102, 90, 120), "TextView", text="Alarm"),
        node(8, (60, 21, 90, 25), "TextView", content_description="to the right"),
    )
    bar = (Node(1, (), (0, 0, 108, 8), "android.widget.TextView", "12:00", visible=True),)
    return Forest(
        (
            ScreenWindow(bar, (0, 0, 108, 8), 2, "system"),
            ScreenWindow(app, (0, 0, 108, 240), 1, "application", active=True),
        )
    )


def times_ten(forest: Forest) -> Forest:
    """The same screen on a device of ten times the size."""

    def larger(node: Node) -> Node:
        left, top, right, bottom = (10 * edge for edge in node.bounds)
        return replace(node, bounds=(left, top, right, bottom))

    return Forest(tuple(replace(window, nodes=tuple(map(larger, window.nodes))) for window in forest.windows))


def png(size: tuple[int, int], colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()
