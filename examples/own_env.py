"""Your own environment: reset, step, close. In this folder: tracer1 act own_env:Doors --model models/nano-base"""

import random
from pathlib import Path
from tempfile import mkdtemp

from PIL import Image, ImageDraw

from tracer1 import Action, Observation, Task
from tracer1.coordinates import inside
from tracer1.types import Element, Transition


class Doors:
    """Three buttons; the goal names the one to click. The same task and seed give the same episode."""

    def __init__(self) -> None:
        self.images = Path(mkdtemp(prefix="doors-"))

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        rng = random.Random(seed)
        self.names = rng.sample(["Red", "Green", "Blue"], 3)
        self.wanted = rng.choice(self.names)
        return Task(f"Click the '{self.wanted}' button.", max_steps=3), self.look()

    async def step(self, action: Action) -> Transition:
        clicked = [e.name for e in self.look().elements or () if action.point and inside(action.point, e.box)]
        return Transition(self.look(), float(clicked == [self.wanted]), terminated=bool(clicked))

    async def close(self) -> None:
        """Nothing is held open."""

    def look(self) -> Observation:
        image, path = Image.new("RGB", (160, 120), "white"), self.images / f"{'-'.join(self.names)}.png"
        for row, name in enumerate(self.names):
            ImageDraw.Draw(image).text((12, 14 + 40 * row), name, "black")
        image.save(path)
        boxes = [(0.05, 0.05 + row / 3, 0.6, 0.3 + row / 3) for row in range(3)]
        elements = (Element("button", name, box) for name, box in zip(self.names, boxes, strict=True))
        return Observation(str(path), image.size, tuple(elements))
