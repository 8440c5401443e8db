"""A real small server that speaks the protocol: what it is asked, what is kept, what a failure says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image as Pillow

from tracer1.errors import EnvironmentFailure
from tracer1.models.endpoint import Endpoint


class Server(ThreadingHTTPServer):
    """Answers with what it was asked last, after as many failures as it is told to begin with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.failures = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
            return
        self.server.asked.append(request)
        text = request["messages"][-1]["content"]
        answer = text if isinstance(text, str) else text[-1]["text"]
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"]}
        message = {"role": "assistant", "content": f"re: {answer}"}
        body = json.dumps({**reply, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(text: str, image: Path | None = None) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "image", "image": str(image)}] if image else []
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def test_answers_come_in_order_and_are_kept(server: Server, tmp_path: Path) -> None:
    model = Endpoint("m", server.url, cache=tmp_path)
    prompts = [ask(str(i)) for i in range(20)]
    assert model.complete(prompts) == [f"re: {i}" for i in range(20)]
    assert Endpoint("m", server.url, cache=tmp_path).complete(prompts) == [f"re: {i}" for i in range(20)]
    assert len(server.asked) == 20
    assert Endpoint("other", server.url, cache=tmp_path).complete(prompts[:1]) == ["re: 0"]
    assert len(server.asked) == 21


def test_sampled_answers_are_asked_anew(server: Server, tmp_path: Path) -> None:
    model = Endpoint("m", server.url, temperature=1.0, cache=tmp_path)
    model.complete([ask("a")])
    model.complete([ask("a")])
    assert len(server.asked) == 2


def test_an_image_is_sent_as_its_bytes(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "screen.png"
    Pillow.new("RGB", (4, 4), "red").save(path)
    Endpoint("m", server.url, cache=tmp_path / "kept").complete([ask("what", path)])
    url = server.asked[0]["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == path.read_bytes()


def test_a_failure_is_tried_again_and_then_told(server: Server, tmp_path: Path) -> None:
    server.failures = 1
    assert Endpoint("m", server.url, retries=1, cache=tmp_path).complete([ask("a")]) == ["re: a"]
    server.failures = 9
    with pytest.raises(EnvironmentFailure, match="see that the server runs"):
        Endpoint("m", server.url, retries=0, cache=tmp_path).complete([ask("b")])
