"""One finding of ``check`` or ``doctor``: its subject, the result, and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.bar import Bar
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table

from tracer1.plan.tokens import Bin

NAMED = 5  # rows named in one finding


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """Token counts of the rows of a file against their limit."""

    rows: int
    mean: float
    largest: int
    limit: int
    over: tuple[str, ...]  # every row above the limit, as "episode step n"
    exact: bool  # False: the text is estimated
    max_pixels: int | None  # the largest model.max_pixels, up to the configured one, at which every row fits
    max_pixels_999: int | None  # 99.9 % of the rows
    histogram: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One finding. ``remedy``: what to do where it is not ``ok``. ``optional``: not being ``ok`` fails no check."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    optional: bool = False
    tokens: TokenFigures | None = None


def some(names: Sequence[str]) -> str:
    """The first few names, and the number of the others."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def split_remedy(error: Exception) -> tuple[str, str]:
    """(what is wrong, what to change): the two halves of our messages, on either side of the first semicolon."""
    what, _, remedy = str(error).partition("; ")
    return what, remedy


def draw(figures: TokenFigures) -> RenderableType:
    """The histogram for a terminal: green bins fit, red ones do not, the limit lies in a yellow one."""
    table = Table.grid(padding=(0, 1))
    most = max(bin.count for bin in figures.histogram)
    for bin in figures.histogram:
        colour = "red" if bin.low > figures.limit else "yellow" if bin.high > figures.limit else "green"
        bar = Bar(most, 0, bin.count, width=40, color=colour)
        table.add_row(f"{bin.low}-{bin.high}", bar, str(bin.count))
    table.columns[0].justify = table.columns[2].justify = "right"
    return Padding(table, (0, 0, 0, 5))
