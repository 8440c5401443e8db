"""A run directory as the report reads it: files only, every key optional, a value of the wrong kind named by its place.

A run may be read while it is being written: half a last line is passed over. NaN and Infinity count as absent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracer1.errors import DataError

FILES = ("config.yaml", "env.json", "metrics.jsonl", "rollouts.jsonl", "results.json")
STAGES = ("base", "stage1", "stage2")
LAST_STEPS = 5  # of a stage's rollouts kept: a page shows where training ended, and the file can be huge


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value; its 95 % interval and its count where the file gives them."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None


class Record:
    """A JSON object and where it stands. A key that is absent or null reads as nothing; of a wrong kind, DataError."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data = data
        self.where = where

    def __bool__(self) -> bool:
        return bool(self.data)

    def number(self, key: str) -> float | None:
        """A finite number, else None."""
        return self._number(self.data.get(key), key)

    def count(self, key: str) -> int | None:
        """A number that is whole."""
        value = self.number(key)
        return None if value is None else round(value)

    def text(self, key: str) -> str:
        """A string, "" when absent."""
        return str(self._kind(key, str, "a string", ""))

    def flag(self, key: str) -> bool | None:
        """True, False, or None when absent."""
        value = self._kind(key, bool, "true or false", None)
        return None if value is None else bool(value)

    def record(self, key: str) -> Record:
        """An object, the empty one when absent."""
        return Record(self._kind(key, Mapping, "an object", {}), f"{self.where}: '{key}'")

    def records(self, key: str) -> list[Record]:
        """A list of objects."""
        items = self._kind(key, list, "a list", [])
        return [_record(item, f"{self.where}: '{key}'[{i}]") for i, item in enumerate(items)]

    def named(self, key: str) -> dict[str, Record]:
        """An object of objects, by name, without those that are absent."""
        inner = self.record(key)
        there = {name: value for name, value in inner.data.items() if value is not None}
        return {name: _record(value, f"{inner.where}: '{name}'") for name, value in there.items()}

    def numbers(self, key: str) -> dict[str, float]:
        """An object of numbers, by name, without those that are absent."""
        inner = self.record(key)
        return {name: value for name in inner.data if (value := inner.number(name)) is not None}

    def texts(self, key: str) -> list[str]:
        """A list of values, as text."""
        return [str(item) for item in self._kind(key, list, "a list", [])]

    def estimate(self, key: str, interval: str = "interval", count: str = "count") -> Estimate | None:
        """The estimate under ``key``: an object with value, interval and count, or a number whose interval and count
        stand beside it under the two other keys. None when there is no value."""
        value = self.data.get(key)
        if isinstance(value, Mapping):
            return Record(value, f"{self.where}: '{key}'").estimate("value")
        return self._estimate(value, self.data.get(interval), self.data.get(count), key)

    def estimates(self, key: str, intervals: str) -> list[Estimate | None]:
        """A list of estimates: objects, or numbers whose intervals stand in a list of their own."""
        values = self._kind(key, list, "a list", [])
        beside = self._kind(intervals, list, "a list", [])
        found = []
        for i, value in enumerate(values):
            if isinstance(value, Mapping):
                found.append(Record(value, f"{self.where}: '{key}'[{i}]").estimate("value"))
            else:
                found.append(self._estimate(value, beside[i] if i < len(beside) else None, None, f"{key}[{i}]"))
        return found

    def _estimate(self, value: Any, interval: Any, count: Any, key: str) -> Estimate | None:
        number = self._number(value, key)
        if number is None:
            return None
        low = high = None
        if isinstance(interval, list) and len(interval) == 2:
            low, high = (self._number(bound, f"interval of {key}") for bound in interval)
        n = self._number(count, f"count of {key}")
        return Estimate(number, low, high, None if n is None else round(n))

    def _number(self, value: Any, key: str) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{self.where}: '{key}' is not a number")
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def _kind(self, key: str, kind: type, name: str, absent: Any) -> Any:
        value = self.data.get(key)
        if value is None:
            return absent
        if not isinstance(value, kind):
            raise DataError(f"{self.where}: '{key}' is not {name}")
        return value


@dataclass(frozen=True, slots=True)
class Run:
    """What a run directory holds. ``metrics``, ``rollouts`` and ``live`` go by stage, in the order of the method."""

    path: Path
    name: str
    config: str  # the file's text
    env: Record
    results: Record
    metrics: Mapping[str, list[Record]]  # by step, ascending
    rollouts: Mapping[str, list[Record]]  # of the last LAST_STEPS steps
    live: Mapping[str, list[Record]]


def read_run(path: Path) -> Run:
    """Read a run directory. Raises DataError for a directory that is no run, or a file of it that cannot be read."""
    if not path.is_dir():
        raise DataError(f"{path}: no such directory; give the output directory of a training run")
    live = sorted((path / "live").glob("*.jsonl"))
    if not live and not any((path / name).is_file() for name in FILES):
        raise DataError(f"{path}: not a run directory: it holds none of {', '.join(FILES)}")
    return Run(
        path,
        path.resolve().name,
        _text(path / "config.yaml"),
        _json(path / "env.json"),
        _json(path / "results.json"),
        _metrics(path / "metrics.jsonl"),
        _rollouts(path),
        _in_order({file.stem: list(_lines(file)) for file in live}),
    )


def _metrics(path: Path) -> dict[str, list[Record]]:
    stages: dict[str, dict[float, Record]] = {}
    for line in _lines(path):
        stages.setdefault(line.text("stage") or "training", {})[line.number("step") or 0.0] = line
    return _in_order({stage: [steps[step] for step in sorted(steps)] for stage, steps in stages.items()})


def all_rollouts(path: Path) -> Iterator[Record]:
    """Every rollout of the run directory ``path`` as it was written, streaming: there can be millions."""
    return _lines(path / "rollouts.jsonl")


def _rollouts(path: Path) -> dict[str, list[Record]]:
    stages: dict[str, dict[float, list[Record]]] = {}
    for line in all_rollouts(path):
        steps = stages.setdefault(line.text("stage") or "training", {})
        steps.setdefault(line.number("step") or 0.0, []).append(line)
        if len(steps) > LAST_STEPS:
            del steps[min(steps)]
    return _in_order({stage: [r for step in sorted(steps) for r in steps[step]] for stage, steps in stages.items()})


def _in_order(stages: dict[str, list[Record]]) -> dict[str, list[Record]]:
    known = [stage for stage in STAGES if stage in stages]
    return {stage: stages[stage] for stage in [*known, *sorted(set(stages) - set(known))]}


# ---- files -----------------------------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _json(path: Path) -> Record:
    text = _text(path)
    try:
        return _record(_parse(text), str(path)) if text else Record({}, str(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}; remove the file or evaluate again") from error


def _lines(path: Path) -> Iterator[Record]:
    """The objects of a ``.jsonl``, streaming; a last line without its end is still being written and passed over."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                if line.strip():
                    where = f"{path} line {number}"
                    try:
                        yield _record(_parse(line.decode("utf-8", "replace")), where)
                    except (ValueError, RecursionError) as error:
                        raise DataError(f"{where}: not JSON: {error}; remove the line") from error
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _record(value: object, where: str) -> Record:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: not an object")
    return Record(value, where)


def _parse(text: str) -> Any:
    return json.loads(text, parse_constant=lambda _: None)
