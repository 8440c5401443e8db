"""The report: one self-contained HTML page of one run directory or several.

Everything that a model, a page or a task wrote is shown as text: templates escape by default, and the page's policy
forbids the network and every script but its own, which is named by its hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracer1.errors import UsageError
from tracer1.files import write_atomic
from tracer1.report import tables, training
from tracer1.report.episodes import EPISODES, EpisodeViews, episode_views
from tracer1.report.formatting import cut
from tracer1.report.plots import Chart
from tracer1.report.rendering import script, template
from tracer1.report.rollouts import Groups, groups, recorded
from tracer1.results.reading import Run, all_rollouts, read_run

CONFIG_SHOWN = 20_000  # characters


@dataclass(frozen=True, slots=True)
class Section:
    """One run as its part of the page shows it."""

    anchor: str
    name: str
    summary: str
    headline: tables.Table
    gains: tuple[tables.Row, ...]
    episodes: EpisodeViews
    task_stages: tuple[tuple[str, str], ...]
    tasks: tuple[tables.TaskRow, ...]
    foresight: Chart | None
    depths: tables.Table
    stability: Chart | None
    stable: tables.Table
    panels: tuple[training.Panel, ...]
    health: tuple[Chart, ...]
    steady: str
    groups: tuple[Groups, ...]
    minutes: tuple[training.AmountBar, ...]
    total_time: str
    step_times: tuple[training.StepTime, ...]
    executors: tuple[tables.Row, ...]
    protocol: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    config: str


def build_report(run_dirs: Sequence[Path], out: Path, shown: int = EPISODES) -> None:
    """Write the page of ``run_dirs`` to ``out``, whole or not at all; at most ``shown`` episodes of each run.

    Raises UsageError for no run at all, DataError for a directory that is no run or a file in it that cannot be read,
    SetupError when ``out`` cannot be written.
    """
    write_atomic(out, render(run_dirs, shown=shown).encode("utf-8", "replace"))


def render(run_dirs: Sequence[Path], live: str = "", shown: int = EPISODES) -> str:
    """The page as text; errors as in :func:`build_report`.

    live: the version of a served page, which asks for a newer one and loads it.
    """
    if not run_dirs:
        raise UsageError("no run to report on; name at least one run directory")
    runs = [read_run(Path(directory)) for directory in run_dirs]
    sections = [_section(run, f"r{i}-" if len(runs) > 1 else "", shown) for i, run in enumerate(runs, start=1)]
    keys, keys_hash = script("keys.js")
    return template("page.html").render(
        sections=sections,
        comparison=tables.comparison(runs) if len(runs) > 1 else None,
        live=live,
        keys=keys,
        keys_hash=keys_hash,
    )


def _section(run: Run, anchor: str, shown: int) -> Section:
    stable, stable_numbers = tables.stability(run.live)
    task_stages, tasks = tables.task_rows(run.results)
    minutes, total = training.minutes(run.results.minutes)
    health, steady = training.health(run.metrics)
    config = cut(run.config, CONFIG_SHOWN)
    return Section(
        anchor,
        run.name,
        tables.summary(run.results),
        tables.headline(run.results),
        tables.gains(run.results),
        episode_views(run, shown),
        task_stages,
        tasks,
        tables.foresight(run.results),
        tables.depth_table(run.results),
        stable,
        stable_numbers,
        training.panels(run.metrics, training.diagnoses(all_rollouts(run.path)), run.constant_plan),
        health,
        steady,
        groups(run.rollouts, recorded(run)),
        minutes,
        total,
        training.step_times(run.metrics),
        tables.executors(run.results.executors),
        tables.pairs(run.results.protocol),
        tables.pairs(run.env),
        config,
    )
