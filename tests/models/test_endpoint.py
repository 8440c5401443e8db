"""A planner behind a real small server: requests, the cache, failures by prompt, and where the key goes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Server, chat_server, last_text
from nano_planner import PROMPT, TextForm
from PIL import Image as Pillow

from tracer1.agent.loop import Limits, run_episodes
from tracer1.errors import ModelError, SetupError, UsageError
from tracer1.executors.dom import DomExecutor
from tracer1.models.address import NO_KEY, shown_url
from tracer1.models.choice import open_planner
from tracer1.models.endpoint import Endpoint, find_model
from tracer1.plan.text import render_plan
from tracer1.types import AsyncModel, Plan, Step, Trajectory

KEY = "sk-secret-123"


@pytest.fixture
def server() -> Iterator[Server]:
    with chat_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "TRACER1_KEY_HOSTS"):
        monkeypatch.delenv(name, raising=False)


def ask(text: str, image: Path | None = None) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "image", "image": str(image)}] if image else []
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


# ---- answers ---------------------------------------------------------------------------------------------------------


def test_answers_come_in_order_and_are_cached(server: Server, tmp_path: Path) -> None:
    model = Endpoint("m", server.url, cache=tmp_path)
    prompts = [ask(str(i)) for i in range(20)]
    assert model.complete(prompts) == [f"re: {i}" for i in range(20)]
    assert model.complete(prompts) == Endpoint("m", server.url, cache=tmp_path).complete(prompts)
    assert len(server.asked) == 20
    assert Endpoint("other", server.url, cache=tmp_path).complete(prompts[:1]) == ["re: 0"]
    assert len(server.asked) == 21


def test_sampled_answers_are_asked_anew(server: Server, tmp_path: Path) -> None:
    for model in (Endpoint("m", server.url, temperature=1.0, cache=tmp_path), Endpoint("m", server.url, cached=False)):
        before = len(server.asked)
        model.complete([ask("a")])
        model.complete([ask("a")])
        assert len(server.asked) == before + 2
    assert not list(tmp_path.iterdir())


def test_an_image_is_sent_as_its_bytes(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "screen.png"
    Pillow.new("RGB", (4, 4), "red").save(path)
    Endpoint("m", server.url, cache=tmp_path / "kept").complete([ask("what", path)])
    url = server.asked[0]["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == path.read_bytes()


def test_no_more_requests_than_the_limit_run_at_once(server: Server) -> None:
    server.seconds = 0.05
    Endpoint("m", server.url, parallel=3, cached=False).complete([ask(str(i)) for i in range(9)])
    assert server.busiest == 3


# ---- failures --------------------------------------------------------------------------------------------------------


def test_a_failure_is_tried_again_and_then_raised(server: Server, tmp_path: Path) -> None:
    server.failures = 1
    assert Endpoint("m", server.url, retries=1, cache=tmp_path).complete([ask("a")]) == ["re: a"]
    server.failures = 9
    with pytest.raises(ModelError, match="check that the server runs"):
        Endpoint("m", server.url, retries=0, cache=tmp_path).complete([ask("b")])


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_answer_is_an_error_of_its_prompt_and_never_cached(
    server: Server, tmp_path: Path, empty: str | None
) -> None:
    """Defect 9: ``content: null`` was kept and replayed for ever."""
    server.script, server.finish = lambda request: empty if last_text(request) == "b" else "fine", "length"
    model = Endpoint("m", server.url, cache=tmp_path)

    async def all_three() -> list[Any]:
        return await asyncio.gather(*(model.complete_one(ask(text)) for text in "abc"), return_exceptions=True)

    first, second, third = asyncio.run(all_three())
    assert first == third == "fine"
    assert isinstance(second, ModelError)
    assert "the answer is empty (finish_reason length)" in str(second)
    server.script = lambda request: "now there is one"
    assert model.complete([ask("b")]) == ["now there is one"]
    assert model.complete([ask("a")]) == ["fine"]


def test_a_slow_server_is_given_up_after_the_timeout(server: Server) -> None:
    server.seconds = 1.0
    with pytest.raises(ModelError, match="timed out"):
        Endpoint("m", server.url, timeout=0.1, retries=0, cached=False).complete([ask("a")])


PRESS = render_plan(Plan((Step("form", "click", "click the 'Send' button", "done"),)))


def episodes(model: Any, folder: Path, count: int) -> list[Trajectory]:
    jobs = [("toy-press", seed) for seed in range(count)]
    envs = [TextForm(folder), TextForm(folder)]
    return asyncio.run(run_episodes(jobs, envs, model, DomExecutor(), PROMPT, Limits()))


def test_a_dead_server_fails_episodes_and_not_the_evaluation(server: Server, tmp_path: Path) -> None:
    """Defect 9: one failed request ended a whole evaluation."""
    model = Endpoint("m", server.url, retries=0, cached=False)
    assert isinstance(model, AsyncModel)
    server.script, server.failures = lambda _: PRESS, 1
    made = episodes(model, tmp_path, 4)
    assert sorted(t.ending for t in made) == ["failed", "finished", "finished", "finished"]
    where = next(t.where for t in made if t.ending == "failed")
    assert where.startswith(f"planner, step 1: {server.url}: ")
    server.shutdown()
    server.server_close()
    assert [t.ending for t in episodes(model, tmp_path, 2)] == ["failed", "failed"]


# ---- the key ---------------------------------------------------------------------------------------------------------


def test_an_address_of_the_configuration_gets_no_key(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defect 21: OPENAI_API_KEY went to any URL in a config."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    Endpoint("m", server.url, cached=False).complete([ask("a")])
    assert server.keys == [NO_KEY]
    Endpoint("m", server.url, cached=False, trusted=True).complete([ask("a")])
    assert server.keys == [NO_KEY, KEY]


def test_a_redirect_is_not_followed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defect 21: the key and the screenshots went along a redirect to another host."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server() as other:
        server.redirect = other.url
        with pytest.raises(ModelError, match=f"redirects to {other.url}.*not followed"):
            Endpoint("m", server.url, retries=0, cached=False, trusted=True).complete([ask("a")])
        with pytest.raises(SetupError, match="not followed"):
            find_model(server.url, trusted=True)
        assert other.keys == []


def test_the_key_stands_in_no_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.key = "another"
    with pytest.raises(ModelError, match=r"Incorrect API key provided: \*\*\*") as caught:
        Endpoint("m", server.url, cached=False, trusted=True).complete([ask("a")])
    assert KEY not in str(caught.value)
    assert shown_url("https://user:word@host:1/v1?key=x") == "https://host:1/v1"


@pytest.mark.parametrize("url", ["ftp://host/v1", "http://", "http://host:port/v1", "http://[::1/v1", "host:8000"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"is no server's address; write it as http://host:8000/v1"):
        Endpoint("m", url)


# ---- --model URL -----------------------------------------------------------------------------------------------------


def test_the_one_model_of_a_server_is_found(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.models = ["qwen"]
    planner = open_planner(server.url)
    assert planner.complete([ask("a")]) == ["re: a"]
    assert server.asked[0]["model"] == "qwen"
    assert set(server.keys) == {KEY}  # the address was typed by the user


def test_of_several_models_one_must_be_named(server: Server) -> None:
    server.models = ["a", "b"]
    with pytest.raises(UsageError, match=r"serves 2 models: name one with --model-name \(a, b\)"):
        open_planner(server.url)
    assert open_planner(server.url, name="b").complete([ask("x")]) == ["re: x"]
    assert server.asked[0]["model"] == "b"
    server.models = []
    with pytest.raises(SetupError, match="lists no model"):
        open_planner(server.url)
    with pytest.raises(UsageError, match="--model-name is for a server's address"):
        open_planner("models/nano-base", name="b")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match=r"http://127\.0\.0\.1:9/v1: .*check that the server runs"):
        open_planner("http://127.0.0.1:9/v1")
