"""A corpus' raw files to an episode store: the ``tracer1 data convert`` command without its argument parsing.

    parts -> workers: records -> Episodes, images by content -> batches on disk -> merge -> episodes.jsonl
                                                                                         conversion.json

A conversion killed at any moment goes on where it was: finished batches stay, and the output is the same bytes whatever
the number of workers or interruptions.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import groupby, islice, takewhile
from pathlib import Path
from statistics import fmean, median
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from tracer1.data.conversion.batches import RECORDS, Batches, episode_lines, merge
from tracer1.data.conversion.corpus import Converted, ConvertSettings, Corpus, Note, Part, Record, UnusableRecord
from tracer1.data.conversion.statistics import Statistics
from tracer1.data.corpora.registry import corpus_class, load_errata
from tracer1.data.images import Image
from tracer1.data.store import CONVERSION, EpisodeStore, read_conversion
from tracer1.errors import DataError, UsageError
from tracer1.files import parse_json, write_atomic
from tracer1.progress import Tick
from tracer1.types import Episode, EpisodeStep

POLL = 1.0  # seconds between looks at how far the work is


class Describe(Protocol):
    """Says in a line what a screen shows, where neither the corpus nor its trees tell. Picklable for workers."""

    name: str  # is recorded in the episode

    def __call__(self, image: Image) -> str: ...


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker needs."""

    source: str
    raw: Path
    out: Path
    settings: ConvertSettings
    describe: Describe | None
    batch: int
    parent: int  # the process to work for; without it a worker stops


def convert(
    source: str,
    raw: Path | str,
    out: Path | str,
    settings: ConvertSettings | None = None,
    workers: int = 1,
    progress: Tick | None = None,
    describe: Describe | None = None,
    batch: int = RECORDS,
) -> dict[str, Any]:
    """Convert the corpus ``source`` in the folder ``raw`` to a store in ``out``; returns its ``conversion.json``.

    A finished conversion of the same files with the same settings is not done again.
    Raises UsageError for an unknown corpus or an ``out`` that holds another conversion, DataError when ``raw`` holds
    nothing of the corpus, or with ``strict`` at the first damaged record.
    """
    settings, raw, out = settings or ConvertSettings(), Path(raw), Path(out)
    if workers < 1 or (settings.limit is not None and settings.limit < 1):
        raise UsageError(f"workers {workers}, limit {settings.limit}: each must be 1 or more")
    kind = corpus_class(source)
    parts = kind(raw, settings).parts()
    files = sorted({part.file for part in parts})
    task = {
        "source": source,
        "files": [[_relative(file, raw), _bytes(file)] for file in files],
        "settings": _given(settings),
        "describe": describe.name if describe else None,
        "batch": batch,
    }
    if (finished := read_conversion(out)) is not None:
        if finished.get("task") == _hash(task):
            return finished
        raise UsageError(f"{out}: holds another conversion; choose another --out, or delete that folder")
    batches = Batches(out)
    batches.open(task)
    used = _work(Job(source, raw, out, settings, describe, batch, os.getpid()), parts, workers, progress)
    total = merge(batches, used, out, settings.duplicates == "keep", settings.limit)
    with ThreadPoolExecutor(workers) as pool:
        sums = list(pool.map(_checksum, files))
    result = (
        _summary(kind, settings, total)
        | _origin(settings)
        | {
            "files": [
                {"file": _relative(file, raw), "bytes": _bytes(file), "sha256": checksum}
                for file, checksum in zip(files, sums, strict=True)
            ],
            "task": _hash(task),
        }
    )
    write_atomic(out / CONVERSION, json.dumps(result, ensure_ascii=False, indent=1).encode())
    batches.close()
    return result


