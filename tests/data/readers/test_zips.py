from __future__ import annotations

import pickle
import random
import shutil
import subprocess
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zip_writer import Entry, write_zip

from tracer1.data.readers.zips import ZipReader
from tracer1.errors import DataError

EACH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
FILES = {
    "images/a.png": random.Random(1).randbytes(700),
    "images/b.png": b"the same again, " * 50,
    "c ünï.png": b"c",
    "empty.png": b"",
}
ENTRIES = [Entry("images/", mode=0o40755), *(Entry(n, d, deflate=n == "images/b.png") for n, d in FILES.items())]


def contents(reader: ZipReader) -> dict[str, bytes]:
    return {name: reader.read(name) for name in reader.names()}


@pytest.mark.parametrize("zip64", [False, True], ids=["", "zip64"])
@pytest.mark.parametrize("part_size", [None, 100, 150, 333, 1000, 1 << 20])
def test_members_come_back_from_one_file_and_from_parts(tmp_path: Path, part_size: int | None, zip64: bool) -> None:
    paths = write_zip(tmp_path / "images.zip", ENTRIES, part_size, zip64)
    assert len(paths) > 2 or part_size is None or part_size >= 1000
    with ZipReader(tmp_path / "images.zip") as reader:
        assert contents(reader) == FILES
        assert list(FILES) == reader.names()
        assert {name: reader.size(name) for name in FILES} == {name: len(data) for name, data in FILES.items()}
        assert "images/a.png" in reader
        assert "a.png" not in reader
        assert not reader.refused


@given(
    files=st.dictionaries(
        st.text("abc/é ", min_size=1, max_size=9).filter(lambda n: n[0] != "/" and n[-1] != "/"),
        st.tuples(st.binary(max_size=300), st.booleans()),
        max_size=4,
    ),
    part_size=st.none() | st.integers(100, 500),
    zip64=st.booleans(),
)
@EACH
def test_any_members_come_back(
    tmp_path: Path, files: dict[str, tuple[bytes, bool]], part_size: int | None, zip64: bool
) -> None:
    entries = [Entry(name, data, deflate) for name, (data, deflate) in files.items()]
    write_zip(tmp_path / "x.zip", entries, part_size, zip64)
    with ZipReader(tmp_path / "x.zip") as reader:
        assert contents(reader) == {name: data for name, (data, _) in files.items()}


def test_what_pythons_zipfile_writes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
        archive.comment = b"PK\5\6 a comment that looks like an end"
    assert contents(ZipReader(tmp_path / "x.zip")) == FILES


@pytest.mark.skipif(not shutil.which("zip"), reason="needs Debian's zip")
@pytest.mark.parametrize("options", [["-s", "64k"], ["-s", "64k", "-0"], ["-s", "64k", "-fz"], ["-fz"], []])
def test_what_debians_zip_writes(tmp_path: Path, options: list[str]) -> None:
    files = FILES | {f"images/{n}.png": random.Random(n).randbytes(40_000 + n) for n in range(10)}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    subprocess.run(["zip", "-q", "-r", *options, "x.zip", *{n.split("/")[0] for n in files}], cwd=tmp_path, check=True)
    assert bool(list(tmp_path.glob("x.z0*"))) == ("-s" in options)
    assert contents(ZipReader(tmp_path / "x.zip")) == files


def test_names_of_the_old_code_page(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", [Entry("zXX.png", b"1")])
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace(b"zXX.png", b"z\x81\x84.png").replace(b"\x00\x08", b"\x00\x00"))
    assert contents(ZipReader(tmp_path / "x.zip")) == {"züä.png": b"1"}


# ---- what is not there -----------------------------------------------------------------------------------------------


