"""A real small server that speaks the protocol: what it is asked, what is kept, what a failure says."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Server, chat_server
from PIL import Image as Pillow

from tracer1.errors import EnvironmentFailure
from tracer1.models.endpoint import Endpoint


@pytest.fixture
def server() -> Iterator[Server]:
    with chat_server() as server:
        yield server


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
