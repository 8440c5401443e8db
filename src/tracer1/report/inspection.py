"""An inspection as one self-contained page: counts, samples with the recorded action on the screenshot, problems.

What the records hold is shown as text, and the page asks the network for nothing, as in ``report/html.py``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracer1.actions import is_tool
from tracer1.data.inspection.result import Inspection, Opener, Sample, kind_of_field, ranked
from tracer1.data.store import EPISODES
from tracer1.errors import DataError
from tracer1.files import write_atomic
from tracer1.formats import is_image_name
from tracer1.report.formatting import as_words, cut
from tracer1.report.overlay import Overlay, overlay
from tracer1.report.pictures import Picture, PictureBudget
from tracer1.report.rendering import script, template
from tracer1.types import Action, Box, Episode, EpisodeStep, Point, Size, Step, Window

ROOM = 9_000_000  # bytes of a page for its pictures
COUNTS_SHOWN = 16  # of each table
MOST_TEXT = 20_000  # characters of one text
MOST_CHIP = 120  # characters of an argument that stands beside its action; a longer one has a place of its own

PictureLoader = Callable[[str | None], tuple[Picture | None, str]]


@dataclass(frozen=True, slots=True)
class Bars:
    """A count table: (name, count, per cent of the largest), the most frequent first."""

    title: str
    rows: tuple[tuple[str, int, float], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture with what is drawn on it, or why there is none."""

    picture: Picture | None
    missing: str
    over: Overlay | None
    name: str  # the file's

    @property
    def tall(self) -> bool:
        return self.picture is not None and self.picture.height > self.picture.width


@dataclass(frozen=True, slots=True)
class StepView:
    """One step. ``chips``: the action's short arguments by name. ``texts``: what is arguments at length, by name."""

    number: int
    kind: str
    is_tool: bool
    chips: tuple[tuple[str, str], ...]
    screen: Screen | None
    screen_text: str
    instruction: str
    abstraction: str
    done: bool
    texts: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SampleView:
    """A sample. Of an episode ``cards``; of a window ``prompt``, ``screens`` and ``steps``; of a record ``texts``."""

    anchor: str
    title: str
    row: str
    goal: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    cards: tuple[StepView, ...] = ()
    screens: tuple[Screen, ...] = ()
    prompt: tuple[tuple[str, str], ...] = ()  # role and text
    steps: tuple[Step, ...] = ()
    first: StepView | None = None  # a window's recorded first action
    texts: tuple[tuple[str, str], ...] = ()


def write_page(found: Inspection, out: Path) -> None:
    """Write the page of an inspection to ``out``, whole or not at all; SetupError when it cannot be written."""
    write_atomic(out, render_page(found).encode("utf-8", "replace"))


def render_page(found: Inspection) -> str:
    """The page as text."""
    load = _loader(found.open_file, PictureBudget(ROOM, sum(_pictures(sample) for sample in found.samples)))
    filters, filters_hash = script("filter.js")
    conversion = found.conversion
    return template("inspection.html").render(
        found=found,
        name=_name(found.path.resolve()),
        counts=[_bars(title, counter) for title, counter in found.counts.items()],
        facts=conversion.facts if conversion else (),
        skipped=conversion.skipped if conversion else (),
        samples=[_sample_view(sample, f"sample-{i}", load) for i, sample in enumerate(found.samples, start=1)],
        fields=ranked(found.problems.fields),
        kind_of_field=kind_of_field,
        filters=filters,
        filters_hash=filters_hash,
    )


def _name(path: Path) -> str:
    return path.parent.name if path.name == EPISODES else path.name


def _bars(title: str, counter: Counter[str]) -> Bars:
    rows = ranked(counter)
    most = rows[0][1] if rows else 1
    shown = tuple((name, count, round(100 * count / most, 2)) for name, count in rows[:COUNTS_SHOWN])
    return Bars(title, shown, len(rows) - len(shown))


# ---- pictures --------------------------------------------------------------------------------------------------------


def _pictures(sample: Sample) -> int:
    """How many pictures a sample may load."""
    item = sample.item
    if isinstance(item, Episode):
        files = sum(is_image_name(name) for name in item.files)
        return files + sum(step.screenshot is not None for step in item.steps)
    return len(item.images) if isinstance(item, Window) else 0


def _loader(open_file: Opener, budget: PictureBudget) -> PictureLoader:
    """A function from an image's name to (its picture, or None and why)."""

    def load(name: str | None) -> tuple[Picture | None, str]:
        if name is None:
            return None, "no screenshot"
        try:
            made = budget.add(open_file(name))
        except FileNotFoundError:
            return None, "the image is not there"
        except OSError as error:
            return None, f"the image cannot be read ({error.strerror})"
        except DataError as error:
            return None, str(error)
        return made, "" if made else "left out, to keep the page small; show fewer samples"

    return load


def _screen(load: PictureLoader, name: str, over: Overlay | None = None) -> Screen:
    picture, missing = load(name)
    return Screen(picture, missing, over, name)


# ---- samples ---------------------------------------------------------------------------------------------------------


