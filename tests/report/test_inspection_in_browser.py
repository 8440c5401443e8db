"""The page of an inspection in a real Chromium: marks stand where the record says, and text is never more than text."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.inspection.result import Choice
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import write_windows
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_windows
from tracer1.report.inspection import write_page
from tracer1.types import Action, Box, Episode, EpisodeStep, Point

HOSTILE = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    "<svg onload=\"document.title = 'owned'\"></svg></pre></style></script><b id=planted>bold</b>{{ 7 * 7 }}"
)
WIDTHS = (1280, 390)


def opened(chromium: Browser, path: Path, width: int = 1280, samples: int = 3) -> tuple[Page, list[str]]:
    """The page of ``path``, and what it asked for or complained of."""
    out = path.parent / "page.html"
    write_page(inspect_path(path, Choice(samples)), out)
    page = chromium.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("request", lambda r: heard.append(r.url) if not r.url.startswith("data:") else None)
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(out.as_uri())
    assert heard.pop(0) == out.as_uri()
    return page, heard


@pytest.fixture
def played(store: EpisodeStore, png: Callable[..., bytes]) -> Callable[..., EpisodeStore]:
    """A store of one episode that does the given actions, each on a picture of the given size."""

    def play(*actions: tuple[Action, Box | None], size: tuple[int, int] = (1200, 700), **fields: Any) -> EpisodeStore:
        shot = store.put_image(png(size, "#cde"))
        steps = tuple(EpisodeStep(shot, size, "seen", "do", action, box) for action, box in actions)
        steps = (*steps[:-1], dataclasses.replace(steps[-1], status="done"))
        plain = Episode("e", "s", "web", "g", "train", steps)
        store.append(dataclasses.replace(plain, **fields))
        return store

    return play


def place(mark: Locator, image: Locator) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a mark, without its stroke, as fractions of the image."""
    script = """(mark, image) => {
      const to = mark.getScreenCTM(), shape = mark.getBBox(), whole = image.getBoundingClientRect();
      const corner = (x, y) => { const p = new DOMPoint(x, y).matrixTransform(to);
        return [(p.x - whole.x) / whole.width, (p.y - whole.y) / whole.height]; };
      const corners = [corner(shape.x, shape.y), corner(shape.x + shape.width, shape.y + shape.height)];
      const [xs, ys] = [0, 1].map((i) => corners.map((c) => c[i]));
      return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    }"""
    left, top, right, bottom = mark.evaluate(script, image.element_handle())
    return left, top, right, bottom


def centre(mark: Locator, image: Locator) -> tuple[float, float]:
    left, top, right, bottom = place(mark, image)
    return (left + right) / 2, (top + bottom) / 2


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", [(160, 210), (1080, 2400), (1276, 718)])
@pytest.mark.parametrize(("x", "y"), [(0.9722, 0.9701), (0.02, 0.5)])
def test_rings_and_boxes_are_where_the_record_says(
    chromium: Browser, played: Callable[..., EpisodeStore], width: int, size: tuple[int, int], x: float, y: float
) -> None:
    box = (max(0, x - 0.1), y - 0.05, min(1, x + 0.02), y + 0.01)
    store = played((Action("click", Point(x, y)), box), size=size)
    page, heard = opened(chromium, store.directory, width)
    image = page.locator(".shot img")
    drawn = image.bounding_box()
    assert drawn is not None
    assert drawn["height"] / drawn["width"] == pytest.approx(size[1] / size[0], rel=0.01)
    pixel = 0.5 / min(drawn["width"], drawn["height"])
    ring = page.locator(".at .ring")
    assert centre(ring, image) == pytest.approx((x, y), abs=pixel)
    seen = ring.bounding_box()
    assert seen is not None
    assert seen["width"] == pytest.approx(seen["height"], abs=0.1), "a ring is round"
    assert place(page.locator(".target"), image) == pytest.approx(box, abs=pixel)
    assert heard == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_ring_stands_on_the_pixel_that_was_clicked(
    chromium: Browser, store: EpisodeStore, episode: Episode, width: int
) -> None:
    seen = Image.merge("RGB", [Image.effect_noise((1600, 900), 40)] * 3)  # too large to be carried as it is
    seen.paste((0, 0, 255), (1200 - 8, 300 - 8, 1200 + 8, 300 + 8))
    buffer = io.BytesIO()
    seen.save(buffer, "PNG")
    step = EpisodeStep(store.put_image(buffer.getvalue()), (1600, 900), "", "do", Action("click", Point(0.75, 1 / 3)))
    store.append(dataclasses.replace(episode, steps=(dataclasses.replace(step, status="done"),)))
    page, _ = opened(chromium, store.directory, width)
    whole, ring = page.locator(".shot").bounding_box(), page.locator(".ring").bounding_box()
    assert whole is not None
    assert ring is not None
    page.locator(".mark-over").evaluate("(over) => { over.style.visibility = 'hidden'; }")
    drawn = Image.open(io.BytesIO(page.locator(".shot").screenshot())).convert("RGB")
    blue = [
        divmod(i, drawn.width)
        for i, (r, g, b) in enumerate(drawn.get_flattened_data())
        if b > 150 and r < 90 and g < 90
    ]
    dot = [sum(axis) / len(blue) + 0.5 for axis in zip(*blue, strict=True)]
    middle = (ring["y"] + ring["height"] / 2 - whole["y"], ring["x"] + ring["width"] / 2 - whole["x"])
    assert dot == pytest.approx(middle, abs=1)


