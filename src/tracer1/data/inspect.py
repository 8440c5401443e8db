"""What is in a file of episodes, windows or other records, and what is wrong with it, row by row.

``inspect_path`` reads everything once, streaming, and keeps counts, a few samples and every problem; ``render`` makes a
page for the terminal of it. Nothing here prints.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from PIL import Image
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tracer1.actions import action_to_json, validate
from tracer1.coordinates import inside
from tracer1.data import windows_file
from tracer1.data.store import EPISODES, EpisodeStore, episode_from_json, episodes_file, json_lines, parse_json
from tracer1.errors import ActionError, DataError
from tracer1.types import Action, Box, Episode, EpisodeStep, Size, Step, Window

Kind = Literal["episodes", "windows", "records"]
SAMPLES = 3

T = TypeVar("T")


@dataclass(slots=True)
class Inspection:
    """What was found. ``counts``: tables by name. ``problems``: a line each, the row, the field, what is wrong."""

    path: Path
    kind: Kind
    rows: int = 0
    schema: dict[str, str] = field(default_factory=dict)  # field to type
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    samples: list[Any] = field(default_factory=list)  # Episode, Window or plain records
    problems: list[str] = field(default_factory=list)

    def count(self, table: str, name: str) -> None:
        self.counts.setdefault(table, Counter())[name] += 1


def inspect_path(path: Path | str, samples: int = SAMPLES) -> Inspection:
    """Read an episode store or its ``.jsonl``, a Parquet file of windows, or any other ``.jsonl``.

    Problems with rows are collected; only a path that holds none of these raises DataError.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return _inspect_windows(path, samples)
    file = episodes_file(path)
    if file.name == EPISODES or _is_episode(next((record for _, record in json_lines(file)), None)):
        return _inspect_episodes(file, samples)
    return _inspect_records(file, samples)


def _is_episode(record: Any) -> bool:
    return isinstance(record, Mapping) and "episode_id" in record and "steps" in record


class _Samples(Generic[T]):
    """An even sample of a stream: each row is kept with the same probability, the same rows at every reading."""

    def __init__(self, size: int) -> None:
        self.size, self.seen, self.kept = size, 0, list[tuple[int, T]]()
        self.rng = random.Random(0)

    def offer(self, item: T) -> None:
        self.seen += 1
        if len(self.kept) < self.size:
            self.kept.append((self.seen, item))
        elif (place := self.rng.randrange(self.seen)) < self.size:
            self.kept[place] = (self.seen, item)

    def items(self) -> list[T]:
        return [item for _, item in sorted(self.kept, key=lambda kept: kept[0])]


# ---- images ----------------------------------------------------------------------------------------------------------


def image_size(path: Path) -> Size:
    """(width, height) in pixels from the header alone; DataError names the file when there is none to read."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {_reason(error)}") from error


class _Images:
    """Checks each image of a store once, however many rows name it."""

    def __init__(self, store: EpisodeStore) -> None:
        self.store = store
        self.known: dict[str, Size | str] = {}

    def problem(self, relative: str, size: Size | None = None) -> str | None:
        """What is wrong with an image, or with the ``size`` that a record claims for it; None when all is well."""
        if relative not in self.known:
            self.known[relative] = self._look(relative)
        found = self.known[relative]
        if isinstance(found, str):
            return f"{relative}: {found}"
        if size is not None and found != size:
            return f"{relative}: the image is {found[0]}x{found[1]}, the record says {size[0]}x{size[1]}"
        return None

    def _look(self, relative: str) -> Size | str:
        try:
            data = self.store.path(relative).read_bytes()
            with Image.open(io.BytesIO(data)) as image:
                size = image.size
                image.verify()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, DataError) as error:
            return _reason(error)
        stem = Path(relative).stem
        if relative.startswith("images/") and stem != hashlib.sha256(data).hexdigest():
            return "the name is not the SHA-256 of the bytes"
        return size


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, DataError) else f"corrupt image ({type(error).__name__}: {error})"


# ---- episodes --------------------------------------------------------------------------------------------------------


def _inspect_episodes(file: Path, samples: int) -> Inspection:
    found = Inspection(file, "episodes")
    images = _Images(EpisodeStore(file.parent))
    kept: _Samples[Episode] = _Samples(samples)
    seen: dict[str, int] = {}
    for number, record in _rows(file, found):
        _learn_schema(found, record)
        try:
            episode = episode_from_json(record, f"line {number}")
        except DataError as error:
            found.problems.append(str(error))
            continue
        kept.offer(episode)
        _count_episode(found, episode)
        if (before := seen.setdefault(episode.episode_id, number)) != number:
            found.problems.append(f"line {number}: episode_id: {episode.episode_id!r} stands on line {before} too")
        found.problems += (f"line {number}: {problem}" for problem in _episode_problems(episode, images))
    found.samples = kept.items()
    return found


def _rows(file: Path, found: Inspection) -> Iterator[tuple[int, Any]]:
    """The lines that parse; one that does not is a problem of its own and ends the reading only if it is the last."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            found.rows += 1
            try:
                yield number, parse_json(line)
            except ValueError as error:
                half = "half-written last line, dropped by every reader" if not line.endswith(b"\n") else "not JSON"
                found.problems.append(f"line {number}: {half}: {error}")


