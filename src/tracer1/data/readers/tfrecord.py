"""TFRecord files, plain or gzipped, one record at a time.

A record consists of

    length        8 bytes, little-endian
    its CRC       4 bytes
    payload       ``length`` bytes
    its CRC       4 bytes

A CRC is CRC-32C, rotated right by 15 bits and shifted by a constant
(https://github.com/tensorflow/tensorflow, core/lib/hash/crc32c.h). After a damaged payload
reading goes on with the next record; after a damaged length the rest of the file is lost.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import google_crc32c

from tracer1.data.readers.damage import Damaged
from tracer1.errors import DataError
from tracer1.files import atomic

LIMIT = 1 << 30  # bytes of one payload
_CHUNK = 1 << 20  # bytes of one read
_INFLATED = 4 << 20  # bytes decompressed in one step, which limits what a bomb can allocate
_GZIP_MAGIC = b"\x1f\x8b\x08"
_GZIP = 31  # zlib's window bits for a GZIP member with its own CRC
_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


def read_tfrecord(path: Path | str, limit: int = LIMIT) -> Iterator[tuple[int, bytes | Damaged]]:
    """(index from 0, payload) of each record. Memory: one record and a few MiB.

    A record that cannot be read comes as Damaged: "wrong CRC" and "too large" (more than ``limit`` bytes) lose one
    record; "wrong length CRC", "truncated" and "damaged gzip" come last. GZIP is recognised by the file's first bytes.
    Raises DataError if the file cannot be opened or read.
    """
    path = Path(path)
    try:
        with path.open("rb", buffering=0) as file:
            yield from _records(path, file, limit)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def write_tfrecord(path: Path | str, payloads: Iterable[bytes], gzip: bool = True) -> int:
    """Write a file of payloads, whole or not at all. Returns their number. Equal payloads give equal files."""
    count = 0
    with atomic(Path(path)) as file:
        packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP) if gzip else None
        for payload in payloads:
            length = struct.pack("<Q", len(payload))
            for part in (length, _CRC.pack(_masked_crc(length)), payload, _CRC.pack(_masked_crc(payload))):
                file.write(packer.compress(part) if packer else part)
            count += 1
        if packer:
            file.write(packer.flush())
    return count


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(path: Path, file: IO[bytes], limit: int) -> Iterator[tuple[int, bytes | Damaged]]:
    index = 0
    with closing(_contents(file)) as chunks:
        stream = _Stream(chunks)
        while True:
            where = f"{path} record {index}"
            header = stream.take(_HEADER.size)
            if len(header) < _HEADER.size:
                if header or stream.torn:
                    yield index, _end(where, stream, len(header), _HEADER.size)
                return
            length, crc = _HEADER.unpack(header)
            if _masked_crc(header[:8]) != crc:
                yield (
                    index,
                    Damaged(where, "wrong length CRC", "the rest cannot be found; fetch the file again"),
                )
                return
            if length > limit:
                yield index, Damaged(where, "too large", f"{length:,} bytes; at most {limit:,} are read")
                if not stream.skip(length + _CRC.size):
                    return
            else:
                payload, crc_bytes = stream.take(length), stream.take(_CRC.size)
                if len(crc_bytes) < _CRC.size:
                    found = len(payload) + len(crc_bytes)
                    yield index, _end(where, stream, found, length + _CRC.size)
                    return
                if _masked_crc(payload) == _CRC.unpack(crc_bytes)[0]:
                    yield index, payload
                else:
                    yield index, Damaged(where, "wrong CRC", "its bytes are damaged; fetch the file again")
            index += 1


def _end(where: str, stream: _Stream, found: int, expected: int) -> Damaged:
    """Why a file ended within a record."""
    if stream.torn and stream.torn != _CUT:
        return Damaged(where, "damaged gzip", f"{stream.torn}; fetch the file again")
    return Damaged(where, "truncated", f"{found:,} of {expected:,} bytes are there; fetch the file again")


# ---- bytes -----------------------------------------------------------------------------------------------------------

_CUT = "the file ends within it"


class _TornGzip(Exception):
    """The compressed stream is damaged here; all bytes before have been yielded."""


class _Stream:
    """Chunks read as one stream. ``torn``: why they ended early, if they did."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._chunk, self._at = chunks, b"", 0
        self.torn = ""

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end."""
        parts: list[bytes] = []
        while count > 0 and self._fill():
            part = self._chunk[self._at : self._at + count]
            self._at += len(part)
            count -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, count: int) -> bool:
        """Skip ``count`` bytes. Returns False if there are fewer."""
        while count > 0 and self._fill():
            step = min(count, len(self._chunk) - self._at)
            self._at += step
            count -= step
        return count == 0

    def _fill(self) -> bool:
        while self._at >= len(self._chunk):
            try:
                self._chunk, self._at = next(self._chunks, b""), 0
            except _TornGzip as error:
                self._chunk, self.torn = b"", str(error)
            if not self._chunk:
                return False
        return True


def _contents(file: IO[bytes]) -> Generator[bytes, None, None]:
    """The file's chunks, decompressed if it is GZIP. Raises _TornGzip after the last readable byte."""
    start = file.read(_HEADER.size)
    file.seek(0)
    chunks = iter(lambda: file.read(_CHUNK), b"")
    yield from _inflated(chunks) if _is_gzip(start) else chunks


def _is_gzip(start: bytes) -> bool:
    """Whether a file begins like GZIP. So does a plain record of 560,927 bytes, but its length has a correct CRC."""
    if not start.startswith(_GZIP_MAGIC):
        return False
    return len(start) < _HEADER.size or _masked_crc(start[:8]) != _HEADER.unpack(start)[1]


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        while chunk:
            if inflater.eof:  # more members, or zeros that pad the last block, may follow
                chunk = chunk.lstrip(b"\0")
                if chunk:
                    inflater = zlib.decompressobj(_GZIP)
                continue
            before = inflater.copy()
            try:
                data = inflater.decompress(chunk, _INFLATED)
            except zlib.error as error:
                yield from _inflated_until_wrong(before, chunk)
                raise _TornGzip(f"zlib says {error}") from error
            chunk = inflater.unconsumed_tail or inflater.unused_data
            if data:
                yield data
    if not inflater.eof:
        if data := inflater.flush():
            yield data
        raise _TornGzip(_CUT)


def _inflated_until_wrong(inflater: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """The bytes before the damage. zlib returns nothing of a failed step, so these steps are one byte long."""
    for at in range(len(chunk)):
        rest = chunk[at : at + 1]
        while rest:
            try:
                data = inflater.decompress(rest, _INFLATED)
            except zlib.error:
                return
            rest = inflater.unconsumed_tail
            if data:
                yield data
