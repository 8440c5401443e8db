from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.tfrecord import _masked_crc, read_tfrecord, write_tfrecord
from tracer1.errors import DataError

PAYLOADS = [b"first", b"", bytes(range(256)) * 3, b"last"]
STARTS = [0, 21, 37, 821, 841]  # where each record of a plain file begins, and the end
EACH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
packings = pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])


def read(path: Path, limit: int = 1 << 30) -> list[bytes | Damaged]:
    found = list(read_tfrecord(path, limit))
    assert [index for index, _ in found] == list(range(len(found)))
    return [record for _, record in found]


def good(records: list[bytes | Damaged]) -> list[bytes]:
    return [record for record in records if isinstance(record, bytes)]


def reasons(records: list[bytes | Damaged]) -> list[str]:
    return [record.reason for record in records if isinstance(record, Damaged)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "shard"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def plain(tmp_path: Path) -> bytes:
    write_tfrecord(tmp_path / "plain", PAYLOADS, gzip=False)
    return (tmp_path / "plain").read_bytes()


@packings
@given(payloads=st.lists(st.binary(max_size=100), max_size=5))
@EACH
def test_what_is_written_is_read(tmp_path: Path, packed: bool, payloads: list[bytes]) -> None:
    assert write_tfrecord(tmp_path / "shard", payloads, gzip=packed) == len(payloads)
    assert read(tmp_path / "shard") == payloads


def test_the_layout_is_tensorflows(plain: bytes) -> None:
    # Written by tf.io.TFRecordWriter for b"first"; the CRC of the length is that of every five-byte record.
    assert plain[:8] == struct.pack("<Q", 5)
    assert _masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert [plain[start : start + 8] for start in STARTS[:-1]] == [struct.pack("<Q", len(p)) for p in PAYLOADS]
    assert len(plain) == STARTS[-1]


def test_records_larger_than_a_read_are_whole(tmp_path: Path) -> None:
    payloads = [bytes([n]) * (3 << 20) + b"end" for n in range(4)]
    for packed in (False, True):
        write_tfrecord(tmp_path / "shard", payloads, gzip=packed)
        assert read(tmp_path / "shard") == payloads


def test_gzip_members_in_a_row_and_zeros_behind_them(write: Callable[[bytes], Path], plain: bytes) -> None:
    assert read(write(gzip.compress(plain[:30]) + gzip.compress(plain[30:]))) == PAYLOADS
    assert read(write(gzip.compress(plain) + bytes(1000))) == PAYLOADS


def test_a_plain_record_that_begins_as_gzip_does(tmp_path: Path) -> None:
    payloads = [bytes(0x088B1F), b"next"]
    write_tfrecord(tmp_path / "shard", payloads, gzip=False)
    assert (tmp_path / "shard").read_bytes().startswith(b"\x1f\x8b\x08")
    assert read(tmp_path / "shard") == payloads


@packings
def test_cut_anywhere_the_whole_records_stay(write: Callable[[bytes], Path], plain: bytes, packed: bool) -> None:
    data = gzip.compress(plain) if packed else plain
    for size in range(1, len(data)):
        records = read(write(data[:size]))
        assert good(records) == PAYLOADS[: len(good(records))]
        if not packed and size in STARTS:
            assert reasons(records) == []
        else:
            assert reasons(records) == ["truncated"]
            assert isinstance(records[-1], Damaged)
        if not packed:
            assert len(good(records)) == sum(start <= size for start in STARTS[1:])


def test_a_cut_gzip_gives_what_zlib_can_give(write: Callable[[bytes], Path], plain: bytes) -> None:
    data = gzip.compress(plain)[:-8]  # all is there but the trailer
    assert good(read(write(data))) == PAYLOADS


@given(at=st.integers(0, STARTS[-1] - 1), bit=st.integers(0, 7))
@EACH
def test_a_flipped_bit_costs_its_record_only(write: Callable[[bytes], Path], plain: bytes, at: int, bit: int) -> None:
    records = read(write(plain[:at] + bytes([plain[at] ^ 1 << bit]) + plain[at + 1 :]))
    hit = sum(start <= at for start in STARTS[1:])
    if at - STARTS[hit] < 12:
        assert records[:-1] == PAYLOADS[:hit]
        assert reasons(records) == ["wrong length CRC"]
    else:
        assert good(records) == PAYLOADS[:hit] + PAYLOADS[hit + 1 :]
        assert reasons(records) == ["wrong CRC"]
        assert f"shard record {hit}" in str(records[hit])


def test_a_flipped_byte_under_gzip_never_gives_a_wrong_record(write: Callable[[bytes], Path], plain: bytes) -> None:
    data = gzip.compress(plain, mtime=0)
    for at in range(10, len(data)):
        records = read(write(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]))
        assert set(good(records)) <= set(PAYLOADS)
        assert reasons(records)


def test_all_before_a_wrong_byte_of_gzip_is_read(write: Callable[[bytes], Path], plain: bytes) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 100
    records = read(write(data))
    assert good(records) == PAYLOADS
    assert reasons(records) == ["damaged gzip"]
    assert "fetch the file again" in str(records[-1])


def test_other_bytes_behind_gzip_are_told(write: Callable[[bytes], Path], plain: bytes) -> None:
    records = read(write(gzip.compress(plain) + b"<html>"))
    assert good(records) == PAYLOADS
    assert reasons(records) == ["damaged gzip"]


def header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", _masked_crc(packed))


@packings
@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 64) - 1])
def test_an_absurd_length_takes_no_memory(
    write: Callable[[bytes], Path], plain: bytes, packed: bool, length: int
) -> None:
    data = plain + header(length) + b"abc"
    tracemalloc.start()
    records = read(write(gzip.compress(data) if packed else data), limit=1000)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert good(records) == PAYLOADS
    assert reasons(records) == ["too large"]


def test_a_length_within_the_limit_but_not_there_takes_no_memory(write: Callable[[bytes], Path]) -> None:
    path = write(header(1 << 30) + b"abc")
    tracemalloc.start()
    assert reasons(read(path)) == ["truncated"]
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@packings
def test_a_record_over_the_limit_is_passed_over(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "shard"
    write_tfrecord(path, [b"a", bytes(5 << 20), b"c"], gzip=packed)
    records = read(path, limit=1000)
    assert good(records) == [b"a", b"c"]
    assert str(records[1]) == f"{path} record 1: too large: 5,242,880 bytes; at most 1,000 are read"


def test_an_empty_file_holds_no_record(write: Callable[[bytes], Path]) -> None:
    assert read(write(b"")) == []


def test_another_file_holds_none(write: Callable[[bytes], Path]) -> None:
    assert reasons(read(write(b"<html>not found, sorry</html>"))) == ["wrong length CRC"]


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no-shard: cannot be read: No such file"):
        read(tmp_path / "no-shard")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)
