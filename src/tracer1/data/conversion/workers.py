"""The workers of a conversion: each takes a shard and writes its batches. A worker ends when its parent ends."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby, islice, takewhile
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Protocol

from tracer1.data.conversion.batches import BatchFolder, episode_lines
from tracer1.data.conversion.corpus import (
    ConvertedEpisode,
    ConvertSettings,
    Corpus,
    Note,
    RawRecord,
    Shard,
    UnusableRecord,
)
from tracer1.data.conversion.statistics import Statistics
from tracer1.data.corpora.registry import corpus_class, load_errata
from tracer1.data.images import Image
from tracer1.data.store import EpisodeStore
from tracer1.errors import DataError
from tracer1.progress import Tick
from tracer1.types import Episode, EpisodeStep

POLL = 1.0  # seconds between progress reports
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ScreenDescriber(Protocol):
    """Describes a screen in one line where the corpus does not. It is pickled for the workers."""

    name: str  # recorded in each episode

    def __call__(self, image: Image) -> str: ...


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a worker needs."""

    source: str
    raw: Path
    out: Path
    settings: ConvertSettings
    describe: ScreenDescriber | None
    batch: int
    parent: int  # process id


# ---- many shards -----------------------------------------------------------------------------------------------------


class _Progress:
    """The shards that are done, with their numbers of episodes."""

    def __init__(self, job: Job, shards: Sequence[Shard], tick: Tick | None) -> None:
        self.job, self.shards, self.tick = job, shards, tick
        self.episodes: dict[Shard, int] = {}
        self._reported = -POLL

    def enough(self) -> bool:
        """Whether the shards done without a gap from the first on hold as many episodes as the limit asks for."""
        done = takewhile(self.episodes.__contains__, self.shards)
        limit = self.job.settings.limit
        return limit is not None and sum(self.episodes[shard] for shard in done) >= limit

    def report(self) -> None:
        """Report at most once in POLL seconds, and at the end."""
        whole = len(self.episodes) == len(self.shards)
        if self.tick is not None and (whole or time.monotonic() - self._reported >= POLL):
            self._reported = time.monotonic()
            batches = BatchFolder(self.job.out).count()
            self.tick(len(self.episodes), len(self.shards), f"{batches} batches of {self.job.batch} records")


def convert_shards(job: Job, shards: Sequence[Shard], workers: int, tick: Tick | None) -> list[Shard]:
    """Convert all shards, or with a limit as many of the first ones as it needs. Returns these in order."""
    progress = _Progress(job, shards, tick)
    if workers == 1:
        for shard in shards:
            progress.episodes[shard] = convert_shard(job, shard, progress.report)
            progress.report()
            if progress.enough():
                break
    else:
        _convert_in_processes(job, workers, progress)
    return [shard for shard in shards if shard in progress.episodes]


def _convert_in_processes(job: Job, workers: int, progress: _Progress) -> None:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    waiting, running = iter(progress.shards), dict[Future[int], Shard]()
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, end_with_parent, (job.parent,)) as pool:
        try:
            while True:
                with _interrupts_held_back():
                    for shard in islice(waiting, 0 if progress.enough() else 2 * workers - len(running)):
                        running[pool.submit(convert_shard, job, shard)] = shard
                if not running:
                    break
                for future in wait(running, timeout=POLL, return_when=FIRST_COMPLETED).done:
                    progress.episodes[running.pop(future)] = future.result()
                progress.report()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()  # a batch is written whole or not at all
            raise


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Deliver a Ctrl-C after the block: a pool that is interrupted while it starts a worker waits for it for ever.

    Workers that start in the block leave Ctrl-C to their parent, which terminates them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(parent: int) -> None:
    """Make this worker end when the process ``parent`` ends, however that was killed.

    Linux sends SIGKILL; elsewhere, and for the moment before that is set up, a thread waits for the parent's pipe.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)  # sys.exit would end this thread alone


# ---- one shard -------------------------------------------------------------------------------------------------------


def convert_shard(job: Job, shard: Shard, report: Callable[[], None] = lambda: None) -> int:
    """Convert the batches of one shard that do not exist yet. Returns the shard's number of episodes."""
    batches, limit = BatchFolder(job.out), job.settings.limit
    if (finished := batches.done(shard)) is not None:
        return finished
    episodes = 0
    corpus = corpus_class(job.source)(job.raw, job.settings)
    errata = load_errata(job.source).rows if job.settings.errata else {}
    numbered = enumerate(corpus.read(shard))
    for number, group in groupby(numbered, key=lambda pair: pair[0] // job.batch):
        if not batches.has(shard, number):
            batches.write(shard, number, *_convert_batch(corpus, (record for _, record in group), job, errata))
        episodes += batches.episodes(shard, number)
        report()
        if limit and episodes >= limit:
            break
    batches.finish(shard, episodes)
    return episodes


def _convert_batch(
    corpus: Corpus, records: Iterable[RawRecord | Note], job: Job, errata: Mapping[str, str]
) -> tuple[Statistics, list[tuple[bytes, bytes]]]:
    statistics, lines = Statistics(), list[tuple[bytes, bytes]]()
    for record in records:
        statistics.records += 1
        try:
            if isinstance(record, Note):
                raise UnusableRecord(record)
            converted = corpus.convert(record)
            notes = converted.notes
            _check_wanted(converted, record.where, job.settings, errata)
            lines.append(episode_lines(_store(converted, EpisodeStore(job.out), job)))
        except UnusableRecord as error:
            notes = error.notes
        except DataError as error:
            notes = (Note("damaged", "unreadable", record.where, str(error)),)
        for note in notes:
            if job.settings.strict and note.kind == "damaged":
                raise DataError(f"{note.where}: {note.reason}: {note.detail} (--strict stops at the first)")
            statistics.note(note)
    return statistics, lines


def _check_wanted(
    converted: ConvertedEpisode, where: str, settings: ConvertSettings, errata: Mapping[str, str]
) -> None:
    """Raise UnusableRecord for an episode of another split, one listed as bad, and one without steps."""
    episode = converted.episode
    if settings.split is not None and episode.split != settings.split:
        raise UnusableRecord(Note("filtered", "another split", where, episode.split))
    if episode.episode_id in errata:
        raise UnusableRecord(Note("filtered", "erratum", where, f"{episode.episode_id}: {errata[episode.episode_id]}"))
    if not episode.steps:
        raise UnusableRecord(Note("dropped", "no steps", where, episode.episode_id), converted.notes)


def _store(converted: ConvertedEpisode, store: EpisodeStore, job: Job) -> Episode:
    """Put the images and elements into the store. Returns the episode with their paths there."""
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
