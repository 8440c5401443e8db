"""``tracer1 train`` as one of several ranks, with samples that do not depend on how the batch is distributed.

torch draws a batch's tokens from one stream of random numbers, so the same seed gives other samples to other shares of
a batch. Here every sample has a stream of its own, made from its prompt and its place in the group: what remains is
TRL's and our own distribution of prompts, rewards, gradients and files.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import torch

from tracer1.cli.main import main
from tracer1.training.trl.trainer import PlanTrainer


class Streams:
    """Draws each row's token by the row's own random numbers, in place of ``torch.multinomial``."""

    def __init__(self, names: list[str]) -> None:
        self.numbers = [random.Random(name) for name in names]

    def __call__(self, probabilities: torch.Tensor, num_samples: int = 1, **_: Any) -> torch.Tensor:
        drawn = torch.tensor([[numbers.random()] for numbers in self.numbers])
        return torch.searchsorted(probabilities.double().cumsum(-1), drawn.double()).clamp(
            max=probabilities.shape[-1] - 1
        )


def variety(completions: list[str], rows: list[dict[str, Any]]) -> list[float]:
    """A reward that a random planner can be better or worse at, and that some groups get equal."""
    return [len(set(completion)) // 3 / 5 for completion in completions]


def by_row(generate: Callable[..., Any]) -> Callable[..., Any]:
    """A trainer's ``_generate_single_turn`` that draws from one stream a sample."""

    def seeded(self: PlanTrainer, prompt_ids: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        names = [
            hashlib.sha256(
                json.dumps([list(map(int, ids)), images[row], row % self.num_generations]).encode()
            ).hexdigest()
            + f"/{self.state.global_step}"
            for row, ids in enumerate(prompt_ids)
        ]
        drawn = torch.multinomial
        torch.multinomial = Streams(names)
        try:
            return generate(self, prompt_ids, images, *args, **kwargs)
        finally:
            torch.multinomial = drawn

    return seeded


if __name__ == "__main__":
    PlanTrainer._generate_single_turn = by_row(PlanTrainer._generate_single_turn)  # type: ignore[method-assign]
    main()
