"""A form on a page drawn in memory, as a picture or as text: the smallest real environment, for tests and first tries.

A page has up to three named fields and three buttons. The goal says what to enter and which button to press; pressing
any button ends the episode, with reward 1 if the page is as the goal says and -1 otherwise. The names, values and
places on a page are a function of (task, seed).
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from tracer1.coordinates import inside
from tracer1.envs.experts import Expert, Move, Moves, Screen
from tracer1.errors import ActionError, UsageError
from tracer1.executors.instruction import Instruction
from tracer1.files import write_atomic
from tracer1.types import Action, Box, Element, Observation, Point, Size, Step, Task, Transition

SIZE: Final[Size] = (128, 96)  # pixels
TASKS: Final = {"toy-press": 0, "toy-field": 1, "toy-form": 2, "toy-long-form": 3}
"""Task to the number of fields to fill in."""
FIELDS: Final = ("Name", "City", "Code", "Email", "Street", "Phone")
BUTTONS: Final = ("Send", "Help", "Back")
ROW: Final = 20  # pixels from one row to the next


@dataclass(slots=True)
class _Page:
    """The state of a page, from the top down."""

    wanted: dict[str, str]  # field to the text that the goal asks for
    button: str  # the one to press
    places: dict[str, Box]  # of fields and buttons, as fractions
    texts: dict[str, str] = field(default_factory=dict)
    focus: str | None = None

    def at(self, point: Point | None) -> str | None:
        """The field or button at ``point``; None beside all of them."""
        if point is None:
            raise ActionError("a click needs a point")
        return next((name for name, box in self.places.items() if inside(point, box)), None)

    def focus_next(self) -> None:
        names = list(self.texts)
        after = names.index(self.focus) + 1 if self.focus is not None else 0
        self.focus = names[after] if after < len(names) else None

    def elements(self) -> tuple[Element, ...]:
        return tuple(
            Element("button" if name in BUTTONS else "field", name, box, focused=name == self.focus)
            for name, box in self.places.items()
        )

    def goal(self) -> str:
        entries = " and ".join(f'"{text}" as {name}' for name, text in self.wanted.items())
        return f"Enter {entries}, then press {self.button}." if entries else f"Press {self.button}."


class ToyForm:
    """``tracer1.types.Env``: one page. ``images``: the folder that screenshots go to, as ``<sha256>.png``."""

    source = "toy"

    def __init__(self, images: Path | str) -> None:
        self.images = Path(images)
        self._page: _Page | None = None

    @staticmethod
    def task_names() -> list[str]:
        return list(TASKS)

    @staticmethod
    def expert(task: str) -> Expert:
        """The expert of a task. Raises UsageError for an unknown task."""
        _check(task)
        return fill_in

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        """Begin the episode of ``task`` (one of TASKS) that ``seed`` names. Raises UsageError for an unknown task."""
        _check(task)
        self._page = page = _new_page(task, seed)
        return Task(page.goal(), "web", self.source), self._look(page)

    async def step(self, action: Action) -> Transition:
        """Click, type into the field that has the focus, move the focus with tab, or wait.

        Raises ActionError for what a form cannot do, UsageError when no episode is running.
        """
        page = self._running()
        match action.action_type:
            case "finished" | "call_user":
                return self._end(page, 0.0, action.action_type)
            case "click":
                target = page.at(action.point)
                if target in BUTTONS:
                    right = target == page.button and page.texts == page.wanted
                    return self._end(page, 1.0 if right else -1.0, f"{target} was pressed")
                page.focus = target
            case "type" if page.focus is not None:
                page.texts[page.focus] += action.content or ""
            case "hotkey" if action.key == "tab":
                page.focus_next()
            case "type" | "wait":
                pass
            case _:
                raise ActionError(f"a form cannot do {action.action_type!r} {action.key or ''}".rstrip())
        return Transition(self._look(page), 0.0, False)

    async def close(self) -> None:
        """End the episode; nothing else is held open."""
        self._page = None

    def gold(self) -> tuple[Step, ...]:
        """The shortest way from here to reward 1, in an executor's words; empty when a field holds a wrong text."""
        page = self._running()
        if any(text and text != page.wanted[name] for name, text in page.texts.items()):
            return ()
        filled = sum(map(bool, page.texts.values()))
        focus = page.focus
        steps: list[Step] = []
        for name, text in page.wanted.items():
            if page.texts[name]:
                continue
            seen = _progress(filled, len(page.wanted))
            if focus != name:
                steps.append(Step(seen, "click", f"click the '{name}' field"))
            steps.append(Step(f"{seen}, {FOCUSED}", "type", f"type '{text}' in the '{name}' field"))
            filled, focus = filled + 1, name
        steps.append(Step(READY, "click", f"click the '{page.button}' button", "done"))
        return tuple(steps)

    def _running(self) -> _Page:
        if self._page is None:
            raise UsageError("no episode is running; reset the environment first")
        return self._page

    def _end(self, page: _Page, reward: float, reason: str) -> Transition:
        self._page = None
        return Transition(self._look(page), reward, True, reason)

    def _look(self, page: _Page) -> Observation:
        png = _draw(page)
        path = self.images / f"{hashlib.sha256(png).hexdigest()}.png"
        if not path.exists():
            write_atomic(path, png)
        return Observation(str(path), SIZE, page.elements())


