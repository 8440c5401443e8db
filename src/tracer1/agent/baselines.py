"""Baselines: planners that know nothing, printed beside every score to show what an environment gives for free."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tracer1.executors.instruction import ROLES, Instruction, parse_instruction, render_instruction
from tracer1.plan.text import render_plan
from tracer1.types import Message, Plan, Step


class AlwaysFinished:
    """Declares every task done at once."""

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        return [render_plan(Plan((Step("", "finished", "finished", "done"),))) for _ in prompts]


class RandomPlanner:
    """Well-formed plans of random clicks and random typing."""

    def __init__(self, seed: int = 0, horizon: int = 5) -> None:
        self.rng, self.horizon = random.Random(seed), horizon

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        return [
            render_plan(Plan(tuple(self._step() for _ in range(self.rng.randint(1, self.horizon))))) for _ in prompts
        ]

    def _step(self) -> Step:
        if self.rng.random() < 0.3:
            word = "".join(self.rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(4))
            instruction = Instruction("type", content=word)
        else:
            instruction = Instruction("click", role=self.rng.choice(ROLES), ordinal=self.rng.randint(1, 3))
        text = render_instruction(instruction)
        return Step("", parse_instruction(text).action_type, text)
