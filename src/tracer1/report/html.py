"""The report: one self-contained HTML page of one run directory or several.

Everything that a model, a page or a task wrote is shown as text: templates escape by default, and the page forbids
itself scripts and the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tracer1.data.store import write_atomic
from tracer1.errors import UsageError
from tracer1.report import tables, training
from tracer1.report.plots import Chart
from tracer1.report.rollouts import Samples, samples
from tracer1.report.run import Run, read_run
from tracer1.report.strips import Strip, film_strips
from tracer1.report.words import cut

CONFIG_SHOWN = 20_000  # characters


@dataclass(frozen=True, slots=True)
class Section:
    """One run as its part of the page shows it."""

    anchor: str
    name: str
    summary: str
    headline: tables.Table
    gains: tuple[tables.Row, ...]
    strips: tuple[Strip, ...]
    task_stages: tuple[tuple[str, str], ...]
    tasks: tuple[tables.TaskRow, ...]
    foresight: Chart | None
    depths: tables.Table
    panels: tuple[training.Panel, ...]
    health: tuple[Chart, ...]
    steady: str
    samples: tuple[Samples, ...]
    minutes: tuple[training.Length, ...]
    total_time: str
    step_times: tuple[tuple[str, str], ...]
    tool_agents: tuple[tables.Row, ...]
    protocol: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    config: str


def build_report(run_dirs: Sequence[Path], out: Path) -> None:
    """Write the page of ``run_dirs`` to ``out``, whole or not at all.

    Raises UsageError for no run at all, DataError for a directory that is no run or a file in it that cannot be read,
    SetupError when ``out`` cannot be written.
    """
    write_atomic(out, render(run_dirs).encode("utf-8", "replace"))


def render(run_dirs: Sequence[Path], live: str = "") -> str:
    """The page as text; errors as in :func:`build_report`.

    live: what the page is called now, for a served page that asks for its successor and loads it.
    """
    if not run_dirs:
        raise UsageError("no run to report on; name at least one run directory")
    runs = [read_run(Path(directory)) for directory in run_dirs]
    sections = [_section(run, f"r{i}-" if len(runs) > 1 else "") for i, run in enumerate(runs, start=1)]
    environment = Environment(
        loader=PackageLoader("tracer1.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html")
    return page.render(sections=sections, comparison=tables.comparison(runs) if len(runs) > 1 else None, live=live)


def _section(run: Run, anchor: str) -> Section:
    task_stages, tasks = tables.task_rows(run.results)
    minutes, total = training.minutes(run.results)
    health, steady = training.health(run.metrics)
    config = cut(run.config, CONFIG_SHOWN)
    return Section(
        anchor,
        run.name,
        tables.summary(run.results),
        tables.headline(run.results),
        tables.gains(run.results),
        film_strips(run),
        task_stages,
        tasks,
        tables.foresight(run.results),
        tables.depth_table(run.results),
        training.panels(run.metrics),
        health,
        steady,
        samples(run.rollouts),
        minutes,
        total,
        training.step_times(run.metrics),
        tables.tool_agents(run.results),
        tables.pairs(run.results.record("protocol")),
        tables.pairs(run.env),
        config,
    )
