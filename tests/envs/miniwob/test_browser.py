"""The live environment: reproducible by seed, acted on by mouse and keys, alive after whatever happens to a page."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from pathlib import Path

import pytest
from live_browser import Live
from PIL import Image

from tracer1.envs.experts import demonstrate
from tracer1.envs.miniwob.browser import Browser, MiniWobEnv, find_browser
from tracer1.envs.miniwob.experts import expert_for
from tracer1.envs.miniwob.tasks import task_names
from tracer1.errors import ActionError, EnvironmentFailure, SetupError, UsageError
from tracer1.executors.dom import DomExecutor
from tracer1.executors.instruction import parse_instruction
from tracer1.types import Action, Frame, Observation, Point, Transition


async def follow(env: MiniWobEnv, observation: Observation, *instructions: str) -> Transition:
    """Do what is said, step by step; the last step's transition."""
    agent = DomExecutor()
    for instruction in instructions:
        transition = await env.step(agent.ground(parse_instruction(instruction), observation))
        observation = transition.observation
    return transition


@pytest.mark.parametrize("task", ["login-user", "form-sequence-2", "click-checkboxes"])
def test_the_seed_decides_the_episode(live: Live, task: str) -> None:
    async def play() -> None:
        used, fresh = await live.browser.new_page(), await live.browser.new_page()
        first = await used.reset(task, 3)
        await demonstrate(used, expert_for(task), task, 4)  # leaves focus, text and checked boxes behind
        assert await used.reset(task, 3) == first
        assert await fresh.reset(task, 3) == first
        assert (await fresh.reset(task, 5))[1].screenshot != first[1].screenshot
        await used.close()
        await fresh.close()

    live.run(play())


def test_what_is_seen(live: Live) -> None:
    async def look(scale: int) -> tuple[str, Observation]:
        env = await live.browser.new_page(scale)
        seen = await env.reset("login-user-popup", 1)
        await env.close()
        return seen

    task, observation = live.run(look(2))
    assert task.goal == 'Enter the username "vina" and the password "US" into the text fields and press login.'
    names = [(e.role, e.name, e.bears_text) for e in observation.elements or ()]
    assert names == [("field", "Username", True), ("field", "Password", True), ("button", "OK", True)]
    assert all(0 <= e.box[0] < e.box[2] <= 1 and 0 <= e.box[1] < e.box[3] <= 1 for e in observation.elements or ())
    path = Path(observation.screenshot or "")
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    assert Image.open(path).size == observation.size == (320, 420)


def test_what_a_popup_covers_is_not_there(live: Live) -> None:
    async def play() -> tuple[Transition, Transition]:
        env = await live.browser.new_page()
        _, observation = await env.reset("login-user-popup", 1)
        popup = await follow(env, observation, "click the 'Username' field")
        gone = await follow(env, popup.observation, "click the 'Cancel' button")
        await env.close()
        return popup, gone

    popup, gone = live.run(play())
    assert [e.name for e in popup.observation.elements or () if e.role in ("button", "field")] == ["OK", "Cancel"]
    assert "Username" in [e.name for e in gone.observation.elements or ()]


def test_a_screen_does_not_change_by_itself(live: Live) -> None:
    """The popup disables the field that has the focus, and the browser takes the focus away one frame later."""

    async def play() -> None:
        env = await live.browser.new_page()
        screens = set()
        for _ in range(12):
            _, observation = await env.reset("login-user-popup", 1)
            popup = await follow(env, observation, "click the 'Username' field")
            screens.add(popup.observation.screenshot)
        assert len(screens) == 1
        assert (await env.step(Action("wait"))).observation == popup.observation
        await env.close()

    live.run(play())


def test_typing_moves_the_focus_and_the_reward_is_raw(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        _, observation = await env.reset("enter-text", 0)
        clicked = await follow(env, observation, "click the field")
        assert [e.role for e in clicked.observation.elements or () if e.focused] == ["field"]
        await asyncio.sleep(0.2)  # the page's own reward shrinks with time; the raw one does not
        typed = await follow(env, clicked.observation, "type 'Agustina'")
        assert not typed.terminated
        ended = await follow(env, typed.observation, "click the 'Submit' button")
        assert (ended.terminated, ended.reward) == (True, 1.0)
        assert ended.observation == typed.observation  # never the cover that starts another episode
        with pytest.raises(UsageError, match="reset"):
            await env.step(Action("click", point=Point(0.5, 0.5)))
        await env.close()

    live.run(play())


def test_a_wrong_answer_costs(live: Live) -> None:
    async def play() -> Transition:
        env = await live.browser.new_page()
        _, observation = await env.reset("enter-text", 0)
        transition = await follow(env, observation, "click the 'Submit' button")
        await env.close()
        return transition

    ended = live.run(play())
    assert (ended.terminated, ended.reward) == (True, -1.0)


def test_finished_ends_the_episode_without_reward(live: Live) -> None:
    async def play() -> Transition:
        env = await live.browser.new_page(elements=False)
        await env.reset("enter-text", 0)
        transition = await env.step(Action("finished"))
        await env.close()
        return transition

    ended = live.run(play())
    assert (ended.terminated, ended.reward, ended.observation.elements) == (True, 0.0, None)


def test_each_page_has_a_clipboard_of_its_own(live: Live) -> None:
    async def play(seed: int) -> float:
        env = await live.browser.new_page()
        reward = (await demonstrate(env, expert_for("copy-paste"), "copy-paste", seed)).reward
        await env.close()
        return reward

    async def together() -> list[float]:
        return await asyncio.gather(*(play(seed) for seed in range(4)))

    assert live.run(together()) == [1.0] * 4


def test_scrolling_brings_new_things_into_view(live: Live) -> None:
    async def play() -> tuple[list[str], list[str]]:
        env = await live.browser.new_page()
        _, before = await env.reset("click-scroll-list", 1)
        after = await follow(env, before, "scroll down in the list")
        await env.close()
        seen = (before, after.observation)
        return tuple([e.name for e in o.elements or () if e.role == "option"] for o in seen)  # type: ignore[return-value]

    before, after = live.run(play())
    assert "Christal" in after
    assert "Christal" not in before


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action("click"), "needs a point"),
        (Action("open_app", app_name="x"), "open_app"),
        (Action("hotkey", key="hyper q"), "hyper"),
        (Action("scroll", direction="sideways"), "sideways"),
    ],
)
def test_what_a_browser_cannot_do(live: Live, action: Action, says: str) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        await env.reset("enter-text", 0)
        with pytest.raises(ActionError, match=says):
            await env.step(action)
        await env.close()

    live.run(play())


