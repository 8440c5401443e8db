"""95 % intervals: Wilson's for shares, the normal one for means, a paired one for two agents on the same episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tracer1.results.schema import Estimate

Z = 1.959964
NOTHING = Estimate(math.nan, count=0)


def share(hits: Sequence[bool]) -> Estimate:
    """Wilson's score interval of a proportion; NOTHING for no observations."""
    n = len(hits)
    if n == 0:
        return NOTHING
    p = sum(hits) / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half), n)


def mean(values: Sequence[float]) -> Estimate:
    """Mean and its normal interval (standard error with n - 1); one value has none."""
    n = len(values)
    if n == 0:
        return NOTHING
    m = sum(values) / n
    if n == 1:
        return Estimate(m, count=1)
    half = Z * math.sqrt(sum((v - m) ** 2 for v in values) / (n - 1) / n)
    return Estimate(m, m - half, m + half, n)


def paired_difference(after: Sequence[float], before: Sequence[float]) -> Estimate:
    """Mean of ``after - before`` over the same episodes, with the interval of a paired comparison."""
    return mean([a - b for a, b in zip(after, before, strict=True)])
