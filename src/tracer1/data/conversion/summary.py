"""The content of ``conversion.json``: counts, lengths and notes of a finished conversion."""

from __future__ import annotations

import math
from collections import Counter
from importlib.metadata import version
from statistics import fmean, median
from typing import Any

from tracer1.data.conversion.corpus import ConvertSettings, Corpus
from tracer1.data.conversion.statistics import Statistics
from tracer1.data.corpora.registry import load_errata
from tracer1.files import parse_json

SHOWN = 3  # reasons in the message about a conversion without episodes


def summarize(kind: type[Corpus], settings: ConvertSettings, total: Statistics) -> dict[str, Any]:
    """``conversion.json`` without its files and task."""
    counts = {table: dict(sorted(counter.items(), key=_by_number)) for table, counter in sorted(total.counts.items())}
    lengths = Counter({int(length): times for length, times in total.counts.get("steps per episode", {}).items()})
    notes = {
        kind: {reason: {"count": count, "first": first} for reason, (count, first) in sorted(reasons.items())}
        for kind, reasons in sorted(total.notes.items())
    }
    return {
        "source": kind.name,
        "url": kind.url,
        "licence": kind.licence,
        "citation": kind.citation,
        "terminal": kind.terminal if settings.terminal else "as recorded; none is added",
        "errata": load_errata(kind.name).version if settings.errata else None,
        "settings": settings.to_json(),
        "version": version("tracer1"),
        "records": total.records,
        "episodes": lengths.total(),
        "steps": sum(length * times for length, times in lengths.items()),
        "length": _spread(lengths),
        "counts": counts,
        "skipped": {reason: note for kind in notes for reason, note in notes[kind].items() if kind != "changed"},
        "notes": notes,
    } | _origin(settings)


def _origin(settings: ConvertSettings) -> dict[str, str]:
    """What a map says of where its rows come from."""
    if settings.map is None:
        return {}
    mapping = parse_json(settings.map)
    return {key: mapping[key] for key in ("source", "url", "licence", "citation")}


def why_empty(total: Statistics) -> str:
    """The most frequent reasons why records gave no episode, each with its first example."""
    reasons = [
        (count, reason, first)
        for kind, found in total.notes.items()
        for reason, (count, first) in found.items()
        if kind != "changed"
    ]
    reasons.sort(key=lambda item: -item[0])
    return "; ".join(f"{count} x {reason}, first {first[0]}" for count, reason, first in reasons[:SHOWN])


def _spread(lengths: Counter[int]) -> dict[str, float] | None:
    """The least, median, mean and greatest number of steps in an episode."""
    if not lengths:
        return None
    every = sorted(lengths.elements())
    return {"least": every[0], "median": median(every), "mean": round(fmean(every), 2), "greatest": every[-1]}


def _by_number(item: tuple[str, int]) -> tuple[float, str]:
    return (float(item[0]) if item[0].isdigit() else math.inf, item[0])
