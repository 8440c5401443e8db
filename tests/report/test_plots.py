from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.report.plots import GAP, MOST_POINTS, Chart, Series, depth_chart, trailing_mean, training_chart, window
from tracer1.results.schema import Estimate

VALUES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=30)


def say(value: float) -> str:
    return f"{value:.2f}"


def numbers(path: str) -> list[float]:
    return [float(v) for v in re.findall(r"-?[0-9.]+", path)]


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


@given(VALUES, VALUES)
def test_curves_stay_inside_the_plot(one: list[float], two: list[float]) -> None:
    series = [Series(s, s, range(len(ys)), ys) for s, ys in (("one", one), ("two", two))]
    chart = drawn(training_chart("t", series, say))
    for curve in chart.curves:
        assert all(-0.01 <= v <= 100.01 for v in numbers(curve.line) + numbers(curve.faint))
    assert all(-0.01 <= tick.at <= 100.01 for tick in (*chart.x_ticks, *chart.y_ticks))
    assert len(chart.y_ticks) >= 2
    assert len({tick.label for tick in chart.y_ticks}) == len(chart.y_ticks)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=4))
def test_labels_at_the_right_keep_apart_and_in_order(values: list[float]) -> None:
    chart = drawn(training_chart("t", [Series(str(v), "", [1], [v]) for v in values], say))
    ends = [curve.end.at for curve in chart.curves if curve.end]
    down = sorted(range(len(values)), key=lambda i: ends[i])
    assert all(ends[b] - ends[a] >= GAP - 1e-6 for a, b in pairwise(down))
    assert all(values[a] >= values[b] - 1e-9 for a, b in pairwise(down))


def test_a_higher_value_is_drawn_higher_and_a_later_one_further_right() -> None:
    chart = drawn(training_chart("t", [Series("one", "", [1, 2], [0.2, 0.8])], say))
    x0, y0, x1, y1 = numbers(chart.curves[0].faint)
    assert (x0, x1) == (0, 100)
    assert y0 > y1


def test_a_long_curve_is_thinned_and_ends_at_its_mean() -> None:
    ys = [float(k) for k in range(10_000)]
    chart = drawn(training_chart("t", [Series("one", "", range(10_000), ys)], say))
    assert chart.curves[0].line.count("L") < MOST_POINTS
    assert chart.curves[0].end is not None
    assert chart.curves[0].end.label == "9994.50"


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (8, 2), (40, 10), (1000, 10)])
def test_the_window_grows_with_the_curve(count: int, expected: int) -> None:
    assert window(count) == expected


def test_the_mean_trails() -> None:
    assert trailing_mean([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]


def test_nothing_is_no_chart() -> None:
    assert training_chart("t", [Series("one", "", [], [])], say) is None
    assert depth_chart("t", [("one", "a", [None, None]), ("two", "b", [])], say, "") is None


def test_depths_have_whiskers_where_there_are_intervals() -> None:
    chart = drawn(depth_chart("t", [("one", "a", [Estimate(0.5, 0.4, 0.6), None, Estimate(0.25)])], say, ""))
    (curve,) = chart.curves
    assert [(round(x, 1), y) for x, y, _ in curve.dots] == [(16.7, 50.0), (83.3, 75.0)]
    assert curve.whiskers == "M16.67 40V60"
    assert [tick.label for tick in chart.x_ticks] == ["1", "2", "3"]
