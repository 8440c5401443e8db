"""Raw fields: what they are taken for, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tracer1.coordinates import per_mille
from tracer1.data.conversion.corpus import Note, UnusableRecord
from tracer1.data.conversion.fields import (
    DraftStep,
    Screenshots,
    finish,
    is_plain,
    labels,
    number,
    on_screen,
    out_of_order,
    shown,
)
from tracer1.errors import DataError
from tracer1.types import FRACTION, Action, EpisodeStep, Point


@pytest.mark.parametrize("value", [None, True, "1", [], math.nan, math.inf, 10**400, 2**53])
def test_no_number(value: object) -> None:
    assert number(value) is None


def test_labels_are_texts_numbers_and_truths() -> None:
    record = {"a": "x", "b": 3, "c": 0.5, "d": False, "e": ["x", 1, "y"], "f": " ", "g": {}, "h": None, "i": 10**400}
    assert labels(record, [*record, "z"]) == {"a": "x", "b": 3, "c": 0.5, "d": False, "e": "x, y"}
    assert labels([], ["a"]) == {}


@pytest.mark.parametrize("name", ["", ".", "..", " ", "a/b", "a\\b", "/a", "a\0", "a\n", "\ud83d", "ü" * 200])
def test_names_that_lead_elsewhere(name: str) -> None:
    assert not is_plain(name)
    assert is_plain("20240101_ü.png")


def test_what_is_shown_can_be_written() -> None:
    assert shown("\ud83d") == "'\\ud83d'"
    assert (shown([[[]]]), len(shown("a" * 1000))) == ("list", 60)


def test_numbers_that_do_not_rise() -> None:
    assert not out_of_order([{"i": 0}, {"i": 1}, {}, "no step", {"i": 5}], "i")
    assert out_of_order([{"i": 0}, {"i": 0}], "i")


@pytest.mark.parametrize(
    ("x", "y", "expected", "moved"),
    [(0, 1000, Point(0.0, 1.0), 0), (1050, 500, Point(1.0, 0.5), 1), (-50, 1001, Point(0.0, 1.0), 1)],
)
def test_places_on_and_beside_the_screen(x: int, y: int, expected: Point, moved: int) -> None:
    notes: list[Note] = []
    assert on_screen(x, y, per_mille(), "here", notes) == expected
    assert [note.kind for note in notes] == ["changed"] * moved


@pytest.mark.parametrize(("x", "y"), [(1.051, 0), (0, -0.051), (None, 0), ("0", 0), (True, 0), (math.inf, 0)])
def test_no_places(x: object, y: object) -> None:
    with pytest.raises(UnusableRecord):
        on_screen(x, y, FRACTION, "here", [])


def test_pictures_are_read_when_asked_for(tmp_path: Path, png: Callable[..., bytes]) -> None:
    (tmp_path / "images/deeper").mkdir(parents=True)
    (tmp_path / "images/deeper/a.png").write_bytes(png())
    (tmp_path / "images/b.png").write_bytes(png()[:-20])
    pictures = Screenshots(tmp_path / "images")
    assert (len(pictures), sorted(pictures)) == (2, ["b.png", "deeper/a.png"])
    assert (pictures["a.png"].size, pictures["a.png"].path) == ((160, 210), tmp_path / "images/deeper/a.png")
    for name in ("b.png", "c.png", "../images/b.png", "\ud83d"):
        with pytest.raises(DataError) as caught:
            pictures[name]
        assert str(tmp_path) not in str(caught.value)


def test_a_hundred_thousand_ends_take_no_longer_than_as_many_steps(tmp_path: Path, png: Callable[..., bytes]) -> None:
    (tmp_path / "a.png").write_bytes(png())
    drafts = [DraftStep("here", EpisodeStep("a.png", (0, 0), "", "", Action("finished")))] * 100_000
    notes: list[Note] = []
    steps, images = finish(drafts, Screenshots(tmp_path), notes)
    assert [(step.size, step.status) for step in steps] == [((160, 210), "done")]
    assert (list(images), len(notes)) == (["a.png"], 99_999)
