"""Which prompts teach."""

from __future__ import annotations

import random
from collections import Counter

from tracer1.training.signal import SignalMemory, kind_of


def test_prompts_of_one_step_of_one_task_are_alike() -> None:
    assert kind_of({"episode_id": "miniwob/login-user/7", "step": 2, "source": "miniwob"}) == "miniwob/login-user#2"
    assert kind_of({"episode_id": "77", "step": 0, "source": "agentnet"}) == "agentnet#0"


def test_unseen_kinds_are_drawn_like_their_prompts() -> None:
    memory = SignalMemory(["a"] * 30 + ["b"] * 10)
    rng = random.Random(0)
    drawn = Counter(memory.kinds[memory.draw(rng)] for _ in range(2000))
    assert 0.7 < drawn["a"] / 2000 < 0.8


def test_a_solved_kind_is_drawn_rarely_but_is_not_forgotten() -> None:
    memory = SignalMemory(["solved", "open"])
    for _ in range(40):
        memory.saw("solved", False)
        memory.saw("open", True)
    rng = random.Random(0)
    drawn = Counter(memory.kinds[memory.draw(rng)] for _ in range(2000))
    assert 0 < drawn["solved"] < drawn["open"] / 5


def test_old_visits_fade() -> None:
    memory = SignalMemory(["a"])
    for _ in range(50):
        memory.saw("a", True)
    high = memory.promise("a")
    for _ in range(20):
        memory.saw("a", False)
    assert memory.promise("a") < high / 3
