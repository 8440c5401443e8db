"""Actions as mouse and keyboard input on a page."""

from __future__ import annotations

import asyncio
from typing import Final

from playwright.async_api import Mouse, Page

from tracer1 import keyboard
from tracer1.coordinates import convert, pixels
from tracer1.envs.miniwob.tasks import VIEWPORT
from tracer1.errors import ActionError
from tracer1.types import Action, Point

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


class Clipboard:
    """A page's own clipboard. The browser has one for all its pages, so ``lock`` is held while it is used."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self.text = ""

    async def copy(self, page: Page, keys: str) -> None:
        async with self._lock:
            await page.keyboard.press(keys)
            self.text = await page.evaluate("() => navigator.clipboard.readText()")

    async def paste(self, page: Page, keys: str) -> None:
        async with self._lock:
            await page.evaluate("text => navigator.clipboard.writeText(text)", self.text)
            await page.keyboard.press(keys)


async def perform(page: Page, action: Action, clipboard: Clipboard) -> None:
    """Do one action on the page. Raises ActionError for an action that a browser has no way to do."""
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
            await _drag(mouse, _pixels(action.start_point), _pixels(action.end_point))
        case "type":
            await page.keyboard.type(action.content or "")
        case "hotkey":
            await _press(page, action.key or "", clipboard)
        case "scroll":
            by = _wheel(action.direction)
            await mouse.move(*_pixels(action.point or Point(0.5, 0.5)))
            await mouse.wheel(*by)
        case "wait":
            await asyncio.sleep(0.5)
        case _:
            raise ActionError(f"a browser page cannot do {action.action_type!r}")


async def _drag(mouse: Mouse, start: tuple[float, float], end: tuple[float, float]) -> None:
    await mouse.move(*start)
    await mouse.down()
    await mouse.move(*end, steps=6)
    await mouse.up()


async def _press(page: Page, key: str, clipboard: Clipboard) -> None:
    names = key.replace("+", " ").split()
    unknown = [name for name in names if len(name) > 1 and name.lower() not in KEYS]
    if unknown or not names:
        raise ActionError(f"no key {' '.join(unknown)!r}; a hotkey is spelt like 'ctrl c' or 'enter'")
    keys = "+".join(KEYS.get(name.lower(), name) for name in names)
    match [name.lower() for name in names]:
        case ["ctrl", "c" | "x"]:
            await clipboard.copy(page, keys)
        case ["ctrl", "v"]:
            await clipboard.paste(page, keys)
        case _:
            await page.keyboard.press(keys)


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
