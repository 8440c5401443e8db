"""The ``AndroidAccessibilityForest`` message: the accessibility trees of all windows on a screen.

The fields follow https://github.com/google-deepmind/android_env, android_env/proto/a11y at commit 60db435. Only the
fields that are used are declared; others are ignored. A message omits zero values, so all fields have defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from tracer1.errors import DataError

Bounds = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the screen; edges may lie outside

LIMIT = 4 << 20  # bytes of one forest; a screen of 150 nodes has about 40 kB
NODE_LIMIT = 50_000  # nodes of one forest

WINDOW_KINDS = (
    "unknown",
    "application",
    "input method",
    "system",
    "accessibility overlay",
    "split screen divider",
    "magnification overlay",
    "window control",
)


@dataclass(frozen=True, slots=True)
class Node:
    """One view. ``child_ids``: the ``unique_id`` of nodes in the same window."""

    unique_id: int = 0
    child_ids: tuple[int, ...] = ()
    bounds: Bounds = (0, 0, 0, 0)
    class_name: str = ""
    text: str = ""
    content_description: str = ""
    view_id: str = ""
    package_name: str = ""
    clickable: bool = False
    checkable: bool = False
    focusable: bool = False
    focused: bool = False
    editable: bool = False
    scrollable: bool = False
    long_clickable: bool = False
    visible: bool = False


@dataclass(frozen=True, slots=True)
class ScreenWindow:
    """One window. A higher ``layer`` is in front; ``kind`` is one of WINDOW_KINDS."""

    nodes: tuple[Node, ...] = ()
    bounds: Bounds = (0, 0, 0, 0)
    layer: int = 0
    kind: str = "unknown"
    active: bool = False
    focused: bool = False


@dataclass(frozen=True, slots=True)
class Forest:
    """All windows, in the order of the message."""

    windows: tuple[ScreenWindow, ...] = ()


def decode_forest(data: bytes, where: str = "accessibility tree") -> Forest:
    """Read one message; empty bytes are a forest without windows.

    Raises DataError, beginning with ``where``, if it is another message, is larger than LIMIT bytes or has more than
    NODE_LIMIT nodes.
    """
    if len(data) > LIMIT:
        raise DataError(f"{where}: {len(data):,} bytes; an accessibility forest has at most {LIMIT:,}")
    forest = _forest()()
    try:
        forest.ParseFromString(data)
    except message.DecodeError as error:
        raise DataError(f"{where}: not an AndroidAccessibilityForest: {error}") from error
    count = sum(len(window.tree.nodes) for window in forest.windows)
    if count > NODE_LIMIT:
        raise DataError(f"{where}: {count:,} nodes; an accessibility forest has at most {NODE_LIMIT:,}")
    return Forest(tuple(_window(window) for window in forest.windows))


def encode_forest(forest: Forest) -> bytes:
    """The bytes of a forest, equal for equal forests. Raises DataError for a number or kind out of range."""
    encoded = _forest()()
    try:
        for window in forest.windows:
            w = encoded.windows.add(
                layer=window.layer,
                window_type=WINDOW_KINDS.index(window.kind),
                is_active=window.active,
                is_focused=window.focused,
            )
            _put_bounds(w, window.bounds)
            for node in window.nodes:
                values = {name: getattr(node, ours) for ours, (name, _) in _NODE_FIELDS.items()}
                _put_bounds(w.tree.nodes.add(**values, child_ids=node.child_ids), node.bounds)
    except ValueError as error:
        raise DataError(f"accessibility forest: cannot be encoded: {error}") from error
    data: bytes = encoded.SerializeToString(deterministic=True)
    return data


# Ours: the message's name and number. The strings come first.
_NODE_FIELDS: Mapping[str, tuple[str, int]] = {
    "class_name": ("class_name", 3),
    "text": ("text", 7),
    "content_description": ("content_description", 4),
    "view_id": ("view_id_resource_name", 10),
    "package_name": ("package_name", 6),
    "unique_id": ("unique_id", 1),
    "clickable": ("is_clickable", 14),
    "checkable": ("is_checkable", 12),
    "focusable": ("is_focusable", 17),
    "focused": ("is_focused", 18),
    "editable": ("is_editable", 15),
    "scrollable": ("is_scrollable", 21),
    "long_clickable": ("is_long_clickable", 19),
    "visible": ("is_visible_to_user", 23),
}


def _window(w: Any) -> ScreenWindow:
    kind = w.window_type
    return ScreenWindow(
        tuple(map(_node, w.tree.nodes)),
        _bounds(w.bounds_in_screen),
        w.layer,
        WINDOW_KINDS[kind] if 0 <= kind < len(WINDOW_KINDS) else "unknown",
        w.is_active,
        w.is_focused,
    )


def _node(n: Any) -> Node:
    return Node(
        n.unique_id,
        tuple(n.child_ids),
        _bounds(n.bounds_in_screen),
        n.class_name,
        n.text,
        n.content_description,
        n.view_id_resource_name,
        n.package_name,
        n.is_clickable,
        n.is_checkable,
        n.is_focusable,
        n.is_focused,
        n.is_editable,
        n.is_scrollable,
        n.is_long_clickable,
        n.is_visible_to_user,
    )


def _bounds(rect: Any) -> Bounds:
    return rect.left, rect.top, rect.right, rect.bottom


def _put_bounds(part: Any, bounds: Bounds) -> None:
    if any(bounds):
        rect = part.bounds_in_screen
        rect.left, rect.top, rect.right, rect.bottom = bounds


@cache
def _forest() -> Any:
    """The class of the message AndroidAccessibilityForest."""
    field = descriptor_pb2.FieldDescriptorProto
    int32, text, flag, part = field.TYPE_INT32, field.TYPE_STRING, field.TYPE_BOOL, field.TYPE_MESSAGE
    file = descriptor_pb2.FileDescriptorProto(name="tracer1/a11y.proto", package="android_env", syntax="proto3")

    def add(owner: Any, name: str, number: int, kind: Any, of: str = "", many: bool = False) -> None:
        label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
        declared = owner.field.add(name=name, number=number, label=label, type=kind)
        if of:
            declared.type_name = f".android_env.{of}"

    rect = file.message_type.add(name="ProtoRect")
    for number, name in enumerate(("left", "top", "right", "bottom"), start=1):
        add(rect, name, number, int32)

    node = file.message_type.add(name="AndroidAccessibilityNodeInfo")
    add(node, "bounds_in_screen", 2, part, "ProtoRect")
    add(node, "child_ids", 25, int32, many=True)
    for ours, (name, number) in _NODE_FIELDS.items():
        kind = {str: text, int: int32, bool: flag}[type(getattr(Node(), ours))]
        add(node, name, number, kind)

    tree = file.message_type.add(name="AndroidAccessibilityTree")
    add(tree, "nodes", 1, part, "AndroidAccessibilityNodeInfo", many=True)

    window = file.message_type.add(name="AndroidAccessibilityWindowInfo")
    add(window, "bounds_in_screen", 1, part, "ProtoRect")
    add(window, "layer", 4, int32)
    add(window, "window_type", 6, int32)  # as an enum, kinds that a later Android adds would be lost
    add(window, "is_active", 8, flag)
    add(window, "is_focused", 9, flag)
    add(window, "tree", 11, part, "AndroidAccessibilityTree")

    forest = file.message_type.add(name="AndroidAccessibilityForest")
    add(forest, "windows", 1, part, "AndroidAccessibilityWindowInfo", many=True)

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"android_env.{forest.name}"))