def convert_settings(pairs: Sequence[str], **given: Any) -> ConvertSettings:
    """Settings from ``key=value`` pairs and options; UsageError names a key or a value that is not known."""
    values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found:
            raise UsageError(f"{pair!r} is not key=value; keys are {', '.join(ConvertSettings.__dataclass_fields__)}")
        values[key] = value
    unknown = sorted(set(values) - set(ConvertSettings.__dataclass_fields__))
    if unknown:
        raise UsageError(f"no setting {unknown[0]!r}; there are {', '.join(ConvertSettings.__dataclass_fields__)}")
    try:
        return TypeAdapter(ConvertSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"setting {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


# ---- the workers -----------------------------------------------------------------------------------------------------


def _work(job: Job, parts: Sequence[Part], workers: int, progress: Tick | None) -> list[Part]:
    """Convert all parts, or with a limit as many of the first ones as it takes; returns these in order."""
    made: dict[Part, int] = {}  # episodes
    batches = Batches(job.out)

    def enough() -> bool:
        prefix = list(takewhile(made.__contains__, parts))
        return job.settings.limit is not None and sum(made[part] for part in prefix) >= job.settings.limit

    told = -POLL

    def tell() -> None:
        nonlocal told
        if progress is not None and (len(made) == len(parts) or time.monotonic() - told >= POLL):
            told = time.monotonic()
            progress(len(made), len(parts), f"{batches.count()} batches of {job.batch} records")

    if workers == 1:
        for part in parts:
            made[part] = convert_part(job, part, tell)
            tell()
            if enough():
                break
        return list(made)
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting, running = iter(parts), dict[Future[int], Part]()
        try:
            while True:
                for part in islice(waiting, 0 if enough() else 2 * workers - len(running)):
                    running[pool.submit(convert_part, job, part)] = part
                if not running:
                    break
                for future in wait(running, timeout=POLL, return_when=FIRST_COMPLETED).done:
                    made[running.pop(future)] = future.result()
                tell()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [part for part in parts if part in made]


def convert_part(job: Job, part: Part, tell: Callable[[], None] = lambda: None) -> int:
    """Convert the batches of one part that are not there yet; returns the number of its episodes."""
    batches, limit = Batches(job.out), job.settings.limit
    if (finished := batches.done(part)) is not None:
        return finished
    episodes = 0
    corpus = corpus_class(job.source)(job.raw, job.settings)
    errata = load_errata(job.source).rows if job.settings.errata else {}
    numbered = enumerate(corpus.read(part))
    for number, group in groupby(numbered, key=lambda pair: pair[0] // job.batch):
        if job.parent not in (os.getpid(), os.getppid()):
            sys.exit("the conversion that this process worked for is gone")
        if not batches.has(part, number):
            batches.write(part, number, *_convert_batch(corpus, (record for _, record in group), job, errata))
        episodes += batches.episodes(part, number)
        tell()
        if limit and episodes >= limit:
            break
    batches.finish(part, episodes)
    return episodes


def _convert_batch(
    corpus: Corpus, records: Iterable[Record | Note], job: Job, errata: Mapping[str, str]
) -> tuple[Statistics, list[tuple[bytes, bytes]]]:
    tally, lines = Statistics(), list[tuple[bytes, bytes]]()
    for record in records:
        tally.records += 1
        try:
            if isinstance(record, Note):
                raise UnusableRecord(record)
            converted = corpus.convert(record)
            notes = converted.notes
            _select(converted, record.where, job.settings, errata)
            lines.append(episode_lines(_keep(converted, EpisodeStore(job.out), job)))
        except UnusableRecord as error:
            notes = error.notes
        except DataError as error:
            notes = (Note("damaged", "unreadable", record.where, str(error)),)
        for note in notes:
            if job.settings.strict and note.kind == "damaged":
                raise DataError(f"{note.where}: {note.reason}: {note.detail} (--strict stops at the first)")
            tally.note(note)
    return tally, lines


def _select(converted: Converted, where: str, settings: ConvertSettings, errata: Mapping[str, str]) -> None:
    """Raise UnusableRecord for an episode that is not asked for, is known to be bad or has no step left."""
    episode = converted.episode
    if settings.split is not None and episode.split != settings.split:
        raise UnusableRecord(Note("filtered", "another split", where, episode.split))
    if episode.episode_id in errata:
        raise UnusableRecord(Note("filtered", "erratum", where, f"{episode.episode_id}: {errata[episode.episode_id]}"))
    if not episode.steps:
        raise UnusableRecord(Note("dropped", "no steps", where, episode.episode_id), converted.notes)


def _keep(converted: Converted, store: EpisodeStore, job: Job) -> Episode:
    """The episode with its images and elements in the store and named by their places there."""
    link = job.settings.images == "link"
    images = {name: store.keep_image(image, link) for name, image in converted.images.items()}
    elements = {name: store.put_elements(items) for name, items in converted.elements.items()}
    described = False

    def stored(step: EpisodeStep) -> EpisodeStep:
        nonlocal described
        if step.screenshot is None and step.elements is None:
            return step
        abstraction = step.abstraction
        if not abstraction and job.describe is not None and step.screenshot is not None:
            abstraction, described = job.describe(converted.images[step.screenshot]), True
        return replace(
            step,
            screenshot=step.screenshot and images[step.screenshot],
            elements=step.elements and elements[step.elements],
            abstraction=abstraction,
        )

    episode = converted.episode
    steps = tuple(map(stored, episode.steps))
    labels = {**episode.labels, **({"abstraction": job.describe.name} if described and job.describe else {})}
    files = tuple(images.get(file, file) for file in episode.files)
    return replace(episode, steps=steps, files=files, labels=labels)


# ---- what is said of it ----------------------------------------------------------------------------------------------


def _summary(kind: type[Corpus], settings: ConvertSettings, total: Statistics) -> dict[str, Any]:
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
        "settings": _given(settings),
        "version": version("tracer1"),
        "records": total.records,
        "episodes": lengths.total(),
        "steps": sum(length * times for length, times in lengths.items()),
        "length": _spread(lengths),
        "counts": counts,
        "skipped": {reason: said for kind in notes for reason, said in notes[kind].items() if kind != "changed"},
        "notes": notes,
    }


def _given(settings: ConvertSettings) -> dict[str, Any]:
    """The settings; without the map where there is none, so that conversions of earlier versions stay finished."""
    return {key: value for key, value in asdict(settings).items() if key != "map" or value is not None}


def _origin(settings: ConvertSettings) -> dict[str, str]:
    """What a map says of where its rows come from."""
    if settings.map is None:
        return {}
    mapping = parse_json(settings.map)
    return {key: mapping[key] for key in ("source", "url", "licence", "citation")}


def _spread(lengths: Counter[int]) -> dict[str, float] | None:
    """Least, median, mean and greatest number of steps of an episode."""
    if not lengths:
        return None
    every = sorted(lengths.elements())
    return {"least": every[0], "median": median(every), "mean": round(fmean(every), 2), "greatest": every[-1]}


def _by_number(item: tuple[str, int]) -> tuple[float, str]:
    return (float(item[0]) if item[0].isdigit() else math.inf, item[0])


def _bytes(path: Path) -> int:
    """Of a file, or of those in a folder."""
    return sum(file.stat().st_size for file in _inside(path)) if path.is_dir() else path.stat().st_size


def _checksum(path: Path) -> str:
    """Of a file's bytes; of a folder, that of its files' names and checksums."""
    if path.is_dir():
        lines = (f"{_checksum(file)}  {file.name}\n" for file in _inside(path))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _relative(file: Path, raw: Path) -> str:
    return file.relative_to(raw).as_posix() if file != raw and file.is_relative_to(raw) else file.name


def _hash(task: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()
