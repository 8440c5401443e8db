"""What a run must record or cut into windows before it can train: decided here, once, for ``train`` and ``check``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tracer1.config.settings import Config, RecordSettings
from tracer1.data.store import EPISODES


@dataclass(frozen=True, slots=True)
class Recording:
    """One split of the demonstrations that ``data.record`` asks for: its episodes, and the windows cut from them."""

    split: str  # train or heldout
    store: Path
    first_seed: int
    episodes: int  # of each task
    windows: Path | None  # None: the warm-up reads the episodes themselves

    @property
    def must_record(self) -> bool:
        """Whether the episodes are missing, so that a browser is needed."""
        return not (self.store / EPISODES).exists()


def missing_data(config: Config) -> list[Recording]:
    """The splits whose windows are missing and will be made; none where ``data.record`` is not set."""
    return [each for each in _splits(config) if each.windows is not None and not each.windows.exists()]


def missing_episodes(config: Config) -> list[Recording]:
    """The demonstrations of the warm-up, if they are missing and ``data.record`` is set."""
    record, episodes = config.data.record, config.data.episodes
    if record is None or episodes is None:
        return []
    recording = Recording("train", Path(episodes), record.first_seed, record.episodes_per_task, None)
    return [recording] if recording.must_record else []


def _splits(config: Config) -> Iterator[Recording]:
    record, episodes = config.data.record, config.data.episodes
    if record is None or episodes is None:
        return
    yield _split("train", record, episodes, config.data.train_files[0])
    if config.data.heldout is not None and record.heldout_per_task:
        yield _split("heldout", record, episodes, config.data.heldout)


def _split(name: str, record: RecordSettings, episodes: str, windows: str) -> Recording:
    """One split: the held-out seeds follow the training ones."""
    train = name == "train"
    first = record.first_seed + (0 if train else record.episodes_per_task)
    count = record.episodes_per_task if train else record.heldout_per_task
    return Recording(name, Path(episodes) / name, first, count, Path(windows))