class ToyText(ToyForm):
    """The same form without pixels: an observation's text lists the elements, as an accessibility tree would."""

    source = "toy-text"

    def _look(self, page: _Page) -> Observation:
        return Observation(None, (0, 0), page.elements(), _listing(page))


# ---- the expert ------------------------------------------------------------------------------------------------------

FOCUSED: Final = "a field has the focus"
READY: Final = "form, ready"


def fill_in(screen: Screen) -> Moves:
    """Fill in the fields in the goal's order, then press the button."""
    entries = re.findall(r'"(\w+)" as (\w+)', screen.goal)
    (button,) = screen.match(r"[Pp]ress (\w+)\.$")
    for filled, (text, name) in enumerate(entries):
        seen = _progress(filled, len(entries))
        yield screen.click(seen, "field", name)
        yield Move(f"{seen}, {FOCUSED}", Instruction("type", name=name, role="field", content=text))
    yield screen.click(READY, "button", button)


def _progress(filled: int, fields: int) -> str:
    return f"form, {filled} of {fields} filled in"


# ---- the page --------------------------------------------------------------------------------------------------------


def _check(task: str) -> None:
    if task not in TASKS:
        raise UsageError(f"no toy task {task!r}; there are {', '.join(TASKS)}")


def _new_page(task: str, seed: int) -> _Page:
    rng = random.Random(f"{task}/{seed}")
    names = rng.sample(FIELDS, TASKS[task])
    wanted = {name: _word(rng) for name in names}
    buttons = rng.sample(BUTTONS, len(BUTTONS))
    shown = rng.sample(names, len(names))
    places = {name: _box(44, 6 + ROW * i, 78) for i, name in enumerate(shown)}
    places |= {name: _box(6 + 40 * i, 6 + ROW * len(names), 36) for i, name in enumerate(buttons)}
    return _Page(wanted, rng.choice(BUTTONS), places, dict.fromkeys(names, ""))


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, 5)))


def _box(left: int, top: int, width: int, height: int = 15) -> Box:
    """Pixels to fractions of the screen."""
    return left / SIZE[0], top / SIZE[1], (left + width) / SIZE[0], (top + height) / SIZE[1]


def _listing(page: _Page) -> str:
    """A line for each element, such as ``field 'City': 'abc', focused``."""
    lines = []
    for element in page.elements():
        text = page.texts.get(element.name)
        value = "" if text is None else f": {text!r}" if text else ": empty"
        lines.append(f"{element.role} {element.name!r}{value}{', focused' * element.focused}")
    return "\n".join(lines)


def _draw(page: _Page) -> bytes:
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    for name, (x0, y0, x1, y1) in page.places.items():
        left, top, right, bottom = x0 * SIZE[0], y0 * SIZE[1], x1 * SIZE[0], y1 * SIZE[1]
        button = name in BUTTONS
        outline = "blue" if name == page.focus else "black"
        pen.rectangle((left, top, right, bottom), fill="lightgrey" if button else "white", outline=outline)
        pen.text((left + 3, top + 2), name if button else page.texts[name], fill="black")
        if not button:
            pen.text((4, top + 2), name, fill="black")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
