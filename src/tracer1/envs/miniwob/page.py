"""One page of the browser, watched: whatever a task page must not do makes the page unusable, with the reason."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from playwright.async_api import CDPSession, Dialog, Download, Frame, Page
from playwright.async_api import Error as PlaywrightError

from tracer1.envs.miniwob.tasks import VIEWPORT
from tracer1.errors import EnvironmentFailure

SETTLE: Final = 1.5  # seconds; the longest wait for animations after an action
GRACE: Final = 0.1  # seconds
MOST_NODES: Final = 20_000  # of a page; the largest task page has about two thousand


class WatchedPage:
    """A page in a browser context of its own. ``problem``: why it cannot be used any more; "" while it can.

    Pages may not open dialogs or windows, download, leave their address or be loaded again.
    """

    def __init__(self, page: Page, session: CDPSession, scale: int) -> None:
        self.page = page
        self.problem = ""
        self._session = session
        self._scale = scale
        self._loading = False
        self._address = ""  # of the task's page
        page.on("crash", lambda _: self.report("the page crashed"))
        page.on("close", lambda _: self.report("the page was closed"))
        page.on("dialog", self._on_dialog)
        page.on("download", self._on_download)
        page.on("framenavigated", self._on_navigation)
        page.on("domcontentloaded", lambda _: self._on_document())
        page.context.on("page", self._on_window)

    @classmethod
    async def watch(cls, page: Page, scale: int) -> WatchedPage:
        """Watch a fresh page. ``scale``: screenshot pixels per CSS pixel."""
        return cls(page, await page.context.new_cdp_session(page), scale)

    def report(self, problem: str) -> None:
        """The page misbehaved; the first problem is the reason."""
        self.problem = self.problem or problem

    @asynccontextmanager
    async def guard(self, what: str, timeout: float) -> AsyncIterator[None]:
        """Bound the block in time, and turn each way in which a page can fail into EnvironmentFailure."""
        try:
            async with asyncio.timeout(timeout):
                self._require_sound()
                yield
                self._require_sound()
        except TimeoutError as error:
            self.report(f"no answer within {timeout:g} s")
            raise self._failure(what) from error
        except PlaywrightError as error:
            await asyncio.sleep(GRACE)  # the event that says why may still be on its way
            self.report(_reason(error))
            raise self._failure(what) from error

    async def load(self, url: str) -> None:
        """Open a task's page."""
        self._loading = True
        await self.page.mouse.move(0, 0)
        await self.page.goto(url, wait_until="load")
        self._loading = False

    async def start(self, seed: int, mode: str) -> str:
        """Begin an episode on the page; its goal."""
        return str(await self.page.evaluate("([seed, mode]) => __tracer1.start(seed, mode)", [seed, mode]))

    async def look(self, frames: int, elements: bool) -> dict[str, Any]:
        """Wait until nothing moves, then what page.js reports: done, reward, reason and elements."""
        arguments = [SETTLE * 1000, frames, elements, MOST_NODES]
        seen: dict[str, Any] = await self.page.evaluate("(arguments) => __tracer1.look(...arguments)", arguments)
        return seen

    async def capture(self) -> bytes:
        """The screenshot as PNG."""
        options: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
        if self._scale != 1:
            width, height = VIEWPORT
            options["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": self._scale}
        reply = await self._session.send("Page.captureScreenshot", options)
        return base64.b64decode(reply["data"])

    async def discard(self) -> None:
        """Close the page, which may no longer answer, without waiting long for it."""
        if self.page.is_closed():
            return
        with suppress(TimeoutError, PlaywrightError):  # it is gone already, or goes with the browser
            async with asyncio.timeout(2.0):
                await self.page.context.close()

    # ---- what a page must not do -------------------------------------------------------------------------------------

    def _require_sound(self) -> None:
        if self.problem:
            raise PlaywrightError(self.problem)

    def _failure(self, what: str) -> EnvironmentFailure:
        return EnvironmentFailure(f"browser page, {what}: {self.problem}; reset replaces the page")

    async def _on_dialog(self, dialog: Dialog) -> None:
        leaving = dialog.type == "beforeunload"  # asked when the next episode's page is loaded
        if not leaving:
            self.report(f"the page opened a dialog ({dialog.type}: {dialog.message[:80]!r})")
        with suppress(PlaywrightError):
            await (dialog.accept() if leaving else dialog.dismiss())

    async def _on_download(self, download: Download) -> None:
        self.report(f"the page started a download ({download.suggested_filename!r})")
        with suppress(PlaywrightError):
            await download.cancel()

    async def _on_window(self, other: Page) -> None:
        self.report("the page opened another window")
        with suppress(PlaywrightError):
            await other.close()

    def _on_navigation(self, frame: Frame) -> None:
        if frame == self.page.main_frame and not self._loading:
            url = frame.url.partition("#")[0]
            if url != self._address:
                self.report(f"the page went to {url[:200]}")

    def _on_document(self) -> None:
        if self._loading:
            self._address = self.page.url.partition("#")[0]
        else:
            self.report("the page loaded another document")


def _reason(error: PlaywrightError) -> str:
    """The first line of an error, without the call that it came from."""
    line = str(error).splitlines()[0]
    return line.removeprefix("Page.evaluate: ").removeprefix("Error: ")
