"""The address of a model's server: recognised, checked, and shown in messages without its secrets."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from tracer1.credentials import KEY, PORTS, key_for
from tracer1.errors import UsageError

NO_KEY = "none"  # sent to a server that gets no key: local servers want none, and the client must send something


def is_url(model: str) -> bool:
    """Whether ``--model`` names a server rather than a folder."""
    return model.startswith(("http://", "https://"))


def require_url(url: str) -> None:
    """Raise UsageError for anything but an http(s) address with a host and without a user name."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket left open
        valid = False
    if not valid or "@" in parts.netloc or "\\" in url:
        raise UsageError(f"{shown_url(url)!r} is no server's address; write it as http://host:8000/v1")


def key_to_send(url: str, *, trusted: bool = False) -> str:
    """The key for a server, or ``NO_KEY``. ``trusted``: the user typed this address on the command line."""
    return (os.environ.get(KEY) if trusted else key_for(url)) or NO_KEY


def shown_url(url: str) -> str:
    """An address without user, password and query."""
    address, _, _ = url.partition("?")
    scheme, mark, rest = address.rpartition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def without_key(text: str, key: str) -> str:
    """A message in which the key is replaced by stars."""
    return text.replace(key, "***") if key and key != NO_KEY else text
