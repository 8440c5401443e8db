"""The tables of the report: what ``results.json`` holds, as rows ready to print.

A figure that the file lacks is an empty cell; a column or a table without figures is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracer1.report.episodes import plan_of
from tracer1.report.formatting import MINUS, NARROW, SHORT, as_words, join, percent, signed, stage_label, style_of
from tracer1.report.plots import Chart, depth_chart
from tracer1.report.stability import plan_stability
from tracer1.results.reading import STAGES, Run
from tracer1.results.schema import AgentResult, ConstantPlan, EpisodeRow, Estimate, ExecutorResult, Results, TaskResult

COLUMNS = ("Live success", "First-step accuracy", "Plan reward", "Unseen strings copied")


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


def headline(results: Results) -> Table:
    """Every agent that was measured: the stages, then what they are to be compared with."""
    rows = [_agent_row(stage_label(name), style_of(name), agent) for name, agent in stages(results)]
    if results.planner is not None:
        rows.append(_agent_row("Planner", "two", results.planner))
    if results.acting_on_the_plan is not None:
        note = f"up to {results.acting_on_the_plan.steps_per_plan} steps of one plan"
        rows.append(_agent_row("Acting on the plan", "reference", results.acting_on_the_plan, note))
    if results.reactive is not None:
        rows.append(_agent_row("Reactive", "reference", results.reactive, "plans one step only, T = 1"))
    rows += [
        _agent_row(as_words(name).capitalize(), "reference", agent, "baseline")
        for name, agent in results.baselines.items()
    ]
    rows += [row for row in (_constant_row(results.constant_plan), _blank_row(results.blank_images)) if row]
    kept = [i for i in range(len(COLUMNS)) if any(row.cells[i] for row in rows)]
    return Table(
        tuple(COLUMNS[i] for i in kept),
        tuple(Row(r.label, r.style, tuple(r.cells[i] for i in kept), r.note) for r in rows),
    )


def _agent_row(label: str, style: str, agent: AgentResult, note: str = "") -> Row:
    cells = (
        share_bar(agent.success),
        share_bar(agent.first_step),
        share_bar(agent.reward, shares=False),
        share_bar(agent.copied_arguments),
    )
    return Row(label, style, cells, note)


def _constant_row(plan: ConstantPlan | None) -> Row | None:
    """What a plan earns that is the same for every window."""
    if plan is None or plan.plan_reward is None:
        return None
    bar = share_bar(Estimate(plan.plan_reward, count=plan.windows), shares=False)
    return Row("Best constant plan", "reference", (None, None, bar, None), f"always {', '.join(plan.action_types)}")


def _blank_row(blank: AgentResult | None) -> Row | None:
    """The planner with blank pictures; the note gives its success with images on the same tasks."""
    if blank is None or blank.success is None:
        return None
    tasks = blank.tasks
    note = f"on {', '.join(tasks)}" if 0 < len(tasks) <= 4 else f"on {len(tasks)} tasks" if tasks else ""
    if blank.with_images is not None:
        note = f"{note}; with images {percent(blank.with_images)}".removeprefix("; ")
    return Row("Blank images", "reference", (share_bar(blank.success), None, None, None), note)


def stages(results: Results) -> list[tuple[str, AgentResult]]:
    """(name, result) of each stage that was evaluated."""
    return [(stage.name or f"stage {i}", stage) for i, stage in enumerate(results.stages)]


def summary(results: Results) -> str:
    """The live success of the stages in a sentence, "" where it was not measured."""
    found = [(SHORT.get(n, as_words(n)), s) for n, r in stages(results) if (s := r.live_success) is not None]
    if len(found) < 2:
        return ""
    episodes = {r.episodes for r in results.stages}
    over = f"Over {n} live episodes" if len(episodes) == 1 and (n := episodes.pop()) else "Live"
    over += f" of {len(results.tasks)} tasks" if results.tasks and over != "Live" else ""
    steps = [f"{percent(success)} after {name}" for name, success in found[1:]]
    return f"{over}, the planner succeeds in {percent(found[0][1])} ({found[0][0]}), {join(steps)}."


_MINUS_KEY = re.compile(r"(.+?)_([a-z]+[0-9]*)_minus_([a-z]+[0-9]*)\Z")
_MEASURES = {
    "live": "Live success",
    "first_step": "First-step accuracy",
    "plan_reward": "Plan reward",
    "hit_rate": "Hit rate",
    "copied": "Unseen strings copied",
}


def gains(results: Results) -> tuple[Row, ...]:
    """Differences between agents, all on one scale around zero; shares in points, anything else as it is."""
    found = list(results.gains.items())
    if images := _image_gain(results.blank_images):
        found.append(images)
    reach = max((abs(v) for _, e in found for v in (e.value, e.low, e.high) if v is not None), default=0.0) or 1.0
    return tuple(_gain_row(name, e, reach) for name, e in found)


def _gain_row(name: str, e: Estimate, reach: float) -> Row:
    measure, label, note = name, as_words(name).capitalize(), ""
    if match := _MINUS_KEY.match(name):
        measure = match[1]
        after, before = (SHORT.get(match[k], as_words(match[k])) for k in (2, 3))
        label, note = _MEASURES.get(measure, as_words(measure).capitalize()), f"{after} {MINUS} {before}"
    shares = measure.startswith(("live", "first_step", "hit_rate", "copied"))
    return Row(label, "reference", (_difference(e, reach, shares),), note)


def _image_gain(blank: AgentResult | None) -> tuple[str, Estimate] | None:
    """(name, what the pictures are worth). The two values beside the difference show which way round it was taken;
    without them it is shown as it stands."""
    e = blank.difference if blank is not None else None
    if blank is None or e is None:
        return None
    if blank.with_images is None or blank.live_success is None:
        return "live_difference_with_blank_images", e
    if (blank.with_images - blank.live_success) * e.value < 0:
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


def task_rows(results: Results) -> tuple[tuple[tuple[str, str], ...], tuple[TaskRow, ...]]:
    """((style, label) of each stage, a row for each task), tasks by the last stage's success, best first."""
    measured = [(name, stage.per_task) for name, stage in stages(results) if stage.per_task]
    if not measured:
        return (), ()
    names = dict.fromkeys([*results.tasks, *(task for _, tasks in measured for task in tasks)])
    rows = [found for task in names if (found := _task_row(task, measured))]
    rows.sort(key=lambda pair: -pair[0])
    return tuple((style_of(name), stage_label(name)) for name, _ in measured), tuple(row for _, row in rows)


