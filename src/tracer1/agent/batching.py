"""Prompts from many episodes to one planner, in batches of the episodes that are ready."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tracer1.errors import ModelError
from tracer1.types import AsyncModel, DraftingModel, Message, Model

PATIENCE = 0.25  # seconds that a batch waits for the episodes that are not ready yet


@dataclass(slots=True)
class _Request:
    prompt: Sequence[Message]
    draft: str
    answer: asyncio.Future[str]


class Batcher:
    """Collects prompts until every running episode has asked, or for ``patience`` seconds after the first one did.

    An episode whose environment is slow delays nobody: its prompt joins a later batch. ``active`` is the number of
    episodes that may ask. A planner that serves many prompts by itself (AsyncModel) is asked at once.
    """

    def __init__(self, model: Model, patience: float = PATIENCE) -> None:
        self.model, self.patience = model, patience
        self.active = 0
        self._waiting: list[_Request] = []
        self._changed = asyncio.Event()

    async def complete(self, prompt: Sequence[Message], draft: str = "") -> str:
        """The planner's completion. Raises ModelError when the planner gives none for this prompt."""
        if isinstance(self.model, AsyncModel):
            return await self.model.complete_one(prompt)
        request = _Request(prompt, draft, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._changed.set()
        return await request.answer

    def leave(self) -> None:
        """One episode fewer may ask."""
        self.active -= 1
        self._changed.set()

    async def run(self) -> None:
        """Answer batches until cancelled. A bug in the planner is raised as itself."""
        while True:
            await self._gather()
            batch, self._waiting = self._waiting, []
            await self._answer(batch)

    async def _gather(self) -> None:
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while not self._waiting or len(self._waiting) < self.active:
            self._changed.clear()
            if self._waiting and deadline is None:
                deadline = loop.time() + self.patience
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _answer(self, batch: Sequence[_Request]) -> None:
        try:
            completions = await asyncio.to_thread(self._complete, batch)
        except ModelError as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for request in batch:  # one prompt may have failed them all, so each is asked alone
                await self._answer([request])
            return
        for request, completion in zip(batch, completions, strict=True):
            request.answer.set_result(completion)

    def _complete(self, batch: Sequence[_Request]) -> list[str]:
        prompts = [request.prompt for request in batch]
        if isinstance(self.model, DraftingModel):
            return self.model.complete_drafted(prompts, [request.draft for request in batch])
        return self.model.complete(prompts)
