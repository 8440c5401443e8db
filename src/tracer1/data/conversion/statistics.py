"""Conversion statistics: counts and notes for ``conversion.json``, which can be merged in the corpus' order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracer1.actions import ARGUMENTS
from tracer1.data.conversion.corpus import Note
from tracer1.types import Episode, Point

FIRST = 5  # examples of each reason
BINS = 10  # of an axis of the screen


@dataclass(slots=True)
class Statistics:
    """Counts by table, and for each reason the number of its notes and the first of them."""

    records: int = 0  # raw trajectories, damaged ones included
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    notes: dict[str, dict[str, tuple[int, list[str]]]] = field(default_factory=dict)  # by kind and reason

    def add(self, table: str, name: str, times: int = 1) -> None:
        self.counts.setdefault(table, Counter())[name] += times

    def note(self, note: Note) -> None:
        example = f"{note.where}: {note.detail}" if note.detail else note.where
        written = example.encode("utf-8", "backslashreplace").decode()  # it may quote a lone surrogate
        self._notes(note.kind, note.reason, 1, [written])

    def merge(self, other: Statistics) -> None:
        """Add the statistics of what follows in the corpus' order."""
        self.records += other.records
        for table, counter in other.counts.items():
            self.counts.setdefault(table, Counter()).update(counter)
        for kind, reasons in other.notes.items():
            for reason, (count, first) in reasons.items():
                self._notes(kind, reason, count, first)

    def _notes(self, kind: str, reason: str, count: int, first: list[str]) -> None:
        reasons = self.notes.setdefault(kind, {})
        before, kept = reasons.get(reason, (0, []))
        reasons[reason] = (before + count, [*kept, *first][:FIRST])

    def to_json(self) -> dict[str, Any]:
        """A JSON object for ``from_json``."""
        return {"records": self.records, "counts": self.counts, "notes": self.notes}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Statistics:
        counts = {table: Counter(counter) for table, counter in record["counts"].items()}
        notes = {
            kind: {reason: (count, list(first)) for reason, (count, first) in reasons.items()}
            for kind, reasons in record["notes"].items()
        }
        return cls(record["records"], counts, notes)


def episode_statistics(episode: Episode) -> Statistics:
    """The counts of one episode."""
    counts = Statistics()
    counts.add("platform", episode.platform)
    counts.add("split", episode.split)
    counts.add("steps per episode", str(len(episode.steps)))
    if "abstraction" in episode.labels:
        counts.add("abstraction", str(episode.labels["abstraction"]))
    for step in episode.steps:
        if step.labels.get("error"):
            counts.add("outcome", "error")
        counts.add("action", step.action.action_type)
        counts.add("target", "box" if step.box else _place(step.action))
        for name in ARGUMENTS:
            value = getattr(step.action, name)
            if isinstance(value, Point):
                counts.add("x", _bin(value.x))
                counts.add("y", _bin(value.y))
        if step.screenshot is not None:
            counts.add("screen", f"{step.size[0]}x{step.size[1]}")
    return counts


def _place(action: Any) -> str:
    return "point" if action.point else "element" if action.element else "none"


def _bin(fraction: float) -> str:
    """The tenth of the screen: "0.3-0.4"."""
    place = min(BINS - 1, int(fraction * BINS))
    return f"{place / BINS:.1f}-{(place + 1) / BINS:.1f}"
