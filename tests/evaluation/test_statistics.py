from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.evaluation.statistics import NOTHING, mean, paired_difference, share
from tracer1.results.schema import Estimate


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [  # Wilson's interval, worked by hand: (p + z2/2n -+ z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n)
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 2, 0.0945, 0.9055),
        (50, 100, 0.4038, 0.5962),
        (140, 200, 0.6332, 0.7593),
    ],
)
def test_a_share_has_wilsons_interval(hits: int, count: int, low: float, high: float) -> None:
    estimate = share([True] * hits + [False] * (count - hits))
    assert (estimate.value, estimate.count) == (hits / count, count)
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_mean_has_the_normal_interval() -> None:
    estimate = mean([1.0, 2.0, 3.0])  # standard error 1 / sqrt 3
    assert estimate == Estimate(2.0, pytest.approx(2 - 1.131584, abs=1e-5), pytest.approx(2 + 1.131584, abs=1e-5), 3)
    assert mean([4.0, 4.0]) == Estimate(4.0, 4.0, 4.0, 2)


def test_one_value_says_nothing_of_its_error() -> None:
    assert mean([0.5]) == Estimate(0.5, count=1)


def test_no_values_have_no_mean() -> None:
    for estimate in (NOTHING, share([]), mean([])):
        assert estimate.count == 0
        assert math.isnan(estimate.value)


def test_a_paired_difference_looks_at_the_episodes() -> None:
    after, before = [1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]  # differences 1 0 1 0: mean .5, sd .57735
    estimate = paired_difference(after, before)
    half = 1.959964 * 0.5773503 / 2
    assert (estimate.value, estimate.count) == (0.5, 4)
    assert (estimate.low, estimate.high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    with pytest.raises(ValueError, match="zip"):
        paired_difference([1.0], [])


def test_pairing_tells_more_than_two_shares() -> None:
    before = [True] * 50 + [False] * 50
    after = [True] * 60 + [False] * 40
    assert share(after).low < share(before).high
    assert paired_difference([float(a) for a in after], [float(b) for b in before]).low > 0


def test_figures_are_rounded_for_the_file() -> None:
    assert share([True, True, False]).to_json() == {"value": 0.6667, "interval": [0.2077, 0.9385], "count": 3}


@given(st.lists(st.booleans(), min_size=1))
def test_a_share_lies_in_its_interval(hits: list[bool]) -> None:
    estimate = share(hits)
    assert 0 <= estimate.low <= estimate.value + 1e-12
    assert estimate.value <= estimate.high + 1e-12 <= 1 + 1e-9
    doubled = share(hits * 2)
    assert doubled.high - doubled.low < estimate.high - estimate.low


@given(st.lists(st.floats(-1e3, 1e3), min_size=2))
def test_a_mean_lies_in_its_interval(values: list[float]) -> None:
    estimate = mean(values)
    assert estimate.low <= estimate.value <= estimate.high
    assert paired_difference(values, values).value == 0.0
