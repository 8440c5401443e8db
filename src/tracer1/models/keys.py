"""Which servers get the user's API key: those that the user named outside the configuration, and no others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from tracer1.errors import UsageError

KEY, BASE_URL, KEY_HOSTS = "OPENAI_API_KEY", "OPENAI_BASE_URL", "TRACER1_KEY_HOSTS"
NO_KEY = "none"  # what a server is sent that gets no key: local ones ask for none
DEFAULT_URL = "https://api.openai.com/v1"
PORTS = {"http": 80, "https": 443}


def key_for(url: str, *, trusted: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """The key for a server, or ``NO_KEY``.

    A configuration may come from a stranger, so an address in it earns no key. The key goes to the origin of
    OPENAI_BASE_URL (api.openai.com if that is not set), to the hosts in TRACER1_KEY_HOSTS ("host" or "host:port",
    comma-separated), and to a ``trusted`` address, which the user typed on the command line.
    """
    known = os.environ if environment is None else environment
    key = known.get(KEY, "")
    server = parse_url(url)
    own = origin(parse_url(known.get(BASE_URL) or DEFAULT_URL))
    hosts = {host.strip().lower() for host in known.get(KEY_HOSTS, "").split(",")}
    named = bool({server.hostname, f"{server.hostname}:{port_of(server)}"} & hosts)
    return key if key and (trusted or named or origin(server) == own) else NO_KEY


def parse_url(url: str) -> SplitResult:
    """The parts of an http(s) address. Raises UsageError for anything else."""
    try:
        parts = urlsplit(url)
        if parts.scheme in PORTS and parts.hostname and port_of(parts):
            return parts
    except ValueError:  # a port that is no number, a bracket left open
        pass
    raise UsageError(f"{shown_url(url)!r} is no server's address; write it as http://host:8000/v1")


def port_of(parts: SplitResult) -> int:
    """The port of an address, that of its scheme if it names none."""
    return parts.port or PORTS[parts.scheme]


def origin(parts: SplitResult) -> tuple[str, str | None, int]:
    """Scheme, host and port: two addresses of one origin are the same server."""
    return parts.scheme, parts.hostname, port_of(parts)


def shown_url(url: str) -> str:
    """An address as it may stand in a message: without user, password and query."""
    address, _, _ = url.partition("?")
    scheme, mark, rest = address.rpartition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def without_key(text: str, key: str) -> str:
    """A message in which the key does not stand."""
    return text.replace(key, "***") if key and key != NO_KEY else text


def is_url(model: str) -> bool:
    """Whether ``--model`` names a server rather than a folder."""
    return model.startswith(("http://", "https://"))
