"""Zips of every kind that the tests need: in parts, with Zip64 forced, with members that lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

FULL, FULL_SHORT = 0xFFFFFFFF, 0xFFFF


@dataclass(frozen=True)
class Entry:
    """A member; what is None is as the data has it."""

    name: str
    data: bytes = b""
    deflate: bool = False
    flags: int = 0x800
    mode: int = 0o100644
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    method: int | None = None
    local_name: str | None = None
    part: int | None = None


class Parts:
    """Bytes that go on in a new part where one is full; ``whole`` ones are not split."""

    def __init__(self, size: int | None) -> None:
        self.size, self.parts = size, [bytearray(b"" if size is None else b"PK\7\x08")]

    def put(self, data: bytes, whole: bool = False) -> tuple[int, int]:
        """(part, offset) of where the data begins."""
        self.reserve(len(data) if whole else 1)
        begun = len(self.parts) - 1, len(self.parts[-1])
        while self.size is not None and len(data) > self.room:
            room = self.room
            self.parts[-1] += data[:room]
            data = data[room:]
            self.parts.append(bytearray())
        self.parts[-1] += data
        return begun

    def reserve(self, count: int) -> None:
        """Let the next ``count`` bytes lie in one part."""
        if self.size is not None and self.room < count:
            self.parts.append(bytearray())

    @property
    def room(self) -> int:
        assert self.size is not None
        return self.size - len(self.parts[-1])


def write_zip(path: Path, entries: Iterable[Entry], part_size: int | None = None, zip64: bool = False) -> list[Path]:
    """Write ``path`` and, where ``part_size`` is given, the parts before it; returns all, in order."""
    out, directory = Parts(part_size), []
    for entry in entries:
        packed = entry.data
        if entry.deflate:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = packer.compress(packed) + packer.flush()
        full = replace(
            entry,
            size=len(entry.data) if entry.size is None else entry.size,
            packed=len(packed) if entry.packed is None else entry.packed,
            crc=zlib.crc32(entry.data) if entry.crc is None else entry.crc,
            method=(8 if entry.deflate else 0) if entry.method is None else entry.method,
        )
        place = out.put(local_header(full), whole=True)
        out.put(packed)
        directory.append(central_header(full, place, zip64))
    begun = [out.put(header, whole=part_size is not None) for header in directory]
    length = sum(map(len, directory))
    out.reserve(98)  # the end records tell the number of parts
    here = len(out.parts) - 1
    part, offset = begun[0] if begun else (here, len(out.parts[-1]))
    count = len(directory)
    if zip64:
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, here, part, count, count, length, offset)
        end64_part, end64_offset = out.put(end64, whole=True)
        out.put(struct.pack("<4sLQL", b"PK\6\7", end64_part, end64_offset, len(out.parts)), whole=True)
        end = (FULL_SHORT, FULL_SHORT, FULL_SHORT, FULL_SHORT, FULL, FULL)
    else:
        end = (here, part, count, count, length, offset)
    out.put(struct.pack("<4s4H2LH", b"PK\5\6", *end, 0), whole=True)
    paths = [path.with_suffix(f".z{number:02}") for number in range(1, len(out.parts))] + [path]
    for file, data in zip(paths, out.parts, strict=True):
        file.write_bytes(data)
    return paths


def local_header(e: Entry) -> bytes:
    name = (e.name if e.local_name is None else e.local_name).encode("utf-8", "surrogateescape")
    sizes = (e.crc, min(e.packed or 0, FULL), min(e.size or 0, FULL))
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, e.flags, e.method, 0, 0, *sizes, len(name), 0) + name


def central_header(e: Entry, place: tuple[int, int], zip64: bool) -> bytes:
    part, offset = place
    part = part if e.part is None else e.part
    name = e.name.encode("utf-8", "surrogateescape")
    sizes, extra = (e.packed, e.size), b""
    if zip64:
        extra = struct.pack("<2H", 0x5455, 1) + b"?" + struct.pack("<2H3QL", 1, 28, e.size, e.packed, offset, part)
        sizes, part, offset = (FULL, FULL), FULL_SHORT, FULL
    fields = (3 << 8 | 45, 45, e.flags, e.method, 0, 0, e.crc, *sizes, len(name), len(extra), 0, part, 0, e.mode << 16)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields, offset) + name + extra
