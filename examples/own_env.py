"""Your own environment: reset, step, close. In this folder: tracer1 check-env own_env:Doors:open"""

import random
from pathlib import Path

from PIL import Image, ImageDraw

from tracer1 import Action, Observation, Task
from tracer1.coordinates import inside
from tracer1.errors import ActionError, UsageError
from tracer1.types import Element, Transition


class Doors:
    """Three buttons; the goal names the one to click. The same task and seed give the same episode."""

    def __init__(self, images: Path) -> None:
        self.images, self.wanted = images, ""  # images: the folder for screenshots

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        if task != "open":
            raise UsageError(f"no task {task!r}; there is: open")
        names = random.Random(seed).sample(["Red", "Green", "Blue"], 3)
        self.wanted, self.seen = names[seed % 3], self.draw(names)
        return Task(f"Click the '{self.wanted}' button."), self.seen

    async def step(self, action: Action) -> Transition:
        if not self.wanted:
            raise UsageError("no episode is running; reset the environment first")
        if action.action_type == "click" and action.point is None:
            raise ActionError("a click needs a point")
        clicked = [e.name for e in self.seen.elements or () if action.point and inside(action.point, e.box)]
        won, ended = clicked == [self.wanted], bool(clicked) or action.action_type == "finished"
        self.wanted = "" if ended else self.wanted
        return Transition(self.seen, float(won), ended)

    async def close(self) -> None:
        self.wanted = ""

    def draw(self, names: list[str]) -> Observation:
        image, path = Image.new("RGB", (160, 120), "white"), self.images / f"{'-'.join(names)}.png"
        ImageDraw.Draw(image).multiline_text((12, 8), "\n".join(names), "black", spacing=29)
        image.save(path)
        boxes = [(0.05, 0.05 + row / 3, 0.6, 0.3 + row / 3) for row in range(3)]
        elements = tuple(Element("button", name, box) for name, box in zip(names, boxes, strict=True))
        return Observation(str(path), image.size, elements)
