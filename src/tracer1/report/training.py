"""Training on the page: curves of the reward and its terms, the optimisation, time and memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tracer1.report.formatting import NARROW, as_words, duration, figure, join, signed, style_of, training_label
from tracer1.report.plots import Chart, Series, training_chart, window
from tracer1.results.schema import ConstantPlan, MetricsRow, RolloutRow
from tracer1.training.diagnosis import diagnose_groups

Metrics = Mapping[str, Sequence[MetricsRow]]  # by stage


@dataclass(frozen=True, slots=True)
class Panel:
    """One stage's training: its reward, the reward's terms, and the terms that never moved."""

    label: str
    style: str
    summary: str
    charts: tuple[Chart, ...]
    constant: str
    signal: str  # which groups taught nothing, and why


@dataclass(frozen=True, slots=True)
class AmountBar:
    """A named amount as a bar."""

    label: str
    text: str
    width: float
    style: str = ""


@dataclass(frozen=True, slots=True)
class _Health:
    """A figure of the optimisation: how to read it from a row, and what it means. ``share``: written in per cent."""

    title: str
    note: str
    read: Callable[[MetricsRow], float | None]
    share: bool = False


_HEALTH = (
    _Health("KL to the reference", "How far the policy has moved from its start.", lambda row: row.kl),
    _Health("Entropy", "Of the next token, in nats: how much is still open.", lambda row: row.entropy),
    _Health(
        "Zero-variance groups",
        "All rewards equal: no gradient from them.",
        lambda row: row.zero_variance_groups,
        share=True,
    ),
    _Health("Clipped share", "Tokens whose update the clip cut.", lambda row: row.clip_share, share=True),
    _Health("Gradient norm", "Before clipping.", lambda row: row.grad_norm),
    _Health("Completion length", "Mean, in tokens.", lambda row: row.completion_tokens),
    _Health("Truncated completions", "Longer than the limit.", lambda row: row.truncated_share, share=True),
    _Health("Learning rate", "", lambda row: row.learning_rate),
    _Health("Loss", "What the optimiser minimises.", lambda row: row.loss),
)


def panels(metrics: Metrics, signal: Mapping[str, str], constant: ConstantPlan | None = None) -> tuple[Panel, ...]:
    """The reward of each stage with its terms, one chart each.

    ``signal``: the diagnosis of each stage. ``constant``: the best constant plan on the training windows, drawn beside
    the reward of stage 1, which is a plan reward.
    """
    found = []
    for stage, rows in metrics.items():
        level = constant.plan_reward if constant and stage == "stage1" else None
        reward = _series(style_of(stage), "reward", rows, lambda row: row.reward)
        terms, constants = _term_charts(stage, rows)
        charts = [c for c in (_reward_chart(reward, level), *terms) if c is not None]
        if charts:
            found.append(
                Panel(
                    training_label(stage),
                    style_of(stage),
                    _stage_summary(rows, reward, level),
                    tuple(charts),
                    ", ".join(constants),
                    signal.get(stage, ""),
                )
            )
    return tuple(found)


def _reward_chart(reward: Series, level: float | None) -> Chart | None:
    note = "The total that the policy is trained on, over all samples."
    if level is None or not reward.xs:
        return training_chart("Reward", [reward], figure, note)
    ends = [reward.xs[0], reward.xs[-1]] if len(reward.xs) > 1 else [reward.xs[0]]
    line = Series("reference", "best constant plan", ends, [level] * len(ends))
    return training_chart("Reward", [reward, line], figure, f"{note} Grey: the best constant plan.")


def _term_charts(stage: str, rows: Sequence[MetricsRow]) -> tuple[list[Chart | None], list[str]]:
    """(a chart of each term that moves, the others in words)."""
    charts, constants = [], []
    for name in dict.fromkeys(name for row in rows for name in row.terms):
        one = _series(style_of(stage), name, rows, lambda row, name=name: row.terms.get(name))  # type: ignore[misc]
        if len(set(one.ys)) == 1 and len(one.ys) > 1:
            constants.append(f"{as_words(name)} {figure(one.ys[0])}")
        else:
            charts.append(training_chart(as_words(name).capitalize(), [one], figure))
    return charts, constants


def _stage_summary(rows: Sequence[MetricsRow], reward: Series, level: float | None) -> str:
    parts = [f"{len(rows):,} steps"]
    if len(reward.ys) > 1:
        k = window(len(reward.ys))
        first, last = sum(reward.ys[:k]) / k, sum(reward.ys[-k:]) / k
        parts.append(f"reward {figure(first)} → {figure(last)}" + (f", means of the first and last {k}" * (k > 1)))
    if level is not None:
        parts.append(f"best constant plan {figure(level)}")
    if any(row.unscored is not None for row in rows):
        parts.append(f"{sum(row.unscored or 0 for row in rows):,} samples unscored")
    if resampled := sum(row.resampled_groups or 0 for row in rows):
        parts.append(f"{resampled:,} zero-variance groups resampled")
    return " · ".join(parts)


def health(metrics: Metrics) -> tuple[tuple[Chart, ...], str]:
    """(KL, entropy and the like, the stages together in each chart; those that never moved, in words)."""
    charts, constants = [], []
    for item in _HEALTH:
        times = 100.0 if item.share else 1.0
        series = [_series(style_of(s), training_label(s), rows, item.read, times) for s, rows in metrics.items()]
        series = [s for s in series if s.ys]
        unit = f"{NARROW}%" if item.share else ""
        if any(len(set(s.ys)) > 1 for s in series):
            charts.append(training_chart(item.title, series, _tenths if item.share else figure, item.note, unit))
        elif series:
            values = [f"{figure(s.ys[0])}{unit} in {s.label.lower()}" for s in series]
            constants.append(f"{item.title.lower()} {join(values)}")
    return tuple(c for c in charts if c is not None), "; ".join(constants)


def _tenths(value: float) -> str:
    return signed(f"{value:.1f}")


def _series(
    style: str,
    label: str,
    rows: Sequence[MetricsRow],
    read: Callable[[MetricsRow], float | None],
    times: float = 1.0,
) -> Series:
    """A figure over the steps of a stage, without the steps that lack it."""
    both = [(row.step or float(i), times * y) for i, row in enumerate(rows) if (y := read(row)) is not None]
    return Series(style, label, [x for x, _ in both], [y for _, y in both])


# ---- time ------------------------------------------------------------------------------------------------------------


def minutes(spent: Mapping[str, float]) -> tuple[tuple[AmountBar, ...], str]:
    """(a bar for each phase, the total in words); a phase called "all" or "total" is the total."""
    phases_only = {name: value for name, value in spent.items() if name not in ("all", "total")}
    total = next((spent[name] for name in ("all", "total") if name in spent), sum(phases_only.values()))
    longest = max(phases_only.values(), default=0.0) or 1.0
    bars = tuple(
        AmountBar(
            as_words(name).capitalize(), duration(value), 100 * value / longest, style_of(re.split("[ _]", name)[0])
        )
        for name, value in phases_only.items()
    )
    return bars, duration(total) if bars else ""


@dataclass(frozen=True, slots=True)
class StepTime:
    """What a training step of a stage takes: ``parts`` (name, text, width in per cent), and the whole in words."""

    label: str
    style: str
    parts: tuple[tuple[str, str, float], ...]
    whole: str


PHASES = ("generate", "score", "update")


def phases(seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of a step's phases, none inside another.

    The recorded times are nested: a ``step`` includes its ``rollout``, a rollout its ``generate``. Scoring includes the
    log-probabilities before the update.
    """
    names = [name for name in ("generate", "rollout", "step") if name in seconds]
    if names != ["generate", "rollout", "step"]:
        return {}
    ends = [seconds[name] for name in names]
    return {phase: max(0.0, end - start) for phase, start, end in zip(PHASES, [0.0, *ends], ends, strict=False)}


