"""Running executors: the outcome of a step, many steps at once under one limit, and access for synchronous code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from tracer1.errors import ActionError, ExecutorError, InstructionError
from tracer1.types import Action, Executor, Observation, Outcome, Step

T = TypeVar("T")


async def attempt(executor: Executor, step: Step, observation: Observation) -> Outcome:
    """Give one step to the executor.

    Exceptions that the protocol does not name are bugs, and are raised.
    """
    try:
        return Outcome(await executor.act(step, observation))
    except (InstructionError, ActionError) as error:
        return Outcome(missed=str(error))
    except ExecutorError as error:
        return Outcome(failed=str(error))


class TimeLimited:
    """An executor that fails where it takes longer than ``seconds`` for a step.

    One that hangs thus costs a sample or an episode, and not the run.
    """

    def __init__(self, executor: Executor, seconds: float) -> None:
        self.name, self.executor, self.seconds = executor.name, executor, seconds

    async def act(self, step: Step, observation: Observation) -> Action:
        """What the executor does. Raises ExecutorError after the time limit."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self.executor.act(step, observation)
        except TimeoutError as error:
            raise ExecutorError(f"executor {self.name!r}: no answer within {self.seconds:g} s") from error


class Background:
    """An event loop in a thread of its own, so that a trainer's plain calls can start many executions at once."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="executors", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, run on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Cancel what still runs on the loop, and stop it."""
        self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _cancel_all() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def attempt_all(
    executor: Executor, tried: Sequence[tuple[Step, Observation]], concurrency: int = 8
) -> list[Outcome]:
    """The outcome of each step, in order; at most ``concurrency`` run at once."""
    limit = asyncio.Semaphore(concurrency)

    async def one(step: Step, observation: Observation) -> Outcome:
        async with limit:
            return await attempt(executor, step, observation)

    return list(await asyncio.gather(*(one(step, observation) for step, observation in tried)))
