from __future__ import annotations

import json
from pathlib import Path

from tracer1.training.records import forget_after


def test_lines_that_will_be_written_again_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    rows = [{"stage": stage, "step": step} for stage in ("stage1", "stage2") for step in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"step": 9}]) + '{"stage": "st')
    forget_after(path, "stage2", 2, offset=1)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert kept == [*rows[:6], {"step": 9}]
    forget_after(path, "stage1", 0, offset=0)
    assert [row["step"] for row in map(json.loads, path.read_text().splitlines())] == [0, 0, 1, 9]


def test_a_completion_may_hold_any_line_separator(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    line = json.dumps({"stage": "stage1", "step": 0, "completion": "a\u2028b\x85c\x0cd"}, ensure_ascii=False)
    path.write_text(line + "\n", encoding="utf-8")
    forget_after(path, "stage1", 5, offset=1)
    assert path.read_text(encoding="utf-8") == line + "\n"


def test_a_file_that_is_not_there_stays_away(tmp_path: Path) -> None:
    forget_after(tmp_path / "none.jsonl", "stage1", 0, offset=0)
    assert list(tmp_path.iterdir()) == []
