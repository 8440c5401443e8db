"""How fast the live environment is: eight pages of one browser against one page used step by step."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from tempfile import TemporaryDirectory
from typing import Any, Final

from tracer1.envs.miniwob.browser import Browser, MiniWobEnv
from tracer1.executors.dom import centre, find_element
from tracer1.types import Action, Observation

TASK: Final = "click-checkboxes"  # a click there changes the picture and does not end the episode
ROUNDS: Final = 3


def bench_env(pages: int = 8, seconds: float = 10.0) -> dict[str, Any]:
    """Steps a second (one click by mouse events, then the screenshot at scale 1) on ``pages`` pages and on one.

    ``{"name": "env", "ratio": many / one, "samples": {"pages": [steps/s, ...], "one": [...]}, "parity": whether both
    saw the same first screens, "machine"}``; the two take turns, for about ``seconds`` seconds each.
    """
    return asyncio.run(_bench(pages, seconds / ROUNDS))


async def _bench(pages: int, seconds: float) -> dict[str, Any]:
    many: list[float] = []
    one: list[float] = []
    with TemporaryDirectory() as images:
        async with Browser(images) as browser:
            envs = [await browser.new_page(elements=False) for _ in range(pages)]
            lone = await browser.new_page(elements=False)
            target = await _checkbox(browser)
            first = [await _begin(env, seed) for seed, env in enumerate(envs)]
            parity = [(await _begin(lone, seed)).screenshot for seed in range(pages)] == [o.screenshot for o in first]
            for _ in range(ROUNDS):
                many.append(await _rate(envs, target, seconds))
                one.append(await _rate([lone], target, seconds))
    ratio = sorted(many)[ROUNDS // 2] / sorted(one)[ROUNDS // 2]
    machine = {"cpus": os.cpu_count(), "system": platform.platform(), "pages": pages}
    samples = {"pages": [round(rate, 1) for rate in many], "one": [round(rate, 1) for rate in one]}
    return {"name": "env", "ratio": round(ratio, 2), "samples": samples, "parity": parity, "machine": machine}


async def _checkbox(browser: Browser) -> Action:
    env = await browser.new_page()
    observation = await _begin(env, 0)
    await env.close()
    return Action("click", point=centre(find_element(observation.elements or (), "checkbox", None, None).box))


async def _begin(env: MiniWobEnv, seed: int) -> Observation:
    _, observation = await env.reset(TASK, seed)
    return observation


async def _rate(envs: list[MiniWobEnv], action: Action, seconds: float) -> float:
    end = time.perf_counter() + seconds

    async def work(env: MiniWobEnv) -> int:
        steps = 0
        while time.perf_counter() < end:
            await env.step(action)
            steps += 1
        return steps

    started = time.perf_counter()
    steps = sum(await asyncio.gather(*(work(env) for env in envs)))
    return steps / (time.perf_counter() - started)
