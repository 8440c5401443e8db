from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tracer1.data.images import image_size
from tracer1.data.inspection.inspect import inspect_episodes, inspect_path
from tracer1.data.inspection.result import Choice, Inspection, Place, Problem, Skipped
from tracer1.data.inspection.summary import render
from tracer1.data.records import episode_to_json
from tracer1.data.store import EPISODES, EpisodeStore
from tracer1.data.windows_file import write_windows
from tracer1.errors import DataError, UsageError
from tracer1.files import write_atomic
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_windows
from tracer1.types import Action, Episode, Point


def page(found: Inspection) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(found))
    return console.export_text()


def told(found: Inspection) -> list[str]:
    return [str(problem) for problem in found.problems]


def change(episode: Episode, step: int, **fields: Any) -> Episode:
    steps = list(episode.steps)
    steps[step] = dataclasses.replace(steps[step], **fields)
    return dataclasses.replace(episode, steps=tuple(steps))


def test_a_sound_store_has_no_problems(store: EpisodeStore, episode: Episode) -> None:
    for i in range(5):
        store.append(dataclasses.replace(episode, episode_id=f"login-user/{i}"))
    found = inspect_path(store.directory)
    assert told(found) == []
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
        "160x210",
    ):
        assert part in shown


def test_the_same_rows_are_sampled_each_time(store: EpisodeStore, episode: Episode) -> None:
    for i in range(40):
        store.append(dataclasses.replace(episode, episode_id=str(i)))
    first, second = (inspect_path(store.directory).samples for _ in range(2))
    assert first == second
    assert {e.item.episode_id for e in first} != {"0", "1", "2"}


@pytest.mark.parametrize(
    ("step", "fields", "problem"),
    [
        (0, {"instruction": " "}, "episodes.jsonl line 1: steps[0].instruction: empty"),
        (0, {"status": "done"}, "episodes.jsonl line 1: steps[0].status: 'done' before the end"),
        (1, {"status": "not done"}, "episodes.jsonl line 1: steps[1].status: the episode ends with 'not done'"),
        (0, {"screenshot": None}, "episodes.jsonl line 1: steps[0].screenshot: null, and there is no text instead"),
        (0, {"screenshot": "images/no.png"}, "episodes.jsonl line 1: steps[0].screenshot: images/no.png: no such file"),
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
        (1, {"action": Action("click")}, "episodes.jsonl line 1: steps[1].action: action 'click' lacks 'point'"),
        (1, {"box": (0.5, 0.1, 0.4, 2.0)}, "episodes.jsonl line 1: steps[1].box: [0.5, 0.1, 0.4, 2.0] is not"),
        (0, {"elements": "elements/no.json"}, "episodes.jsonl line 1: steps[0].elements: "),
    ],
)
def test_each_problem_is_named_by_row_and_field(
    store: EpisodeStore, episode: Episode, step: int, fields: dict[str, Any], problem: str
) -> None:
    store.append(change(episode, step, **fields))
    assert any(problem in p for p in told(inspect_path(store.directory)))


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
        "line 2: goal: missing",
        "line 3: goal: empty",
        "line 3: steps: empty",
        "line 4: expected a JSON object",
        "line 5: not JSON",
        "line 6: episode_id: 'login-user/7' is on line 1 too",
        "line 7: half-written last line",
    ]
    assert [p.removeprefix("episodes.jsonl ")[: len(e)] for p, e in zip(told(found), expected, strict=True)] == expected
    assert "7 problems" in page(found)


def test_corrupt_and_renamed_images(store: EpisodeStore, episode: Episode, png: Callable[..., bytes]) -> None:
    data = png()
    write_atomic(store.directory / "images" / "cut.png", data[:60])
    write_atomic(store.directory / "images" / "text.png", b"no picture")
    write_atomic(store.directory / "images" / "named.png", data)
    for name in ("cut", "text", "named"):
        store.append(dataclasses.replace(change(episode, 0, screenshot=f"images/{name}.png"), episode_id=name))
    cut, text, named = told(inspect_path(store.directory))
    assert cut.startswith("episodes.jsonl line 1: steps[0].screenshot: images/cut.png: corrupt image")
    assert text.startswith("episodes.jsonl line 2: steps[0].screenshot: images/text.png: corrupt image")
    assert named.endswith("images/named.png: the name is not the SHA-256 of the bytes")