def _count_episode(found: Inspection, episode: Episode) -> None:
    found.count("source", episode.source)
    found.count("platform", episode.platform)
    found.count("split", episode.split)
    if "task" in episode.labels:
        found.count("task", str(episode.labels["task"]))
    found.count("steps per episode", str(len(episode.steps)))
    for step in episode.steps:
        found.count("action type", step.action.action_type)


def _episode_problems(episode: Episode, images: _Images) -> Iterator[str]:
    for name in ("episode_id", "source", "goal"):
        if not getattr(episode, name).strip():
            yield f"{name}: empty"
    if not episode.steps:
        yield "steps: none"
        return
    for i, path in enumerate(episode.files):
        if not images.store.path(path).is_file():
            yield f"files[{i}]: {path}: no such file"
    for i, step in enumerate(episode.steps):
        for problem in _step_problems(step, images, episode):
            yield f"steps[{i}].{problem}"
        last = i == len(episode.steps) - 1
        if last and step.status != "done":
            yield f"steps[{i}].status: the episode ends with 'not done'"
        if not last and step.status == "done":
            yield f"steps[{i}].status: 'done' before the end"


def _step_problems(step: EpisodeStep, images: _Images, episode: Episode) -> Iterator[str]:
    if not step.instruction.strip():
        yield "instruction: empty"
    if step.screenshot is not None:
        if problem := images.problem(step.screenshot, step.size):
            yield f"screenshot: {problem}"
    elif episode.platform != "tools" and step.text is None:
        yield "screenshot: null, and no text in its place"
    if step.elements is not None:
        try:
            images.store.load_elements(step.elements)
        except DataError as error:
            yield f"elements: {error}"
    try:
        validate(step.action, episode.platform, episode.source)
    except ActionError as error:
        yield f"action: {error}"
    yield from _box_problems(step.action, step.box)


def _box_problems(action: Action, box: Box | None) -> Iterator[str]:
    if box is None:
        return
    x0, y0, x1, y1 = box
    if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
        yield f"box: {list(box)} is not x0 <= x1 and y0 <= y1 within 0 to 1"
    elif action.point is not None and not inside(action.point, box):
        yield f"action.point: ({action.point.x:g}, {action.point.y:g}) lies outside the box {list(box)}"


# ---- windows ---------------------------------------------------------------------------------------------------------


def _inspect_windows(path: Path, samples: int) -> Inspection:
    found = Inspection(path, "windows", schema=windows_file.schema_text(path))
    kept: _Samples[Window] = _Samples(samples)
    images = _Images(windows_file.windows_store(path))
    seen: dict[tuple[str, int], int] = {}
    for number, row in enumerate(windows_file.read_rows(path)):
        found.rows += 1
        try:
            window = windows_file.row_to_window(row, f"row {number}")
        except DataError as error:
            found.problems.append(str(error))
            continue
        kept.offer(window)
        found.count("source", window.source)
        found.count("steps in the reference", str(len(window.reference.steps)))
        for step in window.reference.steps[:1]:
            found.count("first action type", step.action_type)
        if (before := seen.setdefault((window.episode_id, window.step), number)) != number:
            found.problems.append(f"row {number}: step: {window.episode_id!r} step {window.step} is row {before} too")
        found.problems += (f"row {number}: {problem}" for problem in _window_problems(window, images))
    found.samples = kept.items()
    return found


