"""Records of JSON files too large for memory: the elements of one top-level array, or the lines of JSON Lines.

JSON is read strictly (no NaN, no trailing comma, UTF-8) and within limits. A bad line is lost alone. So is a bad
element if its end can be found: the next comma or the array's bracket, outside of all strings and brackets. If it
cannot, as after a missing quote, the elements that follow are lost too.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import IO, Any, NoReturn

from tracer1.data.readers.damage import Damaged
from tracer1.errors import DataError

LIMIT = 64 << 20  # characters of an element, bytes of a line
DEPTH = 100  # brackets within brackets; the C parser takes a little less than Python's recursion limit
_CHUNK = 1 << 20  # bytes of one read


def stream_json(path: Path | str, limit: int = LIMIT, depth: int = DEPTH) -> Iterator[tuple[int, Any | Damaged]]:
    """(index from 0, value) of each record: by ``stream_array`` if the file starts with a bracket, else line by line
    as ``json_lines_between``."""
    path = Path(path)
    with _reading(path) as file:
        start = file.read(1 << 16).removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"["):
        return stream_array(path, limit, depth)
    lines = json_lines_between(path, 0, sys.maxsize, limit, depth)
    return ((index, value) for index, (_, value) in enumerate(lines))


def is_one_object(path: Path | str) -> bool:
    """Whether the file is a pretty-printed JSON object, that is, neither an array nor JSON Lines."""
    with _reading(Path(path)) as file:
        return file.readline(_CHUNK).removeprefix(codecs.BOM_UTF8).strip() == b"{"


def stream_array(path: Path | str, limit: int = LIMIT, depth: int = DEPTH) -> Iterator[tuple[int, Any | Damaged]]:
    """(index from 0, value) of each element of the array in the file. Memory: about twice the largest element.

    Damaged stands for an element that is "not JSON", "not UTF-8", "nested too deep" (more than ``depth`` brackets
    within one another) or "too large" (more than ``limit`` characters); "truncated" comes last. Raises DataError if
    the file cannot be read or is not an array.
    """
    path = Path(path)
    with _reading(path) as file:
        yield from _elements(path, _Text(file), limit, depth)


def json_lines_between(
    path: Path | str, start: int, stop: int, limit: int = LIMIT, depth: int = DEPTH
) -> Iterator[tuple[int, Any | Damaged]]:
    """(offset in bytes, value) of each line that begins in [start, stop); blank lines are skipped.

    Adjacent ranges read each line once, so workers can share a file. Damaged as in ``stream_array``, with the limit in
    bytes; "truncated" is a last line that has no newline and does not parse. Raises DataError if the file cannot be
    read.
    """
    path = Path(path)
    with _reading(path) as file:
        offset = start
        if start > 0:  # the line before may end right here
            file.seek(start - 1)
            offset += _skip_line(file) - 1
        while offset < stop:
            line = file.readline(limit + 1)
            if not line:
                return
            size = len(line)
            where = f"{path} byte {offset}"
            if size > limit and not line.endswith(b"\n"):
                yield offset, _too_large(where, f"{limit:,} bytes")
                size += _skip_line(file)
            else:
                text = line.removeprefix(codecs.BOM_UTF8) if offset == 0 else line
                if text.strip():
                    yield offset, _line(where, text, depth)
            offset += size


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _skip_line(file: IO[bytes]) -> int:
    """Skip the rest of a line of any length. Returns its bytes."""
    skipped = 0
    while piece := file.readline(_CHUNK):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped


# ---- one record ------------------------------------------------------------------------------------------------------


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = JSONDecoder(parse_constant=_refuse)


def _line(where: str, line: bytes, depth: int) -> Any | Damaged:
    try:
        text = line.decode()
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        return Damaged(where, "not UTF-8", f"{error.reason} at byte {error.start} of the line; fetch the file again")
    except RecursionError:
        return _too_deep(where, depth)
    except ValueError as error:
        if not line.endswith(b"\n"):
            return Damaged(where, "truncated", "the file ends within the line; fetch the file again")
        return Damaged(where, "not JSON", _message(error, 0))
    return _too_deep(where, depth) if _is_deeper(value, depth) else value


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether more than ``depth`` lists and objects lie in one another."""
    level = [value]
    for _ in range(depth + 1):
        level = [part for part in level if isinstance(part, dict | list)]
        if not level:
            return False
        level = [part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer)]
    return True


def _message(error: ValueError, start: int) -> str:
    if isinstance(error, JSONDecodeError):
        return f"{error.msg} at character {error.pos - start}"
    return str(error)


def _too_deep(where: str, depth: int) -> Damaged:
    return Damaged(where, "nested too deep", f"more than {depth} brackets within one another")


def _too_large(where: str, limit: str) -> Damaged:
    return Damaged(where, "too large", f"more than {limit}")


# ---- an array --------------------------------------------------------------------------------------------------------

_BLANKS = re.compile(r"[ \t\n\r]*+")


