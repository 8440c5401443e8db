"""MiniWoB++ live: the task pages of the ``miniwob`` wheel in one headless Chromium, many pages side by side.

The agent has what a person has: a picture, and a mouse and a keyboard that act at pixel coordinates. An episode is
reproducible by its seed; its reward is the page's raw one, without the discount for time. Pages are loaded anew for
each episode, because some tasks leave focus, checked boxes or listeners behind that change the next one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from playwright.async_api import Browser as Chromium
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Playwright, async_playwright

from tracer1.envs.experts import Expert
from tracer1.envs.miniwob.experts import expert_for
from tracer1.envs.miniwob.input import Clipboard, perform
from tracer1.envs.miniwob.page import WatchedPage
from tracer1.envs.miniwob.server import PageServer
from tracer1.envs.miniwob.tasks import VIEWPORT, is_task, pages_root, task_names
from tracer1.envs.options import DEFAULTS, EnvOptions
from tracer1.errors import EnvironmentFailure, SetupError, UsageError
from tracer1.files import write_atomic
from tracer1.types import Action, Element, Env, Observation, Size, Task, Transition

BROWSERS: Final = ("chromium-headless-shell", "chromium")
FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-smooth-scrolling",
    "--js-flags=--max-old-space-size=512",  # MB: a page that hoards memory crashes before the machine does
)
LATE: Final = {"scroll": 3, "hotkey": 2}  # frames after which the page has scrolled: the compositor does that by itself


def find_browser() -> str:
    """The Chromium to run: ``TRACER1_BROWSER``, or the first of ``BROWSERS`` on the path. Raises SetupError."""
    chosen = os.environ.get("TRACER1_BROWSER")
    path = shutil.which(chosen) if chosen else next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        what = f"TRACER1_BROWSER={chosen} is not a program" if chosen else f"no {' or '.join(BROWSERS)} found"
        raise SetupError(
            f"{what}; install one with: apt-get install -y --no-install-recommends"
            " chromium-headless-shell fonts-liberation fonts-dejavu-core"
        )
    return path


class Browser:
    """One Chromium and one page server, for as long as the ``async with`` block lasts.

    The browser reaches the page server and nothing else. ``images``: the folder that screenshots go to, as
    ``<sha256>.png``. ``timeout``: seconds that any one reset or step may take. ``port``: of the page server on
    127.0.0.1; 0 takes a free one.
    """

    def __init__(self, images: Path | str, *, executable: str | None = None, timeout: float = 30.0, port: int = 0):
        self.images = Path(images)
        self.timeout = timeout
        self.clipboard = asyncio.Lock()  # the browser has one for all its pages
        self._executable = executable
        self._server = PageServer(pages_root(), port)
        self._stack = AsyncExitStack()
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._launching = asyncio.Lock()

    async def __aenter__(self) -> Browser:
        """Start both. Raises SetupError when the browser does not start or the port is taken."""
        self._executable = self._executable or find_browser()
        async with AsyncExitStack() as stack:
            self._playwright = await stack.enter_async_context(async_playwright())
            stack.push_async_callback(self._close)
            stack.enter_context(self._server)
            await self._connected()
            self.images.mkdir(parents=True, exist_ok=True)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def new_page(self, scale: int = 1, *, elements: bool = True, mode: str = "train") -> MiniWobEnv:
        """A page of its own, isolated from the others. ``scale``: screenshot pixels per CSS pixel.

        ``elements``: also report the page's structure. ``mode``: "train" or "test" data, where a task has both.
        """
        return MiniWobEnv(self, scale, elements, mode)

    def url(self, task: str) -> str:
        """Where a task's page is served."""
        return f"{self._server.url}miniwob/{task}.html"

    async def open(self, scale: int) -> WatchedPage:
        """A fresh page in a context of its own; the browser is started again if it died."""
        chromium = await self._connected()
        context = await chromium.new_context(
            viewport={"width": VIEWPORT[0], "height": VIEWPORT[1]},
            device_scale_factor=scale,
            permissions=["clipboard-read", "clipboard-write"],
            accept_downloads=False,
        )
        context.set_default_timeout(self.timeout * 1000)
        await context.add_init_script(resources.files("tracer1.envs.miniwob").joinpath("page.js").read_text("utf-8"))
        return await WatchedPage.watch(await context.new_page(), scale)

    def keep(self, png: bytes) -> str:
        """Store a screenshot; its path."""
        path = self.images / f"{hashlib.sha256(png).hexdigest()}.png"
        if not path.exists():
            write_atomic(path, png)
        return str(path)

    async def _connected(self) -> Chromium:
        async with self._launching:
            if self._playwright is None:
                raise UsageError("the browser is not running; use it inside `async with Browser(...)`")
            if self._chromium is None or not self._chromium.is_connected():
                self._chromium = await self._launch(self._playwright)
            return self._chromium

    async def _launch(self, playwright: Playwright) -> Chromium:
        flags = [*FLAGS, *only_reaching(self._server.url)]
        try:
            return await playwright.chromium.launch(executable_path=self._executable, args=flags, timeout=30_000)
        except PlaywrightError as error:
            reason = error.message.splitlines()[0]
            raise SetupError(f"{self._executable} does not start: {reason}; try it in a shell") from error

    async def _close(self) -> None:
        if self._chromium is not None and self._chromium.is_connected():
            with suppress(TimeoutError):  # one that hangs goes with the driver, which is stopped next
                async with asyncio.timeout(10.0):
                    await self._chromium.close()


