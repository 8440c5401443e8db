from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from synthetic_run import Json, keep, screen, write_lines

from tracer1.errors import DataError
from tracer1.report.episodes import MOST_TURNS, PICTURE_WIDTH, EpisodeView, EpisodeViews, action_text, episode_views
from tracer1.report.html import render
from tracer1.results.reading import read_run
from tracer1.types import Action, Point


def step(instruction: str, kind: str = "click") -> Json:
    return {"abstraction": "a page", "action_type": kind, "instruction": instruction, "status": "not done"}


def turn(*steps: Json, **values: Any) -> Json:
    action = {"action_type": "click", "point": [0.25, 0.5]}
    return {"screenshot": None, "completion": "raw", "steps": list(steps), "action": action, "error": None} | values


def episode(*turns: Json, success: bool = True, task: str = "t", seed: int = 1) -> Json:
    return {"task": task, "seed": seed, "goal": "g", "success": success, "ending": "finished", "turns": list(turns)}


def played(directory: Path, most: int = 64, **stages: list[Json]) -> EpisodeViews:
    for stage, lines in stages.items():
        write_lines(directory / "live" / f"{stage}.jsonl", lines)
    return episode_views(read_run(directory), most)


def views(directory: Path, **stages: list[Json]) -> tuple[EpisodeView, ...]:
    return played(directory, **stages).episodes


def test_a_success_that_the_base_missed_and_a_failure(tmp_path: Path) -> None:
    one = turn(step("a"))
    found = played(
        tmp_path,
        base=[episode(one, task="won"), episode(one, task="missed", success=False)],
        stage2=[
            episode(one, one, one, task="won"),
            episode(one, one, task="missed"),
            episode(one, task="hard", success=False),
            episode(one, one, task="harder", success=False),
        ],
    )
    assert [(why, s.stage, s.task) for why, s in found.first] == [
        ("A long success", "After stage 2", "missed"),
        ("The same episode before training", "Base", "missed"),
        ("A failure", "After stage 2", "harder"),
    ]


def test_an_episode_that_never_ends_is_not_the_first_choice_and_is_cut(tmp_path: Path) -> None:
    loop = episode(*[turn(step("a"))] * 30, task="loop")
    found = played(tmp_path, stage2=[loop, episode(turn(step("a")), task="short")])
    assert [s.task for _, s in found.first] == ["short"]
    (view,) = views(tmp_path, stage2=[loop])
    assert [f.number for f in view.turns] == [*range(1, MOST_TURNS - 1), 29, 30]
    assert (len(view.turns), view.left_out, view.gap_after) == (MOST_TURNS, 30 - MOST_TURNS, MOST_TURNS - 3)


def test_what_became_of_each_forecast(tmp_path: Path) -> None:
    (view,) = views(
        tmp_path,
        stage2=[
            episode(
                turn(step("a"), step("b"), step("c"), step("d", "type"), step("e"), step("f")),
                turn(step("b")),
                turn(step("not c")),
                turn(step("d")),
                turn(step("e"), action=None, error="nowhere"),
            )
        ],
    )
    assert [s.match for s in view.turns[0].steps] == ["", "same", "type", "different", "", ""]
    assert view.turns[4].error == "nowhere"


def test_where_the_next_plan_differs(tmp_path: Path) -> None:
    found = views(
        tmp_path,
        stage2=[
            episode(
                turn(step("a"), step("b"), step("c"), step("d")),
                turn(step("b"), step("d"), step("e")),
                turn(step("d"), step("e")),
                turn(step("z")),
            )
        ],
    )
    assert [f.diverges_at for f in found[0].turns] == [2, None, 1, None]
    assert render([tmp_path]).count('<li class="split">') == 2


def test_what_happened_to_the_screen(tmp_path: Path) -> None:
    one, two = keep(tmp_path, screen(0)), keep(tmp_path, screen(1))
    turns = [turn(step("a"), screenshot=s) for s in (one, one, two)]
    (view,) = views(tmp_path, stage2=[episode(*turns)])
    assert [f.effect for f in view.turns] == ["the screen stayed as it was", "the screen changed", ""]