def test_missing_parts_are_named(tmp_path: Path) -> None:
    paths = write_zip(tmp_path / "images.zip", ENTRIES, 150)
    paths[1].unlink()
    with pytest.raises(DataError, match=rf"1 of its {len(paths)} parts are missing: images\.z02; put all parts into"):
        ZipReader(tmp_path / "images.zip")
    for path in paths[:-1]:
        path.unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"parts are missing: images\.z01, images\.z02, images\.z03, \.\.\.;"):
        ZipReader(tmp_path / "images.zip")


def test_a_part_of_another_zip_gives_no_wrong_bytes(tmp_path: Path) -> None:
    paths = write_zip(tmp_path / "images.zip", ENTRIES, 150)
    paths[2].write_bytes(bytes(150))
    reader = ZipReader(tmp_path / "images.zip")
    found = {}
    for name in reader.names():
        try:
            found[name] = reader.read(name)
        except DataError:
            continue
    assert found.items() < FILES.items()
    assert found


@pytest.mark.parametrize("text", [b"", b"<html>", b"PK\5\6", b"PK\5\6" + b"\xff" * 18, b"PK\3\4" * 1000])
def test_another_file_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(text)
    with pytest.raises(DataError, match=r"x\.zip: not a zip"):
        ZipReader(tmp_path / "x.zip")


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.zip"):
        with pytest.raises(DataError, match="cannot be read"):
            ZipReader(path)


def test_no_member_of_that_name(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", ENTRIES)
    with ZipReader(tmp_path / "x.zip") as reader, pytest.raises(DataError, match=r"x\.zip: no member 'images/'"):
        reader.read("images/")


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Entry("../a.png"), "path leaves the folder"),
        (Entry("images/../../a.png"), "path leaves the folder"),
        (Entry("/etc/a.png"), "path leaves the folder"),
        (Entry("C:/a.png"), "path leaves the folder"),
        (Entry("c:a.png"), "path leaves the folder"),
        (Entry("images\\..\\a.png"), "path leaves the folder"),
        (Entry("\\\\server\\a.png"), "path leaves the folder"),
        (Entry("a.png\0.txt"), "path leaves the folder"),
        (Entry(""), "path leaves the folder"),
        (Entry("a\npng"), "odd name"),
        (Entry("a\udcff.png"), "odd name"),
        (Entry("link.png", b"/etc/passwd", mode=0o120777), "symbolic link"),
        (Entry("pipe.png", mode=0o10644), "not a file"),
        (Entry("folder/", b"data"), "not a file"),
        (Entry("secret.png", b"x", flags=0x801), "encrypted"),
        (Entry("strong.png", b"x", flags=0x841), "encrypted"),
        (Entry("lzma.png", b"x", method=14), "unknown compression"),
        (Entry("large.png", b"x" * 1001), "too large"),
        (Entry("said.png", b"x", size=0xFFFFFFFE), "too large"),
        (Entry("far.png", b"x", packed=0xFFFFFFFE), "truncated"),
        (Entry("part.png", b"x", part=7), "truncated"),
    ],
    ids=lambda value: value.name if isinstance(value, Entry) else "",
)
@pytest.mark.parametrize("zip64", [False, True], ids=["", "zip64"])
def test_a_member_is_refused_and_the_others_stay(tmp_path: Path, entry: Entry, reason: str, zip64: bool) -> None:
    write_zip(tmp_path / "x.zip", [Entry("a.png", b"a"), entry, Entry("z.png", b"z")], zip64=zip64)
    with ZipReader(tmp_path / "x.zip", limit=1000) as reader:
        assert contents(reader) == {"a.png": b"a", "z.png": b"z"}
        (refused,) = reader.refused.items()
        assert refused[1].reason == reason
        for method in (reader.read, reader.size):
            with pytest.raises(DataError, match=f": {reason}: "):
                method(refused[0])


