"""What all groups of commands share: output, input and common arguments."""

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


def print_items(items: Iterable[Any], fail: bool = True, as_json: bool = False) -> None:
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