def test_every_kind_of_action_has_its_mark(chromium: Browser, played: Callable[..., EpisodeStore]) -> None:
    at = Point(0.25, 0.75)
    store = played(
        (Action("left_double", at), None),
        (Action("right_single", at), None),
        (Action("drag", start_point=Point(0.9, 0.2), end_point=Point(0.1, 0.6)), None),
        (Action("scroll", at, direction="down"), None),
        (Action("scroll", at, direction="up"), None),
        (Action("scroll", at, direction="left"), None),
        (Action("scroll", at, direction="right"), None),
        (Action("type", at, content="hello"), None),
        (Action("hotkey", key="ctrl c"), None),
        (Action("click", Point(1.5, 0.5)), None),
    )
    page, _ = opened(chromium, store.directory)
    cards = page.locator(".card").all()
    image = [card.locator("img") for card in cards]
    assert [card.locator(".ring").count() for card in cards] == [2, 1, 0, 0, 0, 0, 0, 1, 0, 1]
    assert centre(cards[0].locator(".ring").last, image[0]) == pytest.approx((0.25, 0.75), abs=0.001)
    assert place(cards[2].locator(".drag"), image[2]) == pytest.approx((0.1, 0.2, 0.9, 0.6), abs=0.001)
    assert cards[2].locator(".drag").get_attribute("x2") == "10.0%"
    assert centre(cards[2].locator(".start"), image[2]) == pytest.approx((0.9, 0.2), abs=0.001)
    for card, way in zip(cards[3:7], ((0, 1), (0, -1), (-1, 0), (1, 0)), strict=True):
        arrow, picture = card.locator("path.scroll"), card.locator("img")
        turned = arrow.evaluate("(a) => { const m = a.getScreenCTM(); return [m.c, m.d]; }")  # where "down" points
        assert turned == pytest.approx(way)
        assert centre(card.locator(".dot"), picture) == pytest.approx((0.25, 0.75), abs=0.001)
    assert [" ".join(card.locator(".act").inner_text().split()) for card in cards[7:9]] == [
        "type content hello point 0.25, 0.75 (300, 525 px)",
        "hotkey ctrl c",
    ]
    assert cards[8].locator(".mark-over > *").count() == 0
    assert cards[9].locator(".mark-over.off").count() == 1
    assert centre(cards[9].locator(".ring"), image[9])[0] == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_runs_over_the_edge(chromium: Browser, played: Callable[..., EpisodeStore], width: int) -> None:
    long = "w" * 300
    store = played(
        (Action("type", content=long), None), (Action("click"), None), episode_id=long, goal=long, source=long
    )
    page, _ = opened(chromium, store.directory, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_a_record_holds_is_text(chromium: Browser, store: EpisodeStore, episode: Episode, tmp_path: Path) -> None:
    steps = tuple(
        dataclasses.replace(
            step,
            abstraction=HOSTILE,
            instruction=HOSTILE,
            thought=HOSTILE,
            observation=HOSTILE,
            text=HOSTILE,
            action=Action("click", content=HOSTILE),
            labels={HOSTILE: HOSTILE},
            screenshot=HOSTILE if step.status == "done" else step.screenshot,
        )
        for step in episode.steps
    )
    hostile = dataclasses.replace(episode, episode_id=HOSTILE, goal=HOSTILE, source=HOSTILE, steps=steps)
    store.append(hostile)
    page, heard = opened(chromium, store.directory)
    for part in (".goal", ".sample h2", ".said .instruction", ".said pre", ".problems", ".bars", ".facts"):
        assert HOSTILE in (page.locator(part).first.text_content() or ""), part
    windows = tmp_path / "train.parquet"
    write_windows(windows, episode_windows(hostile, PROMPTS["full-1"]), store.directory)
    other, also_heard = opened(chromium, windows)
    assert HOSTILE.partition("{{")[0] in (other.locator("details pre").last.text_content() or "")
    for shown in (page, other):
        assert shown.locator("#planted, .goal b, pre b, img[src=x]").count() == 0
    assert [page.title(), other.title()] == ["TraceR1 · episodes", "TraceR1 · train.parquet"]
    assert heard + also_heard == []


def test_problems_by_field_and_by_words(chromium: Browser, store: EpisodeStore, episode: Episode) -> None:
    for i in range(4):
        steps = (dataclasses.replace(episode.steps[0], instruction=""), episode.steps[1])
        store.append(dataclasses.replace(episode, episode_id=str(i), goal="" if i % 2 else "g", steps=steps))
    page, heard = opened(chromium, store.directory)
    rows = page.locator(".problems tbody tr:visible")
    assert rows.count() == 6
    page.get_by_label("Field").select_option("steps[].instruction")
    assert rows.count() == 4
    assert page.locator(".filter output").inner_text() == "4 of 6 shown"
    page.get_by_label("Filter the problems").fill("LINE 3")
    assert " ".join(rows.first.inner_text().split()) == "episodes.jsonl line 3 steps[0].instruction empty"
    assert rows.count() == 1
    page.get_by_label("Field").select_option("")
    page.get_by_label("Filter the problems").fill("")
    assert rows.count() == 6
    assert heard == []