def only_reaching(url: str) -> list[str]:
    """Flags that let a browser reach the page server at ``url`` alone: every other address is asked of that same server
    as a proxy, and it refuses."""
    address = url.removeprefix("http://").rstrip("/")
    return [f"--proxy-server=http://{address}", f"--proxy-bypass-list=<-loopback>;{address}"]


class MiniWobEnv:
    """One page: ``tracer1.types.Env``. A page that misbehaved, crashed or hung is replaced at the next ``reset``."""

    def __init__(self, browser: Browser, scale: int = 1, elements: bool = True, mode: str = "train") -> None:
        self.size: Size = (VIEWPORT[0] * scale, VIEWPORT[1] * scale)
        self._browser = browser
        self._scale = scale
        self._elements = elements
        self._mode = mode
        self._clipboard = Clipboard(browser.clipboard)
        self._page: WatchedPage | None = None
        self._last: Observation | None = None  # None: no episode is running

    @staticmethod
    def task_names() -> list[str]:
        return task_names()

    @staticmethod
    def expert(task: str) -> Expert:
        """The expert of a task. Raises UsageError when there is none."""
        return expert_for(task)

    @staticmethod
    @asynccontextmanager
    async def open_envs(images: Path, count: int, options: EnvOptions = DEFAULTS) -> AsyncIterator[list[Env]]:
        """``count`` pages of one browser."""
        async with Browser(images, timeout=options.timeout) as browser:
            yield [MiniWobEnv(browser, options.scale, options.elements, options.mode) for _ in range(count)]

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        """Begin the episode of ``task`` that ``seed`` names: its goal and first screen.

        Raises UsageError for an unknown task, EnvironmentFailure when the page breaks or takes too long.
        """
        if not is_task(task):
            raise UsageError(f"no MiniWoB task {task!r}; tracer1.envs.miniwob.tasks.task_names() lists them")
        used = self._page is not None and not self._page.problem
        try:
            return await self._begin(task, seed)
        except EnvironmentFailure:
            if not used:
                raise
        return await self._begin(task, seed)  # the last episode may have spoilt the page: once more on a fresh one

    async def step(self, action: Action) -> Transition:
        """Perform one action and look. Once ``terminated``, the observation is the last one before the end.

        Raises ActionError for an action that a browser has no way to do, UsageError when no episode is running,
        EnvironmentFailure when the page breaks or takes too long.
        """
        if self._last is None or self._page is None:
            raise UsageError("no episode is running; reset the environment first")
        if action.action_type in ("finished", "call_user"):  # the agent gives up control; the page has not ended
            observation, self._last = self._last, None
            return Transition(observation, 0.0, True, action.action_type)
        async with self._episode(self._page, action.action_type):
            await perform(self._page.page, action, self._clipboard)
            transition = await self._look(self._page, self._last, LATE.get(action.action_type, 0))
        self._last = None if transition.terminated else transition.observation
        return transition

    async def close(self) -> None:
        """Give the page back. The browser closes what is left open."""
        self._last = None
        page, self._page = self._page, None
        if page is not None:
            await page.discard()

    async def _begin(self, task: str, seed: int) -> tuple[Task, Observation]:
        self._last = None
        self._clipboard.text = ""
        what = f"reset of {task} (seed {seed})"
        page = await self._usable_page(what)
        async with self._episode(page, what):
            await page.load(self._browser.url(task))
            goal = await page.start(seed, self._mode)
            first = (await self._look(page, None)).observation
        self._last = first
        return Task(goal, "web", "miniwob"), first

    async def _usable_page(self, what: str) -> WatchedPage:
        if self._page is not None and (self._page.problem or self._page.page.is_closed()):
            await self.close()
        if self._page is None:
            try:
                async with asyncio.timeout(self._browser.timeout):
                    self._page = await self._browser.open(self._scale)
            except (TimeoutError, PlaywrightError) as error:
                reason = str(error).splitlines()[0] if str(error) else f"none within {self._browser.timeout:g} s"
                raise EnvironmentFailure(f"browser, {what}: no new page: {reason}") from error
        return self._page

    @asynccontextmanager
    async def _episode(self, page: WatchedPage, what: str) -> AsyncIterator[None]:
        """Guards the block; an episode whose page failed is over."""
        try:
            async with page.guard(what, self._browser.timeout):
                yield
        except EnvironmentFailure:
            self._last = None
            raise

    async def _look(self, page: WatchedPage, last: Observation | None, frames: int = 0) -> Transition:
        seen = await page.look(frames, self._elements)
        if seen["done"] and last is not None:  # a cover is shown now whose click would start another episode
            return Transition(last, float(seen["reward"]), True, str(seen["reason"]))
        elements = tuple(map(_element, seen["elements"])) if self._elements else None
        return Transition(Observation(self._browser.keep(await page.capture()), self.size, elements), 0.0, False)


def _element(seen: dict[str, Any]) -> Element:
    x0, y0, x1, y1 = (round(edge, 4) for edge in seen["box"])
    return Element(seen["role"], seen["name"], (x0, y0, x1, y1), seen["focused"], seen["bears_text"])
