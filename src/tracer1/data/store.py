"""Where recorded episodes live: ``episodes.jsonl`` beside the files that its lines name by path.

    DIR/episodes.jsonl           one Episode a line
    DIR/images/<sha256>.png      screenshots, named by their bytes
    DIR/files/<sha256>.pdf       other files of a task
    DIR/elements/<sha256>.json   what the page said of itself at one step: a list of Elements

Reading is strict: a key that is missing, unknown or of the wrong kind raises a DataError that names the file, the line
and the field, because a record read wrongly teaches something that was never recorded. The one thing forgiven is what a
killed writer leaves behind, half a last line: it is dropped, counted and logged.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, get_args

from tracer1.actions import action_from_json, action_to_json
from tracer1.coordinates import box_from_json
from tracer1.errors import DataError
from tracer1.files import atomic, json_lines, naming, parse_json, write_atomic
from tracer1.types import Element, Episode, EpisodeStep, Platform, Size, Status

if TYPE_CHECKING:  # without Pillow, which only who opens images needs
    from tracer1.data.images import Image

EPISODES = "episodes.jsonl"
CONVERSION = "conversion.json"  # beside it, where a corpus was converted

log = logging.getLogger(__name__)

T = TypeVar("T")


# ---- the store -------------------------------------------------------------------------------------------------------


class EpisodeStore:
    """One directory of episodes, read and appended to. Paths handed out and taken are relative to it."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def path(self, relative: str) -> Path:
        """The file that a record names; DataError when the name leaves the store."""
        path = Path(relative)
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{self.directory}: {relative!r} lies outside the episode store; use a path relative to it")
        return self.directory / path

    def read(self, relative: str) -> bytes:
        """The bytes of the file that a record names; OSError when it cannot be read, DataError as in ``path``."""
        try:
            return self.path(relative).read_bytes()
        except ValueError as error:  # a NUL, or a lone surrogate
            raise DataError(f"{relative!r} is no file's name: {error}") from error

    def put_image(self, data: bytes) -> str:
        """Keep a PNG under the SHA-256 of its bytes; the same bytes are kept once. Returns the relative path."""
        return self._put(f"images/{hashlib.sha256(data).hexdigest()}.png", data)

    def keep_image(self, image: Image, link: bool = False) -> str:
        """Keep the bytes of an image or file; ``link``: as a hard link to its own file, where there can be one."""
        folder = "images" if image.size != (0, 0) else "files"
        relative = f"{folder}/{hashlib.sha256(image.data).hexdigest()}{image.suffix}"
        path = self.directory / relative
        if link and image.path is not None and not path.exists():
            with naming(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # another file system, or one without hard links: the bytes are written instead
                os.link(image.path.resolve(), path)
        return self._put(relative, image.data)

    def put_elements(self, elements: Iterable[Element]) -> str:
        """Keep a screen's elements by content. Returns the relative path."""
        data = json.dumps([element_to_json(e) for e in elements], ensure_ascii=False, separators=(",", ":")).encode()
        return self._put(f"elements/{hashlib.sha256(data).hexdigest()}.json", data)

    def load_elements(self, relative: str) -> tuple[Element, ...]:
        """Read what ``put_elements`` kept; see ``load_elements``."""
        return load_elements(self.path(relative))

    def append(self, episode: Episode) -> None:
        """Add one line. A write that fails is taken back, so that the file ends with a whole line; then SetupError."""
        path = self.directory / EPISODES
        line = _line(episode)
        with naming(path):
            self.directory.mkdir(parents=True, exist_ok=True)
            with path.open("a+b", buffering=0) as handle:
                end = _mend(handle, path)
                try:
                    if handle.write(line) != len(line):  # an unbuffered write to a full disk may stop half-way
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    handle.truncate(end)
                    raise

    def _put(self, relative: str, data: bytes) -> str:
        path = self.directory / relative
        if not path.exists():
            write_atomic(path, data)
        return relative


def load_elements(path: Path | str) -> tuple[Element, ...]:
    """Read one file of elements; DataError names the file, the item and the field."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_elements(data, str(path))


def parse_elements(data: bytes, where: str) -> tuple[Element, ...]:
    """Read the bytes of a file of elements; ``where`` begins every DataError."""
    try:
        items = parse_json(data)
    except ValueError as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    return tuple(element_from_json(item, f"{where} item {i}") for i, item in enumerate(_list(items, where)))


def _mend(handle: IO[bytes], path: Path) -> int:
    """Drop a half-written last line, or end a whole one; returns the size of what stays."""
    end = handle.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start > 0 and b"\n" not in tail:
        step = min(start, 1 << 16)
        start -= step
        handle.seek(start)
        tail = handle.read(step) + tail
    last = tail[tail.rfind(b"\n") + 1 :]
    if not last:
        return end
    try:
        parse_json(last)
    except ValueError:
        log.warning("%s: 1 half-written last line dropped", path)
        handle.truncate(end - len(last))
        return end - len(last)
    handle.write(b"\n")
    return end + 1


def read_conversion(directory: Path | str) -> dict[str, Any] | None:
    """What a finished conversion says of a store, or None; DataError when it cannot be read."""
    path = Path(directory) / CONVERSION
    if not path.exists():
        return None
    try:
        record = parse_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}; convert the corpus again, or take the file away") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: not a JSON object; convert the corpus again, or take the file away")
    return record


def read_episodes(directory: Path | str) -> Iterator[Episode]:
    """Stream a store's episodes in order. ``directory`` may also be the ``.jsonl`` file itself.

    Raises DataError naming file, line and field. A half-written last line is dropped with a logged warning.
    """
    path = episodes_file(directory)
    for number, record in json_lines(path):
        yield episode_from_json(record, f"{path} line {number}")


def count_lines(directory: Path | str) -> int:
    """The number of lines of a store's ``episodes.jsonl``, without reading what they hold."""
    with episodes_file(directory).open("rb") as handle:
        return sum(block.count(b"\n") for block in iter(lambda: handle.read(1 << 20), b""))


def write_episodes(directory: Path | str, episodes: Iterable[Episode]) -> int:
    """Write a store's whole ``episodes.jsonl``, streaming; it replaces the old one at the end or not at all.

    Returns the number of episodes.
    """
    count = 0
    with atomic(Path(directory) / EPISODES) as handle:
        for episode in episodes:
            handle.write(_line(episode))
            count += 1
    return count


def episodes_file(path: Path | str) -> Path:
    """The ``.jsonl`` of a store, given its directory or the file; DataError when there is none."""
    given = Path(path)
    file = given / EPISODES if given.is_dir() else given
    if not given.exists():
        raise DataError(f"{given}: no such file or directory")
    if not file.is_file():
        raise DataError(
            f"{given}: no {EPISODES} there; give the directory that `tracer1 data record` or `convert` wrote"
        )
    return file


def _line(episode: Episode) -> bytes:
    try:
        return (json.dumps(episode_to_json(episode), ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as error:  # NaN, or a lone surrogate that no UTF-8 file can hold
        raise DataError(f"episode {episode.episode_id!r}: cannot be written as JSON: {error}") from error


# ---- records to JSON -------------------------------------------------------------------------------------------------


def element_to_json(element: Element) -> dict[str, Any]:
    """An Element as a JSON object; the box is in fractions of the screenshot."""
    return {
        "role": element.role,
        "name": element.name,
        "box": list(element.box),
        "focused": element.focused,
        "bears_text": element.bears_text,
    }


def episode_to_json(episode: Episode) -> dict[str, Any]:
    """An Episode as a JSON object: the contract's keys always, the optional ones where they say something."""
    record: dict[str, Any] = {
        "episode_id": episode.episode_id,
        "source": episode.source,
        "platform": episode.platform,
        "goal": episode.goal,
        "split": episode.split,
        "steps": [_step_to_json(step) for step in episode.steps],
    }
    optional = {"files": list(episode.files), "answer": episode.answer, "labels": dict(episode.labels)}
    return record | _present(optional)


def _step_to_json(step: EpisodeStep) -> dict[str, Any]:
    record: dict[str, Any] = {
        "screenshot": step.screenshot,
        "size": list(step.size),
        "abstraction": step.abstraction,
        "instruction": step.instruction,
        "action": action_to_json(step.action),
        "box": None if step.box is None else list(step.box),
        "observation": step.observation,
        "status": step.status,
    }
    optional = {"elements": step.elements, "thought": step.thought, "labels": dict(step.labels), "text": step.text}
    return record | _present(optional)


def _present(optional: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in optional.items() if value is not None and value not in ([], {})}


# ---- records from JSON -----------------------------------------------------------------------------------------------

_EPISODE = ("episode_id", "source", "platform", "goal", "split", "steps")
_EPISODE_KNOWN = dict.fromkeys((*_EPISODE, "files", "answer", "labels"))  # a set that keeps its order
_STEP = ("screenshot", "size", "abstraction", "instruction", "action", "box", "observation", "status")
_STEP_KNOWN = dict.fromkeys((*_STEP, "elements", "thought", "labels", "text"))
_ELEMENT = dict.fromkeys(("role", "name", "box", "focused", "bears_text"))
_PLATFORMS, _STATUSES = get_args(Platform), get_args(Status)


def episode_from_json(record: Any, where: str = "episode") -> Episode:
    """Read one record, strictly; ``where`` (file and line) begins every DataError."""
    r = _record(record, where, _EPISODE, _EPISODE_KNOWN)
    return Episode(
        episode_id=_text(r["episode_id"], f"{where}: episode_id"),
        source=_text(r["source"], f"{where}: source"),
        platform=_one_of(r["platform"], _PLATFORMS, f"{where}: platform"),
        goal=_text(r["goal"], f"{where}: goal"),
        split=_text(r["split"], f"{where}: split"),
        steps=_steps(_list(r["steps"], f"{where}: steps"), f"{where}: steps"),
        files=tuple(
            _text(f, f"{where}: files[{i}]") for i, f in enumerate(_list(r.get("files", []), f"{where}: files"))
        ),
        answer=_or_none(_text, r.get("answer"), f"{where}: answer"),
        labels=_labels(r.get("labels", {}), f"{where}: labels"),
    )


def _steps(records: list[Any], where: str) -> tuple[EpisodeStep, ...]:
    steps: list[EpisodeStep] = []
    try:
        for record in records:
            steps.append(_step_from_json(record))  # noqa: PERF401 - its length says which one is wrong
    except DataError as error:
        raise DataError(f"{where}[{len(steps)}]{error}") from error
    return tuple(steps)


def _step_from_json(record: Any) -> EpisodeStep:
    # Millions are read: where a step stands is put before an error once there is one.
    r = _record(record, "", _STEP, _STEP_KNOWN)
    return EpisodeStep(
        screenshot=_or_none(_text, r["screenshot"], ".screenshot"),
        size=_size(r["size"], ".size"),
        abstraction=_text(r["abstraction"], ".abstraction"),
        instruction=_text(r["instruction"], ".instruction"),
        action=action_from_json(r["action"], ".action"),
        box=_or_none(box_from_json, r["box"], ".box"),
        observation=_or_none(_text, r["observation"], ".observation"),
        status=_one_of(r["status"], _STATUSES, ".status"),
        elements=_or_none(_text, r.get("elements"), ".elements"),
        thought=_or_none(_text, r.get("thought"), ".thought"),
        labels=_labels(r.get("labels", {}), ".labels"),
        text=_or_none(_text, r.get("text"), ".text"),
    )


def element_from_json(record: Any, where: str = "element") -> Element:
    """Read one Element, strictly; ``where`` begins every DataError."""
    r = _record(record, where, _ELEMENT, _ELEMENT)
    return Element(
        role=_text(r["role"], f"{where}: role"),
        name=_text(r["name"], f"{where}: name"),
        box=box_from_json(r["box"], f"{where}: box"),
        focused=_flag(r["focused"], f"{where}: focused"),
        bears_text=_flag(r["bears_text"], f"{where}: bears_text"),
    )


def _record(value: Any, where: str, required: Iterable[str], known: Mapping[str, None]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "a JSON object", value)
    for key in required:
        if key not in value:
            raise DataError(f"{where}: {key} is missing; add it (null where there is none)")
    for key in value:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    return value


def _wrong(where: str, expected: str, found: Any) -> DataError:
    shown = json.dumps(found, default=str)
    return DataError(f"{where}: expected {expected}, found {shown if len(shown) <= 60 else shown[:57] + '...'}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "text", value)
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _size(value: Any, where: str) -> Size:
    if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int and v >= 0 for v in value)):
        raise _wrong(where, "[width, height] in pixels", value)
    return value[0], value[1]


def _labels(value: Any, where: str) -> dict[str, str | float | bool]:
    if not isinstance(value, dict):
        raise _wrong(where, "an object of labels", value)
    for key, label in value.items():
        if not (isinstance(label, str | bool) or _is_number(label)):
            raise _wrong(f"{where}.{key}", "text, a number, true or false", label)
    return value


def _one_of(value: Any, allowed: tuple[Any, ...], where: str) -> Any:
    if value not in allowed:
        raise _wrong(where, "one of " + ", ".join(f'"{a}"' for a in allowed), value)
    return value


def _or_none(read: Callable[[Any, str], T], value: Any, where: str) -> T | None:
    return None if value is None else read(value, where)
