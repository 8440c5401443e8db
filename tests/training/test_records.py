from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracer1.results.files import append
from tracer1.training.records import drop_steps_after


def test_lines_that_will_be_written_again_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    rows = [{"stage": stage, "step": step} for stage in ("stage1", "stage2") for step in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"step": 9}]) + '{"stage": "st')
    drop_steps_after(path, "stage2", 1)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert kept == [*rows[:6], {"step": 9}]
    drop_steps_after(path, "stage1", 0)
    assert [row["step"] for row in map(json.loads, path.read_text().splitlines())] == [0, 0, 1, 9]


def test_a_completion_may_hold_any_line_separator(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    line = json.dumps({"stage": "stage1", "step": 0, "completion": "a\u2028b\x85c\x0cd"}, ensure_ascii=False)
    path.write_text(line + "\n", encoding="utf-8")
    drop_steps_after(path, "stage1", 5)
    assert path.read_text(encoding="utf-8") == line + "\n"


def test_a_file_that_is_not_there_stays_away(tmp_path: Path) -> None:
    drop_steps_after(tmp_path / "none.jsonl", "stage1", 0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_of_no_step_of_this_stage_stays_byte_for_byte(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "lines.jsonl"
    kept = [
        b'{"stage":"stage1",  "step":9, "completion": "\\ud800 \xc3\xa4\xe2\x80\xa8"}\n',
        b'{"stage": "stage2", "note": "of no step"}\n',
        b"[1]\n",
        b'{"stage": "stage2", "step": 2}\n',
        b'{"stage": "stage1", "step": 10}\n',
    ]
    again = b'{"stage": "stage2", "step": 3}\n'
    half = b'{"stage": "stage2", "step": 2, "completion": "\xc3'  # a kill cuts letters too
    path.write_bytes(b"".join([*kept[:2], again, *kept[2:]]) + half)
    drop_steps_after(path, "stage2", 2)
    assert path.read_bytes() == b"".join(kept)
    assert f"{path}: a half-written line dropped" in caplog.text


def test_a_whole_line_without_its_end_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"stage": "stage1", "step": 1}')
    drop_steps_after(path, "stage1", 1)
    append(path, [{"stage": "stage1", "step": 2}])
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_kill_while_rewriting_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl"
    append(path, [{"stage": "stage1", "step": step} for step in range(5)])
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            drop_steps_after(path, "stage1", 2)
    assert path.read_bytes() == before
    drop_steps_after(path, "stage1", 2)
    assert len(path.read_bytes().splitlines()) == 3
