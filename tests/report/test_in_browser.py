"""The page in a real Chromium: its keys, its widths, its pictures, and text that is never more than text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from synthetic_run import write_lines

from tracer1.report.html import build_report

HOSTILE = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    "<svg onload=\"document.title = 'owned'\"></svg></pre></style><b id=planted>bold</b>"
)


def opened(chromium: Browser, run: Path, width: int = 1280) -> tuple[Page, list[str]]:
    """The report of ``run``, and what the page asked for or complained of."""
    build_report([run], run / "report.html")
    page = chromium.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("request", lambda r: heard.append(r.url) if not r.url.startswith(("data:", "file:")) else None)
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto((run / "report.html").as_uri())
    return page, heard


def shown(page: Page) -> list[str]:
    return [view.get_attribute("id") or "" for view in page.locator(".episode:visible").all()]


def test_one_episode_at_a_time_and_keys_turn_the_pages(chromium: Browser, run: Path) -> None:
    page, heard = opened(chromium, run)
    ids = [view.get_attribute("id") for view in page.locator(".episode").all()]
    (first,) = shown(page)
    at = ids.index(first)
    assert page.locator(".episode.first").get_attribute("id") == first
    page.keyboard.press("k")
    assert shown(page) == [ids[at - 1]]
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert shown(page) == [ids[at + 1]]
    expect(page.locator(".picker a[aria-current]")).to_have_attribute("href", f"#{ids[at + 1]}")  # a tick later
    page.locator(".picker a").last.click()
    assert shown(page) == [ids[-1]]
    page.keyboard.press("j")
    assert shown(page) == [ids[-1]]
    assert heard == []


def test_an_episode_has_its_pictures_and_where_the_action_fell(chromium: Browser, run: Path) -> None:
    page, _ = opened(chromium, run)
    shot = page.locator(".episode:visible .shot").first
    box = shot.bounding_box()
    drawn = shot.locator("use").bounding_box()
    assert box is not None
    assert drawn is not None
    assert box["width"] == pytest.approx(drawn["width"], abs=1)
    assert box["height"] / box["width"] == pytest.approx(210 / 160, abs=0.02)
    marker = page.locator(".episode:visible .marker").first.bounding_box()
    assert marker is not None
    assert (marker["x"] + marker["width"] / 2 - box["x"]) / box["width"] == pytest.approx(0.42, abs=0.01)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_runs_over_the_edge(chromium: Browser, run: Path, width: int) -> None:
    page, _ = opened(chromium, run, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_a_model_wrote_is_text(chromium: Browser, run: Path) -> None:
    for file in (run / "rollouts.jsonl", run / "live" / "stage2.jsonl"):
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        for row in rows:
            row["goal"] = row["completion"] = HOSTILE
            if "prompt" in row:
                row |= {"prompt": row["prompt"] + HOSTILE, "overall": 0.0, "accuracy": 0.0}
            for turn in row.get("turns", ()):
                turn["completion"] = HOSTILE
                for step in turn["steps"]:
                    step["instruction"] = HOSTILE
        write_lines(file, rows)
    page, heard = opened(chromium, run)
    assert HOSTILE in (page.locator(".episode:visible .goal").text_content() or "")
    assert HOSTILE in (page.locator(".signal").first.text_content() or "")
    assert HOSTILE in (page.locator(".aligned pre").first.text_content() or "")
    assert page.locator("#planted, img, .goal b, pre b").count() == 0
    assert page.title() == "TraceR1 · demo"
    assert heard == []
