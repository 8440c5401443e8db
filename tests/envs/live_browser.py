"""A running browser, and the loop that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from tracer1.envs.miniwob.browser import Browser

T = TypeVar("T")


@dataclass
class Live:
    browser: Browser
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)
