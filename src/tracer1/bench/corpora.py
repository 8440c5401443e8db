"""Synthetic corpora in the published formats, of any size, for measuring: every record is another one."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from tracer1.data.readers.android_accessibility import Forest, Node, ScreenWindow, encode_forest
from tracer1.data.readers.tfexample import encode_example
from tracer1.data.readers.tfrecord import write_tfrecord
from tracer1.data.store import EpisodeStore, write_episodes
from tracer1.files import atomic
from tracer1.types import Action, Episode, EpisodeStep, Point

STEPS = 6  # of an episode
PICTURE = (256, 400)  # of noise: some 300 kB, about what a real screenshot takes
NODES = 150


def make_androidcontrol(raw: Path, steps: int) -> None:
    """Shards of 50 episodes with screenshots that do not compress and trees of NODES nodes."""
    episodes = max(1, steps // STEPS)
    shards = -(-episodes // 50)
    for shard in range(shards):
        ids = range(shard * 50, min(episodes, shard * 50 + 50))
        write_tfrecord(raw / f"android_control-{shard:05d}-of-{shards:05d}", map(_android_record, ids))
    with atomic(raw / "splits.json") as file:
        file.write(json.dumps({"train": list(range(episodes)), "validation": [], "test": []}).encode())


def _android_record(number: int) -> bytes:
    rng = random.Random(number)
    width, height = PICTURE
    points = [(rng.randrange(width), rng.randrange(height)) for _ in range(STEPS)]
    return encode_example(
        {
            "episode_id": [number],
            "goal": [f"Set the alarm number {number} to seven".encode()],
            "screenshots": [_noise(rng) for _ in range(STEPS + 1)],
            "accessibility_trees": [_tree(rng) for _ in range(STEPS + 1)],
            "screenshot_widths": [width] * (STEPS + 1),
            "screenshot_heights": [height] * (STEPS + 1),
            "actions": [json.dumps({"action_type": "click", "x": x, "y": y}).encode() for x, y in points],
            "step_instructions": [f"Tap entry {i}".encode() for i in range(STEPS)],
        }
    )


def _noise(rng: random.Random) -> bytes:
    data = io.BytesIO()
    Pillow.frombytes("RGB", PICTURE, rng.randbytes(3 * PICTURE[0] * PICTURE[1])).save(data, "PNG", compress_level=0)
    return data.getvalue()


def _tree(rng: random.Random) -> bytes:
    nodes = [
        Node(
            unique_id=i,
            bounds=(x := rng.randrange(200), y := rng.randrange(380), x + 50, y + 20),
            class_name="android.widget.TextView",
            text=f"Entry {rng.randrange(10000)}",
            package_name="com.android.deskclock",
            visible=True,
        )
        for i in range(NODES)
    ]
    return encode_forest(Forest((ScreenWindow(nodes=tuple(nodes)),)))


def make_agenttrek(raw: Path, steps: int, lines: int = 650) -> None:
    """One JSON array with a row a step; by default of some 25 kB as the published rows, most of it the tree."""

    def rows() -> Iterator[Any]:
        for number in range(steps):
            episode, step = divmod(number, STEPS)
            tree = "\n".join(
                [f"RootWebArea 'Shop {episode}', focused"]
                + [f"\t[{i}] link 'Entry {i} of {number}', clickable" for i in range(lines)]
            )
            past = "".join(f"\n## step {k}\n\n### Action:\nclick('{k}')\n" for k in range(step))
            user = (
                f"# Instructions\nDo it.\n## Goal:\nFind entry {episode}\n\n# Observation of current step:\n\n"
                f"## AXTree:\nNote: [bid] is the unique id.\n\n{tree}\n\n"
                f"# History of interaction with the task:\n{past}\n"
                "# Action space:\nNote: calls.\n"
            )
            done = step == STEPS - 1
            call = f"send_msg_to_user('found {number}')" if done else f"click('{step}')"
            said = f"<think>\nEntry {number} is what I need.\n</think>\n\n<action>\n{call}\n</action>"
            yield {"messages": [_turn("system", "You are an agent."), _turn("user", user), _turn("assistant", said)]}

    _write_array(raw / "agenttrek_1207.json", rows())


def make_mm_traj(raw: Path, steps: int) -> None:
    """One JSON list of conversations of STEPS calls each."""

    def rows() -> Iterator[Any]:
        for number in range(max(1, steps // STEPS)):
            turns = [_turn("system", "You are an expert assistant who can solve any task using code blobs.")]
            turns.append(_turn("user", f"Task: How many entries has list {number}?"))
            for step in range(STEPS - 1):
                code = f'print(ask_search_agent(query="entry {step} of {number}"))'
                turns.append(_turn("assistant", f"Thought: I look up entry {step}.\n\nCode:\n```py\n{code}\n```"))
                turns.append(_turn("user", f"[OUTPUT OF STEP {step}] Observation:\nentry {step} of {number}\n"))
            turns.append(_turn("assistant", f"Thought: Done.\n\nCode:\n```py\nfinal_answer({number})\n```"))
            yield {"id": f"{number:08d}", "image": {}, "correct": "yes", "answer": str(number), "conversations": turns}

    _write_array(raw / "train.json", rows())


def make_store(out: Path, steps: int) -> None:
    """An episode store with words of the usual length."""
    shown = EpisodeStore(out).put_image(_noise(random.Random(0)))
    screen = "clock app, list of alarms, the one at seven is off, keyboard closed"

    def episode(number: int) -> Episode:
        made = tuple(
            EpisodeStep(
                shown,
                PICTURE,
                f"{screen}, {i} done",
                f"click the '{i} of {number}' switch of the alarm",
                Action("click", point=Point(0.5, 0.5)),
                box=(0.4, 0.4, 0.6, 0.6),
                status="done" if i == STEPS - 1 else "not done",
            )
            for i in range(STEPS)
        )
        return Episode(f"made/{number}", "androidcontrol", "mobile", f"Set the alarm {number} to seven", "train", made)

    write_episodes(out, map(episode, range(max(1, steps // STEPS))))


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _write_array(path: Path, rows: Iterator[Any]) -> None:
    with atomic(path) as file:
        for number, row in enumerate(rows):
            file.write((b"[" if number == 0 else b",\n") + json.dumps(row).encode())
        file.write(b"]")


MAKERS: dict[str, Callable[[Path, int], None]] = {
    "androidcontrol": make_androidcontrol,
    "agenttrek": make_agenttrek,
    "mm-traj": make_mm_traj,
}
