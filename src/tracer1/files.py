"""Files on disk: written whole or not at all; JSON and YAML from outside read strictly.

This is the one boundary for JSON and YAML: whatever is wrong with a text becomes a ValueError of one line, and
``read_json``, ``json_lines`` and ``read_yaml`` add the file. A refusal of the disk becomes one line with its remedy.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
from pydantic_core import from_json

from tracer1.errors import DataError, SetupError

DEPTH = 200  # lists and objects within one another; the fast JSON parser stops there
YAML_BYTES = 1 << 20
YAML_DEPTH = 50
YAML_NODES = 100_000  # with every alias counted as what it stands for

log = logging.getLogger(__name__)


# ---- writing ---------------------------------------------------------------------------------------------------------


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn the disk's refusals inside the block into one line that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise SetupError(f"{path}: the disk is full; free some space and run the same command again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise SetupError(
                f"{path}: cannot be written ({error.strerror}); choose another output directory"
            ) from error
        raise


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under ``path`` whole, when the block ends well, or not at all.

    A link is followed, and the file that it points to is replaced. A device or a pipe is written to as it stands.
    Raises SetupError when the disk is full or the place cannot be written.
    """
    with naming(path):
        _check_name(path)
        if _is_special(path):
            with path.open("wb") as device:
                yield device
            return
        target = path.resolve() if path.is_symlink() else path
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".part", delete=False)  # noqa: SIM115
        try:
            with handle:
                yield handle
                handle.flush()
                os.fchmod(handle.fileno(), 0o644)  # a temporary file's 0600 would hide the result from other users
            os.replace(handle.name, target)
        except BaseException:
            os.unlink(handle.name)
            raise


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or none of it, as ``atomic`` does; SetupError when the disk refuses."""
    with atomic(path) as handle:
        handle.write(data)


def _check_name(path: Path) -> None:
    if not _is_file_name(str(path)):
        raise SetupError(f"{str(path)!r} cannot name a file; choose a name without half characters and NULs")


def _is_file_name(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # a lone surrogate
        return False


def _is_special(path: Path) -> bool:
    """Whether ``path`` is or points to a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


# ---- JSON ------------------------------------------------------------------------------------------------------------


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, parsed JSON) of each line of a ``.jsonl``, streaming; blank lines are passed over.

    A last line without its newline that does not parse is what a crash leaves: it is dropped with a logged warning.
    Any other line that does not parse raises DataError.
    """
    for number, value in json_lines_or_errors(path):
        if isinstance(value, DataError):
            raise value
        yield number, value


def json_lines_or_errors(path: Path) -> Iterator[tuple[int, Any | DataError]]:
    """As ``json_lines``, but a line that does not parse comes as its DataError, and the reading goes on."""
    with reading(path), path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                yield number, parse_json(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    log.warning("%s: 1 half-written last line dropped (line %d)", path, number)
                    return
                yield number, DataError(f"{path} line {number}: not JSON: {error}")


def read_json(path: Path) -> Any:
    """A file's JSON; DataError names the file when it cannot be read or is not strict JSON."""
    with reading(path):
        data = path.read_bytes()
    try:
        return parse_json(data)
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a file that cannot be read, or a name that no file can have, into a DataError that names it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL or a lone surrogate in the name
        raise DataError(f"{str(path)!r} cannot name a file: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Parse strict JSON; ValueError of one line on anything else: NaN, a lone surrogate, brackets DEPTH deep."""
    try:
        return from_json(text, allow_inf_nan=False)  # three times as fast as the standard library,
    except ValueError:
        return _parse_slowly(text)  # which has the last word, and says what is wrong


class NestedTooDeep(ValueError):
    """More than DEPTH brackets within one another."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {DEPTH} brackets")


def _parse_slowly(text: str | bytes) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise NestedTooDeep from error
    except UnicodeEncodeError as error:
        raise ValueError(f"half a character, {error.object[error.start]!a}, which no file can hold") from error
    if _depth(text if isinstance(text, str) else text.decode()) > DEPTH:
        raise NestedTooDeep
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)


def _depth(text: str) -> int:
    """How many brackets of a valid JSON text lie within one another."""
    depth = deepest = 0
    for token in _BRACKETS.finditer(text):
        depth += bool(token[1]) - bool(token[2])
        deepest = max(deepest, depth)
    return deepest


# ---- YAML ------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads ``3e-5`` as the number it is, where YAML 1.1 asks for a dot and a sign."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
# How PyYAML fails on values that do not fit their tag: !!int a, 2024-13-45, !!bool x, !!timestamp x, 5,000 digits.
_UNFIT = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


def read_yaml(path: Path) -> Any:
    """A file's YAML; DataError names the file, and the line where there is one."""
    with reading(path):
        data = path.read_bytes()
    try:
        return parse_yaml(data.decode())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise DataError(f"{path}: not YAML: {error}") from error


def parse_yaml(text: str) -> Any:
    """Parse safe YAML of bounded size and depth; ValueError of one line, with the line number, on anything else."""
    if len(text) > YAML_BYTES:
        raise ValueError(f"{len(text):,} characters, where {YAML_BYTES:,} are read at most")
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        raise ValueError(f"{line}{reason}") from error
    except _Unsafe:
        raise
    except _UNFIT as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"a value does not fit its type: {reason[:200]}") from error


class _Unsafe(ValueError):
    """YAML that is refused before it is built."""


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read, and its size so far."""

    anchor: str | None
    nodes: int = 1


def _check_events(text: str) -> None:
    """Refuse what would be nested too deep, hold itself, or grow without end by its aliases."""
    stack = [_Open(None)]
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            _close(stack, sizes)
        elif isinstance(event, yaml.AliasEvent):
            if any(event.anchor == node.anchor for node in stack):
                raise _Unsafe(f"line {line}: *{event.anchor} holds itself")
            stack[-1].nodes += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            stack[-1].nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
            if not _is_utf8(event.value):
                raise _Unsafe(f"line {line}: half a character (a lone surrogate), which no file can hold")
        if len(stack) > YAML_DEPTH:
            raise _Unsafe(f"line {line}: nested deeper than {YAML_DEPTH} levels")
        if stack[-1].nodes > YAML_NODES:
            raise _Unsafe(f"line {line}: more than {YAML_NODES:,} values")


def _close(stack: list[_Open], sizes: dict[str, int]) -> None:
    done = stack.pop()
    stack[-1].nodes += done.nodes
    if done.anchor:
        sizes[done.anchor] = done.nodes


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
