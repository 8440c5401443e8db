"""Output, input and arguments that the groups of commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from tracer1.errors import DataError, UsageError

DEMO_CONFIG = "configs/nano.yaml"
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings as [b]key=value[/b], such as stage1.steps=20.")]


def say(line: str) -> None:
    """Print a line of progress on stderr, so that stdout holds results alone."""
    typer.echo(line, err=True)


def emit(record: Any) -> None:
    """Print a result as one line of JSON."""
    typer.echo(json.dumps(record, ensure_ascii=False))


def input_lines(path: str) -> Iterator[str]:
    """Stream the lines of a file, or of standard input for ``-``."""
    try:
        with nullcontext(sys.stdin) if path == "-" else Path(path).open(encoding="utf-8") as lines:
            yield from lines
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def tasks_of(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [task for task in (part.strip() for part in text.split(",")) if task]


def print_items(items: Iterable[Any], fail: bool = True, as_json: bool = False) -> None:
    """Print a line for each checked item, and its histogram where it has one; exit with 1 when one failed."""
    from dataclasses import asdict

    failed = False
    for item in items:
        failed = failed or not (item.ok or item.optional)
        if as_json:
            emit({**asdict(item), "remedy": "" if item.ok else item.remedy})
        else:
            _print_item(item)
    if failed and fail:
        raise typer.Exit(1)


def _print_item(item: Any) -> None:
    mark, colour = ("ok  ", "green") if item.ok else ("note", "yellow") if item.optional else ("FAIL", "red")
    remedy = f"  -> {item.remedy}" if not item.ok and item.remedy else ""
    typer.echo(f"{typer.style(mark, fg=colour)} {item.name}: {item.detail}{remedy}")
    if item.tokens is not None and item.tokens.histogram:
        from rich.console import Console

        from tracer1.checks.findings import draw

        Console().print(draw(item.tokens))
