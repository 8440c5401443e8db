"""Data: record, convert, windows, inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracer1.cli.common import say, tasks_of

data = typer.Typer(no_args_is_help=True, help="Record or convert demonstrations, write training windows, inspect data.")


@data.command()
def record(
    source: Annotated[str, typer.Argument(help="An environment with scripted experts: miniwob, toy, toy-text.")],
    out: Annotated[Path, typer.Option(help="The episode store to write.")],
    tasks: Annotated[str, typer.Option(help="Task names, separated by commas.")],
    episodes: Annotated[int, typer.Option(help="Episodes of each task.")] = 20,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    scale: Annotated[int, typer.Option(help="Screenshot pixels per CSS pixel.")] = 1,
    pages: Annotated[int, typer.Option(help="Pages that play side by side.")] = 8,
    split: Annotated[str, typer.Option(help="The split that the episodes are labelled with.")] = "train",
) -> None:
    """Record demonstrations by the scripted experts of an environment.

    Example: tracer1 data record miniwob --tasks login-user,enter-text --episodes 20 --seed 0 --out data/episodes
    """
    from tracer1.progress import progress
    from tracer1.recipes.record import record as play_and_store

    with progress("recording") as tick:
        made = play_and_store(
            source, tasks_of(tasks), episodes, seed, out, scale=scale, pages=pages, split=split, progress=tick
        )
    typer.echo(f"{made.kept} episodes, {made.steps} steps in {out} ({made.failed} not kept) in {made.seconds:.0f} s")
    for task, count in made.tasks.items():
        for failed, why in count.failures.items():
            say(f"not kept: {task} seed {failed}: {why}")


@data.command("convert")
def convert_command(
    source: Annotated[
        str, typer.Argument(help="agentnet, androidcontrol, gui-odyssey, mind2web, agenttrek, mm-traj, or rows.")
    ],
    raw: Annotated[Path, typer.Option(help="The folder with the published files; for rows also a single file.")],
    out: Annotated[Path, typer.Option(help="The episode store to write.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Settings as [b]key=value[/b], such as page=full or terminal=false.")
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option("--map", help="For rows: a YAML file that maps fields, or a shipped map: gui_r1, sharegpt."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Convert only this split, by the corpus' own name.")] = None,
    limit: Annotated[int | None, typer.Option(help="Convert only the first episodes.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; their number does not change the output.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first damaged record.")] = False,
) -> None:
    """Convert a corpus' raw files, or rows of your own, to episodes.

    To resume after an interruption, run the same command again.

    Example: tracer1 data convert androidcontrol --raw downloads/android_control --out data/ac --workers 8

    With rows: tracer1 data convert rows --map gui_r1 --raw downloads/GUI-R1/train.parquet --out data/gui-r1
    """
    from tracer1.progress import progress
    from tracer1.recipes.convert import convert_corpus

    with progress(f"convert {source}") as tick:
        made = convert_corpus(
            source,
            raw,
            out,
            settings or [],
            mapping=mapping,
            split=split,
            limit=limit,
            strict=strict,
            workers=workers,
            tick=tick,
        )
    typer.echo(f"{made['episodes']} episodes, {made['steps']} steps from {made['records']} records in {out}")
    for reason, skipped in made["skipped"].items():
        typer.echo(f"dropped: {skipped['count']} x {reason}, first {skipped['first'][0]}")
    typer.echo(f"details: {out}/conversion.json")


@data.command()
def windows(
    episodes: Annotated[list[Path], typer.Argument(help="One episode store, or several.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    horizon: Annotated[int, typer.Option(help="T: steps of the reference.")] = 5,
    history: Annotated[int, typer.Option(help="K: past steps in the prompt.")] = 5,
    prompt: Annotated[
        str, typer.Option(help="The prompt's version: full-2-thinking, full-2, full-1 or brief-1.")
    ] = "full-2-thinking",
    heldout: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the episodes to hold out, chosen by a hash of their ids.")
    ] = 0.0,
    heldout_out: Annotated[
        Path | None, typer.Option(help="The file of the held-out windows. [default: OUT.heldout.parquet]")
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out invalid episodes and name them, instead of stopping.")
    ] = False,
) -> None:
    """Write training windows: every step with its continuation, and a dataset card beside them.

    Example: tracer1 data windows data/episodes --horizon 5 --history 5 --out data/train.parquet

    Several stores: tracer1 data windows data/ac data/mine --heldout 0.05 --out data/train.parquet
    """
    from tracer1.data.windows import make_windows
    from tracer1.progress import progress

    with progress("windows") as tick:
        made = make_windows(
            episodes,
            out,
            horizon,
            history,
            prompt,
            heldout=heldout,
            heldout_out=heldout_out,
            skip_invalid=skip_invalid,
            progress=tick,
        )
    typer.echo(f"{made.windows} windows in {out}, of {made.episodes} episodes in all")
    if made.heldout is not None:
        typer.echo(f"{made.heldout_windows} held-out windows in {made.heldout}")
    for line in made.invalid_first:
        say(f"left out: {line}")
    if made.invalid:
        say(f"left out: {made.invalid} invalid episodes")
    if made.card is None:
        say(f"{out.parent}/README.md is not ours and stays as it is")


@data.command()
def inspect(
    path: Annotated[
        Path, typer.Argument(help="An episode store, a .jsonl or .parquet file, or a folder of a corpus' raw files.")
    ],
    html: Annotated[Path | None, typer.Option(help="Also write a page, with the samples' screenshots.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Number of rows to show.")] = 3,
    seed: Annotated[int, typer.Option(help="Selects which rows are shown.")] = 0,
    episode: Annotated[str | None, typer.Option(help="Show the rows of this episode instead.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Of raw files: read at most this many episodes.")] = 200,
) -> None:
    """Show the schema, counts, a few samples, and every problem with its file, row and field.

    Exits with 1 where there are problems.

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
