"""Data: record, convert, windows, inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracer1.cli.common import say, tasks_of

data = typer.Typer(no_args_is_help=True, help="Record demonstrations, cut them into training windows, look at data.")


@data.command()
def record(
    source: Annotated[str, typer.Argument(help="An environment with scripted experts: miniwob, toy, toy-text.")],
    out: Annotated[Path, typer.Option(help="The episode store to make.")],
    tasks: Annotated[str, typer.Option(help="Comma-separated task names.")],
    episodes: Annotated[int, typer.Option(help="Episodes of each task.")] = 20,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    scale: Annotated[int, typer.Option(help="Screenshot pixels per CSS pixel.")] = 1,
    pages: Annotated[int, typer.Option(help="Pages that play at once.")] = 8,
    split: Annotated[str, typer.Option(help="The split that the episodes are marked with.")] = "train",
) -> None:
    """Demonstrations by the scripted experts of an environment.

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
        str, typer.Argument(help="agentnet, androidcontrol, gui-odyssey, mind2web, agenttrek or mm-traj")
    ],
    raw: Annotated[Path, typer.Option(help="The folder with the published files.")],
    out: Annotated[Path, typer.Option(help="The episode store to make.")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value: page=full, terminal=false, ...")] = None,
    split: Annotated[str | None, typer.Option(help="Convert only this split, by the corpus' own name.")] = None,
    limit: Annotated[int | None, typer.Option(help="Convert only the first episodes.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; their number does not change the output.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first damaged record.")] = False,
) -> None:
    """Convert a corpus' raw files to episodes. To resume after an interruption, run the same command again.

    Example: tracer1 data convert androidcontrol --raw downloads/android_control --out data/ac --workers 8
    """
    from tracer1.progress import progress
    from tracer1.recipes.convert import convert_corpus

    with progress(f"convert {source}") as tick:
        made = convert_corpus(
            source, raw, out, settings or [], split=split, limit=limit, strict=strict, workers=workers, tick=tick
        )
    typer.echo(f"{made['episodes']} episodes, {made['steps']} steps from {made['records']} records in {out}")
    for reason, skipped in made["skipped"].items():
        typer.echo(f"dropped: {skipped['count']} x {reason}, first {skipped['first'][0]}")
    typer.echo(f"details: {out}/conversion.json")


@data.command()
def windows(
    episodes: Annotated[Path, typer.Argument(help="An episode store.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    horizon: Annotated[int, typer.Option(help="T: steps of the reference.")] = 5,
    history: Annotated[int, typer.Option(help="K: past steps in the prompt.")] = 5,
    prompt: Annotated[
        str, typer.Option(help="The prompt's version: full-2-thinking, full-2, full-1 or brief-1.")
    ] = "full-2-thinking",
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
