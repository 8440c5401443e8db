"""The keys of a keyboard: one canonical name for each, and the other names that corpora, models and browsers use."""

from __future__ import annotations

import re

_OTHER_NAMES = {  # by canonical name
    "ctrl": ("control", "controlormeta", "ctrl_l", "ctrl_r"),
    "alt": ("option", "alt_l", "alt_r"),
    "shift": ("shift_l", "shift_r"),
    "cmd": ("command", "meta", "super", "win", "windows", "cmd_l", "cmd_r"),
    "altgr": ("alt_gr",),
    "enter": ("return", "\n", "\r"),
    "esc": ("escape",),
    "tab": ("\t",),
    "space": (" ",),
    "backspace": (),
    "del": ("delete",),
    "insert": ("ins",),
    "home": (),
    "end": (),
    "pageup": ("pgup", "page_up"),
    "pagedown": ("pgdn", "page_down"),
    "up": ("arrowup",),
    "down": ("arrowdown",),
    "left": ("arrowleft",),
    "right": ("arrowright",),
    "capslock": ("caps_lock",),
    "numlock": ("num_lock",),
    "printscreen": ("print_screen",),
}
KEYS = {name: key for key, others in _OTHER_NAMES.items() for name in (key, *others)}
"""Every known name, in lower case, with the canonical name of its key."""

_KEY = re.compile(r"[^\s+]+|(?:^|(?<=[\s+]))\+$")  # a plus joins keys; at the end it is a key itself


def key_name(name: str) -> str:
    """The canonical name of a key: "Return" -> "enter". A name that is not in the table becomes lower case."""
    return KEYS.get(name.lower(), name.lower())


def split_keys(combination: str) -> list[str]:
    """The canonical names of "ctrl c", "Ctrl+C" or "control+c", in order."""
    return [key_name(name) for name in _KEY.findall(combination.lower().strip())]
