"""What ``metrics.jsonl`` tells of training: curves of the reward and its terms, the optimisation, time and memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tracer1.report.plots import Chart, Series, training_chart, window
from tracer1.report.run import Record
from tracer1.report.words import NARROW, clock, join, plain, signed, style_of, training_label, words
from tracer1.results.json_records import from_json
from tracer1.results.schema import RolloutRow
from tracer1.training.diagnosis import diagnose_groups


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
class Length:
    """A named amount as a bar."""

    label: str
    text: str
    width: float
    style: str = ""


_HEALTH = (  # key, title, what it is, whether it is a share
    ("kl", "KL to the reference", "How far the policy has moved from its start.", False),
    ("entropy", "Entropy", "Of the next token, in nats: how much is still open.", False),
    ("zero_variance_groups", "Groups without signal", "All rewards equal: no gradient from them.", True),
    ("clip_share", "Clipped share", "Tokens whose update the clip cut.", True),
    ("grad_norm", "Gradient norm", "Before clipping.", False),
    ("completion_tokens", "Completion length", "Mean, in tokens.", False),
    ("truncated_share", "Cut completions", "Longer than the limit.", True),
    ("learning_rate", "Learning rate", "", False),
)


def panels(metrics: Mapping[str, Sequence[Record]], signal: Mapping[str, str]) -> tuple[Panel, ...]:
    """The reward of each stage with its terms, one chart each. ``signal``: the diagnosis of each stage."""
    found = []
    for stage, lines in metrics.items():
        style = style_of(stage)
        steps = [line.number("step") or float(i) for i, line in enumerate(lines)]
        reward = _series(style, "reward", steps, [line.number("reward") for line in lines])
        charts = [
            training_chart("Reward", [reward], plain, "The total that the policy is trained on, over all samples.")
        ]
        terms = [line.numbers("terms") for line in lines]
        constant = []
        for name in dict.fromkeys(name for found in terms for name in found):
            one = _series(style, name, steps, [found.get(name) for found in terms])
            if len(set(one.ys)) == 1 and len(one.ys) > 1:
                constant.append(f"{words(name)} {plain(one.ys[0])}")
            else:
                charts.append(training_chart(words(name).capitalize(), [one], plain))
        drawn = tuple(c for c in charts if c is not None)
        if drawn:
            summary = _stage_summary(lines, reward)
            found.append(
                Panel(training_label(stage), style, summary, drawn, ", ".join(constant), signal.get(stage, ""))
            )
    return tuple(found)


def _stage_summary(lines: Sequence[Record], reward: Series) -> str:
    said = [f"{len(lines):,} steps"]
    if len(reward.ys) > 1:
        k = window(len(reward.ys))
        first, last = sum(reward.ys[:k]) / k, sum(reward.ys[-k:]) / k
        said.append(f"reward {plain(first)} → {plain(last)}" + (f", means of the first and last {k}" if k > 1 else ""))
    unscored = sum(line.number("unscored") or 0 for line in lines)
    if any(line.number("unscored") is not None for line in lines):
        said.append(f"{unscored:,.0f} samples unscored")
    refilled = sum(line.number("resampled_groups") or 0 for line in lines)
    if refilled:
        said.append(f"{refilled:,.0f} groups without signal replaced by fresh prompts")
    return " · ".join(s for s in said if s)


def health(metrics: Mapping[str, Sequence[Record]]) -> tuple[tuple[Chart, ...], str]:
    """(KL, entropy and the like, the stages together in each chart; those that never moved, in words)."""
    charts, constant = [], []
    for key, title, note, share in _HEALTH:
        series = []
        for stage, lines in metrics.items():
            ys = [line.number(key) for line in lines]
            steps = [line.number("step") or float(i) for i, line in enumerate(lines)]
            series.append(_series(style_of(stage), training_label(stage), steps, ys, 100.0 if share else 1.0))
        series = [s for s in series if s.ys]
        if any(len(set(s.ys)) > 1 for s in series):
            chart = training_chart(title, series, _tenths if share else plain, note, f"{NARROW}%" if share else "")
            charts.append(chart)
        elif series:
            said = [f"{plain(s.ys[0])}{f'{NARROW}%' * share} in {s.label.lower()}" for s in series]
            constant.append(f"{title.lower()} {join(said)}")
    return tuple(c for c in charts if c is not None), "; ".join(constant)


def _tenths(value: float) -> str:
    return signed(f"{value:.1f}")


def _series(style: str, label: str, xs: Sequence[float], ys: Sequence[float | None], times: float = 1.0) -> Series:
    both = [(x, times * y) for x, y in zip(xs, ys, strict=True) if y is not None]
    return Series(style, label, [x for x, _ in both], [y for _, y in both])


# ---- time ------------------------------------------------------------------------------------------------------------


def minutes(results: Record) -> tuple[tuple[Length, ...], str]:
    """(a bar for each phase, the total in words); a phase called "all" or "total" is the total."""
    found = results.numbers("minutes")
    whole = [found.pop(name) for name in ("all", "total") if name in found]
    total = whole[0] if whole else sum(found.values())
    longest = max(found.values(), default=0.0) or 1.0
    bars = tuple(
        Length(words(name).capitalize(), clock(value), 100 * value / longest, style_of(re.split("[ _]", name)[0]))
        for name, value in found.items()
    )
    return bars, clock(total) if bars else ""


@dataclass(frozen=True, slots=True)
class StepTime:
    """What a training step of a stage takes: ``parts`` (name, text, width in per cent), and the whole in words."""

    label: str
    style: str
    parts: tuple[tuple[str, str, float], ...]
    whole: str


PHASES = ("generate", "score", "update")


def phases(seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of a step's phases, none inside another, from the clock's nested readings: a ``step`` includes its
    ``rollout``, a rollout its ``generate``. Scoring includes the log-probabilities before the update."""
    names = [name for name in ("generate", "rollout", "step") if name in seconds]
    if names != ["generate", "rollout", "step"]:
        return {}
    ends = [seconds[name] for name in names]
    return {phase: max(0.0, end - start) for phase, start, end in zip(PHASES, [0.0, *ends], ends, strict=False)}


