"""Members of a zip by name, also of a zip in parts: ``images.zip`` with ``images.z01``, ``images.z02`` and so on.

The format is PKWARE's APPNOTE.TXT 6.3 with Zip64. A position in a zip in parts is a part's number and an offset in it;
the last part is the ``.zip``. Here the parts are read as one sequence of bytes, without joining them on disk. Members
are stored or deflated, as ``zip`` writes them.

Python's ``zipfile`` reads no zip in parts and trusts a download too far. Here a bad member is refused alone.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tracer1.data.readers.damage import Damaged
from tracer1.errors import DataError

LIMIT = 256 << 20  # bytes of a member
RATIO = 200  # times its compressed size: about 1 for pictures, at most 1032 with deflate
_SMALL = 1 << 20  # bytes that any member may have: a blank picture compresses well
_DIRECTORY_LIMIT = 1 << 30  # bytes: some eight million members

_PARTS_LIMIT = 10_000

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF8 = 0x800
_FULL, _FULL_SHORT = 0xFFFFFFFF, 0xFFFF  # the value is in the Zip64 record


class ZipReader:
    """A zip's members by name. Reading moves no file position, so threads and forked workers may share it.

    Unpickling opens the zip again. Raises DataError if the zip, a part of it or its directory cannot be read.
    """

    def __init__(self, path: Path | str, limit: int = LIMIT, ratio: int = RATIO) -> None:
        """``limit``: bytes of a member. ``ratio``: compression of a member of a MiB or more."""
        self.path = Path(path)
        self._limit, self._ratio = limit, ratio
        self._members: dict[str, _Member] = {}
        self._refused: dict[str, Damaged] = {}
        self._parts = _Parts([self.path])
        try:
            directory = self._find_directory()
            self._read_directory(directory)
        except BaseException:
            self._parts.close()
            raise

    @property
    def refused(self) -> Mapping[str, Damaged]:
        """The members that were refused, by name, each with its reason."""
        return self._refused

    def names(self) -> list[str]:
        """The members that can be read, without folders, in the order of the directory."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        """The size of a member in bytes. Raises DataError like ``read``."""
        return self._member(name).size

    def read(self, name: str) -> bytes:
        """A member's bytes. Raises DataError if it is missing, was refused or is damaged."""
        member = self._member(name)
        where = f"{self.path} member {name!r}"
        header = self._parts.read(member.at, _LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
            raise DataError(f"{where}: not where the directory says; fetch the zip again")
        name_size, extra_size = _LOCAL.unpack(header)[-2:]
        rest = self._parts.read(member.at + _LOCAL.size, name_size + extra_size + member.packed)
        if _decode(rest[:name_size], member.flags) != name:
            raise DataError(f"{where}: its own header has another name; fetch the zip again")
        data = _unpacked(rest[name_size + extra_size :], member)
        if data is None or len(data) != member.size or zlib.crc32(data) != member.crc:
            raise DataError(f"{where}: wrong CRC or size; fetch the zip again")
        return data

    def close(self) -> None:
        """Close the files. May be called again."""
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[ZipReader], tuple[Path, int, int]]:
        return type(self), (self.path, self._limit, self._ratio)

    def _member(self, name: str) -> _Member:
        if name in self._refused:
            raise DataError(str(self._refused[name]))
        if name not in self._members:
            raise DataError(f"{self.path}: no member {name!r}")
        return self._members[name]

    # ---- the directory -----------------------------------------------------------------------------------------------

    def _find_directory(self) -> _Directory:
        """Find the directory by the record at the end of the last part, and open all parts."""
        size = self._parts.size
        tail_at = max(0, size - _END.size - 0xFFFF - _LOCATOR.size)
        tail = self._parts.read(tail_at, size - tail_at)
        at = _end_record(tail)
        if at is None:
            raise DataError(f"{self.path}: not a zip, or its end is missing; fetch it again")
        _, part, directory_part, _, count, length, offset, _ = _END.unpack_from(tail, at)
        locator = tail[at - _LOCATOR.size : at] if at >= _LOCATOR.size else b""
        if not locator.startswith(b"PK\6\7"):
            self._open_parts(part + 1)
            return _Directory(self._parts.place(directory_part, offset), length, count)
        _, end64_part, end64_offset, parts = _LOCATOR.unpack(locator)
        self._open_parts(parts if part == _FULL_SHORT else part + 1)
        place = self._parts.place(end64_part, end64_offset)
        end64 = self._parts.read(place, _END64.size) if place is not None else b""
        if len(end64) < _END64.size or not end64.startswith(b"PK\6\6"):
            raise DataError(f"{self.path}: its Zip64 end record is missing; fetch it again")
        directory_part, _, count, length, offset = _END64.unpack(end64)[5:]
        return _Directory(self._parts.place(directory_part, offset), length, count)

    def _open_parts(self, count: int) -> None:
        if count <= 1:
            return
        if count > _PARTS_LIMIT:
            raise DataError(f"{self.path}: says that it has {count:,} parts; fetch it again")
        folder, stem = self.path.parent, self.path.stem
        there = {entry.name for entry in os.scandir(folder)}
        names = [f"{stem}.z{number:02}" for number in range(1, count)]
        missing = [name for name in names if name not in there]
        if missing:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise DataError(
                f"{self.path}: {len(missing)} of its {count} parts are missing: {shown}; put all parts into {folder}"
            )
        self._parts.close()
        self._parts = _Parts([*(folder / name for name in names), self.path])

    def _read_directory(self, directory: _Directory) -> None:
        at, length, count = directory
        if at is None or at + length > self._parts.size or length > _DIRECTORY_LIMIT:
            raise DataError(f"{self.path}: its directory is not where its end record says; fetch it again")
        data = self._parts.read(at, length)
        found = 0
        for raw, entry, extra in _entries(data, self.path):
            found += 1
            self._add(raw, entry, extra)
        if found & 0xFFFF != count & 0xFFFF:  # without Zip64 the count is kept in two bytes
            raise DataError(f"{self.path}: its directory has {found:,} members instead of {count:,}; fetch it again")

    def _add(self, raw: bytes, entry: _Entry, extra: bytes) -> None:
        name = _decode(raw, entry.flags)
        size, packed, offset, part = _sizes(entry, extra)
        if name.endswith("/") and size == 0:
            return
        at = self._parts.place(part, offset)
        why: tuple[str, str] | None
        if name in self._members or name in self._refused:
            why = "named twice", "two members have this name"
        elif at is None or at + packed > self._parts.size:
            why = "truncated", "it lies beyond the end of the zip; fetch the zip again"
        else:
            member = _Member(at, entry.method, entry.flags, entry.crc, packed, size)
            why = _refusal(name, entry.attributes >> 16, member, self._limit, self._ratio)
            if why is None:
                self._members[name] = member
                return
        self._members.pop(name, None)
        self._refused[name] = Damaged(f"{self.path} member {name!r}", *why)


