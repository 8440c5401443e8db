from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.data.readers import android_accessibility
from tracer1.data.readers.android_accessibility import (
    LIMIT,
    WINDOW_KINDS,
    Forest,
    Node,
    ScreenWindow,
    decode_forest,
    encode_forest,
)
from tracer1.errors import DataError

# https://github.com/google-deepmind/android_env, android_env/proto/a11y at commit 60db435: what is read of each message
PUBLISHED = {
    "AndroidAccessibilityForest": "windows=1",
    "AndroidAccessibilityTree": "nodes=1",
    "AndroidAccessibilityWindowInfo": ("bounds_in_screen=1 layer=4 window_type=6 is_active=8 is_focused=9 tree=11"),
    "AndroidAccessibilityNodeInfo": (
        "unique_id=1 bounds_in_screen=2 class_name=3 content_description=4 package_name=6 text=7 "
        "view_id_resource_name=10 is_checkable=12 is_clickable=14 is_editable=15 is_focusable=17 is_focused=18 "
        "is_long_clickable=19 is_scrollable=21 is_visible_to_user=23 child_ids=25"
    ),
    "ProtoRect": "left=1 top=2 right=3 bottom=4",
}

int32 = st.integers(-(2**31), 2**31 - 1)
bounds = st.tuples(int32, int32, int32, int32)
words = st.text(max_size=8)
nodes = st.builds(
    Node,
    unique_id=int32,
    child_ids=st.lists(int32, max_size=3).map(tuple),
    bounds=bounds,
    **dict.fromkeys(("class_name", "text", "content_description", "view_id", "package_name"), words),
    **{name: st.booleans() for name in ("clickable", "checkable", "focusable", "focused", "editable", "scrollable")},
    **{name: st.booleans() for name in ("long_clickable", "visible")},
)
windows = st.builds(
    ScreenWindow,
    st.lists(nodes, max_size=3).map(tuple),
    bounds,
    int32,
    st.sampled_from(WINDOW_KINDS),
    st.booleans(),
    st.booleans(),
)
forests = st.builds(Forest, st.lists(windows, max_size=3).map(tuple))

BUTTON = Node(
    7,
    (8, 9),
    (0, 10, 200, 60),
    "android.widget.Button",
    "OK",
    "Confirm",
    "app:id/ok",
    "app",
    clickable=True,
    visible=True,
)
FOREST = Forest((ScreenWindow((Node(0, (7,), (0, 0, 1080, 2400)), BUTTON), (0, 0, 1080, 2400), 2, "application"),))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_numbers_are_the_published_ones(name: str) -> None:
    messages = android_accessibility._forest().DESCRIPTOR.file.message_types_by_name
    declared = {f"{field.name}={field.number}" for field in messages[name].fields}
    assert declared == set(PUBLISHED[name].split())


@given(forests)
def test_what_is_encoded_is_decoded(forest: Forest) -> None:
    assert decode_forest(encode_forest(forest)) == forest


def test_zeros_are_not_in_the_bytes_and_are_read() -> None:
    # window { tree { node { bounds { right: 200 bottom: 60 } is_clickable: true } } }
    node = b"\x12\x05" + b"\x18\xc8\x01\x20\x3c" + b"\x70\x01"
    tree = b"\x0a" + bytes([len(node)]) + node
    window = b"\x5a" + bytes([len(tree)]) + tree
    data = b"\x0a" + bytes([len(window)]) + window
    forest = Forest((ScreenWindow((Node(bounds=(0, 0, 200, 60), clickable=True),)),))
    assert encode_forest(forest) == data
    assert decode_forest(data) == forest


def test_no_bytes_are_no_windows() -> None:
    assert decode_forest(b"") == Forest()
    assert encode_forest(Forest()) == b""


def test_fields_that_are_not_read_pass() -> None:
    unknown = b"\xfa\x01\x04help"  # tooltip_text = 31 of a node
    unpacked = b"\xc8\x01\x08\xc8\x01\x09"  # child_ids one by one, as an old writer may put them
    node = b"\x08\x07" + unknown + unpacked
    tree = b"\x0a" + bytes([len(node)]) + node
    window = b"\x30\x63\x5a" + bytes([len(tree)]) + tree  # a kind of window, 99, that came later
    decoded = decode_forest(b"\x0a" + bytes([len(window)]) + window)
    assert decoded == Forest((ScreenWindow((Node(7, (8, 9)),)),))


def test_children_and_places_of_a_usual_screen() -> None:
    assert decode_forest(encode_forest(FOREST)).windows[0].nodes[1] == BUTTON


def test_cut_or_changed_it_never_crashes() -> None:
    data = encode_forest(FOREST)
    for at in range(len(data)):
        for changed in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            try:
                decode_forest(changed)
            except DataError:
                continue


NOT_UTF8 = b"\x0a\x08\x5a\x06\x0a\x04\x3a\x02\xff\xff"  # the text of a node


@pytest.mark.parametrize("data", [b"<html>", b"\xff" * 20, NOT_UTF8], ids=["html", "noise", "text"])
def test_another_message_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^step 1: not an AndroidAccessibilityForest"):
        decode_forest(data, "step 1")


def test_absurd_sizes_are_refused() -> None:
    with pytest.raises(DataError, match=r"^step 1: 4,194,305 bytes; .* at most 4,194,304"):
        decode_forest(bytes(LIMIT + 1), "step 1")
    tree = b"\x0a\x00" * 60_000
    size = len(tree)
    window = b"\x5a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + tree
    size = len(window)
    with pytest.raises(DataError, match=r"^step 1: 60,000 nodes"):
        decode_forest(b"\x0a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + window, "step 1")


@pytest.mark.parametrize("change", [{"layer": 2**31}, {"kind": "hologram"}])
def test_what_has_no_place_in_the_message_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match="cannot be encoded"):
        encode_forest(Forest((dataclasses.replace(FOREST.windows[0], **change),)))  # type: ignore[arg-type]
