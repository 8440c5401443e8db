from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from synthetic_run import write_run

from tracer1.envs.miniwob import find_browser
from tracer1.errors import SetupError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "demo")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        executable = find_browser()
    except SetupError as error:
        pytest.skip(str(error))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
