"""The data that a run makes for itself before it trains: demonstrations from the browser, cut into windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tracer1.config.settings import Config, RecordSettings
from tracer1.data.recordings import Recording, missing_data, missing_episodes
from tracer1.data.windows import make_windows
from tracer1.progress import progress

Say = Callable[[str], None]


def ensure_data(config: Config, say: Say) -> None:
    """Record demonstrations and cut them into windows, where ``data.record`` asks for it and the files are missing."""
    _make(config, missing_data(config), say)


def ensure_episodes(config: Config, say: Say) -> None:
    """The same for the demonstrations that the warm-up learns from."""
    _make(config, missing_episodes(config), say)


def data_plan(recordings: Iterable[Recording]) -> list[str]:
    """What would be made, in words."""
    return [
        f"data: {each.windows or each.store} is missing; it would be "
        + (f"recorded, {each.episodes} episodes of each task" if each.must_record else f"cut from {each.store}")
        for each in recordings
    ]


def _make(config: Config, recordings: Iterable[Recording], say: Say) -> None:
    for recording in recordings:
        if recording.must_record and config.data.record is not None:
            _record(config.data.record, recording, say)
        if recording.windows is not None:
            _cut(config, recording, say)


def _record(record: RecordSettings, recording: Recording, say: Say) -> None:
    from tracer1.recipes.record import record_miniwob  # the one import here that needs a browser

    with progress(f"recording {recording.split} demonstrations") as tick:
        report = record_miniwob(
            record.tasks,
            recording.episodes,
            recording.first_seed,
            recording.store,
            scale=record.scale,
            pages=record.pages,
            split=recording.split,
            progress=tick,
        )
    say(
        f"Recorded {report.kept} {recording.split} episodes, {report.steps} steps, in {report.seconds:.0f} s "
        f"({report.failed} failed)."
    )


def _cut(config: Config, recording: Recording, say: Say) -> None:
    say(f"Cutting {recording.split} windows ...")
    plan = config.plan
    assert recording.windows is not None
    made = make_windows(recording.store, recording.windows, plan.horizon, plan.history, plan.prompt_version)
    say(f"{made.windows} windows in {recording.windows}.")
