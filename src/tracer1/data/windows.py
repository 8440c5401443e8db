"""Recorded episodes to training windows: the ``tracer1 data windows`` command without its argument parsing."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tracer1.data.card import write_card
from tracer1.data.store import count_lines, episodes_file, read_episodes_or_errors
from tracer1.data.validation import invalid_fields
from tracer1.data.windows_file import RowFile, Store, open_rows
from tracer1.errors import DataError, UsageError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_rows
from tracer1.types import Episode

NAMED = 20  # invalid episodes that a report names; the others are counted


@dataclass(frozen=True, slots=True)
class WindowsReport:
    """What was written. ``first_action_types`` counts the windows by the type of the step to be taken next."""

    out: Path
    episodes: int
    windows: int  # in ``out``
    sources: dict[str, int]  # windows by source, those held out included
    first_action_types: dict[str, int]
    seconds: float
    card: Path | None  # the README.md beside them; None where somebody's own stands there
    heldout: Path | None = None
    heldout_windows: int = 0
    invalid: int = 0  # episodes left out, with skip_invalid
    invalid_first: tuple[str, ...] = ()  # the first NAMED of them: file, line, field and what is wrong


@dataclass(slots=True)
class _Counts:
    """What one pass over the stores counts."""

    read: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    first: list[str] = field(default_factory=list)


def make_windows(
    stores: Store | Sequence[Store],
    out: Path | str,
    horizon: int = 5,
    history: int = 5,
    prompt_version: str = "full-2-thinking",
    *,
    heldout: float = 0.0,
    heldout_out: Path | str | None = None,
    skip_invalid: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> WindowsReport:
    """Write one window for every recorded step to the Parquet file ``out``, and the dataset card beside it.

    stores: one episode store or several; the file records which one the paths of a row are relative to.
    horizon: T, steps of the reference continuation; history: K, past steps in the prompt.
    heldout: this share of the episodes, chosen by a hash of their ids, goes to ``heldout_out`` instead, by default
    ``OUT.heldout.parquet``.
    skip_invalid: leave out invalid episodes and count them. ``progress`` gets the number of episodes read, and that
    of all. Raises UsageError for impossible numbers or an unknown prompt, DataError for an invalid record, for an id
    that two stores have, or where nothing is left; then nothing is written.
    """
    _check_wishes(horizon, history, prompt_version, heldout)
    started = time.monotonic()
    given = [stores] if isinstance(stores, Path | str) else list(stores)
    folders = [episodes_file(store).parent for store in given]
    total = sum(map(count_lines, given)) if progress else 0
    counts = _Counts()
    out = Path(out)
    apart = Path(heldout_out or out.with_name(f"{out.stem}.heldout.parquet")) if heldout else None
    settings: dict[str, str | int] = {"horizon": horizon, "history": history, "prompt": prompt_version}
    spec = PROMPTS[prompt_version]
    extra = {"heldout": str(heldout)} if apart else {}
    with (
        open_rows(out, folders, settings | extra | ({"heldout_out": apart.name} if apart else {})) as train,
        open_rows(apart, folders, settings | extra | {"heldout_of": out.name}) if apart else nullcontext(train) as held,
    ):
        for number, episode in _valid_episodes(given, counts, skip_invalid):
            file = held if apart and is_heldout(episode.episode_id, heldout) else train
            for row in episode_rows(episode, spec, history, horizon):
                file.add(row if len(given) == 1 else {**row, "store": number})
            if progress:
                progress(counts.read, total)
        _check_not_empty(given, counts, train, held, heldout)
    return WindowsReport(
        out,
        counts.read - counts.invalid,
        train.count,
        dict(+counts.sources),
        dict(counts.kinds),
        time.monotonic() - started,
        write_card(out.parent),
        apart,
        held.count if apart else 0,
        counts.invalid,
        tuple(counts.first),
    )


def is_heldout(episode_id: str, share: float) -> bool:
    """Whether an episode belongs to the held-out share; the same answer wherever and whenever it is asked."""
    digest = hashlib.sha256(episode_id.encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def _check_wishes(horizon: int, history: int, prompt_version: str, heldout: float) -> None:
    if prompt_version not in PROMPTS:
        raise UsageError(f"unknown prompt version '{prompt_version}': use {' or '.join(PROMPTS)}")
    if horizon < 1 or history < 0:
        raise UsageError(f"horizon {horizon} and history {history}: at least 1 step ahead and 0 steps back")
    if not 0 <= heldout < 1:
        raise UsageError(f"heldout {heldout}: give a share of the episodes, such as 0.05")


def _valid_episodes(stores: Sequence[Store], counts: _Counts, skip_invalid: bool) -> Iterator[tuple[int, Episode]]:
    """(number of its store, episode) of each episode that windows can be made of."""
    owners: dict[bytes, int] = {}  # by a short hash of the id, to find ids that two stores have
    for number, store in enumerate(stores):
        for where, episode in read_episodes_or_errors(store):
            counts.read += 1
            problem = _problem(where, episode)
            if isinstance(episode, Episode) and problem is None and len(stores) > 1:
                key = hashlib.blake2b(episode.episode_id.encode(), digest_size=8).digest()
                if (owner := owners.setdefault(key, number)) != number:
                    problem = f"{where}: episode_id: {episode.episode_id!r} is in {stores[owner]} too"
            if isinstance(episode, Episode) and problem is None:
                counts.sources[episode.source] += len(episode.steps)
                counts.kinds.update([step.action.action_type for step in episode.steps])
                yield number, episode
                continue
            if not skip_invalid:
                raise DataError(f"{problem}; correct it, or leave such episodes out with --skip-invalid")
            counts.invalid += 1
            counts.first += [str(problem)] if counts.invalid <= NAMED else []


def _problem(where: str, episode: Episode | DataError) -> str | None:
    """The first thing that is wrong with a line of a store, with its file, line and field."""
    if isinstance(episode, DataError):
        return str(episode)
    return next((f"{where}: {name}: {message}" for name, message in invalid_fields(episode)), None)


def _check_not_empty(stores: Sequence[Store], counts: _Counts, train: RowFile, held: RowFile, share: float) -> None:
    names = ", ".join(map(str, stores))
    if not counts.sources.total():
        left_out = f" ({counts.invalid} invalid, first: {counts.first[0]})" if counts.invalid else ""
        raise DataError(f"{names}: {counts.read} episodes{left_out} and no step in them; record or convert some first")
    for name, file in (("held-out", held), ("training", train)):
        if not file.count:
            raise DataError(
                f"{names}: of {counts.read} episodes none is in the {name} share; give another --heldout than {share}"
            )
