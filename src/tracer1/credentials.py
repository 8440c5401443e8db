"""Which server may receive the user's API key: only one that the user named outside the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

KEY = "OPENAI_API_KEY"
BASE_URL = "OPENAI_BASE_URL"
HOSTS = "TRACER1_KEY_HOSTS"  # comma-separated: "host" for every port, or "host:port"
DEFAULT_BASE_URL = "https://api.openai.com/v1"  # where OpenAI's own clients send the key
PORTS = {"http": 80, "https": 443}


def key_for(url: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The API key to send to ``url``, or None when the user has not named its host.

    A configuration may come from a stranger, so a URL in it earns no trust. The user names a host in the environment:
    by OPENAI_BASE_URL (same scheme, host and port) or in TRACER1_KEY_HOSTS.
    """
    environ = os.environ if environ is None else environ
    key = environ.get(KEY)
    target = _split(url)
    if not key or target is None:
        return None
    base = _split(environ.get(BASE_URL) or DEFAULT_BASE_URL)
    trusted = same_origin(target, base) or _listed(target, environ.get(HOSTS, ""))
    return key if trusted else None


def same_origin(one: SplitResult | str, other: SplitResult | str | None) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    first, second = _origin(one), _origin(other)
    return first is not None and first == second


def key_hint(url: str) -> str:
    """What to do so that ``url`` receives the key."""
    parts = _split(url)
    return f"set {KEY} and {HOSTS}={parts.netloc if parts else 'HOST'} in the environment"


def _listed(target: SplitResult, hosts: str) -> bool:
    host, port = (target.hostname or "").lower(), target.port or PORTS[target.scheme]
    bracketed = f"[{host}]" if ":" in host else host
    named = {name.strip().lower() for name in hosts.split(",")}
    return bool(host) and not named.isdisjoint({host, bracketed, f"{bracketed}:{port}"})


def _origin(url: SplitResult | str | None) -> tuple[str, str, int] | None:
    parts = _split(url) if isinstance(url, str) else url
    if parts is None:
        return None
    return parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS[parts.scheme]


def _split(url: str) -> SplitResult | None:
    """The parts of an HTTP URL with a host and a valid port; None for anything else.

    A backslash or a user name before the host is refused, since clients differ in which host they then call.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port such as 99999, a broken IPv6 address
        return None
    return parts if valid and "\\" not in url and "@" not in parts.netloc else None
