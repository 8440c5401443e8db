"""A small Multimodal-Mind2Web in the published format, made by code: Parquet shards of four splits, with every quirk
that the converter handles. Values are invented. A page's first column of pixels tells the row that it is."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

WIDTH = 320
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("action_uid", "raw_html", "cleaned_html", "operation")),
        *((name, pa.list_(pa.string())) for name in ("pos_candidates", "neg_candidates")),
        *((name, pa.string()) for name in ("website", "domain", "subdomain", "annotation_id", "confirmed_task")),
        ("screenshot", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("action_reprs", pa.list_(pa.string())),
        *((name, pa.string()) for name in ("target_action_index", "target_action_reprs")),
    ]
)
SHARDS = {  # file: the rows in it, as (task, number of the action in the task)
    "train-00000-of-00003-0a": [("plan", 0), ("ids/../with:slashes", 1), ("plan", 1), ("plan", 2)],
    "train-00001-of-00003-0b": [("plan", 4), ("plan", 3), ("ids/../with:slashes", 0)],
    "test_task-00000-of-00001-0c": [("places", i) for i in range(9)],
    "test_website-00000-of-00001-0d": [("missing", 0), ("missing", 2)],
    "test_domain-00000-of-00001-0e": [("repeated", 0), ("repeated", 0), *(("damaged", i) for i in range(6))],
}
BROKEN = "train-00002-of-00003-0f"


def make(raw: Path) -> None:
    """Write the shards into the folder ``raw/data``; one of them is cut off."""
    folder = raw / "data"
    folder.mkdir(parents=True, exist_ok=True)
    rows = tasks()
    for name, places in SHARDS.items():
        write(folder / f"{name}.parquet", [rows[task][number] for task, number in places])
    whole = (folder / "train-00000-of-00003-0a.parquet").read_bytes()
    (folder / f"{BROKEN}.parquet").write_bytes(whole[:-20])


def write(path: Path, rows: Sequence[dict[str, Any]], group: int = 2) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), path, row_group_size=group, compression="snappy")


def tasks() -> dict[str, list[dict[str, Any]]]:
    """The rows of each task by the number of their actions."""
    plan = task(
        "plan",
        [
            ("[link]  Plans -> CLICK", [candidate("10,20,100,30")]),
            ("[link]  Plans -> HOVER", [candidate("10,20,100,30")]),
            ("[textbox]  Postcode -> TYPE: 90001", [candidate("120,240.5,150,40")]),
            ("[combobox]  Time -> SELECT: 02:30 PM", [candidate("10,300,80,20")]),
            ("[button]  Go -> ENTER", [candidate("10,340,80,20")]),
        ],
    )
    plan[3]["operation"] = operation("SELECT", "02 30 PM")
    several = [candidate("5,5,20,20", original=False), candidate("50,50,20,20"), candidate("90,90,20,20")]
    places = task(
        "places",
        [
            ("[link]  Below -> CLICK", [candidate("100,1500,40,20")]),
            ("[link]  Several -> CLICK", several),
            ("[link]  Wide -> CLICK", [candidate("200,10,300,20")]),
            ("[div]   -> CLICK", [candidate("30,40,0,20")]),
            ("[link]  Nowhere -> CLICK", []),
            ("[textbox]  Nowhere -> TYPE: words", []),
            ("[div]  Tall -> CLICK", [candidate("0,100,320,2000")]),
            ("[link]  Null -> CLICK", [candidate("10,20,100,30")]),
            ("[link]  Last -> CLICK", [candidate("10,2270,100,30")]),
        ],
    )
    places[7]["screenshot"] = None
    slashes = task("ids/../with:slashes", [("[tab]  One -> CLICK", [candidate("1,2,3,4")])] * 2, height=600)
    missing = task(
        "missing",
        [(f"[link]  {name} -> CLICK", [candidate("10,20,100,30")]) for name in ("First", "Second", "Third", "Fourth")],
        height=600,
    )
    repeated = task("repeated", [("[searchbox]  Find -> TYPE: it's", [candidate("10,20,100,30")])], height=600)
    damaged = task("damaged", [("[button]  Go -> CLICK", [candidate("10,20,100,30")])] * 6, height=600)
    damaged[0]["operation"] = "[" * 1_000_000
    damaged[1]["pos_candidates"] = ["{", json.dumps({"attributes": "[]"}), candidate("10,20,100,30")]
    damaged[2]["screenshot"] = {"bytes": damaged[2]["screenshot"]["bytes"][:200], "path": None}
    damaged[3]["target_action_index"] = "three"
    damaged[4]["screenshot"] = {"bytes": None, "path": "x.png"}
    damaged[5]["operation"] = operation("FLING", "")
    tasks = (plan, places, slashes, missing, repeated, damaged)
    return {rows[0]["annotation_id"]: rows for rows in tasks}


def task(name: str, actions: Sequence[tuple[str, list[str]]], height: int = 2300) -> list[dict[str, Any]]:
    """A task's rows; each action in the words of ``action_reprs`` and with its targets."""
    told = [words for words, _ in actions]
    rows = []
    for i, (words, targets) in enumerate(actions):
        original, _, value = words.rpartition(" -> ")[2].partition(": ")
        rows.append(
            {
                "annotation_id": name,
                "action_uid": f"{name}-{i}",
                "website": "shop",
                "domain": "Shopping",
                "subdomain": "General",
                "confirmed_task": f"Do the task {name}",
                "screenshot": {"bytes": png(height, i), "path": f"{name}-{i}.png"},
                "raw_html": "<html>raw</html>",
                "cleaned_html": html(),
                "operation": operation(original, value),
                "pos_candidates": targets,
                "neg_candidates": [candidate("0,0,1,1", original=False)],
                "action_reprs": told,
                "target_action_index": str(i),
                "target_action_reprs": words,
            }
        )
    return rows


def operation(original: str, value: str) -> str:
    op = {"HOVER": "CLICK", "ENTER": "CLICK"}.get(original, original)
    return json.dumps({"original_op": original, "value": value, "op": op})


def candidate(rect: str, original: bool = True, node: str = "136") -> str:
    attributes = {"backend_node_id": node, "bounding_box_rect": rect, "class": "x", "is_clickable": "true"}
    return json.dumps(
        {
            "tag": "a",
            "attributes": json.dumps(attributes),
            "is_original_target": original,
            "is_top_level_target": True,
            "backend_node_id": node,
        }
    )


def html() -> str:
    before = "".join(f'<li backend_node_id="{n}"><text backend_node_id="9{n}"> Item {n} </text></li>' for n in range(9))
    return (
        '<html backend_node_id="1"><title backend_node_id="2"> The Shop &amp; more </title>'
        '<body backend_node_id="3"><h1 backend_node_id="4"><text backend_node_id="5"> Welcome </text></h1>'
        f'<ul backend_node_id="6">{before}</ul><a backend_node_id="136" class="x"><text> Plans </text></a>'
        '<p backend_node_id="7"> after it </p></body></html>'
    )


def png(height: int, shade: int) -> bytes:
    """A page; the pixel at (0, y) is (y // 256, y % 256, shade)."""
    image = Image.new("RGB", (WIDTH, height), (250, 250, shade))
    for y in range(height):
        image.putpixel((0, y), (y >> 8, y & 255, shade))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