def _task_row(task: str, measured: Sequence[tuple[str, Mapping[str, TaskResult]]]) -> tuple[float, TaskRow] | None:
    """(the last success, the row); None for a task that no stage played."""
    dots, values = [], []
    for stage, tasks in measured:
        success = tasks[task].success if task in tasks else None
        values.append((style_of(stage), "–" if success is None else f"{100 * success:.0f}"))
        if success is not None:
            dots.append((success, (style_of(stage), stage_label(stage), _clip(success))))
    if not dots:
        return None
    places = [place for _, (_, _, place) in dots]
    ended = measured[-1][1].get(task)
    endings = _endings(ended.endings) if ended else None
    span = (min(places), max(places) - min(places))
    return dots[-1][0], TaskRow(task, tuple(dot for _, dot in dots), tuple(values), endings, span)


def _endings(counts: Mapping[str, float]) -> Endings | None:
    total = sum(counts.values())
    kinds = [k for k in ("finished", "truncated", "failed") if counts.get(k)]
    kinds += sorted(k for k in counts if k not in ("finished", "truncated", "failed") and counts[k])
    return Endings(tuple((k, round(counts[k]), 100 * counts[k] / total) for k in kinds)) if total > 0 else None


def foresight(results: Results) -> Chart | None:
    """Forecast hit rate by depth, every stage in one chart."""
    found = [(style_of(n), stage_label(n), r.hits) for n, r in stages(results)]
    return depth_chart(
        "Forecast hit rate by depth",
        found,
        _whole_percent,
        "How often the step predicted so far ahead is the one that was recorded.",
    )


def depth_table(results: Results) -> Table:
    """The same in numbers: a row for each depth."""
    return _by_place([(n, r.hits) for n, r in stages(results)])


def stability(live: Mapping[str, Sequence[EpisodeRow]]) -> tuple[Chart | None, Table]:
    """How much of a plan's tail the next plan still holds, by place, in live episodes: (chart, numbers)."""
    found: list[tuple[str, list[Estimate | None]]] = []
    for name in STAGES:
        turns = [episode.turns for episode in live.get(name, ())]
        # Where several steps of one plan were executed, the planner did not look again after each.
        plans = [[plan_of(turn) for turn in every] for every in turns if all(turn.completion for turn in every)]
        found.append((name, [Estimate(kept / of, count=of) for kept, of in plan_stability(plans)]))
    chart = depth_chart(
        "Plan stability",
        [(style_of(name), stage_label(name), shares) for name, shares in found],
        _whole_percent,
        "How often the next plan still holds a step of the last one, word for word.",
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


def executors(found: Mapping[str, ExecutorResult]) -> tuple[Row, ...]:
    """How often each executor hits the recorded target."""
    return tuple(Row(name, "reference", (share_bar(result.hits),)) for name, result in found.items())


# ---- several runs ----------------------------------------------------------------------------------------------------


def comparison(runs: Sequence[Run]) -> Table:
    """Live success of each run by stage, and the mean over the runs where all of them have it."""
    measured = [{n: r.success for n, r in stages(run.results)} for run in runs]
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


def pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A free JSON object as (name, text), nested objects by dotted name."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += [(f"{as_words(name)}: {inner}", text) for inner, text in pairs(value)]
        elif isinstance(value, list):
            found.append((as_words(name), ", ".join(map(str, value))))
        elif value is not None:
            found.append((as_words(name), f"{value:g}" if isinstance(value, float) else str(value)))
    return tuple(found)


def _clip(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)