def test_points_of_any_frame_and_beyond_the_edge(live: Live) -> None:
    async def play() -> list[bool]:
        env = await live.browser.new_page()
        focused = []
        for point in (Point(500, 300, Frame("per_mille", 1000, 1000)), Point(80, 63, Frame("pixels", 160, 210))):
            await env.reset("enter-text", 0)
            seen = (await env.step(Action("click", point=point))).observation
            focused.append(any(e.focused for e in seen.elements or ()))
        await env.step(Action("click", point=Point(1.0, 1.0)))
        await env.close()
        return focused

    assert live.run(play()) == [True, True]


def test_an_unknown_task(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        with pytest.raises(UsageError, match="no MiniWoB task 'no-such'"):
            await env.reset("no-such", 0)

    live.run(play())
    assert len(task_names()) == 130


# ---- trouble ---------------------------------------------------------------------------------------------------------


def test_a_crashed_page_is_replaced(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        first = await env.reset("enter-text", 0)
        assert env._page is not None
        crash = asyncio.ensure_future(env._page._session.send("Page.crash"))
        with pytest.raises(EnvironmentFailure, match="reset replaces the page"):
            await env.step(Action("click", point=Point(0.5, 0.5)))
        crash.cancel()
        with pytest.raises(UsageError, match="reset"):
            await env.step(Action("wait"))
        assert await env.reset("enter-text", 0) == first
        await env.close()

    live.run(play())


def test_a_page_that_hangs_runs_into_the_time_limit(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        first = await env.reset("enter-text", 0)
        assert env._page is not None
        await env._page.page.evaluate(
            "() => void setTimeout(() => { for (const end = Date.now() + 4000; Date.now() < end; ); }, 0)"
        )
        live.browser.timeout, usual = 0.5, live.browser.timeout
        with pytest.raises(EnvironmentFailure, match=r"no answer within 0\.5 s"):
            await env.step(Action("click", point=Point(0.5, 0.5)))
        live.browser.timeout = usual
        assert await env.reset("enter-text", 0) == first
        await env.close()

    live.run(play())


def test_a_browser_that_died_is_started_again(live: Live) -> None:
    async def play() -> None:
        env = await live.browser.new_page()
        first = await env.reset("enter-text", 0)
        assert live.browser._chromium is not None
        await live.browser._chromium.close()
        with pytest.raises(EnvironmentFailure):
            await env.step(Action("click", point=Point(0.5, 0.5)))
        assert await env.reset("enter-text", 0) == first
        await env.close()

    live.run(play())


def test_a_missing_browser_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACER1_BROWSER", "/no/such/browser")
    with pytest.raises(SetupError, match=r"TRACER1_BROWSER=/no/such/browser is not a program; .*apt-get install"):
        find_browser()
    monkeypatch.delenv("TRACER1_BROWSER")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match=r"no chromium-headless-shell or chromium found; .*apt-get install"):
        find_browser()


def test_a_browser_that_does_not_start(tmp_path: Path) -> None:
    async def start() -> None:
        async with Browser(tmp_path, executable="/bin/false"):
            pass

    with pytest.raises(SetupError, match="/bin/false does not start"):
        asyncio.run(start())


def test_a_port_in_use(tmp_path: Path) -> None:
    async def start(port: int) -> None:
        async with Browser(tmp_path, port=port):
            pass

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SetupError, match=r"port \d+ of 127.0.0.1 is not free"):
            asyncio.run(start(taken.getsockname()[1]))


def test_a_browser_is_used_inside_its_block(tmp_path: Path) -> None:
    async def reset() -> None:
        env = await Browser(tmp_path).new_page()
        await env.reset("enter-text", 0)

    with pytest.raises(UsageError, match="async with"):
        asyncio.run(reset())
