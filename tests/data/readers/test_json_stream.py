from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracer1.data.readers import json_stream
from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.json_stream import json_lines_between, stream_array, stream_json
from tracer1.errors import DataError

EACH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
TRICKY = ['a "quoted" [ { , ] }', "\\", '\\"', "line\nbreak", "ünï 名前 😀", "", "]", "},{"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(TRICKY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "records.json"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


@pytest.fixture(params=[1, 7, 1 << 20])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many bytes are read at once: every place of a file is then a place where a read ends."""
    monkeypatch.setattr(json_stream, "_CHUNK", request.param)
    return int(request.param)


def read(path: Path, **limits: int) -> list[Any]:
    found = list(stream_array(path, **limits))
    assert [index for index, _ in found] == list(range(len(found)))
    return [f"<{value.reason}>" if isinstance(value, Damaged) else value for _, value in found]


def read_lines(path: Path, start: int = 0, stop: int = 1 << 60, **limits: int) -> list[Any]:
    found = json_lines_between(path, start, stop, **limits)
    return [f"<{value.reason}>" if isinstance(value, Damaged) else value for _, value in found]


# ---- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("chunk")
@given(elements=st.lists(values, max_size=5), indent=st.sampled_from([None, 0, 2]), plain=st.booleans())
@EACH
def test_what_json_writes_is_read(
    write: Callable[[str], Path], elements: list[Any], indent: int | None, plain: bool
) -> None:
    text = json.dumps(elements, indent=indent, ensure_ascii=plain)
    assert read(write(text)) == elements
    assert read(write("\ufeff \n" + text + "\n ")) == elements


@pytest.mark.usefixtures("chunk")
def test_cut_anywhere_the_whole_elements_stay(write: Callable[[str | bytes], Path]) -> None:
    elements = [*TRICKY, {"a": [1, {"b": TRICKY}]}, [[]], 12.5, None]
    data = json.dumps(elements, ensure_ascii=False).encode()
    for size in range(1, len(data)):
        *good, last = read(write(data[:size]))
        assert good == elements[: len(good)]
        assert last == "<truncated>"


@given(at=st.integers(0, 1 << 20), byte=st.integers(0, 255))
@EACH
def test_a_changed_byte_never_crashes_and_spares_what_is_before(
    write: Callable[[bytes], Path], at: int, byte: int
) -> None:
    elements = [*TRICKY, {"a": [1, {"b": TRICKY}]}, [[]], 12.5, None]
    data = json.dumps(elements).encode()
    at = 1 + at % (len(data) - 1)
    found = read(write(data[:at] + bytes([byte]) + data[at + 1 :]))
    spared = max(n for n in range(len(elements)) if n == 0 or len(json.dumps(elements[:n])) <= at)
    assert found[:spared] == elements[:spared]


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    "bad",
    [
        '{"a": tru}',
        "NaN",
        "[1, Infinity]",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 2]',
        "01",
        "12 34",
        "nulll",
        '"tab\there"',
        '{"a": 1} {"b": 2}',
        "",
        "9" * 5000,
        '"\\x"',
        "}",
    ],
)
def test_a_bad_element_costs_itself(write: Callable[[str], Path], bad: str) -> None:
    assert read(write(f'[{{"a": 1}}, {bad}, [2, "]"], 3]')) == [{"a": 1}, "<not JSON>", [2, "]"], 3]
    assert read(write(f"[{bad}, 3]")) == ["<not JSON>", 3]


def test_a_missing_quote_costs_a_line(write: Callable[[str], Path]) -> None:
    lines = json.dumps([{"a": "x"}, {"b": "y"}, {"c": "z"}], indent=1)
    assert read(write(lines.replace('"y"', '"y'))) == [{"a": "x"}, "<not JSON>", {"c": "z"}]


def test_a_comma_before_the_end_is_told(write: Callable[[str], Path]) -> None:
    assert read(write("[1, 2,]")) == [1, 2, "<not JSON>"]


def test_text_behind_the_array_is_told(write: Callable[[str], Path]) -> None:
    assert read(write("[1, 2] 3")) == [1, 2, "<not JSON>"]
    assert read(write("[] x")) == ["<not JSON>"]


@pytest.mark.parametrize("text", ["", "  ", '{"a": 1}', "<html>", "\x00\x01"])
def test_no_array_is_refused(write: Callable[[str], Path], text: str) -> None:
    with pytest.raises(DataError, match=r"records\.json: not a JSON array: it begins with "):
        read(write(text))


def test_other_encodings_are_told(write: Callable[[bytes], Path]) -> None:
    assert read(write(b'["a", "b\xff", "c", "\xe9"]')) == ["a", "<not UTF-8>", "c", "<not UTF-8>"]
    assert read(write(b'["a", "\xe5\x90')) == ["a", "<truncated>"]
    with pytest.raises(DataError, match="not a JSON array"):
        read(write('["a"]'.encode("utf-16")))


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("deep", ["[" * 1000 + "]" * 1000, '{"a":' * 101 + "1" + "}" * 101, "[" * 101 + "]" * 101])
def test_nested_too_deep(write: Callable[[str], Path], deep: str) -> None:
    assert read(write(f"[1, {deep}, 2]")) == [1, "<nested too deep>", 2]
    assert read_lines(write(f"1\n{deep}\n2\n")) == [1, "<nested too deep>", 2]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('[{"a":', "}]")])
def test_a_million_deep(write: Callable[[str], Path], opening: str, closing: str) -> None:
    times = 1_000_000 // len(closing)
    deep = opening * times + "1" + closing * times
    assert read(write(f"[1, {deep}, 2]")) == [1, "<nested too deep>", 2]
    assert read(write(f"[1, {opening * times}")) == [1, "<nested too deep>"]
    assert read_lines(write(f"1\n{deep}\n2\n")) == [1, "<nested too deep>", 2]


def test_depth_is_counted_in_brackets_not_in_text(write: Callable[[str], Path]) -> None:
    value = ["[" * 200, *[[n] for n in range(200)]]
    assert read(write(json.dumps([value])), depth=2) == [value]
    assert read(write(json.dumps([value])), depth=1) == ["<nested too deep>"]
    assert read(write("[[], [[]], [[[]]]]"), depth=2) == [[], [[]], "<nested too deep>"]


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    "large",
    [
        json.dumps({"a": ['x"]\\' * 20, [1, 2, "ü"]]}, ensure_ascii=False),
        json.dumps({"a": ['x"]\\' * 20, [1, 2]]}) + "]",
        f'"{"y" * 99}"',
        f'"{"y" * 200}"',
        f'"{chr(92) * 200}"',
        "[" + "1," * 90 + "]",
    ],
)
def test_an_element_over_the_limit_is_passed_over(write: Callable[[str], Path], large: str) -> None:
    least = f'"{"z" * 98}"'
    if large.endswith("]]}]"):  # the bracket too much ends the array
        assert read(write(f"[1, {large}, {least}]"), limit=100) == [1, "<too large>", "<not JSON>"]
    else:
        assert read(write(f"[1, {large}, {least}]"), limit=100) == [1, "<too large>", "z" * 98]


@pytest.mark.parametrize(
    "large",
    [f'"{"a" * (30 << 20)}"', "[" + f'["{"a" * 1000}"],' * (30 << 10) + "0]", " " * (30 << 20) + "3"],
    ids=["text", "lists", "blanks"],
)
def test_an_endless_element_takes_little_memory(write: Callable[[str], Path], large: str) -> None:
    for path in (write(f"[1, {large}, 2]"), write(f"[1, {large}")):
        tracemalloc.start()
        found = read(path, limit=1 << 18)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20
        assert found[0] == 1
        assert len(found) >= 2


def test_damage_says_where_and_what(write: Callable[[str], Path]) -> None:
    path = write('[1, {"a": tru}, 2]')
    damage = dict(stream_array(path))[1]
    assert str(damage) == f"{path} element 1: not JSON: Expecting value at character 6"


# ---- lines -----------------------------------------------------------------------------------------------------------


@given(records=st.lists(values, max_size=6), cuts=st.lists(st.integers(0, 200), max_size=4), blank=st.booleans())
@EACH
def test_ranges_that_meet_read_each_line_once(
    write: Callable[[str], Path], records: list[Any], cuts: list[int], blank: bool
) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + ("\n\n" if blank else "\n") for record in records)
    for path in (write(text), write(text.rstrip("\n"))):
        bounds = [0, *sorted(cuts), 1 << 40]
        found = [pair for start, stop in pairwise(bounds) for pair in json_lines_between(path, start, stop)]
        assert [value for _, value in found] == records
        data = path.read_bytes()
        for offset, value in found:
            assert json.loads(data[offset:].split(b"\n")[0]) == value


def test_a_line_belongs_where_it_begins(write: Callable[[str], Path]) -> None:
    path = write("11\n22\n33\n")
    assert [read_lines(path, start, start + 1) for start in range(9)] == [[11], [], [], [22], [], [], [33], [], []]


def test_a_bad_line_costs_itself(write: Callable[[bytes], Path]) -> None:
    lines = [b"1", b'{"a": tru}', b"2", b"NaN", b"\xff", b"3 4", b"\xef\xbb\xbf5", b"", b"\x00", b"6", b'{"b":']
    expected = [1, "<not JSON>", 2, "<not JSON>", "<not UTF-8>", *["<not JSON>"] * 3, 6, "<truncated>"]
    assert read_lines(write(b"\n".join(lines))) == expected
    assert read_lines(write(b"\xef\xbb\xbf1\r\n2\r\n")) == [1, 2]


def test_a_long_line_is_passed_over(write: Callable[[str], Path]) -> None:
    path = write("1\n" + '"' + "x" * (8 << 20) + '"\n2\n' + "9" * 100)
    tracemalloc.start()
    assert read_lines(path, limit=50) == [1, "<too large>", 2, "<too large>"]
    assert read_lines(path, 3, limit=50) == [2, "<too large>"]
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert read_lines(write('"12345678"\n"123456789"\n"12345678"'), limit=10) == ["12345678", "<too large>", "12345678"]


def test_damage_in_a_line_says_where(write: Callable[[str], Path]) -> None:
    path = write('1\n{"a": tru}\n')
    assert str(dict(json_lines_between(path, 0, 99))[2]) == (f"{path} byte 2: not JSON: Expecting value at character 6")


# ---- either ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2}]', '\ufeff\n [{"a": 1},\n{"a": 2}]', '{"a": 1}\n\n{"a": 2}'])
def test_either_kind_is_told_by_its_beginning(write: Callable[[str], Path], text: str) -> None:
    assert list(stream_json(write(text))) == [(0, {"a": 1}), (1, {"a": 2})]


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    for reader in (stream_json, stream_array, lambda path: json_lines_between(path, 0, 9)):
        for path in (tmp_path, tmp_path / "nowhere.json"):
            with pytest.raises(DataError, match="cannot be read"):
                list(reader(path))
