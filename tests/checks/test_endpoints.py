"""Whether a server answers, and what it is shown of the user's key, by real servers on the loopback."""

from __future__ import annotations

import io
import urllib.error
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tracer1.checks.endpoints import probe


class KeyServer(ThreadingHTTPServer):
    """Answers at /v1/models, or redirects there; keeps the keys that it was shown."""

    def __init__(self, redirect: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), KeyHandler)
        self.keys: list[str | None] = []
        self.redirect = redirect
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class KeyHandler(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("Authorization"))
        if self.server.redirect is not None and self.path == "/v1/models":
            self.send_response(307)
            self.send_header("Location", self.server.redirect)
        else:
            self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def key_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., KeyServer]]:
    """Start servers; a key is set, and no host is named for it."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    for name in ("OPENAI_BASE_URL", "TRACER1_KEY_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    servers: list[KeyServer] = []

    def start(redirect: str | None = None) -> KeyServer:
        servers.append(KeyServer(redirect))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_url_in_a_configuration_is_not_given_the_key(
    key_server: Callable[..., KeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = key_server()
    assert probe("endpoint", f"{server.url}/v1").ok
    monkeypatch.setenv("TRACER1_KEY_HOSTS", f"127.0.0.1:{server.server_port}")
    assert probe("endpoint", f"{server.url}/v1").ok
    monkeypatch.delenv("TRACER1_KEY_HOSTS")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    assert probe("endpoint", f"{server.url}/v1").ok
    assert server.keys == [None, "Bearer secret", "Bearer secret"]


def test_a_redirect_to_another_host_is_not_given_the_key(
    key_server: Callable[..., KeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = key_server()
    first = key_server(f"{other.url}/v1/models")
    same = key_server("/elsewhere")
    monkeypatch.setenv("TRACER1_KEY_HOSTS", f"127.0.0.1:{first.server_port},127.0.0.1:{same.server_port}")
    assert probe("endpoint", f"{first.url}/v1").ok
    assert probe("endpoint", f"{same.url}/v1").ok
    assert (first.keys, other.keys) == (["Bearer secret"], [None])
    assert same.keys == ["Bearer secret", "Bearer secret"]


def test_a_refused_request_says_where_the_key_goes(key_server: Callable[..., KeyServer]) -> None:
    server = key_server()
    server.status = 401
    item = probe("endpoint", f"{server.url}/v1")
    assert "answers 401" in item.detail
    assert item.remedy == f"set OPENAI_API_KEY and TRACER1_KEY_HOSTS=127.0.0.1:{server.server_port} in the environment"


class Reply(io.BytesIO):
    status = 200


@pytest.mark.parametrize(
    ("answer", "ok", "told"),
    [
        (Reply(), True, "http://host/v1/models answers 200"),
        (urllib.error.HTTPError("u", 401, "Unauthorized", Message(), None), False, "answers 401 Unauthorized"),
        (urllib.error.URLError("refused"), False, "http://host/v1/models does not answer: refused"),
        (TimeoutError("timed out"), False, "does not answer: timed out"),
    ],
)
def test_an_endpoint_is_asked(answer: Any, ok: bool, told: str) -> None:
    def opener(request: Any, timeout: float) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    item = probe("endpoint", "http://host/v1/", opener)
    assert item.ok is ok
    assert told in item.detail


def test_no_server_at_all() -> None:
    item = probe("endpoint", "http://127.0.0.1:1/v1")
    assert not item.ok
    assert "does not answer" in item.detail
