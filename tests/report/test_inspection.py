from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tracer1.data.inspection.inspect import inspect_episodes, inspect_path
from tracer1.data.inspection.result import PROBLEMS_KEPT, Choice, Inspection, Place, Problem
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import write_windows
from tracer1.errors import DataError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_windows
from tracer1.report import inspection
from tracer1.report.inspection import render_page, write_page
from tracer1.types import Action, Episode, EpisodeStep


def tool_episode(file: str) -> Episode:
    call = EpisodeStep(
        None, (0, 0), "", "look at it", Action("visualizer", arguments={"question": "what?"}), observation="a cat"
    )
    end = EpisodeStep(None, (0, 0), "", "answer", Action("finished", content="A cat."), status="done")
    return Episode("mm/1", "mm-traj", "tools", "What is it?", "train", (call, end), files=(file,), answer="A cat.")


def test_an_episodes_page_tells_all_of_it(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    first, last = episode.steps
    thinking = dataclasses.replace(first, thought="the name comes first", labels={"score": 0.75})
    store.append(dataclasses.replace(episode, steps=(thinking, last)))
    store.append(tool_episode(store.put_image(store.read(str(first.screenshot)))))
    (store.directory / "conversion.json").write_text(
        json.dumps({"source": "agentnet", "licence": "MIT", "skipped": {"no image": {"count": 7, "first": ["x.png"]}}})
    )
    out = tmp_path / "page.html"
    write_page(inspect_path(store.directory), out)
    text = out.read_text("utf-8")
    for said in (
        "2 episodes, 4 steps",
        ">no problems</a>",
        "the name comes first",
        "0.75",
        "login form, filled in",
        "Step 2 of 2",
        "0.25, 0.6 (40, 126 px)",
        "&#34;question&#34;: &#34;what?&#34;",
        "a cat",
        "A cat.",
        "MIT",
        "no image",
        "x.png",
        "list of object",
        "None found.",
    ):
        assert said in text
    assert text.count("data:image/png") == 3
    assert [p.name for p in tmp_path.glob("*.html")] == ["page.html"]


def test_a_store_that_is_here_has_a_name(
    store: EpisodeStore, episode: Episode, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(episode)
    monkeypatch.chdir(store.directory)
    assert "<h1>episodes</h1>" in render_page(inspect_path("."))


def test_a_windows_page_has_prompt_reference_and_first_action(
    store: EpisodeStore, episode: Episode, tmp_path: Path
) -> None:
    path = tmp_path / "train.parquet"
    write_windows(path, episode_windows(episode, PROMPTS["full-1"]), store.directory)
    text = render_page(inspect_path(path))
    for said in ("login-user/7, step 1", "Task: Log in as", "click the &#39;Login&#39; button", 'x="25.0%" y="60.0%"'):
        assert said in text
    assert text.count("data:image/png") == 2


def test_other_records_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"id": "a", "completion": "<b>"}\n')
    assert "&#34;completion&#34;: &#34;&lt;b&gt;&#34;" in render_page(inspect_path(path))


def test_a_picture_that_cannot_be_had_is_said(episode: Episode, png: Callable[..., bytes]) -> None:
    def open_file(name: str) -> bytes:
        if name == "outside":
            raise DataError("outside: lies outside the store")
        if name == "locked":
            raise PermissionError(13, "Permission denied")
        if name == "gone":
            raise FileNotFoundError(name)
        return b"no picture"

    steps = [dataclasses.replace(episode.steps[0], screenshot=n) for n in ("outside", "locked", "gone", "broken")]
    found = Inspection(Path("raw"), "episodes", open_file, corpus="agentnet")
    inspect_episodes(found, [(Place("a", "line 1"), dataclasses.replace(episode, steps=tuple(steps)))])
    text = render_page(found)
    for why in (
        "lies outside the store",
        "Permission denied",
        "is not there",
        "cannot be read (UnidentifiedImageError)",
    ):
        assert why in text
    assert "episodes from raw agentnet" in text


def test_more_pictures_than_a_page_holds(
    store: EpisodeStore, episode: Episode, png: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "ROOM", 3000)
    for i in range(9):
        step = dataclasses.replace(episode.steps[1], screenshot=store.put_image(png(colour=f"#00{i}000")))
        store.append(dataclasses.replace(episode, episode_id=str(i), steps=(step,)))
    text = render_page(inspect_path(store.directory, Choice(samples=9)))
    assert 0 < text.count("data:image/png") < 9
    assert "left out, to keep the page small" in text


def test_problems_beyond_the_cap_are_told() -> None:
    found = Inspection(Path("a.jsonl"), "records")
    for i in range(PROBLEMS_KEPT + 5):
        found.problems.add(Problem("a.jsonl", f"line {i}", "x", "wrong"))
    text = render_page(found)
    assert "1,005 in all; the first 1,000 are listed." in text
    assert text.count("<tr data-field") == PROBLEMS_KEPT
