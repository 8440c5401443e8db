"""Inspects a file of episodes, windows or other records: its contents, and every problem row by row.

``inspect_path`` reads the file once, streaming, and collects counts, a few samples and the problems. Episodes from
elsewhere than a store, such as a corpus' raw records in memory, are inspected by ``inspect_episodes``. Nothing here
prints: ``summary.py`` shows an inspection on a terminal, ``report/inspection.py`` as a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracer1.data import windows_file
from tracer1.data.inspection.problems import Images, episode_problems, from_error, window_problems
from tracer1.data.inspection.result import (
    Choice,
    Conversion,
    Inspection,
    Opener,
    Place,
    Problem,
    Reservoir,
    Skipped,
    Tick,
)
from tracer1.data.records import episode_from_json
from tracer1.data.store import CONVERSION, EPISODES, EpisodeStore, episodes_file, read_conversion
from tracer1.errors import DataError, UsageError
from tracer1.files import json_lines_or_errors, parse_json
from tracer1.types import Episode, Window

SHOWN = Choice()


def quiet(done: int, total: int, note: str) -> None:
    """Report no progress."""


def inspect_path(path: Path | str, choice: Choice = SHOWN, tick: Tick = quiet) -> Inspection:
    """Read an episode store or its ``.jsonl``, a Parquet file of windows, or any other ``.jsonl``.

    Problems with rows are collected; DataError is raised only for a path that is no such file. UsageError when the
    chosen episode is missing. ``tick`` is called with the share read, in per cent.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        inspection = _inspect_windows(path, choice, tick)
    else:
        file = episodes_file(path)
        if file.name == EPISODES or _is_episode(_first_record(file)):
            inspection = _inspect_store(file, choice, tick)
        else:
            inspection = _inspect_records(file, choice, tick)
    if choice.episode is not None and choice.samples > 0 and not inspection.samples:
        raise UsageError(f"{path}: holds no {choice.episode!r} that can be read; give an id that is in the file")
    return inspection


def inspect_episodes(
    inspection: Inspection, rows: Iterable[tuple[Place, Episode] | Problem], choice: Choice = SHOWN
) -> Inspection:
    """Fill an inspection from a stream of episodes, each with its place, or of rows that could not be read.

    The files that they name are opened with ``inspection.open_file``. Memory holds only ids, the images' names, the
    samples and the first problems.
    """
    images = Images(inspection.open_file, hashed=not inspection.corpus)
    reservoir = Reservoir(choice)
    seen: dict[str, Place] = {}
    for row in rows:
        inspection.rows += 1
        if isinstance(row, Problem):
            inspection.problems.add(row)
            continue
        place, episode = row
        reservoir.offer(place, episode)
        _count_episode(inspection, episode)
        if (before := seen.setdefault(episode.episode_id, place)) != place:
            elsewhere = f" of {before.file}" if before.file != place.file else ""
            message = f"{episode.episode_id!r} is on {before.row}{elsewhere} too"
            inspection.problems.add(Problem(place.file, place.row, "episode_id", message))
        for name, message in episode_problems(episode, images):
            inspection.problems.add(Problem(place.file, place.row, name, message))
    inspection.samples = reservoir.samples()
    return inspection


def _first_record(file: Path) -> Any:
    """The first line that can be parsed; None where there is none."""
    return next((record for _, record in json_lines_or_errors(file) if not isinstance(record, DataError)), None)


def _is_episode(record: Any) -> bool:
    return isinstance(record, Mapping) and ("episode_id" in record or "steps" in record)


# ---- episodes in a store ---------------------------------------------------------------------------------------------


def _inspect_store(file: Path, choice: Choice, tick: Tick) -> Inspection:
    store = EpisodeStore(file.parent)
    inspection = Inspection(file, "episodes", store.read)
    try:
        if (record := read_conversion(file.parent)) is not None:
            inspection.conversion = _conversion(record)
    except DataError as error:
        message = str(error).removeprefix(f"{file.parent / CONVERSION}: ")
        inspection.problems.add(Problem(CONVERSION, "", "", message))
    return inspect_episodes(inspection, _stored(file, inspection, tick), choice)


def _stored(file: Path, inspection: Inspection, tick: Tick) -> Iterator[tuple[Place, Episode] | Problem]:
    for place, record in _rows(file, inspection, tick):
        if isinstance(record, Problem):
            yield record
            continue
        inspection.learn(record)
        try:
            yield place, episode_from_json(record, place.row)
        except DataError as error:
            yield from_error(place, error)