class _Directory(NamedTuple):
    at: int | None
    length: int
    members: int


class _Entry(NamedTuple):
    """A member's entry in the directory."""

    made: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    part: int
    attributes: int
    offset: int


class _Member(NamedTuple):
    at: int
    method: int
    flags: int
    crc: int
    packed: int
    size: int


def _end_record(tail: bytes) -> int | None:
    """The offset of the end record: the last one whose comment ends with the file."""
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
            return at
        at = tail.rfind(b"PK\5\6", 0, at)
    return None


def _entries(data: bytes, path: Path) -> Iterator[tuple[bytes, _Entry, bytes]]:
    """(name, entry, extra fields) of each member."""
    at = 0
    while at < len(data):
        fields = _CENTRAL.unpack_from(data, at) if at + _CENTRAL.size <= len(data) else (b"",)
        if fields[0] != b"PK\1\2":
            raise DataError(f"{path}: its directory is damaged at byte {at:,}; fetch it again")
        _, made, _, flags, method, _, _, crc, packed, size, name, extra, comment, part, _, attributes, offset = fields
        at += _CENTRAL.size
        raw, more = data[at : at + name], data[at + name : at + name + extra]
        at += name + extra + comment
        if at > len(data):
            raise DataError(f"{path}: its directory is cut off; fetch it again")
        yield raw, _Entry(made, flags, method, crc, packed, size, part, attributes, offset), more


