"""What must hold of any converted corpus: it inspects clean, makes windows, and its own plans earn all there is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tracer1.actions import validate
from tracer1.data.conversion.batches import episode_lines
from tracer1.data.conversion.corpus import Corpus, RawRecord, UnusableRecord
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.records import episode_from_json, episode_to_json
from tracer1.data.store import read_episodes
from tracer1.data.windows import make_windows
from tracer1.data.windows_file import read_windows
from tracer1.errors import DataError
from tracer1.plan.text import render_plan
from tracer1.rewards.terms import repetitions
from tracer1.rewards.trajectory import PROFILES, score_trajectory
from tracer1.types import Episode, Plan


def check_whole(out: Path, windows: Path) -> None:
    """Of the store ``out``; ``windows`` is a Parquet file to write."""
    episodes = list(read_episodes(out))
    assert [str(problem) for problem in inspect_path(out).problems] == []
    make_windows(out, windows)
    steps = 0
    for window in read_windows(windows):
        steps += 1
        reference = window.reference.steps
        score = score_trajectory(render_plan(Plan(reference, "t", window.step + 1)), reference, PROFILES["paper"])
        repeated = 0.1 * repetitions([step.action_type for step in reference])
        assert score.format == 1.0
        assert score.accuracy == pytest.approx(max(0.0, 1 - repeated), abs=1e-12), window.episode_id
        if not repeated:
            assert score.overall == 1.0
    assert steps == sum(len(episode.steps) for episode in episodes)


def by_id(out: Path) -> dict[str, Episode]:
    return {episode.episode_id: episode for episode in read_episodes(out)}


def reasons(conversion: dict[str, object], kind: str) -> dict[str, int]:
    """How often each reason of a kind was noted."""
    notes = conversion["notes"]
    assert isinstance(notes, dict)
    return {reason: said["count"] for reason, said in notes.get(kind, {}).items()}


def actions(episode: Episode) -> Iterator[str]:
    """The action types in order."""
    return (step.action.action_type for step in episode.steps)


ODD = (
    None,
    True,
    "",
    " ",
    "\ud83d",
    "\0",
    "../..",
    "a" * 300,
    "[" * 3000,
    -1,
    1001,
    10**400,
    1e300,
    0.5,
    [],
    [[]],
    [[1, 2], [3]],
    ["a", "b"],
    [1, 2, 3, 4],
    {},
    {"a": []},
)


@st.composite
def broken(draw: st.DrawFn, record: Any) -> Any:
    """A record with one to three of its values, at any depth, replaced or taken out."""
    record = copy.deepcopy(record)
    for _ in range(draw(st.integers(1, 3))):
        at = record
        while True:
            keys = sorted(at) if isinstance(at, dict) else range(len(at))
            key = draw(st.sampled_from(keys)) if keys else None
            if key is None or (isinstance(at[key], dict | list) and at[key] and draw(st.booleans())):
                if key is None:
                    break
                at = at[key]
                continue
            if draw(st.booleans()):
                at[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
            else:
                del at[key]
            break
    return record


def check_broken(corpus: Corpus, record: RawRecord, data: Any) -> None:
    """Of a broken record no Episode is made, and why is said with its place; or one that is in order."""
    try:
        converted = corpus.convert(replace(record, data=data))
    except UnusableRecord as error:
        episode, notes = None, error.notes
    else:
        episode, notes = converted.episode, converted.notes
    for note in notes:
        assert note.where.startswith(record.where)
        f"{note.where}{note.reason}{note.detail}".encode()  # or no file could hold it
    for step in episode.steps if episode else ():
        validate(step.action, episode.platform, episode.source)
        assert step.instruction.strip()
    if episode is None or not episode.steps:
        return
    assert (episode.steps[-1].status == "done") != bool(episode.labels.get("end_missing"))
    with suppress(DataError):  # of half a surrogate pair, which no file can hold
        episode_lines(episode)
        assert episode_from_json(episode_to_json(episode)) == episode
