"""The pixel agent on drawn pages: what it reads, what it takes for a control, and where it points."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tracer1.errors import ExecutorError, InstructionError
from tracer1.executors.ocr import OcrExecutor, read_lines, see
from tracer1.executors.picture import TextLine, banner_height
from tracer1.executors.pointing import find, likeness
from tracer1.types import Box, Element, Observation, Step

GREY, BORDER, WHITE = (239, 239, 239), (118, 118, 118), (255, 255, 255)


class Page:
    """A picture of a page, drawn by hand: 320 x 420 pixels with a yellow banner of 80."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (320, 420), WHITE)
        self.draw = ImageDraw.Draw(self.image)
        self.draw.rectangle((0, 0, 319, 79), fill=(255, 255, 0))
        self.lines: list[TextLine] = []
        self.write(10, 20, "Press Save or Cancel", known=False)

    def write(self, x: int, y: int, text: str, colour: tuple[int, int, int] = (0, 0, 0), known: bool = True) -> None:
        font = ImageFont.load_default(20)
        self.draw.text((x, y), text, fill=colour, font=font)
        if known:
            box = self.draw.textbbox((x, y), text, font=font)
            self.lines.append(TextLine(text, (float(box[0]), box[1] - 80.0 - 4, float(box[2]), box[3] - 80.0 + 4)))

    def frame(self, box: tuple[int, int, int, int], fill: tuple[int, int, int]) -> None:
        self.draw.rectangle(box, outline=BORDER, width=2, fill=fill)

    def point(self, role: str, name: str | None = None, ordinal: int | None = None) -> tuple[float, float]:
        """Where the agent points, in pixels; the texts are given, so that only the rules are tested."""
        point = find(see(np.asarray(self.image), lambda body: self.lines), role, name, ordinal)
        return point.x * 320, point.y * 420


