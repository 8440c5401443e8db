"""The tables of the report: what ``results.json`` holds, as rows ready to print.

Nothing is invented: a figure that the file lacks is an empty cell, a column or a table without figures is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracer1.report.plots import Chart, depth_chart
from tracer1.report.run import STAGES, Estimate, Record, Run
from tracer1.report.stability import plan_stability
from tracer1.report.strips import plan_of
from tracer1.report.words import MINUS, NARROW, SHORT, join, percent, signed, stage_label, style_of, words


@dataclass(frozen=True, slots=True)
class Bar:
    """An estimate drawn on a track: text, and places in per cent of the track; ``zero`` is where nothing changed."""

    text: str
    at: float
    left: float = 0.0
    width: float = 0.0
    interval: str = ""
    count: str = ""
    zero: float | None = None
    style: str = ""  # the stage, where the column is one


@dataclass(frozen=True, slots=True)
class Row:
    """One agent or one task. ``cells`` go with the table's columns."""

    label: str
    style: str
    cells: tuple[Bar | None, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns that hold at least one figure."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Endings:
    """How the episodes of a task ended: (kind, how many, width in per cent)."""

    parts: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task's success by stage as places on one track, and how its last stage's episodes ended."""

    task: str
    dots: tuple[tuple[str, str, float], ...]  # style, label, per cent
    values: tuple[tuple[str, str], ...]  # style, text, one for each stage
    endings: Endings | None
    span: tuple[float, float] = (0.0, 0.0)  # left and width of the line that joins the dots


# ---- the headline ----------------------------------------------------------------------------------------------------


def share_bar(estimate: Estimate | None, shares: bool = True, style: str = "") -> Bar | None:
    """An estimate between 0 and 1: a share in per cent, or with ``shares=False`` a reward."""
    if estimate is None:
        return None

    def number(value: float) -> str:
        return signed(f"{100 * value:.1f}" if shares else f"{value:.3f}")

    text = number(estimate.value) + (f"{NARROW}%" if shares else "")
    low, high = estimate.low, estimate.high
    count = "" if estimate.count is None else f"n = {estimate.count:,}"
    if low is None or high is None:
        return Bar(text, _clip(estimate.value), count=count, style=style)
    left, right = _clip(low), _clip(high)
    between = f"{number(low)}–{number(high)}"
    return Bar(text, _clip(estimate.value), left, round(right - left, 2), between, count, style=style)


def headline(results: Record) -> Table:
    """Every agent that was measured: the stages, then what they are to be compared with."""
    agents = [(stage_label(name), style_of(name), record, "") for name, record in stages(results)]
    if reactive := results.record("reactive"):
        agents.append(("Reactive", "reference", reactive, "plans one step only, T = 1"))
    for name, record in results.named("baselines").items():
        agents.append((words(name).capitalize(), "reference", record, "baseline"))
    rows = [
        Row(
            label,
            style,
            (
                share_bar(agent.estimate("live_success", count="episodes")),
                share_bar(agent.estimate("first_step_accuracy", "first_step_interval", "first_step_count")),
                share_bar(agent.estimate("plan_reward", "plan_reward_interval", "windows"), shares=False),
                share_bar(agent.estimate("copied_arguments")),
            ),
            note,
        )
        for label, style, agent, note in agents
    ]
    if blank := blank_row(results.record("blank_images")):
        rows.append(blank)
    columns = ("Live success", "First-step accuracy", "Plan reward", "Unseen strings copied")
    kept = [i for i in range(len(columns)) if any(row.cells[i] for row in rows)]
    return Table(
        tuple(columns[i] for i in kept),
        tuple(Row(r.label, r.style, tuple(r.cells[i] for i in kept), r.note) for r in rows),
    )


def blank_row(blank: Record) -> Row | None:
    """The planner that is shown blank pictures, beside what it does with them on the same tasks."""
    bar = share_bar(blank.estimate("live_success", count="episodes"))
    if bar is None:
        return None
    tasks = blank.texts("tasks")
    note = f"on {', '.join(tasks)}" if 0 < len(tasks) <= 4 else f"on {len(tasks)} tasks" if tasks else ""
    seen = blank.estimate("with_images")
    if seen is not None:
        note = f"{note}; with images {percent(seen.value)}".removeprefix("; ")
    return Row("Blank images", "reference", (bar, None, None, None), note)


def stages(results: Record) -> list[tuple[str, Record]]:
    """(name, record) of each stage that was evaluated."""
    return [(record.text("name") or f"stage {i}", record) for i, record in enumerate(results.records("stages"))]


def summary(results: Record) -> str:
    """The live success of the stages in a sentence, "" where it was not measured."""
    found = [(SHORT.get(n, words(n)), e) for n, r in stages(results) if (e := r.estimate("live_success"))]
    if len(found) < 2:
        return ""
    episodes = {r.count("episodes") for _, r in stages(results)}
    tasks = results.texts("tasks")
    over = f"Over {n} live episodes" if len(episodes) == 1 and (n := episodes.pop()) else "Live"
    over += f" of {len(tasks)} tasks" if tasks and over != "Live" else ""
    steps = [f"{percent(e.value)} after {name}" for name, e in found[1:]]
    return f"{over}, the planner succeeds in {percent(found[0][1].value)} ({found[0][0]}), {join(steps)}."


_MINUS_KEY = re.compile(r"(.+?)_([a-z]+[0-9]*)_minus_([a-z]+[0-9]*)\Z")
_MEASURES = {
    "live": "Live success",
    "first_step": "First-step accuracy",
    "plan_reward": "Plan reward",
    "hit_rate": "Hit rate",
    "copied": "Unseen strings copied",
}


def gains(results: Record) -> tuple[Row, ...]:
    """Differences between agents, all on one scale around zero; shares in points, anything else as it is."""
    found = [(name, e) for name in results.record("gains").data if (e := results.record("gains").estimate(name))]
    if blank := _worth_of_images(results.record("blank_images")):
        found.append(blank)
    reach = max((abs(v) for _, e in found for v in (e.value, e.low, e.high) if v is not None), default=0.0) or 1.0
    rows = []
    for name, e in found:
        measure, label, note = name, words(name).capitalize(), ""
        if match := _MINUS_KEY.match(name):
            measure = match[1]
            after, before = (SHORT.get(match[k], words(match[k])) for k in (2, 3))
            label, note = _MEASURES.get(measure, words(measure).capitalize()), f"{after} {MINUS} {before}"
        shares = measure.startswith(("live", "first_step", "hit_rate", "copied"))
        rows.append(Row(label, "reference", (_difference(e, reach, shares),), note))
    return tuple(rows)


def _worth_of_images(blank: Record) -> tuple[str, Estimate] | None:
    """(name, what the pictures are worth). The two values beside the difference tell which way round it was taken;
    without them it is shown as it stands."""
    e = blank.estimate("difference")
    if e is None:
        return None
    seen, blind = blank.estimate("with_images"), blank.estimate("live_success")
    if seen is None or blind is None:
        return "live_difference_with_blank_images", e
    if (seen.value - blind.value) * e.value < 0:
        e = Estimate(-e.value, None if e.high is None else -e.high, None if e.low is None else -e.low, e.count)
    return "live_images_minus_blank", e


def _difference(e: Estimate, reach: float, shares: bool) -> Bar:
    def number(v: float) -> str:
        return signed(f"{100 * v:+.1f}" if shares else f"{v:+.3f}")

    def place(v: float) -> float:
        return round(50 + 50 * v / reach, 2)

    count = "" if e.count is None else f"n = {e.count:,}"
    text = f"{number(e.value)}{NARROW}points" if shares else number(e.value)
    if e.low is None or e.high is None:
        return Bar(text, place(e.value), count=count, zero=50.0)
    left, right = place(e.low), place(e.high)
    return Bar(text, place(e.value), left, round(right - left, 2), f"{number(e.low)} to {number(e.high)}", count, 50.0)


# ---- tasks, depth, executors ---------------------------------------------------------------------------------------


def task_rows(results: Record) -> tuple[tuple[tuple[str, str], ...], tuple[TaskRow, ...]]:
    """((style, label) of each stage, a row for each task), tasks by the last stage's success, best first."""
    measured = [(name, record.named("per_task")) for name, record in stages(results)]
    measured = [(name, tasks) for name, tasks in measured if tasks]
    if not measured:
        return (), ()
    names = list(dict.fromkeys([*results.texts("tasks"), *(task for _, tasks in measured for task in tasks)]))
    rows: list[tuple[float, TaskRow]] = []
    for task in names:
        dots, values, last = [], [], None
        for stage, tasks in measured:
            record = tasks.get(task)
            success = record.number("success") if record else None
            values.append((style_of(stage), "–" if success is None else f"{100 * success:.0f}"))
            if success is not None:
                dots.append((style_of(stage), stage_label(stage), _clip(success)))
                last = success
        if dots:
            ended = measured[-1][1].get(task)
            left, right = min(d[2] for d in dots), max(d[2] for d in dots)
            endings = _endings(ended.numbers("endings")) if ended else None
            row = TaskRow(task, tuple(dots), tuple(values), endings, (left, right - left))
            rows.append((-1.0 if last is None else last, row))
    rows.sort(key=lambda pair: -pair[0])
    return tuple((style_of(name), stage_label(name)) for name, _ in measured), tuple(row for _, row in rows)


def _endings(counts: Mapping[str, float]) -> Endings | None:
    total = sum(counts.values())
    kinds = [k for k in ("finished", "truncated", "failed") if counts.get(k)]
    kinds += sorted(k for k in counts if k not in ("finished", "truncated", "failed") and counts[k])
    return Endings(tuple((k, round(counts[k]), 100 * counts[k] / total) for k in kinds)) if total > 0 else None


def foresight(results: Record) -> Chart | None:
    """Forecast hit rate by depth, every stage in one chart."""
    found = [
        (style_of(n), stage_label(n), r.estimates("hit_rate_by_depth", "hit_rate_intervals"))
        for n, r in stages(results)
    ]
    return depth_chart(
        "Forecast hit rate by depth",
        found,
        _whole_percent,
        "How often the step foreseen so far ahead is the one that was recorded.",
    )


def depth_table(results: Record) -> Table:
    """The same in numbers: a row for each depth."""
    return _by_place([(n, r.estimates("hit_rate_by_depth", "hit_rate_intervals")) for n, r in stages(results)])


def stability(live: Mapping[str, Sequence[Record]]) -> tuple[Chart | None, Table]:
    """How much of a plan's tail the next plan still holds, by place, in live episodes: (chart, numbers)."""
    found: list[tuple[str, list[Estimate | None]]] = []
    for name in STAGES:
        turns = [episode.records("turns") for episode in live.get(name, ())]
        # Where several steps of a plan were done, the planner was not asked what it still holds of it.
        plans = [[plan_of(turn) for turn in every] for every in turns if all(turn.text("completion") for turn in every)]
        found.append((name, [Estimate(kept / of, count=of) for kept, of in plan_stability(plans)]))
    chart = depth_chart(
        "Plan stability",
        [(style_of(name), stage_label(name), shares) for name, shares in found],
        _whole_percent,
        "How often the next plan still holds a step that the last one foresaw, word for word.",
        "place in the last plan after the executed step",
    )
    return chart, _by_place(found)


def _whole_percent(share: float) -> str:
    return f"{100 * share:.0f}{NARROW}%"


def _by_place(found: Sequence[tuple[str, Sequence[Estimate | None]]]) -> Table:
    found = [(name, hits) for name, hits in found if any(hits)]
    rows = [
        Row(
            str(d + 1),
            "reference",
            tuple(share_bar(hits[d], style=style_of(name)) if d < len(hits) else None for name, hits in found),
        )
        for d in range(max((len(hits) for _, hits in found), default=0))
    ]
    return Table(tuple(stage_label(name) for name, _ in found), tuple(rows))


def executors(results: Record) -> tuple[Row, ...]:
    """How often each executor hits the expert's target."""
    return tuple(
        Row(name, "reference", (share_bar(agent.estimate("hit_rate")),))
        for name, agent in results.named("executors").items()
    )


# ---- several runs ----------------------------------------------------------------------------------------------------


def comparison(runs: Sequence[Run]) -> Table:
    """Live success of each run by stage, and the mean over the runs where all of them have it."""
    measured = [{n: r.estimate("live_success", count="episodes") for n, r in stages(run.results)} for run in runs]
    names = list(dict.fromkeys(name for found in measured for name in found))
    rows = [
        Row(run.name, "reference", tuple(share_bar(found.get(name), style=style_of(name)) for name in names))
        for run, found in zip(runs, measured, strict=True)
    ]
    means = []
    for name in names:
        values = [e.value for found in measured if (e := found.get(name))]
        mean = Estimate(sum(values) / len(values)) if len(values) == len(runs) else None
        means.append(share_bar(mean, style=style_of(name)))
    rows.append(Row(f"Mean of {len(runs)} runs", "mean", tuple(means)))
    return Table(tuple(stage_label(name) for name in names), tuple(rows))


def pairs(record: Record) -> tuple[tuple[str, str], ...]:
    """A free record as (name, text), nested objects by dotted name."""
    found: list[tuple[str, str]] = []
    for name, value in record.data.items():
        if isinstance(value, Mapping):
            found += [(f"{words(name)}: {inner}", text) for inner, text in pairs(Record(value, record.where))]
        elif isinstance(value, list):
            found.append((words(name), ", ".join(map(str, value))))
        elif value is not None:
            found.append((words(name), f"{value:g}" if isinstance(value, float) else str(value)))
    return tuple(found)


def _clip(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)
