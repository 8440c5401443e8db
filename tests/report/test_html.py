from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from synthetic_run import TASKS, live, write_json, write_lines, write_run

from tracer1.errors import DataError, SetupError, UsageError
from tracer1.report.html import build_report, render

VOID = {"meta", "img", "br", "link", "input"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></style></pre>{{ 7 * 7 }}{% x %}&lt;\x00"


class Page(HTMLParser):
    """What a browser would make of a page: its elements, attributes and text. Fails on elements that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.pieces: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))
        self.text = " ".join("".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.pieces.append(data)


def links(page: Page) -> list[str]:
    return [
        value for _, name, value in page.attributes if name in ("href", "src", "action", "data", "poster", "srcset")
    ]


def only_its_own_script(text: str) -> bool:
    """The page has one script, and that is the one whose hash it allows itself."""
    found = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    hashed = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in found]
    return re.findall(r"script-src ([^;\"]+)", text) == hashed


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_a_whole_run_is_on_the_page(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "report.html"
    build_report([run], out)
    page = Page(out.read_text("utf-8"))
    stages = load(run / "results.json")["stages"]
    for stage in stages:
        assert f"{100 * stage['live_success']:.1f} %" in page.text
        assert f"{100 * stage['interval'][0]:.1f}–{100 * stage['interval'][1]:.1f}" in page.text
    for task in TASKS:
        assert task in page.text
    for said in (
        "Reactive",
        "Random plan",
        "Always finished",
        "Blank images",
        "no field named 'Passwrd'",
        "Wilson",
        "AMD EPYC",
    ):
        assert said in page.text
    assert [name for name in page.ids if not re.fullmatch("e[0-9]+|s[0-9a-f]{12}", name)] == [
        "results",
        "episodes",
        "tasks",
        "foresight",
        "training",
        "rollouts",
        "time",
        "protocol",
    ]
    assert [p.name for p in out.parent.iterdir()] == ["report.html"]


def test_the_page_needs_nothing_from_outside(run: Path) -> None:
    text = render([run])
    page = Page(text)
    assert all(link.startswith(("#", "data:image/")) for link in links(page))
    assert "://" not in text
    assert "@import" not in text
    assert not re.search(r"url\(", text)
    assert only_its_own_script(text)
    assert "prefers-color-scheme: dark" in text


def test_the_same_run_gives_the_same_page(run: Path) -> None:
    assert render([run]) == render([run])


def test_the_page_is_small(run: Path) -> None:
    assert len(render([run]).encode()) < 900_000


def test_hostile_text_is_shown_and_does_nothing(run: Path) -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [poison(inner) for inner in value]
        return HOSTILE if isinstance(value, str) and value not in names else value

    names = {"stage1", "stage2", "base", "click", "type"}
    for file in ("env.json", "results.json"):
        write_json(run / file, poison(load(run / file)))
    for file in (run / "rollouts.jsonl", run / "live" / "stage2.jsonl"):
        write_lines(file, [poison(json.loads(line)) for line in file.read_text("utf-8").splitlines()])
    results = load(run / "results.json")
    results["stages"][0]["per_task"][HOSTILE] = {"success": 0.5, "endings": {HOSTILE: 2}}
    results["stages"][0]["name"] = results["baselines"][HOSTILE] = HOSTILE
    results["baselines"][HOSTILE] = {"live_success": 0.1}
    results["gains"][HOSTILE] = results["gains"]["live_stage1_minus_base"]
    results["minutes"][HOSTILE] = 1.0
    write_json(run / "results.json", results)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    for k, line in enumerate(lines):
        line["terms"][HOSTILE] = k
        line["seconds"][HOSTILE] = 1.0
    write_lines(run / "metrics.jsonl", lines)
    (run / "config.yaml").write_text(HOSTILE, "utf-8")
    text = render([run])
    page = Page(text)
    assert only_its_own_script(text)
    assert not page.tags & {"iframe", "object", "embed", "form", "base", "link"}
    assert all(link.startswith(("#", "data:image/")) for link in links(page))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "{{ 7 * 7 }}" in page.text
    assert "49" not in re.findall(r"\}\}([0-9]+)", page.text)


def test_half_a_character_does_not_stop_the_page(run: Path, tmp_path: Path) -> None:
    (run / "live" / "stage2.jsonl").write_text(
        json.dumps({**next(live(run, random.Random(1), 1.0)), "goal": "\ud800 half"}) + "\n"
    )
    build_report([run], tmp_path / "report.html")
    assert "? half" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["config.yaml", "env.json", "metrics.jsonl", "rollouts.jsonl", "results.json", "live"])
def test_each_file_may_be_missing(run: Path, name: str) -> None:
    path = run / name
    path.rename(run / "away")
    assert "<h1>demo</h1>" in render([run])


@pytest.mark.parametrize("seed", range(6))
def test_any_key_may_be_missing(run: Path, seed: int) -> None:
    rng = random.Random(seed)

    def prune(value: Any, share: float) -> Any:
        if isinstance(value, dict):
            return {
                k: rng.choice((None, prune(v, share))) if rng.random() < share else prune(v, share)
                for k, v in value.items()
                if rng.random() > share
            }
        return [prune(v, share) for v in value] if isinstance(value, list) else value

    for path in [run / "results.json", run / "env.json"]:
        write_json(path, prune(load(path), 0.25))
    for path in [run / "metrics.jsonl", run / "rollouts.jsonl", *(run / "live").glob("*.jsonl")]:
        rows = [prune(json.loads(line), 0.15) for line in path.read_text("utf-8").splitlines()]
        for (
            row
        ) in rows:  # an action without its type, or a point of one number, is a broken record and not a lacking key
            for turn in row.get("turns") or []:
                turn["action"] = None
        write_lines(path, rows)
    page = Page(render([run]))
    assert not re.search(r"\b(nan|inf|None|Undefined)\b", page.text)


def test_a_number_that_is_none_is_not_measured(run: Path) -> None:
    results = load(run / "results.json")
    results["stages"][2]["live_success"] = float("nan")
    results["stages"][2]["copied_arguments"] = {"value": 0.5, "interval": [float("-inf"), float("inf")], "count": 1}
    write_json(run / "results.json", results)
    page = Page(render([run]))
    assert not re.search(r"\b(nan|inf)\b", page.text, re.IGNORECASE)
    assert "50.0" in page.text


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n", "utf-8")
    assert "Nothing has been measured" in Page(render([tmp_path])).text


def test_long_and_large_things_are_bounded(run: Path) -> None:
    noise = Image.frombytes("RGB", (800, 600), random.Random(0).randbytes(800 * 600 * 3))
    noise.save(run / "large.png")
    line = next(live(run, random.Random(0), 1.0))
    turn = {
        **line["turns"][0],
        "screenshot": "large.png",
        "completion": "x" * 1_000_000,
        "steps": line["turns"][0]["steps"] * 40,
    }
    loop = {**line, "goal": "g" * 100_000, "turns": [turn] * 60}
    write_lines(run / "live" / "stage2.jsonl", [loop, {**loop, "success": False, "where": "w" * 100_000}])
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    write_lines(run / "metrics.jsonl", [{**lines[-1], "step": k, "reward": k / 5000} for k in range(5000)])
    rollout = json.loads((run / "rollouts.jsonl").read_text("utf-8").splitlines()[-1])
    write_lines(run / "rollouts.jsonl", [{**rollout, "completion": "y" * 200_000} for _ in range(20)])
    text = render([run])
    assert len(text.encode()) < 5_000_000
    assert "48 more steps" in text


def test_runs_are_compared(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "second", seed=1)
    page = Page(render([run, other]))
    values = [load(r / "results.json")["stages"][2]["live_success"] for r in (run, other)]
    assert "2 runs compared" in page.text
    assert "Mean of 2 runs" in page.text
    assert f"{50 * sum(values):.1f} %" in page.text
    assert {"r1-results", "r2-results"} <= set(page.ids)


def test_what_is_no_run_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for directory, error in ((tmp_path / "empty", DataError), (tmp_path / "absent", DataError)):
        with pytest.raises(error) as caught:
            build_report([directory], tmp_path / "report.html")
        assert str(directory) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        build_report([], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_report_is_written_whole_or_not(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    build_report([run], out)
    before = out.read_bytes()
    (run / "results.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match=r"results\.json: not JSON"):
        build_report([run], out)
    assert out.read_bytes() == before
    with pytest.raises(SetupError):
        build_report([write_run(tmp_path / "again")], out / "report.html")
