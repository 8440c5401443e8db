"""A screen from its accessibility forest: the node under a touch, the names in reading order, and the elements.

Sizes are those of the screen in the pixels of the nodes; returned boxes are fractions of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracer1.coordinates import convert, pixels
from tracer1.data.readers.android_accessibility import Bounds, Forest, Node, ScreenWindow
from tracer1.types import FRACTION, Box, Element, Point, Size

BAND = 0.02  # of the screen's height: nodes in one such band are in one line
OVERLAID = ("system", "input method")  # the status bar and the keyboard do not belong to the app

_ROLES: Mapping[str, str] = {  # by Android class without its package; the words of executors/instruction.py
    "AppCompatButton": "button",
    "AutoCompleteTextView": "field",
    "Button": "button",
    "CheckBox": "checkbox",
    "CheckedTextView": "checkbox",
    "CompoundButton": "checkbox",
    "EditText": "field",
    "FloatingActionButton": "button",
    "GridView": "list",
    "Image": "image",
    "ImageButton": "icon",
    "ListView": "list",
    "MenuItem": "menu item",
    "MultiAutoCompleteTextView": "field",
    "RadioButton": "radio button",
    "RatingBar": "slider",
    "RecyclerView": "list",
    "SearchView": "field",
    "SeekBar": "slider",
    "Spinner": "list",
    "Switch": "checkbox",
    "SwitchCompat": "checkbox",
    "Tab": "tab",
    "TextView": "text",
    "ToggleButton": "checkbox",
}


def target(forest: Forest, x: float, y: float, size: Size) -> Bounds | None:
    """The bounds of the smallest visible node that holds the pixel (x, y), edges included; the first on a tie."""
    best, area = None, float("inf")
    width, height = size
    for window in forest.windows:
        for node in window.nodes:
            left, top, right, bottom = node.bounds
            if node.visible and left <= x <= (right or width) and top <= y <= (bottom or height):
                bounds = left, top, right, bottom = clipped(node.bounds, size)
                if (right - left) * (bottom - top) < area:
                    best, area = bounds, (right - left) * (bottom - top)
    return best


def clipped(bounds: Bounds, size: Size) -> Bounds:
    """Bounds clipped to the screen. A missing right or bottom edge is the screen's."""
    width, height = size
    left, top, right, bottom = bounds
    return max(0, left), max(0, top), min(right or width, width), min(bottom or height, height)


def to_box(bounds: Bounds, size: Size) -> Box:
    """Bounds in pixels as a box in fractions."""
    frame = pixels(size)
    start, end = (convert(Point(x, y, frame), FRACTION) for x, y in (bounds[:2], bounds[2:]))
    return start.x, start.y, end.x, end.y


def title(forest: Forest) -> str:
    """The package of the app in front: of the active window, else of the first window that has one."""
    windows = sorted(_app_windows(forest), key=lambda window: not window.active)
    return next((node.package_name for window in windows for node in window.nodes if node.package_name), "")


def names(forest: Forest, size: Size) -> Iterator[str]:
    """The texts and descriptions of the app's visible nodes, in reading order."""
    named = [
        (node.bounds, name)
        for window in _app_windows(forest)
        for node in window.nodes
        if node.visible and (name := _name(node))
    ]
    line = max(1.0, BAND * size[1])
    named.sort(key=lambda item: (item[0][1] // line, item[0][0]))
    return (name for _, name in named)


def elements(forest: Forest, size: Size) -> tuple[Element, ...]:
    """The visible nodes that have a name or can be used, in the order of the forest."""
    found = []
    for window in forest.windows:
        for node in window.nodes:
            left, top, right, bottom = bounds = clipped(node.bounds, size)
            if node.visible and left < right and top < bottom and (_name(node) or _usable(node)):
                box = to_box(bounds, size)
                found.append(Element(role(node), _name(node), box, node.focused, bool(node.text.strip())))
    return tuple(found)


def role(node: Node) -> str:
    """A node's role in a plain word: by its class, else by its properties."""
    kind = node.class_name.rpartition(".")[2].rpartition("$")[2]
    if kind == "ImageView":
        return "icon" if node.clickable else "image"
    if kind in _ROLES:
        return _ROLES[kind]
    by_use = (
        (node.editable, "field"),
        (node.checkable, "checkbox"),
        (node.clickable or node.long_clickable, "button"),
        (node.scrollable, "list"),
        (bool(node.text.strip()), "text"),
    )
    return next((word for applies, word in by_use if applies), "section")


def _app_windows(forest: Forest) -> list[ScreenWindow]:
    return [window for window in forest.windows if window.kind not in OVERLAID] or list(forest.windows)


def _name(node: Node) -> str:
    return node.text.strip() or node.content_description.strip()


def _usable(node: Node) -> bool:
    return node.clickable or node.long_clickable or node.checkable or node.editable or node.scrollable