def test_absurd_sizes_are_refused(tmp_path: Path) -> None:
    entries = [Entry("size.png", b"x", size=1 << 63), Entry("packed.png", b"x", packed=1 << 63)]
    write_zip(tmp_path / "x.zip", entries, zip64=True)
    assert [damage.reason for damage in ZipReader(tmp_path / "x.zip").refused.values()] == ["too large", "truncated"]


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", [Entry("a.png", b"1"), Entry("b.png", b"b"), Entry("a.png", b"2"), Entry("a.png")])
    reader = ZipReader(tmp_path / "x.zip")
    assert contents(reader) == {"b.png": b"b"}
    assert reader.refused["a.png"].reason == "named twice"


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    zeros = bytes(3 << 20)
    write_zip(tmp_path / "x.zip", [Entry("bomb", zeros, True), Entry("plain", bytes(1 << 20), True)])
    with ZipReader(tmp_path / "x.zip") as reader:
        assert reader.refused["bomb"].reason == "decompression bomb"
        assert reader.read("plain") == bytes(1 << 20)
    assert ZipReader(tmp_path / "x.zip", ratio=2000).read("bomb") == zeros


def test_a_bomb_that_says_it_is_small_takes_no_memory(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", [Entry("bomb", bytes(64 << 20), True, size=1000)])
    reader = ZipReader(tmp_path / "x.zip")
    tracemalloc.start()
    with pytest.raises(DataError, match="wrong CRC or size"):
        reader.read("bomb")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Entry("a.png", b"abc", crc=1), "wrong CRC or size"),
        (Entry("a.png", b"abc", True, crc=1), "wrong CRC or size"),
        (Entry("a.png", b"abc", size=2), "wrong CRC or size"),
        (Entry("a.png", b"abcd" * 9, True, size=35), "wrong CRC or size"),
        (Entry("a.png", b"abcd" * 9, True, size=37), "wrong CRC or size"),
        (Entry("a.png", b"abcd" * 9, True, packed=5), "wrong CRC or size"),
        (Entry("a.png", b"\xff" * 9, method=8), "wrong CRC or size"),
        (Entry("a.png", b"abc", local_name="b.png"), "its own header has another name"),
    ],
)
def test_a_member_that_lies_is_refused_when_read(tmp_path: Path, entry: Entry, message: str) -> None:
    write_zip(tmp_path / "x.zip", [entry])
    with pytest.raises(DataError, match=rf"x\.zip member 'a\.png': {message}"):
        ZipReader(tmp_path / "x.zip").read("a.png")


@pytest.mark.parametrize("zip64", [False, True], ids=["", "zip64"])
def test_cut_or_changed_it_never_gives_wrong_bytes(tmp_path: Path, zip64: bool) -> None:
    path = tmp_path / "x.zip"
    files = {"a.png": b"abc", "b.png": b"b" * 40}
    write_zip(path, [Entry("a.png", b"abc"), Entry("b.png", b"b" * 40, True)], zip64=zip64)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at])
        with pytest.raises(DataError):
            ZipReader(path)
        for flip in (0x01, 0xFF):
            path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
            try:
                reader = ZipReader(path)
            except DataError:
                continue
            for name in reader.names():
                try:
                    assert reader.read(name) == files[name]
                except DataError:
                    continue
            reader.close()


# ---- workers ---------------------------------------------------------------------------------------------------------


def _read(reader: ZipReader) -> bytes:
    return reader.read("images/a.png")


def test_workers_may_have_one(tmp_path: Path) -> None:
    write_zip(tmp_path / "images.zip", ENTRIES, 150)
    with ZipReader(tmp_path / "images.zip", limit=1000) as reader, ThreadPoolExecutor(4) as threads:
        assert contents(pickle.loads(pickle.dumps(reader))) == FILES
        assert set(threads.map(_read, [reader] * 50)) == {FILES["images/a.png"]}


def test_a_closed_one_says_so(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", ENTRIES)
    with ZipReader(tmp_path / "x.zip") as reader:
        pass
    reader.close()
    with pytest.raises(DataError, match=r"x\.zip: closed"):
        reader.read("images/a.png")
