"""MiniWoB++ live: the task pages of the ``miniwob`` wheel in one headless Chromium, many pages side by side.

The agent's side is what a person has: a picture, and a mouse and a keyboard that act at pixel coordinates. An episode
is reproducible by its seed; its reward is the page's raw one, without the discount for time. Pages are loaded anew for
each episode, because some tasks leave focus, checked boxes or listeners behind that change the next one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from playwright.async_api import Browser as Chromium
from playwright.async_api import CDPSession, Page, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from tracer1 import keyboard
from tracer1.coordinates import convert, pixels
from tracer1.envs.miniwob.server import PageServer
from tracer1.errors import ActionError, EnvironmentFailure, SetupError, UsageError
from tracer1.files import write_atomic
from tracer1.types import Action, Element, Observation, Point, Size, Task, Transition

VIEWPORT: Final[Size] = (160, 210)  # CSS pixels; every task is laid out for it
BROWSERS: Final = ("chromium-headless-shell", "chromium")
FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-smooth-scrolling",
)
SETTLE: Final = 1.5  # seconds; the longest wait for animations after an action
LATE: Final = {"scroll": 3, "hotkey": 2}  # frames after which the page has scrolled: the compositor does that by itself
WHEEL: Final = 60  # CSS pixels that one scroll action moves
_BROWSER_KEYS: Final = {
    "ctrl": "Control",
    "alt": "Alt",
    "shift": "Shift",
    "cmd": "Meta",
    "enter": "Enter",
    "esc": "Escape",
    "tab": "Tab",
    "space": "Space",
    "backspace": "Backspace",
    "del": "Delete",
    "home": "Home",
    "end": "End",
    "pageup": "PageUp",
    "pagedown": "PageDown",
    "up": "ArrowUp",
    "down": "ArrowDown",
    "left": "ArrowLeft",
    "right": "ArrowRight",
}
KEYS: Final = {name: _BROWSER_KEYS[key] for name, key in keyboard.KEYS.items() if key in _BROWSER_KEYS}
"""Key names as actions spell them, and as the browser does; single characters stand for themselves."""


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


def pages_root() -> Path:
    """The folder of the wheel's pages. Raises SetupError when the wheel is not installed."""
    spec = find_spec("miniwob")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("the miniwob package is missing; install it with: pip install 'tracer1[web]'")
    return Path(spec.submodule_search_locations[0]) / "html"


def task_names() -> list[str]:
    """Every task that the wheel ships, sorted."""
    return sorted(path.stem for path in (pages_root() / "miniwob").glob("*.html"))