def _window_problems(window: Window, images: _Images) -> Iterator[str]:
    if not window.prompt:
        yield "prompt: empty"
    for i, path in enumerate(window.images):
        if problem := images.problem(path):
            yield f"images[{i}]: {problem}"
    steps = window.reference.steps
    if not steps:
        yield "reference: no steps"
    for i, step in enumerate(steps):
        if not step.instruction.strip():
            yield f"reference[{i}].action.step_instruction: empty"
        if step.status == "done" and i < len(steps) - 1:
            yield f"reference[{i}].status: 'done' before the end"
    if window.reference.action is not None:
        yield from (f"reference[0].{p}" for p in _box_problems(window.reference.action, window.reference.box))


# ---- other records ---------------------------------------------------------------------------------------------------


def _inspect_records(file: Path, samples: int) -> Inspection:
    found = Inspection(file, "records")
    kept: _Samples[Any] = _Samples(samples)
    for number, record in _rows(file, found):
        if not isinstance(record, Mapping):
            found.problems.append(f"line {number}: not a JSON object")
            continue
        _learn_schema(found, record)
        kept.offer(record)
    found.samples = kept.items()
    return found


def _learn_schema(found: Inspection, record: Any) -> None:
    if isinstance(record, Mapping):
        for key, value in record.items():
            known = found.schema.get(key, "").split(" or ") if key in found.schema else []
            if _type_name(value) not in known:
                found.schema[key] = " or ".join([*known, _type_name(value)])


def _type_name(value: Any) -> str:
    if isinstance(value, list):
        return f"list of {_type_name(value[0])}" if value else "empty list"
    names = {str: "text", bool: "true/false", int: "number", float: "number", dict: "object", type(None): "null"}
    return names[type(value)]


# ---- on the terminal -------------------------------------------------------------------------------------------------

PROBLEMS_SHOWN = 50


def render(found: Inspection) -> RenderableType:
    """The inspection as tables and panels for a rich console."""
    parts: list[RenderableType] = [Text(f"{found.path}: {found.rows} {found.kind}", style="bold")]
    parts.append(_table(("field", "type"), list(found.schema.items())))
    for name, counter in found.counts.items():
        rows = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
        parts.append(_table((name, "count"), [(key, str(count)) for key, count in rows]))
    parts += [_sample(sample) for sample in found.samples]
    if not found.problems:
        parts.append(Text("no problems found", style="green"))
        return Group(*parts)
    shown = found.problems[:PROBLEMS_SHOWN]
    lines = "\n".join(shown)
    if len(found.problems) > len(shown):
        lines += f"\n... and {len(found.problems) - len(shown)} more"
    parts.append(Panel(Text(lines), title=f"{len(found.problems)} problems", border_style="red", title_align="left"))
    return Group(*parts)


def _table(columns: tuple[str, str], rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(columns[0], style="cyan")
    table.add_column(columns[1])
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _sample(sample: Any) -> Panel:
    if isinstance(sample, Episode):
        return _steps_panel(sample.episode_id, sample.goal, [_episode_row(step) for step in sample.steps])
    if isinstance(sample, Window):
        title = f"{sample.episode_id} step {sample.step}"
        texts = ((m["role"], p["text"]) for m in sample.prompt for p in m["content"] if p["type"] == "text")
        told = [text if role == "user" else f"[{role}: {len(text)} characters]" for role, text in texts]
        shown = "\n".join([*told, *(f"[image: {path}]" for path in sample.images)])
        return _steps_panel(title, shown, [_reference_row(step) for step in sample.reference.steps])
    return Panel(Text(json.dumps(sample, ensure_ascii=False, indent=1)), title="record", title_align="left")


def _steps_panel(title: str, text: str, rows: list[tuple[str, str, str, str]]) -> Panel:
    table = Table(box=None, pad_edge=False)
    for column in ("", "what is seen", "instruction", "action", "status"):
        table.add_column(column)
    for i, row in enumerate(rows):
        table.add_row(*map(Text, (str(i), *row)))
    return Panel(Group(Text(text), Text(""), table), title=Text(title), title_align="left")


def _episode_row(step: EpisodeStep) -> tuple[str, str, str, str]:
    kind, *arguments = action_to_json(step.action).items()
    told = [f"{name}={json.dumps(_short(value), ensure_ascii=False)}" for name, value in arguments]
    return step.abstraction, step.instruction, " ".join([kind[1], *told]), step.status


def _short(value: Any) -> Any:
    """Points to three digits: pixels enough for the eye."""
    return [round(x, 3) for x in value] if isinstance(value, list) else value


def _reference_row(step: Step) -> tuple[str, str, str, str]:
    return step.abstraction, step.instruction, step.action_type, step.status