def test_windows_are_inspected_with_their_images(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    windows = list(episode_windows(episode, PROMPTS["full-1"]))
    write_windows(path, windows, store.directory)
    found = inspect_path(path)
    assert (found.kind, found.rows, told(found)) == ("windows", 2, [])
    assert found.counts["first action type"] == {"type": 1, "click": 1}
    assert "list<element: string>" in page(found)

    (store.directory / windows[0].images[0]).unlink()
    write_windows(path, [windows[0], windows[0]], store.directory)
    problems = told(inspect_path(path))
    assert problems[0] == f"train.parquet row 0: images[0]: {windows[0].images[0]}: no such file"
    assert problems[1] == "train.parquet row 1: step: 'login-user/7' step 0 is row 0 too"


def test_other_records_are_shown_with_their_fields(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"id": 1, "completion": "x"}\n{"id": "a", "completion": null, "scores": [1]}\n3\n')
    found = inspect_path(path)
    assert found.kind == "records"
    assert found.schema == {"id": "number or text", "completion": "text or null", "scores": "list of number"}
    assert told(found) == ["predictions.jsonl line 3: not a JSON object"]
    assert '"completion": "x"' in page(found)


def test_markup_in_records_is_shown_as_it_is(store: EpisodeStore, episode: Episode) -> None:
    store.append(dataclasses.replace(episode, goal="[bold]press[/nothing] it", source="[red]"))
    assert "[bold]press[/nothing] it" in page(inspect_path(store.directory))


def test_a_problem_has_its_file_row_and_field(store: EpisodeStore, episode: Episode) -> None:
    record = episode_to_json(episode)
    broken = json.loads(json.dumps(record))
    broken["steps"][1].pop("box")
    strange = json.loads(json.dumps(record)) | {"colour": "red"}
    crooked = json.loads(json.dumps(record))
    crooked["steps"][1]["action"]["point"] = [1]
    text = "".join(json.dumps(line) + "\n" for line in (broken, strange, crooked))
    write_atomic(store.directory / EPISODES, text.encode())
    found = [(p.file, p.row, p.field) for p in inspect_path(store.directory).problems]
    assert found == [
        (EPISODES, "line 1", "steps[1].box"),
        (EPISODES, "line 2", "colour"),
        (EPISODES, "line 3", "steps[1].action"),
    ]


def test_the_chosen_episode_and_number_are_shown(store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    for i in range(20):
        store.append(dataclasses.replace(episode, episode_id=f"e{i}"))

    def ids(choice: Choice) -> list[str]:
        return [sample.item.episode_id for sample in inspect_path(store.directory, choice).samples]

    assert len(ids(Choice(samples=5))) == 5
    assert ids(Choice(samples=0)) == []
    assert ids(Choice(seed=1)) != ids(Choice(seed=2))
    assert ids(Choice(episode="e13")) == ["e13"]
    (sample,) = inspect_path(store.directory, Choice(episode="e13")).samples
    assert sample.place == Place(EPISODES, "line 14")
    with pytest.raises(UsageError, match="no 'e99' that can be read"):
        ids(Choice(episode="e99"))
    path = tmp_path / "train.parquet"
    windows = list(episode_windows(episode, PROMPTS["full-1"]))
    write_windows(path, windows, store.directory)
    assert [sample.item for sample in inspect_path(path, Choice(episode="login-user/7")).samples] == windows


def test_what_a_conversion_left_out_is_shown(store: EpisodeStore, episode: Episode) -> None:
    store.append(episode)
    file = store.directory / "conversion.json"
    skipped = {"no screenshot": {"count": 2, "first": ["3.png"]}, "unknown action": {"count": 30, "first": []}}
    facts = {"source": "agentnet", "licence": "MIT", "citation": "@misc{a}", "episodes": 1, "steps": 2}
    tables = {"task": "0a1b", "counts": {"action": {"click": 2}}, "errata": None}  # for programs
    file.write_text(json.dumps({**facts, **tables, "skipped": skipped}))
    found = inspect_path(store.directory)
    assert found.conversion is not None
    assert dict(found.conversion.facts) == {name: str(value) for name, value in facts.items()}
    assert found.conversion.skipped == (Skipped("unknown action", 30, ()), Skipped("no screenshot", 2, ("3.png",)))
    shown = page(found)
    for part in ("licence", "MIT", "no screenshot", "3.png", "no problems found"):
        assert part in shown


@pytest.mark.parametrize("text", ["{", "[]", '{"skipped": {"a": 3}}', '{"skipped": {"a": {"count": null}}}'])
def test_a_broken_record_of_a_conversion_is_a_problem(store: EpisodeStore, episode: Episode, text: str) -> None:
    store.append(episode)
    (store.directory / "conversion.json").write_text(text)
    (problem,) = inspect_path(store.directory).problems
    assert (problem.file, problem.message[:6]) == ("conversion.json", "not a " if text != "{" else "not JS")


def test_episodes_from_anywhere_with_their_own_opener(episode: Episode, png: Callable[..., bytes]) -> None:
    files = {"images/7.png": png()}  # a raw corpus does not name its images by their bytes
    steps = [dataclasses.replace(step, screenshot="images/7.png", elements=None) for step in episode.steps]
    raw = dataclasses.replace(episode, steps=tuple(steps))
    lost = change(raw, 1, screenshot="8.png")

    def open_file(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    found = Inspection(Path("raw"), "episodes", open_file, corpus="agentnet")
    rows = [
        (Place("a.jsonl", "line 1"), raw),
        Problem("a.jsonl", "line 2", "traj[0]", "no image"),
        (Place("b.jsonl", "line 1"), dataclasses.replace(lost, episode_id="other")),
        (Place("b.jsonl", "line 2"), raw),
    ]
    inspect_episodes(found, iter(rows))
    assert (found.rows, found.steps, len(found.samples)) == (4, 6, 3)
    assert told(found) == [
        "a.jsonl line 2: traj[0]: no image",
        "b.jsonl line 1: steps[1].screenshot: 8.png: no such file",
        "b.jsonl line 2: episode_id: 'login-user/7' is on line 1 of a.jsonl too",
    ]
    assert "4 episodes from raw agentnet" in page(found)


def test_how_far_the_reading_is(store: EpisodeStore, episode: Episode) -> None:
    for i in range(4):
        store.append(dataclasses.replace(episode, episode_id=str(i)))
    told: list[int] = []
    inspect_path(store.directory, tick=lambda done, total, note: told.append(100 * done // total))
    assert len(told) == 4
    assert told == sorted(told)
    assert told[-1] == 100


def test_nothing_to_inspect(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or directory"):
        inspect_path(tmp_path / "absent")


def test_the_size_is_read_from_the_header(tmp_path: Path, png: Callable[..., bytes]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png((33, 44))[:80])  # the pixels are cut off
    assert image_size(path) == (33, 44)
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        image_size(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["episodes.jsonl", "other.jsonl"])
def test_an_episode_that_lacks_fields_is_a_problem(tmp_path: Path, name: str) -> None:
    """It was shown as some other record, with no problems."""
    (tmp_path / name).write_text('{"episode_id": "x"}\n')
    found = inspect_path(tmp_path / name)
    assert found.kind == "episodes"
    assert [str(problem) for problem in found.problems] == [
        f"{name} line 1: source: missing, and so are platform, goal, split, steps; add it (null where there is none)"
    ]
