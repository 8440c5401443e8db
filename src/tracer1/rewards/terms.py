"""The terms of both stages' rewards, as pure functions (METHOD section 3, the paper's Eq. 7-10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracer1.plan.text import ParsedPlan


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which predicted step is paired with which reference step, and the score s' of each pair.

    ``pairs`` holds (predicted index, reference index, s'); indices from 0, in the order of the prediction.
    """

    pairs: tuple[tuple[int, int, float], ...]
    unmatched_predicted: int
    unmatched_reference: int


def format_ratio(parsed: ParsedPlan) -> float:
    """Eq. 7: valid steps / all ``Step N:`` lines; 0 when the tags are not in order or there is no step."""
    return parsed.valid / parsed.lines if parsed.tags_ok and parsed.lines else 0.0


def align_by_position(
    predicted: Sequence[str], reference: Sequence[str], *, keep_mismatches: bool = False
) -> Alignment:
    """Pair the i-th with the i-th, of equally long plans: s' = 1 where the types are equal.

    keep_mismatches: pairs of different types count as aligned with s' = 0, rather than as unmatched on both sides.
    """
    pairs = [(i, i, 1.0 if a == b else 0.0) for i, (a, b) in enumerate(zip(predicted, reference, strict=True))]
    if not keep_mismatches:
        pairs = [pair for pair in pairs if pair[2]]
    unmatched = len(predicted) - len(pairs)
    return Alignment(tuple(pairs), unmatched, unmatched)


def align_greedily(
    predicted: Sequence[str], reference: Sequence[str], *, position_penalty: float, threshold: float
) -> Alignment:
    """Eq. 8: predicted steps in order, each takes the free reference step with the best s_ij - penalty * |i - j|.

    s_ij is 1 for equal types, else 0; the first wins a tie; the best must exceed ``threshold``.
    """
    free = list(range(len(reference)))
    pairs: list[tuple[int, int, float]] = []
    for i, kind in enumerate(predicted):
        if not free:
            break
        best, score = -1, threshold
        for j in free:
            penalised = (1.0 if kind == reference[j] else 0.0) - position_penalty * abs(i - j)
            if penalised > score:
                best, score = j, penalised
        if best >= 0:
            free.remove(best)
            pairs.append((i, best, score))
    return Alignment(tuple(pairs), len(predicted) - len(pairs), len(free))


def discounted(alignment: Alignment, gamma: float) -> float:
    """Eq. 9 without its penalty: the sum of gamma^i * s' over the pairs, i the predicted index."""
    total = 0.0
    for i, _, score in alignment.pairs:
        total += gamma**i * score
    return total


def best_return(length: int, gamma: float) -> float:
    """The largest ``discounted`` that ``length`` steps can earn: the sum of gamma^j for j < length."""
    total = 0.0
    for j in range(length):
        total += gamma**j
    return total


def coverage(alignment: Alignment) -> int:
    """The number of unmatched steps, predicted and reference."""
    return alignment.unmatched_predicted + alignment.unmatched_reference


def repetitions(kinds: Sequence[str]) -> int:
    """Eq. 10's N_rep: how many steps have the same type as the next two. A step without a type repeats nothing."""
    return sum(a == b == c != "" for a, b, c in zip(kinds, kinds[1:], kinds[2:], strict=False))


def clip(value: float) -> float:
    """``value`` limited to 0..1."""
    return min(1.0, max(0.0, value))