class _Text:
    """The text of a file from ``at`` on, as far as it has been read; bytes that are not UTF-8 are lone surrogates."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text, self.at = "", 0
        self.whole = False  # the end of the file has been read
        self.dirty = False  # some of it is not UTF-8

    def more(self) -> bool:
        """Drop the text before ``at`` and read as much again as is held. Returns False at the end."""
        held = self.text[self.at :]
        data = self._file.read(max(_CHUNK, len(held)))
        self.whole = not data
        added = self._decoder.decode(data, final=self.whole)
        self.dirty = self.dirty or not _is_utf8(added)
        self.text, self.at = held + added, 0
        return not self.whole

    def peek(self) -> str:
        """Move ``at`` to the next character that is not blank and return that; empty at the end."""
        while True:
            self.at = _after_blanks(self.text, self.at)
            if self.at < len(self.text) or self.whole:
                return self.text[self.at : self.at + 1]
            self.more()


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _elements(path: Path, text: _Text, limit: int, depth: int) -> Iterator[tuple[int, Any | Damaged]]:
    if text.peek() == "\ufeff":
        text.at += 1
    if text.peek() != "[":
        raise DataError(f"{path}: not a JSON array: it begins with {text.peek()!r}, not with '['")
    text.at += 1
    index = 0
    mark = text.peek()
    while mark != "]":
        yield index, _element(f"{path} element {index}", text, limit, depth)
        index += 1
        mark = text.peek()
        if not mark:
            return  # the last element was reported as truncated
        if mark == ",":
            text.at += 1
    text.at += 1
    if text.peek():
        yield index, Damaged(f"{path} after element {index}", "not JSON", "text after the end of the array")


def _element(where: str, text: _Text, limit: int, depth: int) -> Any | Damaged:
    """The element at ``text.at``, which moves to the comma or bracket after it."""
    while True:
        text.peek()
        start = text.at
        try:
            value, end = _DECODER.raw_decode(text.text, start)
        except RecursionError:
            return _skip_element(text, _too_deep(where, depth))
        except ValueError as error:
            wrong = _message(error, start)
        else:
            after = _after_blanks(text.text, end)
            if text.text[after : after + 1] in (",", "]"):
                text.at = after
                return _checked(where, text, start, value, limit, depth)
            wrong = f"no comma at character {end - start}"
        # Either the element is wrong, or its rest has not been read yet.
        end, found = _ElementSkipper().skip(text.text, start)
        if end - start > limit:
            return _skip_element(text, _too_large(where, f"{limit:,} characters"))
        if found or text.whole:
            return _skip_element(text, Damaged(where, "not JSON", wrong))
        text.more()


def _checked(where: str, text: _Text, start: int, value: Any, limit: int, depth: int) -> Any | Damaged:
    end = text.at
    if end - start > limit:
        return _too_large(where, f"{limit:,} characters")
    if _is_deeper(value, depth):
        return _too_deep(where, depth)
    if text.dirty and not _is_utf8(text.text[start:end]):
        return Damaged(where, "not UTF-8", "bytes of another encoding; fetch the file again")
    return value


def _skip_element(text: _Text, damage: Damaged) -> Damaged:
    """Move to the end of the element or of the file; at the end of the file a damaged element may be only cut off."""
    skipper = _ElementSkipper()
    while True:
        text.at, found = skipper.skip(text.text, text.at)
        if found:
            return damage
        if not text.more():
            break
    text.at = len(text.text)
    if damage.reason == "not JSON":
        return Damaged(damage.where, "truncated", f"the file ends within it ({damage.detail}); fetch the file again")
    return damage


_TOKEN = re.compile(r'"(?:[^"\\\r\n]++|\\.)*+("?)|[\[{]++|[\]}]++|,')
_STRING = re.compile(r'(?:[^"\\\r\n]++|\\.)*+("?)')


class _ElementSkipper:
    """Finds the end of an element without parsing it, by counting brackets outside of strings.

    A string also ends with its line, since it cannot contain a line end: a missing quote loses at most one line.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False

    def skip(self, text: str, at: int) -> tuple[int, bool]:
        """(the element's end, True), or (how far it was followed, False); then call again from there with more text."""
        if self._in_string and (rest := _STRING.match(text, at)):
            at = rest.end()
            if not rest[1] and _reaches_end(text, at):
                return at, False
            self._in_string = False
        for token in _TOKEN.finditer(text, at):
            start, end = token.span()
            kind = text[start]
            if kind == '"':
                if not token[1] and _reaches_end(text, end):
                    self._in_string = True
                    return end, False
            elif kind == ",":
                if self._depth == 0:
                    return start, True
            elif kind in "[{":
                self._depth += end - start
            else:
                closing = text.find("]", start + self._depth, end)
                if closing >= 0:
                    return closing, True
                self._depth = max(0, self._depth - (end - start))
        return len(text), False


def _reaches_end(text: str, at: int) -> bool:
    return at == len(text) or (at == len(text) - 1 and text[at] == "\\")