def _sizes(entry: _Entry, extra: bytes) -> tuple[int, int, int, int]:
    """(size, packed size, offset, part) of a member; values that overflow are in its Zip64 field, in this order."""
    values = [entry.size, entry.packed, entry.offset, entry.part]
    field = _zip64_field(extra)
    for i, (value, full) in enumerate(zip(values, (_FULL, _FULL, _FULL, _FULL_SHORT), strict=True)):
        width = 8 if i < 3 else 4
        if value == full and len(field) >= width:
            values[i], field = int.from_bytes(field[:width], "little"), field[width:]
    return values[0], values[1], values[2], values[3]


def _zip64_field(extra: bytes) -> bytes:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            return extra[at + 4 : at + 4 + size]
        at += 4 + size
    return b""


def _decode(raw: bytes, flags: int) -> str:
    """A name as text. Debian's ``zip`` writes UTF-8 without its flag; names in the old code page are rarely UTF-8."""
    if flags & _UTF8:
        return raw.decode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


# ---- what is refused -------------------------------------------------------------------------------------------------


def leaves_folder(name: str) -> bool:
    """Whether a path from a record or an archive leads out of its folder, on any system."""
    return (
        not name
        or name.startswith("/")
        or "\\" in name
        or "\0" in name
        or ".." in name.split("/")
        or bool(re.match("[A-Za-z]:", name))
    )


def _refusal(name: str, mode: int, member: _Member, limit: int, ratio: int) -> tuple[str, str] | None:
    """Why a member is refused, as reason and detail. ``mode``: of Unix, 0 from other systems."""
    if leaves_folder(name):
        return "path leaves the folder", "its name is not a path below a folder"
    if re.search("[\x00-\x1f\x7f\ud800-\udfff]", name):
        return "odd name", "it is not UTF-8, or has control characters"
    if stat.S_ISLNK(mode):
        return "symbolic link", "only files are read; write the zip without links"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or name.endswith("/"):
        return "not a file", "only files are read"
    if member.flags & _ENCRYPTED:
        return "encrypted", "write the zip without a password"
    if member.method not in (_STORED, _DEFLATED):
        return "unknown compression", f"method {member.method}; write the zip with deflate or without compression"
    if member.size > limit or member.packed > limit + _SMALL:
        return "too large", f"{member.size:,} bytes; at most {limit:,} are read"
    if member.size > max(_SMALL, ratio * member.packed):
        return "decompression bomb", f"{member.size:,} bytes out of {member.packed:,}"
    return None


def _unpacked(data: bytes, member: _Member) -> bytes | None:
    """A member's bytes, at most one more than its size; None if they do not unpack."""
    if member.method == _STORED:
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = inflater.decompress(data, member.size + 1)
    except zlib.error:
        return None
    return unpacked if inflater.eof else None


# ---- the bytes -------------------------------------------------------------------------------------------------------


class _Parts:
    """Files read as one sequence of bytes."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._files: list[int] = []
        try:
            for path in paths:
                self._files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            sizes = [os.fstat(file).st_size for file in self._files]
        except OSError as error:
            self.close()
            raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error
        self._starts = [0, *accumulate(sizes)]
        self.size = self._starts[-1]

    def place(self, part: int, offset: int) -> int | None:
        """The position among all bytes of an offset in a part; None if it is out of range."""
        if part >= len(self._files) or self._starts[part] + offset > self.size:
            return None
        return self._starts[part] + offset

    def read(self, at: int, count: int) -> bytes:
        """``count`` bytes from ``at`` on, fewer at the end."""
        if not self._files:
            raise DataError(f"{self._paths[-1]}: closed before it was read")
        pieces: list[bytes] = []
        while count > 0 and at < self.size:
            part = bisect_right(self._starts, at) - 1
            try:
                piece = os.pread(self._files[part], count, at - self._starts[part])
            except OSError as error:
                raise DataError(f"{self._paths[part]}: cannot be read: {error.strerror}") from error
            if not piece:
                break  # the file was truncated meanwhile
            pieces.append(piece)
            at += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        while self._files:
            os.close(self._files.pop())