def step_times(metrics: Metrics) -> tuple[StepTime, ...]:
    """The mean time of a step by stage and phase, and the peak memory."""
    found = [
        StepTime(training_label(stage), style_of(stage), _phase_parts(rows), " · ".join(facts))
        for stage, rows in metrics.items()
        if (facts := _step_facts(rows))
    ]
    return tuple(found)


def _phase_parts(rows: Sequence[MetricsRow]) -> tuple[tuple[str, str, float], ...]:
    split = [found for row in rows if (found := phases(row.seconds))]
    total = sum(sum(found.values()) for found in split)
    spent = {phase: sum(found[phase] for found in split) for phase in PHASES}
    return tuple(
        (phase, f"{s / len(split):.2f} s, {100 * s / total:.0f}{NARROW}%", 100 * s / total)
        for phase, s in spent.items()
        if total
    )


def _step_facts(rows: Sequence[MetricsRow]) -> list[str]:
    facts = []
    if steps := [row.seconds["step"] for row in rows if "step" in row.seconds]:
        facts.append(f"{sum(steps) / len(steps):.2f} s a step")
    others = dict.fromkeys(n for row in rows for n in row.seconds if n not in ("generate", "rollout", "step"))
    for name in others:
        values = [row.seconds[name] for row in rows if name in row.seconds]
        facts.append(f"{as_words(name)} {sum(values) / len(values):.2f} s")
    if rss := [row.rss_mb for row in rows if row.rss_mb is not None]:
        facts.append(f"memory at most {max(rss) / 1024:.1f} GB")
    return facts


# ---- signal ----------------------------------------------------------------------------------------------------------


def groups_of(rollouts: Iterable[RolloutRow]) -> Iterator[tuple[str, list[RolloutRow]]]:
    """(stage, the completions of one prompt), streaming: a group's lines follow one another.

    Where the same prompt was drawn twice in a row, the step's commonest size tells the groups apart.
    """
    for (stage, _), lines in groupby(rollouts, lambda r: (r.stage, r.step)):
        runs = [list(run) for _, run in groupby(lines, lambda r: r.prompt)]
        size = min(Counter(map(len, runs)).most_common(), key=lambda common: (-common[1], common[0]))[0]
        for run in runs:
            width = size if len(run) % size == 0 else len(run)
            yield from ((stage, run[start : start + width]) for start in range(0, len(run), width))


def diagnoses(rollouts: Iterable[RolloutRow]) -> dict[str, str]:
    """Which share of the groups taught nothing and why, in words, by stage; the stream is read once."""
    return {
        stage: str(diagnose_groups(group for _, group in groups))
        for stage, groups in groupby(groups_of(rollouts), lambda found: found[0])
    }
