"""The geometry of the charts, in per cent of the plot area; the templates draw it. Pure.

A plot is drawn by an SVG that stretches to its box with strokes that do not, and is labelled by HTML around it, so that
type and lines keep their size on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tracer1.report.formatting import exponent
from tracer1.results.schema import Estimate

MOST_POINTS = 240  # of a curve; longer ones are thinned by averaging neighbours
GAP = 11.0  # per cent of the height that two labels at a curve's end keep apart


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in per cent from the left or from the top."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart. ``style`` is the CSS class that colours it."""

    style: str
    label: str
    line: str  # SVG path data
    faint: str = ""  # the unsmoothed line behind it
    whiskers: str = ""
    dots: tuple[tuple[float, float, str], ...] = ()  # x, y, the text under the pointer
    end: Tick | None = None  # the last value, said at the right edge


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart ready to draw. ``note`` says in words what it shows."""

    title: str
    note: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """What a chart draws: equally many x and y, ascending in x."""

    style: str
    label: str
    xs: Sequence[float]
    ys: Sequence[float]


def training_chart(
    title: str, series: Sequence[Series], say: Callable[[float], str], note: str = "", unit: str = ""
) -> Chart | None:
    """Curves over training steps: each step's value faint, the mean of the last ones strong. None of nothing.

    say: how a value is written at the end of its curve; unit: follows it, and the numbers of the axis.
    """
    series = [s for s in series if s.xs]
    if not series:
        return None
    low, high, y_ticks = _axis(min(min(s.ys) for s in series), max(max(s.ys) for s in series))
    left, right = min(s.xs[0] for s in series), max(s.xs[-1] for s in series)

    def x(value: float) -> float:
        return 100 * (value - left) / (right - left) if right > left else 50.0

    def y(value: float) -> float:
        return 100 * (high - value) / (high - low)

    curves = []
    means = [trailing_mean(s.ys, window(len(s.ys))) for s in series]
    ends = _apart([y(m[-1]) for m in means])
    for s, m, end in zip(series, means, ends, strict=True):
        places = _thinned([x(v) for v in s.xs])
        line, faint = (_path(places, _thinned([y(v) for v in values])) for values in (m, s.ys))
        curves.append(Curve(s.style, s.label, line, faint, end=Tick(end, say(m[-1]) + unit)))
    x_ticks = [Tick(x(v), f"{v:g}") for v in _round_numbers(left, right, 4) if left <= v <= right]
    return Chart(title, note, tuple(curves), tuple(x_ticks), tuple(Tick(y(v), label + unit) for v, label in y_ticks))


def depth_chart(
    title: str,
    stages: Sequence[tuple[str, str, Sequence[Estimate | None]]],
    say: Callable[[float], str],
    note: str,
    x_label: str = "steps ahead (1 is the step that is executed)",
) -> Chart | None:
    """Shares by place in a plan, counted from 1, with their intervals as whiskers.

    stages: (style, label, an estimate for each place).
    """
    depth = max((len(found) for _, _, found in stages), default=0)
    if not any(estimate for _, _, found in stages for estimate in found):
        return None
    curves = []
    ends = []
    for i, (style, label, found) in enumerate(stages):
        shift = (i - (len(stages) - 1) / 2) * 7 / max(1, depth)
        shown = [(100 * (d + 0.5) / depth + shift, d + 1, e) for d, e in enumerate(found) if e is not None]
        if not shown:
            continue
        whiskers = "".join(
            f"M{_n(x)} {_n(100 - 100 * e.high)}V{_n(100 - 100 * e.low)}"
            for x, _, e in shown
            if e.low is not None and e.high is not None
        )
        dots = tuple((x, 100 - 100 * e.value, f"{label}, {d}: {say(e.value)}") for x, d, e in shown)
        curves.append((style, label, _path([x for x, _, _ in dots], [y for _, y, _ in dots]), whiskers, dots))
        ends.append((dots[-1][1], say(shown[-1][2].value)))
    places = _apart([y for y, _ in ends])
    return Chart(
        title,
        note,
        tuple(
            Curve(style, label, line, whiskers=whiskers, dots=dots, end=Tick(place, said))
            for (style, label, line, whiskers, dots), place, (_, said) in zip(curves, places, ends, strict=True)
        ),
        tuple(Tick(100 * (d + 0.5) / depth, str(d + 1)) for d in range(depth)),
        tuple(Tick(100 - v, f"{v} %") for v in (0, 25, 50, 75, 100)),
        x_label,
    )


def window(count: int) -> int:
    """How many steps the mean of a curve of ``count`` steps takes in."""
    return max(1, min(10, count // 4))


def trailing_mean(values: Sequence[float], size: int) -> list[float]:
    """The mean of each value and those before it, ``size`` in all; at the start, of those there are."""
    return [_mean(values[max(0, i + 1 - size) : i + 1]) for i in range(len(values))]


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """At most ``MOST_POINTS`` values, each the mean of neighbours."""
    size = math.ceil(len(values) / MOST_POINTS)
    return values if size <= 1 else [_mean(values[i : i + size]) for i in range(0, len(values), size)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _axis(low: float, high: float) -> tuple[float, float, list[tuple[float, str]]]:
    """(bottom, top, labelled values) of an axis that holds ``low`` to ``high`` between round numbers."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        pad = abs(high) * 0.1 or 0.5
        low, high = low - pad, high + pad
    values = _round_numbers(low, high, 3)
    step = values[1] - values[0]
    power = math.floor(math.log10(step) + 1e-9)
    largest = max(abs(values[0]), abs(values[-1]))
    if largest >= 1e5 or largest < 1e-3:
        return values[0], values[-1], [(v, exponent(v)) for v in values]
    return values[0], values[-1], [(v, f"{v:.{max(0, -power)}f}") for v in values]


def _round_numbers(low: float, high: float, parts: int) -> list[float]:
    """Round numbers in equal steps, about ``parts`` of them, from at most ``low`` to at least ``high``."""
    span = high - low or 1.0
    power = 10.0 ** math.floor(math.log10(span / parts))
    step = next(f * power for f in (1, 2, 5, 10) if f * power * parts >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def _apart(places: Sequence[float]) -> list[float]:
    """``places`` moved as little as keeps neighbours ``GAP`` apart, in their order, within 0 to 100 when they fit."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, i in pairwise(order):
        moved[i] = max(moved[i], moved[before] + GAP)
    over = moved[order[-1]] - 100 if order else 0.0
    if over > 0:
        moved[order[-1]] = 100.0
        for after, i in pairwise(order[::-1]):
            moved[i] = min(moved[i], moved[after] - GAP)
    return moved


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    points = [f"{_n(x)} {_n(y)}" for x, y in zip(xs, ys, strict=True)]
    return f"M{points[0]}h0" if len(points) == 1 else "M" + "L".join(points)


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
