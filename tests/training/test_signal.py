from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.training.signal import SignalMemory, kind_of

KINDS = ["a", "a", "a", "b", "c"]


@pytest.mark.parametrize(
    ("episode_id", "kind"), [("toy/press/17", "toy/press#2"), ("toy/press/18", "toy/press#2"), ("17", "made#2")]
)
def test_prompts_are_alike_at_the_same_step_of_a_task(episode_id: str, kind: str) -> None:
    assert kind_of({"episode_id": episode_id, "step": 2, "source": "made"}) == kind


def test_an_unseen_kind_promises_a_half() -> None:
    assert SignalMemory(KINDS).signal_probability("a") == 0.5


@given(visits=st.lists(st.booleans(), max_size=60))
def test_a_promise_is_a_probability_that_follows_what_was_seen(visits: list[bool]) -> None:
    memory = SignalMemory(KINDS)
    for signal in visits:
        memory.add_visit("a", signal)
    assert 0 < memory.signal_probability("a") < 1
    before = memory.signal_probability("a")
    memory.add_visit("a", True)
    assert memory.signal_probability("a") > before
    assert memory.signal_probability("b") == 0.5


def test_the_past_fades() -> None:
    memory = SignalMemory(KINDS)
    for _ in range(100):
        memory.add_visit("a", True)
    for _ in range(100):
        memory.add_visit("a", False)
        memory.add_visit("b", False)
    assert memory.signal_probability("a") == pytest.approx(memory.signal_probability("b"), abs=1e-3)


def test_what_teaches_is_drawn_more_often_and_nothing_is_forgotten() -> None:
    memory = SignalMemory(KINDS)
    for _ in range(50):
        memory.add_visit("a", False)
        memory.add_visit("b", True)
    drawn = Counter(memory.draw(random.Random(seed)) for seed in range(2000))
    assert set(drawn) == {0, 1, 2, 3, 4}
    assert drawn[3] > drawn[4] > drawn[0]
    assert max(drawn[0], drawn[1], drawn[2]) < 2 * min(drawn[0], drawn[1], drawn[2])


def test_without_memory_every_prompt_is_as_likely() -> None:
    drawn = Counter(SignalMemory(KINDS).draw(random.Random(seed)) for seed in range(2000))
    assert min(drawn.values()) > 0.7 * 2000 / 5