def _rows(file: Path, inspection: Inspection, tick: Tick) -> Iterator[tuple[Place, Any]]:
    """The parsed lines; a line that cannot be parsed comes as a Problem."""
    size = max(1, file.stat().st_size)
    done = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            done += len(line)
            tick(100 * done // size, 100, f"{number:,} rows")
            if not line.strip():
                continue
            place = Place(file.name, f"line {number}")
            try:
                yield place, parse_json(line)
            except ValueError as error:
                half = "half-written last line, dropped by every reader" if not line.endswith(b"\n") else "not JSON"
                yield place, Problem(place.file, place.row, "", f"{half}: {error}")


def _count_episode(inspection: Inspection, episode: Episode) -> None:
    inspection.steps += len(episode.steps)
    inspection.count("source", episode.source)
    inspection.count("platform", episode.platform)
    inspection.count("split", episode.split)
    if "task" in episode.labels:
        inspection.count("task", str(episode.labels["task"]))
    inspection.count("steps per episode", str(len(episode.steps)))
    for step in episode.steps:
        inspection.count("action type", step.action.action_type)
        blank = "none" if step.text is None else "text only"
        inspection.count("screen", blank if step.screenshot is None else f"{step.size[0]}x{step.size[1]}")


def _conversion(record: dict[str, Any]) -> Conversion:
    """A parsed ``conversion.json``; DataError when it is no such record."""
    try:
        reasons = [
            Skipped(reason, int(skipped["count"]), tuple(map(str, skipped.get("first", ()))))
            for reason, skipped in record.pop("skipped", {}).items()
        ]
        record.pop("task", None)  # a checksum, for the converter
        plain = ((name, value) for name, value in record.items() if isinstance(value, str | int | float))
        facts = tuple((name, str(value)) for name, value in plain)  # its tables are too large to be shown
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"not a conversion's record ({type(error).__name__}: {error}); convert again") from error
    return Conversion(facts, tuple(sorted(reasons, key=lambda s: -s.count)))


# ---- windows ---------------------------------------------------------------------------------------------------------


def _inspect_windows(path: Path, choice: Choice, tick: Tick) -> Inspection:
    stores = windows_file.windows_stores(path)
    open_file = stores[0].read if len(stores) == 1 else _opener(stores)
    inspection = Inspection(path, "windows", open_file, schema=windows_file.schema_text(path))
    total = windows_file.count_windows(path)
    reservoir = Reservoir(choice)
    images = Images(open_file, hashed=len(stores) == 1)
    seen: dict[tuple[str, int], int] = {}
    for number, row in enumerate(windows_file.read_rows(path)):
        inspection.rows += 1
        tick(100 * inspection.rows // total, 100, f"{inspection.rows:,} rows")
        place = Place(path.name, f"row {number}")
        try:
            window = _named_by_store(windows_file.row_to_window(row, place.row), row, stores, place)
        except DataError as error:
            inspection.problems.add(from_error(place, error))
            continue
        reservoir.offer(place, window)
        inspection.count("source", window.source)
        inspection.count("steps in the reference", str(len(window.reference.steps)))
        for step in window.reference.steps[:1]:
            inspection.count("first action type", step.action_type)
        if (before := seen.setdefault((window.episode_id, window.step), number)) != number:
            message = f"{window.episode_id!r} step {window.step} is row {before} too"
            inspection.problems.add(Problem(place.file, place.row, "step", message))
        for name, message in window_problems(window, images):
            inspection.problems.add(Problem(place.file, place.row, name, message))
    inspection.samples = reservoir.samples()
    return inspection


def _named_by_store(window: Window, row: Mapping[str, Any], stores: Sequence[EpisodeStore], place: Place) -> Window:
    """The window; where there are several stores, its images are named with their folder."""
    store = windows_file.row_store(stores, row, place.row)
    if len(stores) == 1:
        return window
    names = [str(store.directory.absolute() / image) for image in window.images]
    return windows_file.with_absolute_images(window, names)


def _opener(stores: Sequence[EpisodeStore]) -> Opener:
    """Opens an image by the name that ``_named_by_store`` gives it."""

    def open_file(name: str) -> bytes:
        for store in stores:
            if name.startswith(f"{store.directory.absolute()}/"):
                return store.read(name.removeprefix(f"{store.directory.absolute()}/"))
        raise FileNotFoundError(name)

    return open_file


# ---- other records ---------------------------------------------------------------------------------------------------


def _inspect_records(file: Path, choice: Choice, tick: Tick) -> Inspection:
    inspection = Inspection(file, "records")
    reservoir = Reservoir(choice)
    for place, record in _rows(file, inspection, tick):
        inspection.rows += 1
        if isinstance(record, Problem):
            inspection.problems.add(record)
        elif not isinstance(record, Mapping):
            inspection.problems.add(Problem(place.file, place.row, "", "not a JSON object"))
        else:
            inspection.learn(record)
            reservoir.offer(place, record)
    inspection.samples = reservoir.samples()
    return inspection
