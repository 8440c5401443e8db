"""Recorded episodes to training instances: the ``tracer1 data windows`` command without its argument parsing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracer1.data.card import write_card
from tracer1.data.store import count_lines, episodes_file, read_episodes
from tracer1.data.windows_file import write_rows
from tracer1.errors import DataError, UsageError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_rows


@dataclass(frozen=True, slots=True)
class WindowsReport:
    """What was written. ``first_action_types`` counts the windows by the type of the step to be taken next."""

    out: Path
    episodes: int
    windows: int
    sources: dict[str, int]  # windows by source
    first_action_types: dict[str, int]
    seconds: float
    card: Path | None  # the README.md beside them; None where one stands that we did not write


def make_windows(
    episodes_dir: Path | str,
    out: Path | str,
    horizon: int = 5,
    history: int = 5,
    prompt_version: str = "full-2-thinking",
    progress: Callable[[int, int], None] | None = None,
) -> WindowsReport:
    """Write one window per recorded step to the Parquet file ``out``, which names the store its images lie in, and the
    dataset card beside it.

    horizon: T, steps of the reference continuation; history: K, past steps in the prompt. ``progress`` is told the
    number of episodes read, and that of all. Raises UsageError for impossible numbers or an unknown prompt, DataError
    for a record that cannot be read or a store without a step; then nothing is written.
    """
    if prompt_version not in PROMPTS:
        raise UsageError(f"unknown prompt version '{prompt_version}': use {' or '.join(PROMPTS)}")
    if horizon < 1 or history < 0:
        raise UsageError(f"horizon {horizon} and history {history}: at least 1 step ahead and 0 steps back")
    started = time.monotonic()
    store = episodes_file(episodes_dir).parent
    sources: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    read, lines = 0, count_lines(episodes_dir) if progress else 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal read
        for episode in read_episodes(episodes_dir):
            yield from episode_rows(episode, PROMPTS[prompt_version], history, horizon)
            sources[episode.source] += len(episode.steps)
            kinds.update(step.action.action_type for step in episode.steps)
            read += 1
            if progress:
                progress(read, lines)
        if not sources.total():
            raise DataError(f"{episodes_dir}: {read} episodes and no step in them; record or convert some first")

    settings: dict[str, str | int] = {"horizon": horizon, "history": history, "prompt": prompt_version}
    count = write_rows(out, rows(), store, settings)
    card = write_card(Path(out).parent)
    return WindowsReport(Path(out), read, count, dict(+sources), dict(kinds), time.monotonic() - started, card)