def within(point: tuple[float, float], box: Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


@pytest.fixture
def page() -> Page:
    page = Page()
    page.write(10, 100, "Name:")
    page.frame((90, 96, 290, 126), WHITE)
    page.write(10, 140, "Notes")
    page.frame((10, 170, 290, 200), WHITE)
    page.frame((10, 220, 30, 240), WHITE)
    page.write(40, 219, "Agree")
    page.frame((10, 260, 30, 280), WHITE)
    page.write(40, 259, "Disagree")
    page.draw.ellipse((10, 300, 30, 320), outline=BORDER, width=2)
    page.write(40, 299, "Red")
    page.frame((10, 340, 130, 380), GREY)
    page.write(45, 348, "Save")
    page.write(180, 348, "Save", (0, 0, 238))
    return page


@pytest.mark.parametrize(
    ("role", "name", "ordinal", "target"),
    [
        ("button", "Save", None, (10, 340, 130, 380)),
        ("link", "Save", None, (180, 345, 230, 375)),
        ("field", "Name", None, (90, 96, 290, 126)),
        ("field", "Notes", None, (10, 170, 290, 200)),
        ("field", None, 2, (10, 170, 290, 200)),
        ("checkbox", "Agree", None, (10, 220, 30, 240)),
        ("checkbox", "Disagree", None, (10, 260, 30, 280)),
        ("checkbox", None, 2, (10, 260, 30, 280)),
        ("radio button", "Red", None, (10, 300, 30, 320)),
        ("radio button", None, None, (10, 300, 30, 320)),
        ("button", None, None, (10, 340, 130, 380)),
        ("text", "Disagre", None, (40, 255, 130, 285)),
    ],
)
def test_points_at(page: Page, role: str, name: str | None, ordinal: int | None, target: Box) -> None:
    assert within(page.point(role, name, ordinal), target)


@pytest.mark.parametrize(
    ("role", "name", "ordinal"), [("button", "Quit", None), ("checkbox", None, 3), ("icon", "star", None)]
)
def test_refuses_what_is_not_in_the_picture(page: Page, role: str, name: str | None, ordinal: int | None) -> None:
    with pytest.raises(InstructionError, match="in the picture; it reads: 'Name:', 'Notes'"):
        page.point(role, name, ordinal)


def test_words_of_one_line_are_told_apart() -> None:
    page = Page()
    page.write(10, 200, "Reply Forward", (0, 0, 238))
    assert within(page.point("link", "Reply"), (10, 195, 65, 230))
    assert within(page.point("link", "Forward"), (70, 195, 160, 230))


@pytest.mark.parametrize("joined", [True, False])
def test_a_link_may_be_named_by_its_label(joined: bool) -> None:
    page = Page()
    page.write(10, 200, "Email:", known=not joined)
    page.write(80, 200, "ada@x.org", (0, 0, 238), known=not joined)
    if joined:
        page.lines.append(TextLine("Email: ada@x.org", (10.0, 120.0, 180.0, 145.0)))
    assert within(page.point("link", "Email"), (80, 195, 180, 230))


def test_a_calendar_gives_days_that_were_misread() -> None:
    page = Page()
    for day in range(1, 31):
        row, column = divmod(day + 2, 7)
        page.write(10 + 40 * column, 120 + 40 * row, "1" if day == 17 else str(day), known=day != 9)
    for day in (1, 9, 17, 30):
        row, column = divmod(day + 2, 7)
        assert within(page.point("day", str(day)), (0 + 40 * column, 110 + 40 * row, 40 + 40 * column, 150 + 40 * row))


def test_the_banner_is_no_part_of_the_screen(page: Page) -> None:
    assert banner_height(np.asarray(page.image)) == 80
    assert banner_height(np.full((50, 50, 3), 255, np.uint8)) == 0


@pytest.mark.parametrize(
    ("read", "name", "alike"),
    [("Submit", "Submit", 1.0), ("submit", "Submit", 0.97), ("Q0l", "QOI", 0.9), ("Movie Search", "MovieSearch", 1.0)],
)
def test_likeness(read: str, name: str, alike: float) -> None:
    assert likeness(read, name) >= alike


def test_likeness_tells_apart() -> None:
    assert likeness("Cancel", "Submit") < 0.4
    assert likeness("Password", "Password") > likeness("Verify password", "Password")


# ---- with the reader -------------------------------------------------------------------------------------------------


def test_reads_and_keeps_what_it_read(page: Page, tmp_path: Path) -> None:
    page.image.save(tmp_path / "page.png")
    misleading = (Element("button", "Save", (0.9, 0.9, 1.0, 1.0)),)
    observation = Observation(str(tmp_path / "page.png"), (320, 420), misleading)
    save = Step("", "click", "click the 'Save' button")
    action = asyncio.run(OcrExecutor(cache=tmp_path / "cache").act(save, observation))
    assert action.point is not None
    assert within((action.point.x * 320, action.point.y * 420), (10, 340, 130, 380))
    again = OcrExecutor(cache=tmp_path / "cache")
    kept = [line.text for line in again.see(observation).lines]
    assert {"Name:", "Notes", "Agree", "Disagree", "Red", "Save"} <= set(kept)
    assert len(again._cache) == 1


def test_small_text_is_read() -> None:
    image = Image.new("RGB", (160, 60), WHITE)
    ImageDraw.Draw(image).text((10, 20), "kxQ4 Submit", fill=(0, 0, 0), font=ImageFont.load_default(10))
    (line,) = read_lines(np.asarray(image))
    assert line.text.replace(" ", "") == "kxQ4Submit"
    assert abs(line.box[0] - 10) < 5


CLICK = Step("", "click", "click the button")


@pytest.mark.parametrize("name", ["missing.png", "broken.png"])
def test_a_picture_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    agent = OcrExecutor(cache=tmp_path / "cache")
    with pytest.raises(ExecutorError, match=f"{name}: not a readable image"):
        asyncio.run(agent.act(CLICK, Observation(str(tmp_path / name), (1, 1))))
    with pytest.raises(ExecutorError, match="the ocr executor needs a screenshot"):
        asyncio.run(agent.act(CLICK, Observation(None, (1, 1))))


def test_what_needs_no_place_needs_no_picture(tmp_path: Path) -> None:
    agent = OcrExecutor(cache=tmp_path / "cache")
    typed = asyncio.run(agent.act(Step("", "type", "type 'a'"), Observation(None, (1, 1))))
    assert typed.content == "a"
