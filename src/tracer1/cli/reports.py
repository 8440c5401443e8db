"""Measurements and pages: bench, report, view."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracer1.cli.common import emit
from tracer1.errors import UsageError

app = typer.Typer()


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="data, env, grpo-step, plan-act or reward")],
    run: Annotated[str, typer.Option(help="plan-act: a finished run, whose planner and data are used.")] = "runs/demo",
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """A measured comparison against what a user would use instead, in one run.

    Example: tracer1 bench grpo-step --json
    """
    from tracer1.bench.registry import BENCHES

    if name not in BENCHES:
        raise UsageError(f"no bench {name!r}; there are {', '.join(BENCHES)}")
    for measured in BENCHES[name](run):
        if as_json:
            emit(measured)
        else:
            typer.echo("  ".join(f"{key}: {value}" for key, value in measured.items() if key != "machine"))


@app.command("report")
def report_command(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    out: Annotated[Path, typer.Option(help="The page to write.")],
    episodes: Annotated[int, typer.Option(help="Episodes of each run to show; screenshots make the page large.")] = 64,
) -> None:
    """One self-contained page about one or more runs.

    Example: tracer1 report runs/demo --out demo.html
    """
    from tracer1.report.html import build_report

    build_report(runs, out, episodes)
    typer.echo(str(out))


@app.command()
def view(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    port: Annotated[int, typer.Option(help="On 127.0.0.1.")] = 8765,
) -> None:
    """The report, served and kept up to date while the run goes on.

    Example: tracer1 view runs/demo
    """
    from tracer1.report.serve import serve

    serve(run, port)
