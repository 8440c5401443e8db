"""Pre-flight of a windows file in one pass: its rows, their images, their length, and what the recorded plans earn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tracer1.checks.findings import CheckItem, some, split_remedy
from tracer1.checks.gold import GoldScores, gold_plan, name_of
from tracer1.checks.tokens import TextCounter, plans_item, prompts_item
from tracer1.data.images import image_size
from tracer1.data.store import EpisodeStore
from tracer1.data.validation import invalid_window
from tracer1.data.windows_file import absolute_rows, read_rows, row_store, row_to_window, windows_stores
from tracer1.errors import DataError, FrameError, TraceR1Error
from tracer1.evaluation.constant_plan import best_constant_plan, describe
from tracer1.plan.tokens import PromptSize, Vision
from tracer1.rewards.grounded import GroundedProfile
from tracer1.rewards.trajectory import TrajectoryProfile
from tracer1.training.scoring import GroundedScorer
from tracer1.types import Executor, Size, Window

BATCH = 512  # rows whose text is tokenised at a time
TRIED = 16  # rows on which the executor is tried


@dataclass(frozen=True, slots=True)
class Measure:
    """How rows are measured and scored: the planner's tokens and images, the limits, and the configured rewards."""

    text: TextCounter
    vision: Vision
    prompt_limit: int  # tokens
    plan_limit: int
    trajectory: TrajectoryProfile
    grounded: GroundedProfile | None  # None: stage 2 is not run
    executor: Executor | None  # None: it is not tried


@dataclass(slots=True)
class _Rows:
    """The result of one pass over a file."""

    count: int = 0
    images: dict[Path, Size | None] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)  # rows that can be read, and must not be trained on
    bad_images: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the rows that were measured
    prompts: list[PromptSize] = field(default_factory=list)
    plans: list[int] = field(default_factory=list)  # tokens, with the one that ends it
    gold: GoldScores = field(default_factory=GoldScores)
    references: Counter[tuple[str, ...]] = field(default_factory=Counter)  # the recorded action types


def check_rows(name: str, file: str, measure: Measure) -> tuple[int, list[CheckItem]]:
    """The number of rows of a windows file, and the findings on it. ``name``: train or heldout."""
    try:
        rows = _read_all(file, windows_stores(file), measure)
    except DataError as error:
        return 0, [CheckItem(f"{name} data", False, *split_remedy(error))]
    items = _data_items(name, file, rows)
    items += rows.gold.items(name, grounded=measure.grounded is not None)
    items += _constant_items(name, rows, measure.trajectory)
    exact = measure.text.exact
    items.append(
        prompts_item(
            f"{name} prompt tokens", rows.names, rows.prompts, measure.prompt_limit, measure.vision, exact=exact
        )
    )
    items.append(plans_item(f"{name} plan tokens", rows.names, rows.plans, measure.plan_limit, exact))
    if measure.executor and measure.grounded and rows.count and not (rows.unread or rows.invalid or rows.bad_images):
        scorer = GroundedScorer(measure.grounded, measure.executor)
        items.append(_executor_item(name, file, scorer, rows.count))
    return rows.count, items


def _data_items(name: str, file: str, rows: _Rows) -> list[CheckItem]:
    """The findings on what can be read."""
    look = f"look at them with `tracer1 data inspect {file}`, then record or convert those episodes again"
    detail = f"{file}: {rows.count} rows"
    detail += f"; unreadable: {some(rows.unread)}" if rows.unread else ""
    detail += f"; {len(rows.invalid)} invalid: {some(rows.invalid)}" if rows.invalid else ""
    sound = bool(rows.count) and not (rows.unread or rows.invalid)
    bad_images = f"; unreadable: {some(rows.bad_images)}" if rows.bad_images else ""
    return [
        CheckItem(f"{name} data", sound, detail, look),
        CheckItem(f"{name} images", not rows.bad_images, f"{len(rows.images)} files{bad_images}", look),
    ]


def _read_all(file: str, stores: Sequence[EpisodeStore], measure: Measure) -> _Rows:
    rows, numbered = _Rows(), enumerate(read_rows(file))
    while batch := list(islice(numbered, BATCH)):
        _read(batch, stores, measure, rows)
    return rows


def _read(
    batch: Iterable[tuple[int, dict[str, Any]]], stores: Sequence[EpisodeStore], measure: Measure, rows: _Rows
) -> None:
    windows, golds, sizes = [], [], []
    for number, row in batch:
        rows.count += 1
        try:
            window = row_to_window(row, f"row {number}")
            store = row_store(stores, row, f"row {number}")
        except DataError as error:
            rows.unread.append(str(error))
            continue
        if problems := invalid_window(window):
            rows.invalid.append(f"row {number}: {': '.join(problems[0])}")
        gold = gold_plan(window)
        rows.references[tuple(step.action_type for step in window.reference.steps)] += 1
        rows.gold.add(window, gold, measure.trajectory, measure.grounded)
        images = [_image(path, window, store, measure.vision, rows) for path in window.images]
        if None not in images:
            windows.append(window)
            golds.append(gold)
            sizes.append(tuple(size for size in images if size is not None))
    if windows:
        texts = measure.text.prompts([window.prompt for window in windows])
        rows.names += map(name_of, windows)
        rows.prompts += map(PromptSize, texts, sizes)
        rows.plans += [tokens + 1 for tokens in measure.text.texts(golds)]


def _image(path: str, window: Window, store: EpisodeStore, vision: Vision, rows: _Rows) -> Size | None:
    """The size in the header, read once however many rows show the image; None where it cannot be used."""
    key = store.directory / path
    if key not in rows.images:
        try:
            size = image_size(store.path(path))
            vision.tokens(size)
            rows.images[key] = size
        except (DataError, FrameError) as error:
            rows.images[key] = None
            rows.bad_images.append(f"{name_of(window)}: {error}")
    return rows.images[key]


def _constant_items(name: str, rows: _Rows, profile: TrajectoryProfile) -> list[CheckItem]:
    """What a plan earns that is the same for every row: a planner that earns no more has not looked at the screen."""
    best = best_constant_plan(rows.references.elements(), profile)
    detail = f"best constant plan earns {best.plan_reward or 0.0:.3f} in stage 1: {describe(best)}"
    return [CheckItem(f"{name} constant plan", True, detail)] if rows.references else []


def _executor_item(name: str, file: str, scorer: GroundedScorer, count: int) -> CheckItem:
    """The configured executor on an even sample of the recorded first steps; stage 2 cannot teach what it misses."""
    rows = list(islice(absolute_rows(file), 0, None, -(-count // TRIED)))
    missed = [reason for row in rows if (reason := _missed(row, scorer)) is not None]
    detail = f"{len(rows) - len(missed)} of {len(rows)} recorded first steps hit their recorded target"
    detail += f"; not {some(missed)}" if missed else ""
    remedy = "stage 2 teaches nothing where its executor fails: choose another, or reword those steps"
    return CheckItem(f"{name} executor", not missed, detail, remedy, optional=len(missed) < len(rows))


def _missed(row: dict[str, Any], scorer: GroundedScorer) -> str | None:
    """The row and why the executor missed its target, or None."""
    window = row_to_window(row)
    try:
        (score,) = scorer([gold_plan(window)], [row])
    except TraceR1Error as error:
        return f"{name_of(window)}: {error}"
    if score.accuracy == 1:
        return None
    return f"{name_of(window)}: {score.unscored or window.reference.steps[0].instruction}"
