from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tracer1.data.inspect import Inspection, image_size, inspect_path, render
from tracer1.data.store import EPISODES, EpisodeStore, episode_to_json, write_atomic
from tracer1.data.windows_file import write_windows
from tracer1.errors import DataError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_windows
from tracer1.types import Action, Episode, Point


def page(found: Inspection) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(found))
    return console.export_text()


def change(episode: Episode, step: int, **fields: Any) -> Episode:
    steps = list(episode.steps)
    steps[step] = dataclasses.replace(steps[step], **fields)
    return dataclasses.replace(episode, steps=tuple(steps))


def test_a_sound_store_has_no_problems(store: EpisodeStore, episode: Episode) -> None:
    for i in range(5):
        store.append(dataclasses.replace(episode, episode_id=f"login-user/{i}"))
    found = inspect_path(store.directory)
    assert found.problems == []
    assert (found.kind, found.rows, len(found.samples)) == ("episodes", 5, 3)
    assert found.counts["source"] == {"miniwob": 5}
    assert found.counts["task"] == {"login-user": 5}
    assert found.counts["action type"] == {"type": 5, "click": 5}
    shown = page(found)
    for part in (
        "Log in as 'ada'.",
        "click the 'Login' button",
        "click point=[0.25, 0.6]",
        "no problems found",
        "5 episodes",
    ):
        assert part in shown


def test_the_same_rows_are_sampled_each_time(store: EpisodeStore, episode: Episode) -> None:
    for i in range(40):
        store.append(dataclasses.replace(episode, episode_id=str(i)))
    first, second = (inspect_path(store.directory).samples for _ in range(2))
    assert first == second
    assert {e.episode_id for e in first} != {"0", "1", "2"}


@pytest.mark.parametrize(
    ("step", "fields", "problem"),
    [
        (0, {"instruction": " "}, "line 1: steps[0].instruction: empty"),
        (0, {"status": "done"}, "line 1: steps[0].status: 'done' before the end"),
        (1, {"status": "not done"}, "line 1: steps[1].status: the episode ends with 'not done'"),
        (0, {"screenshot": None}, "line 1: steps[0].screenshot: null, and no text in its place"),
        (0, {"screenshot": "images/no.png"}, "line 1: steps[0].screenshot: images/no.png: no such file"),
        (0, {"size": (320, 420)}, "the image is 160x210, the record says 320x420"),
        (
            1,
            {"action": Action("click", Point(0.9, 0.9))},
            "steps[1].action.point: (0.9, 0.9) lies outside the box",
        ),
        (
            1,
            {"action": Action("click", Point(0.2, 1.5))},
            "steps[1].action: action 'click': 'point' is off",
        ),
        (1, {"action": Action("click")}, "line 1: steps[1].action: action 'click' lacks 'point'"),
        (1, {"box": (0.5, 0.1, 0.4, 2.0)}, "line 1: steps[1].box: [0.5, 0.1, 0.4, 2.0] is not"),
        (0, {"elements": "elements/no.json"}, "line 1: steps[0].elements: "),
    ],
)
def test_each_problem_is_named_by_row_and_field(
    store: EpisodeStore, episode: Episode, step: int, fields: dict[str, Any], problem: str
) -> None:
    store.append(change(episode, step, **fields))
    assert any(problem in p for p in inspect_path(store.directory).problems)


def test_every_problem_of_every_row_is_found(store: EpisodeStore, episode: Episode) -> None:
    record = episode_to_json(episode)
    lacking = {key: value for key, value in record.items() if key != "goal"}
    lines = [record, lacking, record | {"episode_id": "b", "goal": "", "steps": []}]
    text = (
        "".join(json.dumps(line) + "\n" for line in lines)
        + "[]\nnonsense\n"
        + json.dumps(record)
        + '\n{"episode_id": "c'
    )
    write_atomic(store.directory / EPISODES, text.encode())
    found = inspect_path(store.directory)
    assert found.rows == 7
    expected = [
        "line 2: goal is missing",
        "line 3: goal: empty",
        "line 3: steps: none",
        "line 4: expected a JSON object",
        "line 5: not JSON",
        "line 6: episode_id: 'login-user/7' stands on line 1 too",
        "line 7: half-written last line",
    ]
    assert [p[: len(e)] for p, e in zip(found.problems, expected, strict=True)] == expected
    assert "7 problems" in page(found)


def test_corrupt_and_renamed_images(store: EpisodeStore, episode: Episode, png: Callable[..., bytes]) -> None:
    data = png()
    write_atomic(store.directory / "images" / "cut.png", data[:60])
    write_atomic(store.directory / "images" / "text.png", b"no picture")
    write_atomic(store.directory / "images" / "named.png", data)
    for name in ("cut", "text", "named"):
        store.append(dataclasses.replace(change(episode, 0, screenshot=f"images/{name}.png"), episode_id=name))
    cut, text, named = inspect_path(store.directory).problems
    assert cut.startswith("line 1: steps[0].screenshot: images/cut.png: corrupt image")
    assert text.startswith("line 2: steps[0].screenshot: images/text.png: corrupt image")
    assert named.endswith("images/named.png: the name is not the SHA-256 of the bytes")


def test_windows_are_inspected_with_their_images(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    windows = list(episode_windows(episode, PROMPTS["full-1"]))
    write_windows(path, windows, store.directory)
    found = inspect_path(path)
    assert (found.kind, found.rows, found.problems) == ("windows", 2, [])
    assert found.counts["first action type"] == {"type": 1, "click": 1}
    assert "list<element: string>" in page(found)

    (store.directory / windows[0].images[0]).unlink()
    write_windows(path, [windows[0], windows[0]], store.directory)
    problems = inspect_path(path).problems
    assert problems[0] == f"row 0: images[0]: {windows[0].images[0]}: no such file"
    assert problems[1] == "row 1: step: 'login-user/7' step 0 is row 0 too"


def test_other_records_are_shown_with_their_fields(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"id": 1, "completion": "x"}\n{"id": "a", "completion": null, "scores": [1]}\n3\n')
    found = inspect_path(path)
    assert found.kind == "records"
    assert found.schema == {"id": "number or text", "completion": "text or null", "scores": "list of number"}
    assert found.problems == ["line 3: not a JSON object"]
    assert '"completion": "x"' in page(found)


def test_markup_in_records_is_shown_as_it_is(store: EpisodeStore, episode: Episode) -> None:
    store.append(dataclasses.replace(episode, goal="[bold]press[/nothing] it", source="[red]"))
    assert "[bold]press[/nothing] it" in page(inspect_path(store.directory))


def test_nothing_to_inspect(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or directory"):
        inspect_path(tmp_path / "absent")


def test_the_size_is_read_from_the_header(tmp_path: Path, png: Callable[..., bytes]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png((33, 44))[:80])  # the pixels are cut off
    assert image_size(path) == (33, 44)
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        image_size(tmp_path / "b.png")