def step_times(metrics: Mapping[str, Sequence[Record]]) -> tuple[StepTime, ...]:
    """The mean time of a step by stage and phase, and the peak memory."""
    rows = []
    for stage, lines in metrics.items():
        times = [line.numbers("seconds") for line in lines]
        split = [found for t in times if (found := phases(t))]
        total = sum(sum(found.values()) for found in split)
        parts = []
        for phase in PHASES if total else ():
            spent = sum(found[phase] for found in split)
            share = 100 * spent / total
            parts.append((phase, f"{spent / len(split):.2f} s, {share:.0f}{NARROW}%", share))
        said = []
        if steps := [t["step"] for t in times if "step" in t]:
            said.append(f"{sum(steps) / len(steps):.2f} s a step")
        others = dict.fromkeys(name for t in times for name in t if name not in ("generate", "rollout", "step"))
        for name in others:
            values = [t[name] for t in times if name in t]
            said.append(f"{words(name)} {sum(values) / len(values):.2f} s")
        if rss := [v for line in lines if (v := line.number("rss_mb")) is not None]:
            said.append(f"memory at most {max(rss) / 1024:.1f} GB")
        if said:
            rows.append(StepTime(training_label(stage), style_of(stage), tuple(parts), " · ".join(said)))
    return tuple(rows)


# ---- signal ----------------------------------------------------------------------------------------------------------


def groups_of(rollouts: Iterable[Record]) -> Iterator[tuple[str, list[Record]]]:
    """(stage, the completions of one prompt), streaming: a group's lines follow one another. Where the same prompt was
    drawn twice in a row, the step's commonest size tells the groups apart."""
    for (stage, _), lines in groupby(rollouts, lambda r: (r.text("stage") or "training", r.number("step"))):
        runs = [list(run) for _, run in groupby(lines, lambda r: r.text("prompt"))]
        size = min(Counter(map(len, runs)).most_common(), key=lambda common: (-common[1], common[0]))[0]
        for run in runs:
            width = size if len(run) % size == 0 else len(run)
            yield from ((stage, run[start : start + width]) for start in range(0, len(run), width))


def diagnoses(rollouts: Iterable[Record]) -> dict[str, str]:
    """What part of the groups taught nothing and why, in words, by stage; the stream is read once."""
    return {
        stage: str(
            diagnose_groups([from_json(RolloutRow, line.data, line.where) for line in group] for _, group in groups)
        )
        for stage, groups in groupby(groups_of(rollouts), lambda found: found[0])
    }
