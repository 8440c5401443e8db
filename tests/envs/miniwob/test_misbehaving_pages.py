"""Pages that misbehave: the episode fails by name, the page is replaced, and the next episode is sound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from live_browser import Live

from tracer1.envs.miniwob.browser import MiniWobEnv
from tracer1.errors import EnvironmentFailure, UsageError
from tracer1.types import Action, Point

TASK = "enter-text"
CLICK = Action("click", point=Point(0.5, 0.9))  # beside everything
WAIT = Action("wait")
MILLION = """() => {
    const box = document.createElement('div');
    box.style.display = 'none';
    box.innerHTML = '<i></i>'.repeat(1e6);
    document.body.append(box);
}"""
DOWNLOAD = """() => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob(['x']));
    link.download = 'x.txt';
    link.click();
}"""


async def spoil(env: MiniWobEnv, script: str) -> None:
    """Run a script in the page, as if the task's own code had done it."""
    assert env._page is not None
    await env._page.page.evaluate(script)


def later(code: str) -> str:
    """A script that runs ``code`` once it has returned itself."""
    return f"() => void setTimeout(() => {{ {code} }}, 0)"


@pytest.fixture
def impatient(live: Live) -> Iterator[None]:
    """A second at most for each reset and step."""
    live.browser.timeout, usual = 1.0, live.browser.timeout
    yield
    live.browser.timeout = usual


def fails(live: Live, script: str, action: Action = CLICK) -> str:
    """The reason why an episode fails on a page that runs ``script``; the next one is checked to be sound."""

    async def play() -> str:
        env = await live.browser.new_page()
        first = await env.reset(TASK, 0)
        await spoil(env, script)
        with pytest.raises(EnvironmentFailure, match="reset replaces the page") as failure:
            await env.step(action)
        with pytest.raises(UsageError, match="reset the environment first"):
            await env.step(action)
        spoilt = env._page
        assert await env.reset(TASK, 0) == first
        assert env._page is not spoilt
        assert not (await env.step(CLICK)).terminated
        await env.close()
        return str(failure.value)

    return live.run(play())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (later("alert('hello')"), "the page opened a dialog (alert: 'hello')"),
        (later("confirm('sure?')"), "the page opened a dialog (confirm: 'sure?')"),
        (later("prompt('name?')"), "the page opened a dialog (prompt: 'name?')"),
        (later("location.href = 'about:blank'"), "the page went to about:blank"),
        (later("location.href = '/miniwob/click-test.html'"), "/miniwob/click-test.html"),
        (later("location.reload()"), "the page loaded another document"),
        (later("window.open('about:blank')"), "the page opened another window"),
        (DOWNLOAD, "the page started a download ('x.txt')"),
        (MILLION, "elements, more than 20000"),
        (later("document.body.remove()"), "TypeError"),
    ],
    ids=[
        "alert",
        "confirm",
        "prompt",
        "navigation",
        "another-task",
        "reload",
        "popup",
        "download",
        "million-nodes",
        "no-body",
    ],
)
def test_an_episode_on_a_page_that_misbehaves_fails_by_name(live: Live, script: str, reason: str) -> None:
    assert reason in fails(live, script, WAIT)


def test_an_endless_loop_runs_into_the_time_limit(live: Live, impatient: None) -> None:
    assert "no answer within 1 s" in fails(live, later("for (;;);"))


def test_a_page_that_hoards_memory_crashes_alone(live: Live) -> None:
    assert "the page crashed" in fails(
        live, later("const all = []; for (;;) all.push(new Array(1e5).fill(all.length))")
    )


def test_a_renderer_that_crashed_between_two_steps(live: Live) -> None:
    """The step after it fails by name; it is no mistake of the caller."""

    async def play() -> None:
        env = await live.browser.new_page()
        first = await env.reset(TASK, 0)
        assert env._page is not None
        crash = asyncio.ensure_future(env._page._session.send("Page.crash"))
        while not env._page.problem:
            await asyncio.sleep(0.01)
        with pytest.raises(EnvironmentFailure, match="the page crashed"):
            await env.step(CLICK)
        crash.cancel()
        assert await env.reset(TASK, 0) == first
        await env.close()

    live.run(play())


