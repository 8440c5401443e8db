from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.data.readers.android_accessibility import Forest, Node, ScreenWindow, encode_forest
from tracer1.data.readers.tfexample import decode_example, encode_example
from tracer1.errors import DataError

floats = st.floats(width=32, allow_nan=False)
values = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    st.lists(floats, min_size=1, max_size=4),
)
FEATURES = {"goal": [b"open the clock"], "widths": [1080, -1], "scores": [0.5]}


def part(number: int, data: bytes) -> bytes:
    """One length-delimited field of the wire format; both are short here."""
    return bytes([number << 3 | 2, len(data)]) + data


@given(st.dictionaries(st.text(min_size=1, max_size=8), values, min_size=1, max_size=4))
def test_what_is_encoded_is_decoded(features: dict[str, list[bytes] | list[int] | list[float]]) -> None:
    decoded = decode_example(encode_example(features))
    assert decoded == features
    assert {k: type(v[0]) for k, v in decoded.items()} == {k: type(v[0]) for k, v in features.items()}


def test_the_bytes_are_those_of_the_published_messages() -> None:
    by_hand = part(1, part(1, part(1, b"goal") + part(2, part(1, part(1, b"open") + part(1, b"shut")))))
    assert encode_example({"goal": [b"open", b"shut"]}) == by_hand
    assert decode_example(part(1, part(1, part(1, b"n") + part(2, part(3, b"\x08\x07\x08\x09"))))) == {"n": [7, 9]}
    assert decode_example(part(1, part(1, part(1, b"n") + part(2, part(3, part(1, b"\x07\x09")))))) == {"n": [7, 9]}
    half = struct.pack("<f", 0.5)
    assert decode_example(part(1, part(1, part(1, b"f") + part(2, part(2, part(1, half + half)))))) == {"f": [0.5, 0.5]}


def test_a_feature_may_have_no_kind_and_no_values() -> None:
    assert decode_example(part(1, part(1, part(1, b"empty")))) == {"empty": []}
    assert decode_example(encode_example({"empty": []})) == {"empty": []}


def test_no_float_is_refused() -> None:
    assert math.isnan(decode_example(encode_example({"x": [math.nan]}))["x"][0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\xff" * 20,
        encode_forest(Forest((ScreenWindow((Node(text="OK"),), (0, 0, 9, 9)),))),
        part(2, b"something"),
        part(1, part(1, part(1, b"\xff") + part(2, b""))),  # a name that is not UTF-8
    ],
    ids=["empty", "text", "noise", "forest", "other field", "name"],
)
def test_another_message_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^shard record 3: not a tf\.train\.Example"):
        decode_example(data, "shard record 3")


def test_cut_or_changed_it_never_crashes() -> None:
    data = encode_example(FEATURES)
    for at in range(len(data)):
        for changed in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            try:
                decode_example(changed)
            except DataError:
                continue


@pytest.mark.parametrize("values", [[1, 2.0], [b"a", 1], ["text"], [True], [2**63], [None]])
def test_what_no_feature_can_hold_is_refused(values: list[object]) -> None:
    with pytest.raises(DataError, match="'mixed'"):
        encode_example({"mixed": values})  # type: ignore[dict-item]
    with pytest.raises(DataError):
        encode_example({"": [1]})
