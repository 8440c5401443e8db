"""Which prompts teach: how often groups of each kind of prompt carried a signal lately.

GRPO learns from a group only when its rewards differ. A prompt that has to be replaced is replaced by one of a kind
that still tells good completions from bad; what is always solved, or never, is drawn rarely but never forgotten.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

FORGET = 0.9  # what a past visit still counts at each later one of its kind


def kind_of(row: Mapping[str, Any]) -> str:
    """Prompts alike: the same step of the same task (or of the same source, where an id names no task)."""
    task = str(row["episode_id"]).rpartition("/")[0] or str(row["source"])
    return f"{task}#{row['step']}"


class SignalMemory:
    """Visits of each kind of prompt, and those that carried a signal, both fading."""

    def __init__(self, kinds: Sequence[str], with_images: Sequence[bool] | None = None) -> None:
        """The kind of every prompt of the data set, and whether it has images (None: all have)."""
        self.kinds = kinds
        self.prompts: dict[bool, dict[str, list[int]]] = {}  # by modality and kind, the prompts' indices
        for index, kind in enumerate(kinds):
            images = True if with_images is None else with_images[index]
            self.prompts.setdefault(images, {}).setdefault(kind, []).append(index)
        self.visits: dict[str, list[float]] = {}  # kind: [signals, visits]

    def add_visit(self, kind: str, has_signal: bool) -> None:
        """A group of this kind was sampled."""
        signals, visits = self.visits.get(kind, [0.0, 0.0])
        self.visits[kind] = [FORGET * signals + has_signal, FORGET * visits + 1]

    def signal_probability(self, kind: str) -> float:
        """The estimated probability that a group of this kind carries a signal (one of each assumed beforehand)."""
        signals, visits = self.visits.get(kind, [0.0, 0.0])
        return (signals + 1) / (visits + 2)

    def draw(self, rng: random.Random, *, with_images: bool = True) -> int:
        """The index of a prompt with (or without) images, its kind drawn in proportion to its signal probability."""
        prompts = self.prompts[with_images]
        names = list(prompts)
        weights = [self.signal_probability(name) * len(prompts[name]) for name in names]
        return rng.choice(prompts[rng.choices(names, weights)[0]])
