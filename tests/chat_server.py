"""A real small server that speaks the chat protocol, on the loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


def last_text(request: dict[str, Any]) -> str:
    """The text of a request's last message."""
    content = request["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def echo(request: dict[str, Any]) -> str:
    return f"re: {last_text(request)}"


class Server(ThreadingHTTPServer):
    """Answers with ``script`` (a completion of a request; None: no content), after ``failures`` failures.

    ``models``: the names that it lists. ``redirect``: where it sends everybody. ``key``: what it asks for, if anything.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []  # of every request, failed ones too
        self.failures = 0
        self.script: Callable[[dict[str, Any]], str | None] = echo
        self.finish = "stop"
        self.models = ["m"]
        self.redirect = ""
        self.key = ""
        self.seconds = 0.0  # for an answer
        self.busy = self.busiest = 0  # requests being answered at once
        self.lock = Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self._admitted():
            self._send({"object": "list", "data": [{"id": n, "object": "model"} for n in self.server.models]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._admitted():
            return
        with self.server.lock:
            self.server.asked.append(request)
            self.server.busy += 1
            self.server.busiest = max(self.server.busiest, self.server.busy)
        time.sleep(self.server.seconds)
        with self.server.lock:
            self.server.busy -= 1
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"]}
        message = {"role": "assistant", "content": self.server.script(request)}
        self._send({**reply, "choices": [{"index": 0, "finish_reason": self.server.finish, "message": message}]})

    def _admitted(self) -> bool:
        """Whether the request is to be answered; a refusal has been sent otherwise."""
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.server.keys.append(key)
        if self.server.redirect:
            self.send_response(307)
            self.send_header("Location", self.server.redirect + self.path.removeprefix("/v1"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
        elif self.server.key and key != self.server.key:
            self._send({"error": {"message": f"Incorrect API key provided: {key}"}}, 401)
        else:
            return True
        return False

    def _send(self, reply: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def chat_server() -> Iterator[Server]:
    with Server() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()
