"""The command line: argument parsing only.

Exit codes: 0 success, 1 failure, 2 wrong usage; one line on stderr says what and what to do.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tracer1.errors import DataError, TraceR1Error, UsageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
data = typer.Typer(no_args_is_help=True, help="Record demonstrations, cut them into training windows, look at data.")
app.add_typer(data, name="data")

DEMO_CONFIG = "configs/nano.yaml"
QUICK = (
    "output_dir=runs/demo-quick",
    "data.episodes=runs/demo-quick/data",
    "data.train=runs/demo-quick/data/train.parquet",
    "data.heldout=runs/demo-quick/data/heldout.parquet",
    "data.record.episodes_per_task=12",
    "data.record.heldout_per_task=3",
    "stage1.steps=8",
    "stage2.steps=12",
    "evaluation.seeds_per_task=3",
)
LONG = ("stage1.steps=40", "stage2.steps=80")  # the README's numbers: training that has no twenty minutes to keep to
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings as [b]key=value[/b], such as stage1.steps=20.")]


@app.callback()
def main_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
) -> None:
    """TraceR1: planners that look ahead.

    Train a vision-language planner to forecast its next T steps before it acts, and let it act.
    """


def say(line: str) -> None:
    typer.echo(line, err=True)


def emit(record: Any) -> None:
    typer.echo(json.dumps(record, ensure_ascii=False))


def input_lines(path: str) -> Iterator[str]:
    """The lines of a file, or of standard input for ``-``, as they are asked for."""
    try:
        with nullcontext(sys.stdin) if path == "-" else Path(path).open(encoding="utf-8") as lines:
            yield from lines
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def tasks_of(text: str) -> list[str]:
    return [task for task in (part.strip() for part in text.split(",")) if task]


# ---- the main job ----------------------------------------------------------------------------------------------------


@app.command()
def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="A few minutes: fewer episodes, steps and seeds; proves that it runs.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The run directory (default runs/demo).")] = None,
    config: Annotated[str, typer.Option(help="The configuration to run.")] = DEMO_CONFIG,
) -> None:
    """The main job on this machine, from nothing: record, train stage 1 and 2, act live, report.

    Example: tracer1 demo --out runs/demo
    """
    from tracer1.config.loading import load_config
    from tracer1.recipes.demo import demo as run_demo
    from tracer1.recipes.demo import headline

    settings = list(QUICK) if quick else []
    if out is not None:
        settings += [
            f"output_dir={out}",
            f"data.episodes={out}/data",
            f"data.train={out}/data/train.parquet",
            f"data.heldout={out}/data/heldout.parquet",
        ]
    resolved = load_config(config, settings)
    results = run_demo(resolved, say)
    for line in headline(results):
        typer.echo(line)
    typer.echo(f"{results['minutes']['all']:.1f} minutes; open {resolved.output_dir}/report.html")


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, such as configs/nano.yaml.")],
    overrides: Overrides = None,
    stage: Annotated[Literal["warmup", "1", "2", "both"], typer.Option(help="What to run.")] = "both",
    engine: Annotated[Literal["trl"], typer.Option(help="The training engine.")] = "trl",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything up to the first step and print the plan.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start stage 2 even if stage 1 is no better.")] = False,
) -> None:
    """Train a planner. Always resumes the run in its output directory.

    Example: tracer1 train configs/nano.yaml stage1.steps=20 --stage both
    """
    from tracer1.config.loading import load_config
    from tracer1.recipes.train import plan_of
    from tracer1.recipes.train import train as run_train

    resolved = load_config(config, overrides or [])
    if dry_run:
        for line in plan_of(resolved, stage):
            typer.echo(line)
        return
    for name, folder in run_train(resolved, stage, force=force, say=say).items():
        typer.echo(f"{name}: {folder}")


@app.command()
def reproduce(
    out: Annotated[Path, typer.Option(help="Where the runs go; started again, it goes on.")] = Path("runs/reproduce"),
    seeds: Annotated[int, typer.Option(help="Training seeds: 0, 1, ...")] = 3,
    config: Annotated[str, typer.Option(help="The configuration of every seed.")] = DEMO_CONFIG,
    overrides: Overrides = None,
) -> None:
    """The README's numbers: several training seeds of both stages, the reactive agent (T = 1) trained beside each.

    Example: tracer1 reproduce --out runs/reproduce
    """
    from tracer1.recipes.reproduce import headline
    from tracer1.recipes.reproduce import reproduce as run_reproduce

    for line in headline(run_reproduce(config, out, range(seeds), [*LONG, *(overrides or [])], say)):
        typer.echo(line)
    typer.echo(f"kept in {out}/results.json")


@app.command()
def check(
    config: Annotated[str, typer.Argument(help="A YAML file.")],
    overrides: Overrides = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="Train each stage for two steps in a temporary folder, for its time.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line, with the figures of the tokens.")] = False,
) -> None:
    """Pre-flight in seconds, without a GPU: config, data, gold plans, tokens, batches, disk, browser, tool agent.

    Example: tracer1 check configs/nano.yaml
    """
    from tracer1.checks.preflight import run_check
    from tracer1.config.loading import load_config

    report(run_check(load_config(config, overrides or []), trial), as_json=as_json)


@app.command()
def doctor() -> None:
    """What is installed and works, and what to install for the rest.

    Example: tracer1 doctor
    """
    from tracer1.checks.doctor import run_doctor

    report(run_doctor(), fail=False)


def report(items: Iterable[Any], fail: bool = True, as_json: bool = False) -> None:
    """A line for each checked item, and its histogram where it has one; exit 1 when one failed."""
    from dataclasses import asdict

    from rich.console import Console

    from tracer1.checks.findings import draw

    failed = 0
    for item in items:
        failed += not (item.ok or item.optional)
        if as_json:
            emit({**asdict(item), "remedy": "" if item.ok else item.remedy})
            continue
        mark, colour = ("ok  ", "green") if item.ok else ("note", "yellow") if item.optional else ("FAIL", "red")
        remedy = f"  -> {item.remedy}" if not item.ok and item.remedy else ""
        typer.echo(f"{typer.style(mark, fg=colour)} {item.name}: {item.detail}{remedy}")
        if item.tokens is not None and item.tokens.histogram:
            Console().print(draw(item.tokens))
    if failed and fail:
        raise typer.Exit(1)


@app.command()
def reward(
    file: Annotated[str, typer.Argument(help="JSON lines of id, completion, reference; - is standard input.")],
    stage: Annotated[int, typer.Option(help="1: the whole forecast; 2: the first step.")] = 1,
    profile: Annotated[str, typer.Option(help="paper or prototype.")] = "paper",
) -> None:
    """Score completions that stand in a file, with every term.

    Example: tracer1 reward --stage 1 --profile paper plans.jsonl
    """
    from tracer1.recipes.reward import reward_file

    for record in reward_file(input_lines(file), stage, profile, file):
        emit(record)


@app.command()
def act(
    env: Annotated[str, typer.Argument(help="What to act in, as miniwob:login-user.")],
    model: Annotated[str, typer.Option(help="A planner's folder.")],
    seed: Annotated[int, typer.Option(help="The episode.")] = 0,
    horizon: Annotated[int, typer.Option(help="T: steps forecast; 1 is reactive.")] = 5,
    tool_agent: Annotated[str, typer.Option(help="dom or ocr.")] = "dom",
    out: Annotated[Path, typer.Option(help="Where the episode is kept.")] = Path("runs/act"),
) -> None:
    """One live episode of the plan-act loop.

    Example: tracer1 act miniwob:login-user --model runs/demo/checkpoints/stage2 --out runs/act
    """
    from tracer1.recipes.act import act as run_act

    record = run_act(env, model, seed=seed, horizon=horizon, tool_agent=tool_agent, out=out, say=typer.echo)
    typer.echo(f"{record['ending']}, reward {record['reward']:g}; kept in {out}")


@app.command()
def evaluate(
    benchmark: Annotated[str, typer.Argument(help="miniwob")],
    model: Annotated[str, typer.Option(help="A planner's folder.")],
    out: Annotated[Path, typer.Option(help="The run directory; an evaluation in it is resumed.")],
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; default: the configuration's.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Episodes of each task.")] = None,
    first_seed: Annotated[int | None, typer.Option(help="The first of them.")] = None,
    horizon: Annotated[int | None, typer.Option(help="T: steps forecast.")] = None,
    executor: Annotated[str, typer.Option(help="The tool agent: dom or ocr.")] = "dom",
    steps_per_plan: Annotated[
        int | None, typer.Option(help="Also do up to so many steps of a plan while nothing surprises.")
    ] = None,
    config: Annotated[str, typer.Option(help="The configuration.")] = DEMO_CONFIG,
) -> None:
    """A planner on a benchmark, with the reactive agent (T = 1) and two null agents beside it.

    Example: tracer1 evaluate miniwob --model runs/demo/checkpoints/stage2 --out runs/eval --seeds 10
    """
    from tracer1.config.loading import load_config
    from tracer1.recipes.evaluate import benchmark as run_benchmark

    settings = [f"output_dir={out}", f"tool_agent.name={executor}"]
    settings += [f"evaluation.tasks=[{','.join(tasks_of(tasks))}]"] if tasks else []
    settings += [f"evaluation.seeds_per_task={seeds}"] if seeds else []
    settings += [f"evaluation.first_seed={first_seed}"] if first_seed is not None else []
    settings += [f"plan.horizon={horizon}"] if horizon else []
    settings += [f"evaluation.steps_per_plan={steps_per_plan}"] if steps_per_plan else []
    emit(run_benchmark(benchmark, model, load_config(config, settings)))


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


# ---- data ------------------------------------------------------------------------------------------------------------


@data.command()
def record(
    source: Annotated[Literal["miniwob"], typer.Argument(help="The environment.")],
    out: Annotated[Path, typer.Option(help="The episode store to make.")],
    tasks: Annotated[str, typer.Option(help="Comma-separated task names.")],
    episodes: Annotated[int, typer.Option(help="Episodes of each task.")] = 20,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    scale: Annotated[int, typer.Option(help="Screenshot pixels per CSS pixel.")] = 1,
    pages: Annotated[int, typer.Option(help="Pages that play at once.")] = 8,
    split: Annotated[str, typer.Option(help="The split that the episodes are marked with.")] = "train",
) -> None:
    """Demonstrations from the live browser.

    Example: tracer1 data record miniwob --tasks login-user,enter-text --episodes 20 --seed 0 --out data/episodes
    """
    from tracer1.progress import progress
    from tracer1.recipes.record import record_miniwob

    with progress("recording") as tick:
        made = record_miniwob(
            tasks_of(tasks), episodes, seed, out, scale=scale, pages=pages, split=split, progress=tick
        )
    typer.echo(f"{made.kept} episodes, {made.steps} steps in {out} ({made.failed} not kept) in {made.seconds:.0f} s")
    for task, count in made.tasks.items():
        for failed, why in count.failures.items():
            say(f"not kept: {task} seed {failed}: {why}")


@data.command("convert")
def convert_command(
    source: Annotated[
        str, typer.Argument(help="agentnet, androidcontrol, gui-odyssey, mind2web, agenttrek or mm-traj")
    ],
    raw: Annotated[Path, typer.Option(help="The folder with the files as they were published.")],
    out: Annotated[Path, typer.Option(help="The episode store to make.")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value: page=full, terminal=false, ...")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split, as the corpus names it.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many episodes.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; the output does not depend on them.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first damaged record.")] = False,
) -> None:
    """A corpus' raw files to episodes. Killed, it goes on where it was when started again.

    Example: tracer1 data convert androidcontrol --raw downloads/android_control --out data/ac --workers 8
    """
    from tracer1.data.conversion.convert import convert, convert_settings
    from tracer1.executors.describe import describer
    from tracer1.progress import progress

    asked = convert_settings(settings or [], split=split, limit=limit, strict=strict)
    with progress(f"convert {source}") as tick:
        made = convert(source, raw, out, asked, workers, tick, describer(asked.abstractions))
    typer.echo(f"{made['episodes']} episodes, {made['steps']} steps of {made['records']} records in {out}")
    for reason, said in made["skipped"].items():
        typer.echo(f"left out: {said['count']} x {reason}, first {said['first'][0]}")
    typer.echo(f"what was read, changed and left out: {out}/conversion.json")


@data.command()
def windows(
    episodes: Annotated[Path, typer.Argument(help="An episode store.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    horizon: Annotated[int, typer.Option(help="T: steps of the reference.")] = 5,
    history: Annotated[int, typer.Option(help="K: past steps in the prompt.")] = 5,
    prompt: Annotated[str, typer.Option(help="The prompt's version: full-1 or brief-1.")] = "full-1",
) -> None:
    """Training instances: every step with its continuation, and a dataset card beside them.

    Example: tracer1 data windows data/episodes --horizon 5 --history 5 --out data/train.parquet
    """
    from tracer1.data.windows import make_windows
    from tracer1.progress import progress

    with progress("windows") as tick:
        made = make_windows(episodes, out, horizon, history, prompt, progress=tick)
    typer.echo(f"{made.windows} windows of {made.episodes} episodes in {out}")
    if made.card is None:
        say(f"the README.md in {out.parent} is not ours and stays as it is")


@data.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="An episode store, a .jsonl or .parquet file, or a raw corpus' folder.")],
    html: Annotated[Path | None, typer.Option(help="Also write a page, with the samples' screenshots.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Rows to show.")] = 3,
    seed: Annotated[int, typer.Option(help="Which rows they are.")] = 0,
    episode: Annotated[str | None, typer.Option(help="Show the rows of this episode instead.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Of a raw corpus: the first so many episodes.")] = 200,
) -> None:
    """Schema, counts, three samples, and every problem with its file, row and field.

    Example: tracer1 data inspect data/train.parquet --html train.html
    """
    from rich.console import Console

    from tracer1.data.inspection.result import Choice
    from tracer1.data.inspection.summary import render
    from tracer1.progress import progress
    from tracer1.recipes.inspect import inspected

    with progress("inspecting") as tick, inspected(path, Choice(samples, seed, episode), limit, tick) as found:
        Console().print(render(found))
        if html is not None:
            from tracer1.report.inspection import write_page

            write_page(found, html)
            typer.echo(str(html))
    if found.problems:
        raise typer.Exit(1)


# ---- the boundary ----------------------------------------------------------------------------------------------------


def quieten() -> None:
    """Keep the engines' own bars and notices of renamed arguments out of ours; what the environment says stands."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def main() -> None:
    """Run the command line; what this library raises on purpose becomes one line and an exit code."""
    quieten()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    debug = "--debug" in sys.argv
    run: Callable[..., Any] = app
    try:
        run()
    except TraceR1Error as error:
        if debug:
            raise
        say(f"tracer1: {error}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except SystemExit as error:  # typer turns ctrl-c into exit code 130, without a word
        if error.code == 130:
            say("tracer1: interrupted; start the same command again to go on")
        raise
    except OSError as error:  # a full disk, a port in use, a file that may not be read
        if debug:
            raise
        say(f"tracer1: {': '.join(str(part) for part in (error.filename, error.strerror or error) if part)}")
        sys.exit(1)
