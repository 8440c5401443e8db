"""An environment of one's own, as a user writes it: one question, and variants that each break one promise."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tracer1.errors import ActionError, UsageError
from tracer1.types import Action, Element, Observation, Task, Transition

SIZE = (40, 30)


class Question:
    """A plain page with a button that ends the episode. The seed decides its shade."""

    def __init__(self, images: Path) -> None:
        self.images = images
        self.seed: int | None = None

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        if task != "press":
            raise UsageError(f"no task {task!r}; there is press")
        self.seed = seed
        return Task("Press the button.", "web", "question"), self.look()

    async def step(self, action: Action) -> Transition:
        if self.seed is None:
            raise UsageError("no episode is running")
        if action.action_type == "click" and action.point is None:
            raise ActionError("a click needs a point")
        if action.action_type in ("click", "finished"):
            seen, self.seed = self.look(), None
            return Transition(seen, float(action.action_type == "click"), True)
        return Transition(self.look(), 0.0, False)

    async def close(self) -> None:
        self.seed = None

    def look(self) -> Observation:
        assert self.seed is not None
        self.images.mkdir(exist_ok=True, parents=True)
        path = self.images / f"{self.seed}.png"
        Image.new("RGB", SIZE, (255 - self.seed % 200,) * 3).save(path)
        return Observation(str(path), SIZE, (Element("button", "OK", (0.1, 0.1, 0.4, 0.4)),))


class WrongReset(Question):
    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        task_and_seen = await super().reset(task, seed)
        return task_and_seen[1]  # type: ignore[return-value]


class WrongSize(Question):
    def look(self) -> Observation:
        seen = super().look()
        return Observation(seen.screenshot, (80, 60), seen.elements)


class Pixels(Question):
    def look(self) -> Observation:
        seen = super().look()
        return Observation(seen.screenshot, seen.size, (Element("button", "OK", (4, 3, 16, 12)),))


class Random(Question):
    """Every reset looks different."""

    resets = 0

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        Random.resets += 1
        return await super().reset(task, seed + Random.resets)


class Shared(Question):
    """All environments share one state."""

    state: int | None = None

    @property
    def seed(self) -> int | None:  # type: ignore[override]
        return Shared.state

    @seed.setter
    def seed(self, value: int | None) -> None:
        Shared.state = value


class NoEnd(Question):
    async def step(self, action: Action) -> Transition:
        return await super().step(Action("wait") if action.action_type == "finished" else action)


class Forgiving(Question):
    """Goes on after the end, takes any task and any action."""

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        return await super().reset("press", seed)

    async def step(self, action: Action) -> Transition:
        if self.seed is None:
            self.seed = 0
        return await super().step(Action("wait") if action.point is None and action.action_type == "click" else action)


class ClosesOnce(Question):
    closed = False

    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("already closed")
        self.closed = True


class Tuples(Question):
    async def step(self, action: Action) -> Transition:
        transition = await super().step(action)
        return (transition.observation, transition.reward)  # type: ignore[return-value]
