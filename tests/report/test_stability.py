from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tracer1.report.stability import kept_steps, plan_stability

PLANS = st.lists(st.sampled_from("abc"), max_size=6)


def subsequence(one: list[str], other: list[str]) -> bool:
    rest = iter(other)
    return all(step in rest for step in one)


def test_what_survives() -> None:
    assert kept_steps("bcd", "bcd") == (True, True, True)
    assert kept_steps("bcd", "bd") == (True, False, True)
    assert kept_steps("bcd", "xbcde") == (True, True, True)
    assert kept_steps("abc", "bca") == (False, True, True)  # in order: giving up one keeps two
    assert kept_steps("aa", "a") == (True, False)  # a step stands for one
    assert kept_steps("ab", "") == (False, False)
    assert kept_steps("", "ab") == ()


@given(PLANS, PLANS)
def test_kept_steps_are_a_longest_common_subsequence(tail: list[str], after: list[str]) -> None:
    kept = [step for step, stays in zip(tail, kept_steps(tail, after), strict=True) if stays]
    assert subsequence(kept, after)
    choices = ([s for k, s in enumerate(tail) if mask >> k & 1] for mask in range(2 ** len(tail)))
    assert len(kept) == max(len(choice) for choice in choices if subsequence(choice, after))


def test_stability_by_place() -> None:
    assert plan_stability([["abc", "bc", "x"], ["ab", ""]]) == [(1, 3), (1, 1)]
    assert plan_stability([["abc"], []]) == []


@given(st.text("abcdef", min_size=2, max_size=6))
def test_a_planner_that_keeps_its_word_is_stable(plan: str) -> None:
    plans = [plan[i:] for i in range(len(plan))]
    assert all(kept == of for kept, of in plan_stability([plans]))
    assert plan_stability([plans])[0] == (len(list(pairwise(plan))), len(plan) - 1)