class Browser:
    """One Chromium and one page server, for as long as the ``async with`` block lasts.

    ``images``: the folder that screenshots go to, as ``<sha256>.png``. ``timeout``: seconds that any one reset or step
    may take. ``port``: of the page server on 127.0.0.1; 0 takes a free one.
    """

    def __init__(self, images: Path | str, *, executable: str | None = None, timeout: float = 30.0, port: int = 0):
        self.images = Path(images)
        self.timeout = timeout
        self._executable = executable
        self._server = PageServer(pages_root(), port)
        self._stack = AsyncExitStack()
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._launching = asyncio.Lock()
        self._clipboard = asyncio.Lock()  # the browser has one for all its pages

    async def __aenter__(self) -> Browser:
        """Start both. Raises SetupError when the browser or the port cannot be had."""
        executable = self._executable or find_browser()
        self._executable = executable
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

    async def open(self, scale: int) -> Page:
        """A fresh page in a context of its own; the browser is started again if it died."""
        chromium = await self._connected()
        context = await chromium.new_context(
            viewport={"width": VIEWPORT[0], "height": VIEWPORT[1]},
            device_scale_factor=scale,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(self.timeout * 1000)
        await context.add_init_script(resources.files("tracer1.envs.miniwob").joinpath("page.js").read_text("utf-8"))
        return await context.new_page()

    @asynccontextmanager
    async def clipboard(self) -> AsyncIterator[None]:
        """Holds the browser's one clipboard for the block."""
        async with self._clipboard:
            yield

    async def _connected(self) -> Chromium:
        async with self._launching:
            if self._playwright is None:
                raise UsageError("the browser is not running; use it inside `async with Browser(...)`")
            if self._chromium is None or not self._chromium.is_connected():
                try:
                    self._chromium = await self._playwright.chromium.launch(
                        executable_path=self._executable, args=list(FLAGS), timeout=30_000
                    )
                except PlaywrightError as error:
                    reason = error.message.splitlines()[0]
                    raise SetupError(f"{self._executable} does not start: {reason}; try it by hand") from error
            return self._chromium

    async def _close(self) -> None:
        if self._chromium is not None and self._chromium.is_connected():
            with suppress(TimeoutError):  # one that hangs goes with the driver, which is stopped next
                async with asyncio.timeout(10.0):
                    await self._chromium.close()


class MiniWobEnv:
    """One page: ``tracer1.types.Env``. A page that crashed or hung is replaced at the next ``reset``."""

    def __init__(self, browser: Browser, scale: int = 1, elements: bool = True, mode: str = "train") -> None:
        self.size: Size = (VIEWPORT[0] * scale, VIEWPORT[1] * scale)
        self._browser = browser
        self._scale = scale
        self._elements = elements
        self._mode = mode
        self._page: Page | None = None
        self._session: CDPSession | None = None
        self._broken = ""  # why the page cannot be used any more
        self._clipboard = ""
        self._last: Observation | None = None  # None: no episode is running

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        """Begin the episode of ``task`` that ``seed`` names: its goal and first sight.

        Raises UsageError for an unknown task, EnvironmentFailure when the page breaks or takes too long.
        """
        if not (pages_root() / "miniwob" / f"{task}.html").is_file():
            raise UsageError(f"no MiniWoB task {task!r}; tracer1.envs.miniwob.browser.task_names() lists them")
        self._last = None
        async with self._guard(f"reset of {task} (seed {seed})"):
            page = await self._usable_page()
            self._clipboard = ""
            await page.mouse.move(0, 0)
            await page.goto(self._browser.url(task), wait_until="load")
            goal = str(await page.evaluate("([seed, mode]) => __tracer1.start(seed, mode)", [seed, self._mode]))
            self._last = (await self._look(page)).observation
        return Task(goal, "web", "miniwob"), self._last

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
        async with self._guard(action.action_type):
            await self._perform(self._page, action)
            transition = await self._look(self._page, LATE.get(action.action_type, 0))
        self._last = None if transition.terminated else transition.observation
        return transition

    async def close(self) -> None:
        """Give the page back. The browser closes what is left open."""
        self._last = None
        page, self._page = self._page, None
        if page is not None and not page.is_closed():
            await _discard(page)

    # ---- the page ----------------------------------------------------------------------------------------------------

    async def _usable_page(self) -> Page:
        if self._page is not None and (self._broken or self._page.is_closed()):
            stale, self._page = self._page, None
            await _discard(stale)
        if self._page is None:
            self._broken = ""
            self._page = await self._browser.open(self._scale)
            self._page.on("crash", lambda _: self._break("the page crashed"))
            self._session = await self._page.context.new_cdp_session(self._page)
        return self._page

    def _break(self, why: str) -> None:
        self._broken = why
        self._last = None

    @asynccontextmanager
    async def _guard(self, what: str) -> AsyncIterator[None]:
        """Bounds the block in time, and names what failed in it; the page is then replaced."""
        try:
            async with asyncio.timeout(self._browser.timeout):
                yield
        except (TimeoutError, PlaywrightError) as error:
            late = isinstance(error, TimeoutError)
            why = f"no answer within {self._browser.timeout:g} s" if late else str(error).splitlines()[0]
            why = self._broken or why
            self._break(why)
            raise EnvironmentFailure(f"browser page, {what}: {why}; reset replaces the page") from error

    async def _look(self, page: Page, frames: int = 0) -> Transition:
        if self._broken:
            raise PlaywrightError(self._broken)
        seen: dict[str, Any] = await page.evaluate(
            "([limit, frames, walk]) => __tracer1.look(limit, frames, walk)", [SETTLE * 1000, frames, self._elements]
        )
        if seen["done"]:  # the page now shows a cover whose click would start another episode
            assert self._last is not None
            return Transition(self._last, float(seen["reward"]), True, str(seen["reason"]))
        elements = tuple(
            Element(e["role"], e["name"], tuple(round(x, 4) for x in e["box"]), e["focused"], e["bears_text"])
            for e in seen["elements"]
        )
        screenshot = self._keep(await self._capture())
        return Transition(Observation(screenshot, self.size, elements if self._elements else None), 0.0, False)

    async def _capture(self) -> bytes:
        assert self._session is not None
        options: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
        if self._scale != 1:
            width, height = VIEWPORT
            options["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": self._scale}
        reply = await self._session.send("Page.captureScreenshot", options)
        return base64.b64decode(reply["data"])

    def _keep(self, png: bytes) -> str:
        path = self._browser.images / f"{hashlib.sha256(png).hexdigest()}.png"
        if not path.exists():
            write_atomic(path, png)
        return str(path)

    # ---- hands -------------------------------------------------------------------------------------------------------

    async def _perform(self, page: Page, action: Action) -> None:
        mouse = page.mouse
        match action.action_type:
            case "click":
                await mouse.click(*_pixels(action.point))
            case "left_double":
                await mouse.dblclick(*_pixels(action.point))
            case "right_single":
                await mouse.click(*_pixels(action.point), button="right")
            case "long_press":
                await mouse.click(*_pixels(action.point), delay=700)
            case "drag":
                (x0, y0), (x1, y1) = _pixels(action.start_point), _pixels(action.end_point)
                await mouse.move(x0, y0)
                await mouse.down()
                await mouse.move(x1, y1, steps=6)
                await mouse.up()
            case "type":
                await page.keyboard.type(action.content or "")
            case "hotkey":
                await self._press(page, action.key or "")
            case "scroll":
                await mouse.move(*_pixels(action.point or Point(0.5, 0.5)))
                await mouse.wheel(*_wheel(action.direction))
            case "wait":
                await asyncio.sleep(0.5)
            case _:
                raise ActionError(f"a browser page cannot do {action.action_type!r}")

    async def _press(self, page: Page, key: str) -> None:
        names = key.replace("+", " ").split()
        unknown = [name for name in names if len(name) > 1 and name.lower() not in KEYS]
        if unknown or not names:
            raise ActionError(f"no key {' '.join(unknown)!r}; a hotkey is spelt like 'ctrl c' or 'enter'")
        combination = "+".join(KEYS.get(name.lower(), name) for name in names)
        match [name.lower() for name in names]:
            case ["ctrl", "c" | "x"]:
                async with self._browser.clipboard():
                    await page.keyboard.press(combination)
                    self._clipboard = await page.evaluate("() => navigator.clipboard.readText()")
            case ["ctrl", "v"]:
                async with self._browser.clipboard():
                    await page.evaluate("text => navigator.clipboard.writeText(text)", self._clipboard)
                    await page.keyboard.press(combination)
            case _:
                await page.keyboard.press(combination)


def _pixels(point: Point | None) -> tuple[float, float]:
    """CSS pixels of a point in any frame, kept inside the page."""
    if point is None:
        raise ActionError("the action needs a point")
    at = convert(point, pixels(VIEWPORT))
    width, height = VIEWPORT
    return min(max(at.x, 0.0), width - 0.5), min(max(at.y, 0.0), height - 0.5)


def _wheel(direction: str | None) -> tuple[float, float]:
    match direction:
        case "down":
            return 0, WHEEL
        case "up":
            return 0, -WHEEL
        case "right":
            return WHEEL, 0
        case "left":
            return -WHEEL, 0
        case _:
            raise ActionError(f"no scroll direction {direction!r}; one of up, down, left, right")


async def _discard(page: Page) -> None:
    """Close a page that may no longer answer, without waiting long for it."""
    with suppress(TimeoutError, PlaywrightError):  # it is gone already, or goes with the browser
        async with asyncio.timeout(2.0):
            await page.context.close()
