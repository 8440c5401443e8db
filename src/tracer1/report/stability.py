"""Plan stability: how much of a plan the next plan still holds, after one more look at the screen. Pure.

The *tail* of a plan is every step but the first, which was executed. Tail and next plan are read as sequences; the
steps of the tail that are kept are a longest common subsequence of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def kept_steps(tail: Sequence[T], after: Sequence[T]) -> tuple[bool, ...]:
    """For each step of ``tail``, whether ``after`` still holds it; of equally long subsequences the earliest one."""
    common = [[0] * (len(after) + 1) for _ in range(len(tail) + 1)]  # of tail[i:] and after[j:]
    for i in reversed(range(len(tail))):
        for j in reversed(range(len(after))):
            same = tail[i] == after[j]
            common[i][j] = 1 + common[i + 1][j + 1] if same else max(common[i + 1][j], common[i][j + 1])
    kept, j = [], 0
    for i, step in enumerate(tail):
        place = next((k for k in range(j, len(after)) if after[k] == step), None)
        kept.append(place is not None and 1 + common[i + 1][place + 1] == common[i][j])
        j = place + 1 if kept[-1] and place is not None else j
    return tuple(kept)


def plan_stability(episodes: Iterable[Sequence[Sequence[T]]]) -> list[tuple[int, int]]:
    """(steps kept, steps in all) by position in the tail; position 0 is the step right after the executed one.

    episodes: the plans of each episode, turn by turn; an unreadable plan is empty, and keeps nothing. The last plan of
    an episode has no next one and does not count.
    """
    counts: list[tuple[int, int]] = []
    for plans in episodes:
        for plan, after in pairwise(plans):
            for place, held in enumerate(kept_steps(plan[1:], after)):
                if place == len(counts):
                    counts.append((0, 0))
                kept, of = counts[place]
                counts[place] = (kept + held, of + 1)
    return counts
