"""Zero-variance groups are replaced, before the update, by groups of prompts that still carry a signal.

Several processes do this together: they draw the same prompts from the same memory, each takes those for its own
groups, and all of them generate in every round, since TRL's generation gathers figures over all processes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from accelerate.utils import gather_object
from trl.data_utils import prepare_multimodal_messages

from tracer1.training.diagnosis import EQUAL
from tracer1.training.processes import process_index
from tracer1.training.scoring import RewardFunction, text_of
from tracer1.training.signal import SignalMemory, kind_of

Row = dict[str, Any]
Generate = Callable[[list[Any]], Sequence[Any]]
"""TRL's generation: prompts to a tuple of fields, most of them a list with one entry a prompt."""
Share = Sequence[tuple[int, bool]]  # one process' groups, and whether each has images
COMPLETIONS = 3  # the place of the completions in what TRL's generation returns


@dataclass
class Resampler:
    """Replaces zero-variance groups of ``n`` completions, in at most ``rounds`` rounds of generation."""

    rows: Any  # the data set
    rewards: RewardFunction
    n: int
    rounds: int
    multimodal: bool  # the prompts are prepared for a processor of images
    memory: SignalMemory = field(init=False)

    def __post_init__(self) -> None:
        known = [(kind_of(row), bool(row["images"])) for row in self.rows]
        self.memory = SignalMemory([kind for kind, _ in known], [images for _, images in known])

    def resample(
        self, rng: random.Random, rows: Sequence[Row], prompts: list[Any], result: Sequence[Any], generate: Generate
    ) -> tuple[tuple[Any, ...], int, int]:
        """(the result with other completions in place of those of zero-variance groups, groups of zero variance at
        first, groups replaced), the counts over all processes.

        Changes ``prompts`` and ``rows``: the caller scores and encodes what stands there afterwards. A group gets a
        prompt of its own modality, with images or without: a batch whose first prompts had no image cannot get one.
        """
        result = tuple(result)
        groups = self._zero_variance(result[COMPLETIONS], rows, range(len(rows) // self.n))
        first, replaced = self._count(groups), 0
        for _ in range(self.rounds):
            shares = gather_object([[(g, bool(rows[g * self.n]["images"])) for g in groups]])
            if not any(shares):
                break
            replaced += sum(map(len, shares))
            self._draw(rng, rows, shares, groups)
            places = [g * self.n + k for g in groups for k in range(self.n)]
            extra = [k for _ in range(max(map(len, shares)) - len(groups)) for k in range(self.n)]
            fresh_prompts = [self._prompt(rows[place]) for place in [*places, *extra]]
            fresh = generate(fresh_prompts)
            for place, prompt in zip(places, fresh_prompts, strict=False):
                prompts[place] = prompt
            result = tuple(merge(old, new, places, len(rows)) for old, new in zip(result, fresh, strict=True))
            groups = self._zero_variance(result[COMPLETIONS], rows, groups)
        return result, first, replaced

    def _zero_variance(self, completions: Sequence[Any], rows: Sequence[Row], groups: Sequence[int]) -> list[int]:
        """Those of this process' groups whose rewards are all equal; every process remembers the groups of all."""
        asked = [i for group in groups for i in range(group * self.n, group * self.n + self.n)]
        scores = self.rewards.score([text_of(completions[i]) for i in asked], [rows[i] for i in asked])
        visits = []
        for k, group in enumerate(groups):
            rewards = [s.overall for s in scores[k * self.n : (k + 1) * self.n] if s.overall is not None]
            visits.append((kind_of(rows[group * self.n]), bool(rewards) and max(rewards) - min(rewards) > EQUAL))
        for kind, has_signal in gather_object(visits):
            self.memory.add_visit(kind, has_signal)
        return [group for group, (_, has_signal) in zip(groups, visits, strict=True) if not has_signal]

    def _count(self, groups: Sequence[int]) -> int:
        return sum(gather_object([len(groups)]))

    def _draw(
        self,
        rng: random.Random,
        rows: Sequence[Row],
        shares: Sequence[Sequence[tuple[int, bool]]],
        groups: Sequence[int],
    ) -> None:
        """Put other rows in the places of this process' groups; ``shares`` are those of all, in the same order."""
        drawn = [[self.memory.draw(rng, with_images=images) for _, images in share] for share in shares]
        own = process_index() if len(shares) > 1 else 0
        for group, index in zip(groups, drawn[own], strict=True):
            row = self.rows[index]
            for k in range(self.n):
                rows[group * self.n + k].clear()
                rows[group * self.n + k].update(row)

    def _prompt(self, row: Row) -> list[Row]:
        """The prompt as TRL has prepared it by the time it generates: images before the first user message's text."""
        prompt = row["prompt"]
        return list(prepare_multimodal_messages(prompt, images=row["images"]) if self.multimodal else prompt)


def merge(old: Any, new: Any, places: Sequence[int], count: int) -> Any:
    """A field of TRL's generation with the entries at ``places`` replaced, in order, by those of another generation.

    A field with an entry for each of the ``count`` prompts is a list, or None where no prompt has one (images); any
    other stays as it is.
    """
    if not (isinstance(old, list) and old) and not (old is None and isinstance(new, list)):
        return old
    merged = [None] * count if old is None else list(old)
    for k, place in enumerate(places):
        merged[place] = None if new is None else new[k]
    return merged if any(entry is not None for entry in merged) else None
