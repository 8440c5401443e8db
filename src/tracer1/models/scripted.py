"""A planner with scripted completions: a real small double of a model, for tests and trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tracer1.errors import UsageError
from tracer1.types import Message

Script = Callable[[Sequence[Message]], str]


class ScriptedModel:
    """``tracer1.types.Model`` from a list of completions, used in order, or from a function of the prompt.

    ``prompts`` holds all prompts so far, in order.
    """

    def __init__(self, script: Iterable[str] | Script) -> None:
        self.prompts: list[Sequence[Message]] = []
        self._script: Script = script if callable(script) else _in_order(list(script))

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """One completion for each prompt. Raises UsageError when the list is used up."""
        self.prompts += prompts
        return [self._script(prompt) for prompt in prompts]


def _in_order(completions: list[str]) -> Script:
    remaining = iter(completions)

    def next_completion(_: Sequence[Message]) -> str:
        try:
            return next(remaining)
        except StopIteration:
            raise UsageError(f"the script has only {len(completions)} completions; add more") from None

    return next_completion
