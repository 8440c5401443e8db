"""Progress of long work on stderr: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY = 5.0  # seconds between plain lines


class Tick(Protocol):
    """Takes the amount done, the total, and a note with the figures that matter now."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress(title: str, console: Console | None = None) -> Iterator[Tick]:
    """Yield a function to call with (done, total, note) as often as is handy.

    Plain lines are at least EVERY seconds apart; the last one is always printed.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        with _lines(title, console) as say:
            yield say
        return
    bar = Progress(
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )
    with bar:
        task = bar.add_task(title, total=None, note="")

        def tick(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield tick


@contextmanager
def _lines(title: str, console: Console) -> Iterator[Tick]:
    started = time.monotonic()
    printed, last = started, ""

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    def tick(done: int, total: int, note: str = "") -> None:
        nonlocal printed, last
        now = time.monotonic()
        last = f"{title}: {done}/{total}, {now - started:.0f} s" + (f", {note}" if note else "")
        if now - printed >= EVERY:
            say(last)
            printed, last = now, ""

    say(f"{title} ...")
    try:
        yield tick
    finally:
        if last:
            say(last)
