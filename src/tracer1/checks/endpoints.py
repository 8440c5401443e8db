"""Whether a server answers, asked without giving the user's API key to a stranger's host."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import IO, Any
from urllib.request import Request

from tracer1.checks.findings import CheckItem
from tracer1.credentials import KEY, key_for, key_hint, same_origin

TIMEOUT = 3.0  # seconds


def endpoints(options: Mapping[str, Any]) -> list[str]:
    """The URLs among an executor's options."""
    return [value for value in options.values() if isinstance(value, str) and value.startswith(("http://", "https://"))]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and takes the key along only to the same scheme, host and port."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and not same_origin(req.full_url, newurl):
            following.remove_header("Authorization")
        return following


def open_url(request: Request, timeout: float) -> Any:
    """``urlopen`` with redirects that keep the key at home."""
    return urllib.request.build_opener(_Redirects).open(request, timeout=timeout)


def probe(name: str, url: str, opener: Callable[..., Any] = open_url) -> CheckItem:
    """Whether an OpenAI-compatible server answers at ``url``."""
    models = url.rstrip("/") + "/models"
    key = key_for(models)
    try:
        request = Request(models, headers={"Authorization": f"Bearer {key}"} if key else {})
        with opener(request, timeout=TIMEOUT) as reply:
            return CheckItem(name, True, f"{models} answers {reply.status}")
    except urllib.error.HTTPError as error:
        return CheckItem(name, False, f"{models} answers {error.code} {error.reason}", _remedy(error.code, models, key))
    except (OSError, ValueError) as error:  # no connection, a time-out, no valid URL
        reason = getattr(error, "reason", error)
        return CheckItem(name, False, f"{models} does not answer: {reason}", "start the server, or correct the address")


def _remedy(code: int, url: str, key: str | None) -> str:
    if code not in (401, 403):
        return "the address should end where /models begins"
    return f"see that {KEY} is right for this server" if key else key_hint(url)
