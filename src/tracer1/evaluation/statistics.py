"""95 % intervals: Wilson's for shares, the normal one for means, a paired one for two agents on the same episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value with its 95 % interval and the count behind it."""

    value: float
    low: float
    high: float
    count: int

    def to_json(self) -> dict[str, float | int | list[float]]:
        return {
            "value": round(self.value, 4),
            "interval": [round(self.low, 4), round(self.high, 4)],
            "count": self.count,
        }


NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


def share(hits: Sequence[bool]) -> Estimate:
    """Wilson's score interval of a proportion; not a number for no observations."""
    n = len(hits)
    if n == 0:
        return NOTHING
    p = sum(hits) / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half), n)


def mean(values: Sequence[float]) -> Estimate:
    """Mean and its normal interval (standard error with n - 1)."""
    n = len(values)
    if n == 0:
        return NOTHING
    m = sum(values) / n
    if n == 1:
        return Estimate(m, -math.inf, math.inf, 1)
    half = Z * math.sqrt(sum((v - m) ** 2 for v in values) / (n - 1) / n)
    return Estimate(m, m - half, m + half, n)


def paired_difference(after: Sequence[float], before: Sequence[float]) -> Estimate:
    """Mean of ``after - before`` over the same episodes, with the interval of a paired comparison."""
    return mean([a - b for a, b in zip(after, before, strict=True)])