def test_every_task_planner_and_outcome_is_shown_before_a_second_of_any(tmp_path: Path) -> None:
    one = turn(step("a"))
    lines = [episode(one, task=t, seed=s, success=s != 2) for s in (1, 2, 3) for t in ("x", "y")]
    found = played(tmp_path, 9, base=lines, stage2=lines, reactive=lines)
    assert len(found.episodes) == 9
    assert found.left_out == 9
    assert [label for _, label in found.planners] == ["Base", "After stage 2"]
    for _, cells in found.rows:
        assert all({s.success for s in cell} == {True, False} for cell in cells)
    everything = played(tmp_path, 100)
    assert (len(everything.episodes), everything.left_out) == (18, 0)
    assert [label for _, label in everything.planners] == ["Base", "After stage 2", "Reactive"]


def test_each_picture_is_on_the_page_once(tmp_path: Path) -> None:
    one, two = keep(tmp_path, screen(0)), keep(tmp_path, screen(1))
    turns = [turn(step("a"), screenshot=s) for s in (one, two, one)]
    found = played(tmp_path, stage2=[episode(*turns, seed=s) for s in range(4)])
    assert len(found.pictures) == 2
    page = render([tmp_path])
    assert page.count("data:image/png") == 2
    assert page.count("<use ") == 12


def test_the_marker_is_where_the_action_fell(tmp_path: Path) -> None:
    shown = keep(tmp_path, screen(0))
    drag = {"action_type": "drag", "start_point": [0.1, 0.2], "end_point": [0.3, 1.4]}
    first = turn(step("a"), screenshot=shown)
    (view,) = views(tmp_path, stage2=[episode(first, turn(step("b"), screenshot=shown, action=drag))])
    assert view.turns[0].point == (25.0, 50.0)
    assert view.turns[1].arrow == (10.0, 20.0, 30.0, 100.0)
    page = render([tmp_path])
    assert '<i class="marker" style="left:25.0%;top:50.0%"></i>' in page
    assert "M10.0 20.0L30.0 100.0" in page


def test_a_small_picture_is_carried_as_it_is(tmp_path: Path) -> None:
    png = screen(2)
    (view,) = views(tmp_path, stage2=[episode(turn(step("a"), screenshot=keep(tmp_path, png)))])
    picture = view.turns[0].picture
    assert picture is not None
    assert base64.b64decode(picture.uri.removeprefix("data:image/png;base64,")) == png
    assert (picture.width, picture.height) == (160, 210)


def test_a_large_picture_is_shrunk(tmp_path: Path) -> None:
    Image.effect_noise((1600, 900), 80).save(tmp_path / "large.png")
    (view,) = views(tmp_path, stage2=[episode(turn(step("a"), screenshot="large.png"))])
    picture = view.turns[0].picture
    assert picture is not None
    data = base64.b64decode(picture.uri.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == (PICTURE_WIDTH, 360)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (None, "no screenshot was taken"),
        ("gone.png", "is missing"),
        ("broken.png", "cannot be read"),
        ("cut.png", "cannot be read"),
        ("../outside.png", "outside the run"),
        ("/etc/hostname", "outside the run"),
        (".", "cannot be read"),
    ],
)
def test_a_picture_that_cannot_be_had_is_said(tmp_path: Path, name: str | None, why: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "outside.png").write_bytes(screen(0))
    (run / "broken.png").write_bytes(b"no picture")
    (run / "cut.png").write_bytes(screen(0)[:200])
    (view,) = views(run, stage2=[episode(turn(step("a"), screenshot=name))])
    assert view.turns[0].picture is None
    assert why in view.turns[0].missing


def test_a_broken_action_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stage2\.jsonl line 1: 'turns'\[0\]: 'action': 'point' is not"):
        views(tmp_path, stage2=[episode(turn(step("a"), action={"action_type": "click", "point": [1]}))])


def test_actions_in_words() -> None:
    assert action_text(Action("click", Point(0.5, 0.25))) == "click at (0.50, 0.25)"
    assert action_text(Action("type", content="ada")) == "type ‘ada’"
    assert action_text(Action("hotkey", key="ctrl c")) == "hotkey ctrl c"
    assert action_text(Action("scroll", Point(0.5, 0.5), direction="down")) == "scroll down at (0.50, 0.50)"
