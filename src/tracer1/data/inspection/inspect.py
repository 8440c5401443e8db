"""What is in a file of episodes, windows or other records, and what is wrong with it, row by row.

``inspect_path`` reads everything once, streaming, and keeps counts, a few samples and the problems. Episodes that come
from elsewhere than a store, such as a corpus' raw records read into memory, are inspected by ``inspect_episodes``.
Nothing here prints: ``summary.py`` shows an inspection on a terminal, ``report/inspection.py`` as a page.
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
    """A tick that nobody hears."""


def inspect_path(path: Path | str, choice: Choice = SHOWN, tick: Tick = quiet) -> Inspection:
    """Read an episode store or its ``.jsonl``, a Parquet file of windows, or any other ``.jsonl``.

    Problems with rows are collected; only a path that holds none of these raises DataError. UsageError when the chosen
    episode is not there. ``tick`` is told the share read, in per cent.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        found = _inspect_windows(path, choice, tick)
    else:
        file = episodes_file(path)
        if file.name == EPISODES or _is_episode(_first_record(file)):
            found = _inspect_store(file, choice, tick)
        else:
            found = _inspect_records(file, choice, tick)
    if choice.episode is not None and choice.samples > 0 and not found.samples:
        raise UsageError(f"{path}: holds no {choice.episode!r} that can be read; give an id that stands in the file")
    return found


def inspect_episodes(
    found: Inspection, rows: Iterable[tuple[Place, Episode] | Problem], choice: Choice = SHOWN
) -> Inspection:
    """Fill ``found`` from a stream of episodes, each with its place, or of rows that could not be read.

    The files that they name are opened with ``found.open_file``. Only the ids, the images' names, the samples and the
    first problems are held in memory.
    """
    images = Images(found.open_file, hashed=not found.corpus)
    kept = Reservoir(choice)
    seen: dict[str, Place] = {}
    for row in rows:
        found.rows += 1
        if isinstance(row, Problem):
            found.problems.add(row)
            continue
        place, episode = row
        kept.offer(place, episode)
        _count_episode(found, episode)
        if (before := seen.setdefault(episode.episode_id, place)) != place:
            elsewhere = f" of {before.file}" if before.file != place.file else ""
            message = f"{episode.episode_id!r} stands on {before.row}{elsewhere} too"
            found.problems.add(Problem(place.file, place.row, "episode_id", message))
        for name, message in episode_problems(episode, images):
            found.problems.add(Problem(place.file, place.row, name, message))
    found.samples = kept.samples()
    return found


def _first_record(file: Path) -> Any:
    """The first line that can be parsed; None where there is none."""
    return next((record for _, record in json_lines_or_errors(file) if not isinstance(record, DataError)), None)


def _is_episode(record: Any) -> bool:
    return isinstance(record, Mapping) and ("episode_id" in record or "steps" in record)


# ---- episodes in a store ---------------------------------------------------------------------------------------------


def _inspect_store(file: Path, choice: Choice, tick: Tick) -> Inspection:
    store = EpisodeStore(file.parent)
    found = Inspection(file, "episodes", store.read)
    try:
        if (record := read_conversion(file.parent)) is not None:
            found.conversion = _conversion(record)
    except DataError as error:
        message = str(error).removeprefix(f"{file.parent / CONVERSION}: ")
        found.problems.add(Problem(CONVERSION, "", "", message))
    return inspect_episodes(found, _stored(file, found, tick), choice)


def _stored(file: Path, found: Inspection, tick: Tick) -> Iterator[tuple[Place, Episode] | Problem]:
    for place, record in _rows(file, found, tick):
        if isinstance(record, Problem):
            yield record
            continue
        found.learn(record)
        try:
            yield place, episode_from_json(record, place.row)
        except DataError as error:
            yield from_error(place, error)


def _rows(file: Path, found: Inspection, tick: Tick) -> Iterator[tuple[Place, Any]]:
    """The lines, parsed; one that does not parse is a Problem, and ends the reading only if it is the last."""
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


def _count_episode(found: Inspection, episode: Episode) -> None:
    found.steps += len(episode.steps)
    found.count("source", episode.source)
    found.count("platform", episode.platform)
    found.count("split", episode.split)
    if "task" in episode.labels:
        found.count("task", str(episode.labels["task"]))
    found.count("steps per episode", str(len(episode.steps)))
    for step in episode.steps:
        found.count("action type", step.action.action_type)
        blank = "none" if step.text is None else "text only"
        found.count("screen", blank if step.screenshot is None else f"{step.size[0]}x{step.size[1]}")


def _conversion(record: dict[str, Any]) -> Conversion:
    """What a ``conversion.json`` says; DataError when it is no such record."""
    try:
        skipped = [
            Skipped(why, int(left["count"]), tuple(map(str, left.get("first", ()))))
            for why, left in record.pop("skipped", {}).items()
        ]
        record.pop("task", None)  # a checksum, for the converter
        plain = ((name, value) for name, value in record.items() if isinstance(value, str | int | float))
        facts = tuple((name, str(value)) for name, value in plain)  # its tables are too large to be shown
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"not a conversion's record ({type(error).__name__}: {error}); convert again") from error
    return Conversion(facts, tuple(sorted(skipped, key=lambda s: -s.count)))


# ---- windows ---------------------------------------------------------------------------------------------------------


def _inspect_windows(path: Path, choice: Choice, tick: Tick) -> Inspection:
    stores = windows_file.windows_stores(path)
    open_file = stores[0].read if len(stores) == 1 else _opener(stores)
    found = Inspection(path, "windows", open_file, schema=windows_file.schema_text(path))
    total = windows_file.count_windows(path)
    kept = Reservoir(choice)
    images = Images(open_file, hashed=len(stores) == 1)
    seen: dict[tuple[str, int], int] = {}
    for number, row in enumerate(windows_file.read_rows(path)):
        found.rows += 1
        tick(100 * found.rows // total, 100, f"{found.rows:,} rows")
        place = Place(path.name, f"row {number}")
        try:
            window = _named_by_store(windows_file.row_to_window(row, place.row), row, stores, place)
        except DataError as error:
            found.problems.add(from_error(place, error))
            continue
        kept.offer(place, window)
        found.count("source", window.source)
        found.count("steps in the reference", str(len(window.reference.steps)))
        for step in window.reference.steps[:1]:
            found.count("first action type", step.action_type)
        if (before := seen.setdefault((window.episode_id, window.step), number)) != number:
            message = f"{window.episode_id!r} step {window.step} is row {before} too"
            found.problems.add(Problem(place.file, place.row, "step", message))
        for name, message in window_problems(window, images):
            found.problems.add(Problem(place.file, place.row, name, message))
    found.samples = kept.samples()
    return found


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
    found = Inspection(file, "records")
    kept = Reservoir(choice)
    for place, record in _rows(file, found, tick):
        found.rows += 1
        if isinstance(record, Problem):
            found.problems.add(record)
        elif not isinstance(record, Mapping):
            found.problems.add(Problem(place.file, place.row, "", "not a JSON object"))
        else:
            found.learn(record)
            kept.offer(place, record)
    found.samples = kept.samples()
    return found