def test_what_a_page_does_after_its_episode_does_not_harm_the_next(live: Live, impatient: None) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        first = await env.reset(TASK, 0)
        for script in (later("alert('too late')"), later("for (;;);"), "() => { onbeforeunload = () => 'stay' }"):
            await spoil(env, script)
            await env.step(Action("finished"))
            assert await env.reset(TASK, 0) == first
        await env.close()

    live.run(play())


def test_a_page_that_asks_before_it_is_left_is_left(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        first = await env.reset(TASK, 0)
        await env.step(Action("click", point=Point(0.5, 0.35)))  # the browser asks only where a person has acted
        await spoil(env, "() => { addEventListener('beforeunload', (event) => { event.preventDefault(); }) }")
        page = env._page
        assert await env.reset(TASK, 0) == first
        assert env._page is page
        await env.close()

    live.run(play())


def test_a_flood_on_the_console_is_survived(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        first = await env.reset(TASK, 0)
        await spoil(env, "() => { for (let i = 0; i < 3000; i++) console.log('x'.repeat(100), i) }")
        seen = (await env.step(CLICK)).observation
        assert seen.screenshot == first[1].screenshot
        assert await env.reset(TASK, 0) == first
        await env.close()

    live.run(play())


def test_a_page_that_goes_to_a_fragment_of_itself_is_sound(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        await env.reset(TASK, 0)
        await spoil(env, "() => { location.hash = 'top' }")
        assert not (await env.step(CLICK)).terminated
        await env.close()

    live.run(play())


def test_neighbours_are_not_disturbed(live: Live, impatient: None) -> None:
    async def play() -> None:
        bad, good = await live.browser.new_page(), await live.browser.new_page()
        first = await good.reset(TASK, 0)
        await bad.reset(TASK, 0)
        await spoil(bad, later("for (;;);"))

        async def broken() -> None:
            with pytest.raises(EnvironmentFailure):
                await bad.step(CLICK)

        async def sound() -> None:
            for _ in range(5):
                assert (await good.step(CLICK)).observation.screenshot == first[1].screenshot

        await asyncio.gather(broken(), sound())
        await bad.close()
        await good.close()

    live.run(play())


# ---- other hosts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another server on this machine: its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_a_page_reaches_its_own_server_alone(live: Live, elsewhere: tuple[str, list[str]]) -> None:
    address, asked = elsewhere
    port = address.rpartition(":")[2]
    script = f"""async () => {{
        const outcomes = [];
        for (const url of ['http://{address}/a', 'http://localhost:{port}/b', 'http://example.com/c'])
            outcomes.push(await fetch(url).then((r) => r.status, () => 'refused'));
        for (const url of ['http://{address}/d.png', 'https://{address}/e.png'])
            outcomes.push(await new Promise((done) => {{
                const image = new Image();
                image.onload = () => done('loaded');
                image.onerror = () => done('refused');
                image.src = url;
            }}));
        outcomes.push(await new Promise((done) => {{
            const socket = new WebSocket('ws://{address}/f');
            socket.onopen = () => done('open');
            socket.onerror = () => done('refused');
        }}));
        outcomes.push((await fetch('/core/core.js')).status);
        return outcomes;
    }}"""

    async def play() -> list[object]:
        env = await live.browser.new_page()
        await env.reset(TASK, 0)
        assert env._page is not None
        outcomes: list[object] = await env._page.page.evaluate(script)
        assert not (await env.step(CLICK)).terminated  # a request that was refused harms nobody
        await env.close()
        return outcomes

    assert live.run(play()) == ["refused"] * 6 + [200]
    assert asked == []


def test_a_page_that_leaves_for_another_host_fails(live: Live, elsewhere: tuple[str, list[str]]) -> None:
    address, asked = elsewhere
    assert f"the page went to http://{address}/away" in fails(
        live, later(f"location.href = 'http://{address}/away'"), WAIT
    )
    assert asked == []
