"""The main job, and training: demo, train, reproduce, check, doctor, reward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tracer1.cli.common import DEMO_CONFIG, Overrides, emit, input_lines, print_items, say

app = typer.Typer()

QUICK: dict[str, Any] = {
    "output_dir": "runs/demo-quick",
    "data.episodes": "runs/demo-quick/data",
    "data.train": "runs/demo-quick/data/train.parquet",
    "data.heldout": "runs/demo-quick/data/heldout.parquet",
    "data.record.episodes_per_task": 12,
    "data.record.heldout_per_task": 3,
    "stage1.steps": 8,
    "stage2.steps": 12,
    "evaluation.seeds_per_task": 3,
}
LONG = ("stage1.steps=40", "stage2.steps=80")  # of the README's numbers, which need not fit into twenty minutes


@app.command()
def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="A few minutes: fewer episodes, steps and seeds, to see that it runs.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The run directory (default: runs/demo).")] = None,
    config: Annotated[str, typer.Option(help="The configuration to run.")] = DEMO_CONFIG,
) -> None:
    """Do the main job on this machine, from nothing: record, train stages 1 and 2, act live, report.

    Example: tracer1 demo --out runs/demo
    """
    from tracer1.config.loading import load_config
    from tracer1.recipes.demo import demo as run_demo
    from tracer1.recipes.demo import headline

    resolved = load_config(config, values=demo_values(quick, out))
    results = run_demo(resolved, say)
    for line in headline(results):
        typer.echo(line)
    typer.echo(f"{results.minutes['all']:.1f} minutes; open {resolved.output_dir}/report.html")


def demo_values(quick: bool, out: Path | None) -> dict[str, Any]:
    """The settings that the options of ``demo`` replace."""
    from tracer1.recipes.reproduce import run_paths

    return (QUICK if quick else {}) | (run_paths(out, out) if out is not None else {})


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, such as configs/nano.yaml.")],
    overrides: Overrides = None,
    stage: Annotated[Literal["warmup", "1", "2", "both"], typer.Option(help="The stage or stages to run.")] = "both",
    engine: Annotated[Literal["trl"], typer.Option(help="The training engine.")] = "trl",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything up to the first step and print the plan.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start stage 2 even if stage 1 is no better.")] = False,
    push_to_hub: Annotated[
        str | None, typer.Option(help="Upload the last planner to this repository after success (private if new).")
    ] = None,
) -> None:
    """Train a planner. Always resumes the run in its output directory.

    Example: tracer1 train configs/nano.yaml stage1.steps=20 --stage both
    """
    from tracer1.config.loading import load_config
    from tracer1.recipes.train import plan_of
    from tracer1.recipes.train import train as run_train
    from tracer1.results.hub import require_upload, upload_planner
    from tracer1.training.processes import is_first_process

    resolved = load_config(config, overrides or [])
    if dry_run:
        for line in plan_of(resolved, stage):
            typer.echo(line)
        return
    if push_to_hub:
        require_upload(push_to_hub)
    made = run_train(resolved, stage, force=force, say=say)
    for name, folder in made.items():
        typer.echo(f"{name}: {folder}")
    if push_to_hub and is_first_process():
        typer.echo(f"uploaded: {upload_planner(list(made.values())[-1], push_to_hub)}")


@app.command()
def reproduce(
    out: Annotated[Path, typer.Option(help="The folder of the runs; a run in it is resumed.")] = Path("runs/reproduce"),
    seeds: Annotated[int, typer.Option(help="Training seeds: 0, 1, ...")] = 3,
    config: Annotated[str, typer.Option(help="The configuration of every seed.")] = DEMO_CONFIG,
    overrides: Overrides = None,
) -> None:
    """Produce the README's numbers: both stages from several training seeds, and a reactive agent (T = 1) beside each.

    Example: tracer1 reproduce --out runs/reproduce
    """
    from tracer1.recipes.reproduce import headline
    from tracer1.recipes.reproduce import reproduce as run_reproduce

    for line in headline(run_reproduce(config, out, range(seeds), [*LONG, *(overrides or [])], say)):
        typer.echo(line)
    typer.echo(f"written to {out}/results.json")


@app.command()
def check(
    config: Annotated[str, typer.Argument(help="A YAML file.")],
    overrides: Overrides = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="Train each stage for two steps in a temporary folder, and time them.")
    ] = False,
    allow_code: Annotated[
        bool,
        typer.Option("--allow-code", help="Import the code that the configuration names (package.module:Class)."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line, with the figures of the tokens.")] = False,
) -> None:
    """Find what would stop a run, in seconds and without a GPU: config, data, gold plans, tokens, batches, executor.

    Example: tracer1 check configs/nano.yaml
    """
    from tracer1.checks.preflight import Options, run_check
    from tracer1.config.loading import load_config

    print_items(run_check(load_config(config, overrides or []), Options(trial, allow_code)), as_json=as_json)


@app.command()
def doctor() -> None:
    """Try what is installed, and name what to install for the rest.

    Example: tracer1 doctor
    """
    from tracer1.checks.doctor import run_doctor

    print_items(run_doctor(), fail=False)


@app.command()
def reward(
    file: Annotated[str, typer.Argument(help="JSON lines of id, completion and reference; - is standard input.")],
    stage: Annotated[int, typer.Option(help="1: the whole forecast; 2: the first step.")] = 1,
    profile: Annotated[str, typer.Option(help="paper or prototype.")] = "paper",
) -> None:
    """Score the completions in a file, with every term.

    Example: tracer1 reward --stage 1 --profile paper plans.jsonl
    """
    from tracer1.recipes.reward import reward_file

    for record in reward_file(input_lines(file), stage, profile, file):
        emit(record)