def _sample_view(sample: Sample, anchor: str, load: PictureLoader) -> SampleView:
    item, row = sample.item, sample.place.row
    if isinstance(item, Episode):
        return _episode(item, anchor, row, load)
    if isinstance(item, Window):
        return _window(item, anchor, row, load)
    return SampleView(anchor, "Record", row, texts=(("", cut(_json(item), MOST_TEXT)),))


def _episode(episode: Episode, anchor: str, row: str, load: PictureLoader) -> SampleView:
    facts = [("source", episode.source), ("platform", episode.platform), ("split", episode.split)]
    facts += [("steps", str(len(episode.steps))), *_labels(episode.labels)]
    facts += [("file", name) for name in episode.files if not is_image_name(name)]
    return SampleView(
        anchor,
        episode.episode_id,
        row,
        cut(episode.goal, MOST_TEXT),
        tuple(facts),
        tuple(_step_view(step, i, load) for i, step in enumerate(episode.steps, start=1)),
        tuple(_screen(load, name) for name in episode.files if is_image_name(name)),
        texts=_texts(("answer", episode.answer)),
    )


def _step_view(step: EpisodeStep, number: int, load: PictureLoader) -> StepView:
    screen = None
    if step.screenshot is not None:
        screen = _screen(load, step.screenshot, overlay(step.action, step.box))
    texts = _texts(("thought", step.thought), *_long(step.action), ("observation", step.observation))
    facts = (*_facts(step.size, step.box), *_labels(step.labels))
    return StepView(
        number,
        step.action.action_type,
        is_tool(step.action.action_type),
        _chips(step.action, step.size),
        screen,
        cut(step.text or "", MOST_TEXT),
        cut(step.instruction, MOST_TEXT),
        cut(step.abstraction, MOST_TEXT),
        step.status == "done",
        texts,
        facts,
    )


def _window(window: Window, anchor: str, row: str, load: PictureLoader) -> SampleView:
    reference = window.reference
    drawn = overlay(reference.action, reference.box) if reference.action else None
    last = len(window.images) - 1
    screens = tuple(_screen(load, name, drawn if i == last else None) for i, name in enumerate(window.images))
    prompt = tuple(
        (message["role"], cut("\n".join(p["text"] for p in message["content"] if p["type"] == "text"), MOST_TEXT))
        for message in window.prompt
    )
    seen = screens[last].picture if screens else None
    return SampleView(
        anchor,
        f"{window.episode_id}, step {window.step}",
        row,
        facts=(("source", window.source), *_facts(None, reference.box)),
        screens=screens,
        prompt=prompt,
        steps=reference.steps,
        first=_first_action(reference.action, (seen.width, seen.height) if seen else None),
        texts=_texts(("observation", reference.observation)),
    )


def _first_action(action: Action | None, size: Size | None) -> StepView | None:
    if action is None:
        return None
    tool = is_tool(action.action_type)
    chips, texts = _chips(action, size), _texts(*_long(action))
    return StepView(1, action.action_type, tool, chips, None, "", "", "", False, texts, ())


# ---- an action in words ----------------------------------------------------------------------------------------------


def _chips(action: Action, size: Size | None) -> tuple[tuple[str, str], ...]:
    arguments = []
    for name in ("content", "key", "direction", "app_name", "element"):
        value = getattr(action, name)
        if value is not None and len(value) <= MOST_CHIP:
            arguments.append(("" if name in ("key", "direction") else as_words(name), value))
    for name in ("point", "start_point", "end_point"):
        point = getattr(action, name)
        if point is not None:
            arguments.append((as_words(name.removesuffix("_point")), _where(point, size)))
    return tuple(arguments)


def _where(point: Point, size: Size | None) -> str:
    fractions = f"{point.x:.4g}, {point.y:.4g}"
    if size is None or not all(size) or not (abs(point.x) < 1e6 and abs(point.y) < 1e6):
        return fractions
    return f"{fractions} ({round(point.x * size[0])}, {round(point.y * size[1])} px)"


def _long(action: Action) -> list[tuple[str, str | None]]:
    """The arguments that have no room beside the action."""
    arguments: list[tuple[str, str | None]] = []
    if action.arguments is not None:
        arguments.append(("arguments", _json(action.arguments)))
    for name in ("content", "key", "app_name"):
        value = getattr(action, name)
        if value is not None and len(value) > MOST_CHIP:
            arguments.append((as_words(name), value))
    return arguments


def _texts(*pairs: tuple[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, cut(text, MOST_TEXT)) for name, text in pairs if text)


def _facts(size: Size | None, box: Box | None) -> tuple[tuple[str, str], ...]:
    facts = [("size", f"{size[0]} × {size[1]}")] if size and any(size) else []
    if box is not None:
        facts.append(("box", ", ".join(f"{edge:.4g}" for edge in box)))
    return tuple(facts)


def _labels(labels: Mapping[str, str | float | bool]) -> Sequence[tuple[str, str]]:
    return [(name, cut(value if isinstance(value, str) else json.dumps(value), 300)) for name, value in labels.items()]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=dict)
