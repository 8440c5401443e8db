"""Every expert solves its task, in words that a stranger to the page could follow."""

from __future__ import annotations

import re

import pytest
from live_browser import Live

from tracer1.envs.experts import Demonstration, demonstrate
from tracer1.envs.miniwob.experts import EXPERTS, expert_for
from tracer1.errors import UsageError
from tracer1.executors.instruction import parse_instruction, render_instruction

SEED = 1


def play(live: Live, task: str, seed: int) -> Demonstration:
    async def one() -> Demonstration:
        env = await live.browser.new_page()
        shown = await demonstrate(env, expert_for(task), task, seed)
        await env.close()
        return shown

    return live.run(one())


@pytest.mark.parametrize("task", sorted(EXPERTS))
def test_solves_its_task(live: Live, task: str) -> None:
    shown = play(live, task, SEED)
    assert (shown.reward, shown.reason and shown.goal) in ((1.0, ""), (1.0, shown.goal))
    assert [step.status for step in shown.steps] == ["not done"] * (len(shown.steps) - 1) + ["done"]
    strings = set(re.findall(r'"(.*?)"', shown.goal)) | {parse_instruction(s.instruction).content for s in shown.steps}
    for step in shown.steps:
        assert render_instruction(parse_instruction(step.instruction)) == step.instruction
        assert parse_instruction(step.instruction).action_type == step.action.action_type
        assert len(step.abstraction.split()) <= 6
        assert not any(text and len(text) > 2 and text in step.abstraction for text in strings)


def test_the_popup_is_described_and_cancelled(live: Live) -> None:
    steps = [(s.abstraction, s.instruction) for s in play(live, "login-user-popup", 1).steps]
    assert steps[1] == ("login form, popup", "click the 'Cancel' button")
    assert steps[2] == steps[0]


def test_an_expert_that_is_stuck_says_so(live: Live) -> None:
    shown = play(live, "click-button-sequence", 43)  # one button lies under the other
    assert shown.reward == 0.0
    assert "no 'ONE' button" in shown.reason


def test_a_task_without_an_expert() -> None:
    with pytest.raises(UsageError, match="no expert for task 'chase-circle'"):
        expert_for("chase-circle")
