"""A planner that says what it was given to say: the double of a model wherever none is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tracer1.errors import UsageError
from tracer1.types import Message

Script = Callable[[Sequence[Message]], str]


class ScriptedModel:
    """``tracer1.types.Model`` from a list of completions, said in order, or from a function of the prompt.

    ``prompts`` holds every prompt it was asked to complete, in order.
    """

    def __init__(self, script: Iterable[str] | Script) -> None:
        self.prompts: list[Sequence[Message]] = []
        self._say: Script = script if callable(script) else _in_order(list(script))

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """One completion for each prompt. Raises UsageError when a list has come to its end."""
        self.prompts += prompts
        return [self._say(prompt) for prompt in prompts]


def _in_order(completions: list[str]) -> Script:
    left = iter(completions)

    def say(_: Sequence[Message]) -> str:
        try:
            return next(left)
        except StopIteration:
            raise UsageError(f"the script ends after {len(completions)} completions; give it more") from None

    return say
