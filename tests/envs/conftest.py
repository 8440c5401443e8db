"""One real browser and one event loop for each test module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from live_browser import Live

from tracer1.envs.miniwob.browser import Browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with asyncio.Runner() as runner:
        browser = Browser(tmp_path_factory.mktemp("images"))
        runner.run(browser.__aenter__())
        yield Live(browser, runner)
        runner.run(browser.__aexit__(None, None, None))
