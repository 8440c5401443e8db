"""Stage 1: every rule worked by hand, and what must hold for any plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tracer1.plan.text import render_plan
from tracer1.rewards.terms import align_by_position, align_greedily, best_return, repetitions
from tracer1.rewards.trajectory import PROFILES, TrajectoryProfile, hit_by_depth, score_trajectory
from tracer1.types import Plan, Step

PAPER, PROTOTYPE = PROFILES["paper"], PROFILES["prototype"]
BOTH = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def steps(kinds: str | Sequence[str], *, done: bool = False) -> tuple[Step, ...]:
    """Steps of the given types ("click type" or a list); ``done`` is the last one's status."""
    names = kinds.split() if isinstance(kinds, str) else kinds
    last = len(names) - 1
    return tuple(Step("s", kind, "i", "done" if done and i == last else "not done") for i, kind in enumerate(names))


def completion(kinds: str | Sequence[str], *, done: bool = False) -> str:
    return render_plan(Plan(steps(kinds, done=done), "t"))


def accuracy(predicted: str, reference: str, profile: TrajectoryProfile, *, done: bool = False) -> float:
    value = score_trajectory(completion(predicted, done=done), steps(reference), profile).accuracy
    assert value is not None
    return value


# ---- worked by hand --------------------------------------------------------------------------------------------------
# The reference is click, type, scroll unless said otherwise. Its best sum is 1 + 0.8 + 0.64 = 2.44 in the paper's
# profile, and 0.2 more in the prototype's, whose bonus is in the normaliser whether it is earned or not.
BEST = {"paper": 2.44, "prototype": 2.64}
NAMES = pytest.mark.parametrize("name", PROFILES)


@BOTH
@pytest.mark.parametrize("done", [False, True])
def test_the_gold_plan_earns_exactly_one(profile: TrajectoryProfile, done: bool) -> None:
    gold = steps("click type scroll click finished", done=done)
    score = score_trajectory(render_plan(Plan(gold, "thought", 4)), gold, profile)
    if profile is PROTOTYPE and not done:  # 1 + 0.8 + 0.64 + 0.512 + 0.4096 = 3.3616 of 3.5616
        assert score.accuracy == pytest.approx(3.3616 / 3.5616)
        assert score.overall == pytest.approx(0.1 + 0.9 * 3.3616 / 3.5616)
    else:
        assert (score.overall, score.format, score.accuracy, score.unscored) == (1.0, 1.0, 1.0, None)


def test_same_length_is_paired_by_position() -> None:
    # click, wait, scroll: pairs 0 and 2 match, 1 + 0.64 = 1.64. In the paper's profile the middle pair is unmatched on
    # both sides, 1.64 - 2 * 0.15 = 1.34; in the prototype it is aligned with score 0, no penalty.
    assert accuracy("click wait scroll", "click type scroll", PAPER) == pytest.approx(1.34 / 2.44)
    assert accuracy("click wait scroll", "click type scroll", PROTOTYPE) == pytest.approx(1.64 / 2.64)


@NAMES
def test_a_short_plan_leaves_reference_steps_unmatched(name: str) -> None:
    # click -> 0 and type -> 1 without displacement: 1 + 0.8 = 1.8; one reference step alone: - 0.15.
    assert accuracy("click type", "click type scroll", PROFILES[name]) == pytest.approx(1.65 / BEST[name])


@NAMES
def test_a_displaced_match_is_worth_less(name: str) -> None:
    # wait matches nothing (-0.15); click, type, scroll are each one late: 0.9 (0.8 + 0.64 + 0.512) = 1.7568.
    found = accuracy("wait click type scroll", "click type scroll", PROFILES[name])
    assert found == pytest.approx((1.7568 - 0.15) / BEST[name])


@BOTH
def test_nothing_right_is_clipped_at_zero(profile: TrajectoryProfile) -> None:
    # No match, 2 + 3 steps alone: -0.75, clipped.
    assert accuracy("wait drag", "click type scroll", profile) == 0.0


@BOTH
def test_repetitions_cost_a_tenth_each(profile: TrajectoryProfile) -> None:
    # Four clicks are two repetitions (steps 0 and 1 are followed by two of their type). Against click, type, scroll
    # click -> 0: 1; the other three and two of the reference alone: 1 - 5 * 0.15 = 0.25; 0.25 / 2.44 - 0.2 < 0.
    # The plans below end the episode, so that both profiles' maximum is earned but for the repetition.
    assert accuracy("click click click click", "click type scroll", profile) == 0.0
    # Three scrolls recorded and predicted: 1 - 0.1 by the literal rule of both profiles, 1 where only excess counts.
    thrice = "scroll scroll scroll"
    assert accuracy(thrice, thrice, profile, done=True) == pytest.approx(0.9)
    assert accuracy(thrice, thrice, replace(profile, repetition="excess"), done=True) == 1.0
    assert accuracy(thrice, thrice, replace(profile, lambda_rep=0.0), done=True) == 1.0


def test_the_prototypes_completion_bonus() -> None:
    # click alone against click, type: 1 - 0.15 = 0.85 of 1.8 + 0.2; "done" earns the 0.2: 1.05 of 2.
    assert accuracy("click", "click type", PROTOTYPE) == pytest.approx(0.85 / 2.0)
    assert accuracy("click", "click type", PROTOTYPE, done=True) == pytest.approx(1.05 / 2.0)
    assert accuracy("click", "click type", PAPER, done=True) == pytest.approx(0.85 / 1.8)


def test_the_prototypes_rule_for_overlong_plans() -> None:
    # One reference step: up to 1 + 3 = 4 steps are scored, 1 - 3 * 0.15 = 0.55 of 1 + 0.2; five earn 0.05.
    assert accuracy("click wait drag type", "click", PROTOTYPE) == pytest.approx(0.55 / 1.2)
    assert accuracy("click wait drag type wait", "click", PROTOTYPE) == 0.05
    assert accuracy("click wait drag type wait", "click", PAPER) == pytest.approx(0.4)


@BOTH
def test_nothing_to_compare_is_no_accuracy(profile: TrajectoryProfile) -> None:
    assert score_trajectory(completion("click"), (), profile).accuracy == 0.0
    assert score_trajectory("<think>x</think><answer></answer>", steps("click"), profile).overall == 0.0
    assert score_trajectory("", (), profile).overall == 0.0


@BOTH
def test_format_and_accuracy_are_weighed(profile: TrajectoryProfile) -> None:
    gold = completion("click type", done=True)
    # Without answer tags the format is 0 and the steps count all the same: 0.9 * 1 + 0.1 * 0.
    bare = gold.replace("<answer>", "\n").replace("</answer>", "")
    score = score_trajectory(bare, steps("click type"), profile)
    assert (score.overall, score.format, score.accuracy) == (0.9, 0.0, 1.0)
    # One of two steps without its abstraction: 0.9 * 1 + 0.1 * 0.5.
    half = gold.replace('"screenshot_abstraction": "s", ', "", 1)
    score = score_trajectory(half, steps("click type"), profile)
    assert (score.overall, score.format, score.accuracy) == (pytest.approx(0.95), 0.5, 1.0)


def test_a_step_without_a_status_is_scored_by_the_paper_only() -> None:
    text = completion("click type").replace(', "status": "not done"', "", 1)
    # The prototype reads only the second step. It takes the reference's type, one place off: 0.9 - 0.15 of 1.8 + 0.2.
    paper, prototype = (score_trajectory(text, steps("click type"), profile) for profile in (PAPER, PROTOTYPE))
    assert (paper.format, paper.accuracy) == (0.5, 1.0)
    assert (prototype.format, prototype.accuracy) == (0.5, pytest.approx(0.75 / 2.0))


def test_a_step_without_a_type_is_scored_by_the_prototype_only() -> None:
    text = completion("click wait scroll").replace('"action_type": "wait", ', "", 1)
    # The paper reads click, scroll: 1 + 0.8 * 0.9 = 1.72, less 0.15 for type, of 2.44. The prototype reads three steps
    # and pairs by position: the second earns 0 and costs nothing, 1 + 0.64 = 1.64 of 2.64.
    assert score_trajectory(text, steps("click type scroll"), PAPER).accuracy == pytest.approx(1.57 / 2.44)
    assert score_trajectory(text, steps("click type scroll"), PROTOTYPE).accuracy == pytest.approx(1.64 / 2.64)
    # Against click alone the other two are unmatched: 1 - 2 * 0.15 = 0.7 of 1 + 0.2.
    assert score_trajectory(text, steps("click"), PROTOTYPE).accuracy == pytest.approx(0.7 / 1.2)
    # The last step has no type, and its "done" earns the bonus: 1 + 0.2 - 0.15 of 1.2, the type unmatched.
    done = completion("click wait", done=True).replace('"action_type": "wait", ', "", 1)
    assert score_trajectory(done, steps("click"), PROTOTYPE).accuracy == pytest.approx(1.05 / 1.2)
    # Steps without a type are no repetition, and fill no reference.
    bare = completion("wait wait wait wait").replace('"action_type": "wait", ', "")
    score = score_trajectory(bare, steps("click type scroll wait"), PROTOTYPE)
    assert (score.accuracy, score.terms["repetition"], score.terms["coverage"]) == (0.0, 0.0, 0.0)


def test_the_prototype_asks_for_an_instruction_and_cleans_tags() -> None:
    wordless = completion("click", done=True).replace(', "step_instruction": "i"', "")
    assert [score_trajectory(wordless, ["click"], profile).overall for profile in (PAPER, PROTOTYPE)] == [1.0, 0.9]
    spaced = completion("click", done=True).replace("</", "< /")
    assert [score_trajectory(spaced, ["click"], profile).overall for profile in (PAPER, PROTOTYPE)] == [0.9, 1.0]


def test_the_matching_is_greedy_first_on_ties_and_above_the_threshold() -> None:
    def pairs(predicted: str, reference: str) -> list[tuple[int, int]]:
        found = align_greedily(predicted.split(), reference.split(), position_penalty=0.1, threshold=0.5)
        return [(i, j) for i, j, _ in found.pairs]

    assert pairs("wait click", "click wait click") == [(0, 1), (1, 0)]  # click is one off both: the first wins
    assert pairs("a a", "b a b") == [(0, 1)]  # the first takes it, though the second stands nearer
    assert pairs("a", "b b b b a") == [(0, 4)]  # four off: 0.6
    assert pairs("a", "b b b b b a") == []  # five off: 0.5 does not exceed 0.5
    assert align_greedily([], ["a"], position_penalty=0.1, threshold=0.5).unmatched_reference == 1


def test_small_terms() -> None:
    assert repetitions(["a", "a", "a", "b", "b", "b", "b"]) == 3
    assert repetitions(["a", "a"]) == 0
    assert best_return(3, 0.8) == pytest.approx(2.44)
    assert best_return(0, 0.8) == 0.0
    assert align_by_position(["a", "b"], ["a", "c"]).pairs == ((0, 0, 1.0),)
    assert align_by_position(["a", "b"], ["a", "c"], keep_mismatches=True).pairs == ((0, 0, 1.0), (1, 1, 0.0))


def test_terms_keep_their_names_and_weights() -> None:
    score = score_trajectory(completion("wait click type scroll"), steps("click type scroll"))
    assert score.terms == {
        "format": 1.0,
        "accuracy": pytest.approx(1.6068 / 2.44),
        "alignment": pytest.approx(1.7568),
        "coverage": 1.0,
        "completion": 0.0,
        "best": pytest.approx(2.44),
        "repetition": 0.0,
        "overlong": 0.0,
    }
    assert score.weights == {
        "format": 0.1,
        "accuracy": 0.9,
        "alignment": 1.0,
        "coverage": -0.15,
        "completion": 0.0,
        "repetition": -0.1,
    }


# ---- properties ------------------------------------------------------------------------------------------------------

kinds = st.lists(st.sampled_from(["click", "type", "scroll", "hotkey"]), min_size=1, max_size=7)
unrepeated = kinds.filter(lambda names: repetitions(names) == 0)


@BOTH
@given(predicted=kinds, reference=kinds, done=st.booleans())
def test_bounds_and_the_total_is_its_terms(
    profile: TrajectoryProfile, predicted: list[str], reference: list[str], done: bool
) -> None:
    score = score_trajectory(completion(predicted, done=done), reference, profile)
    terms, weights = score.terms, score.weights
    assert score.overall is not None
    assert 0.0 <= score.overall <= 1.0
    assert score.overall == pytest.approx(weights["format"] * terms["format"] + weights["accuracy"] * terms["accuracy"])
    total = sum(weights[name] * terms[name] for name in ("alignment", "coverage", "completion"))
    derived = max(0.0, min(1.0, max(0.0, total / terms["best"])) + weights["repetition"] * terms["repetition"])
    assert terms["accuracy"] == pytest.approx(0.05 if terms["overlong"] else derived)


@BOTH
@given(gold=unrepeated, done=st.booleans())
def test_any_gold_plan_earns_exactly_one(profile: TrajectoryProfile, gold: list[str], done: bool) -> None:
    overall = score_trajectory(completion(gold, done=done), gold, profile).overall
    assert overall is not None
    assert (overall == 1.0) is (profile is PAPER or done)  # the prototype's bonus is earned only where the episode ends


@BOTH
@given(gold=unrepeated, padding=kinds, done=st.booleans())
def test_padding_the_gold_plan_loses(
    profile: TrajectoryProfile, gold: list[str], padding: list[str], done: bool
) -> None:
    overall = score_trajectory(completion([*gold, *padding], done=done), gold, profile).overall
    assert overall is not None
    assert overall < 1.0


@given(predicted=kinds, reference=kinds, padding=st.integers(1, 4))
def test_steps_beyond_the_references_end_never_gain(predicted: list[str], reference: list[str], padding: int) -> None:
    assume(len(predicted) > len(reference))
    longer = completion([*predicted, *["wait"] * padding])
    assert score_trajectory(longer, reference).overall <= score_trajectory(completion(predicted), reference).overall  # type: ignore[operator]


@BOTH
@given(gold=unrepeated, data=st.data())
def test_repeating_a_step_of_the_gold_plan_loses(
    profile: TrajectoryProfile, gold: list[str], data: st.DataObject
) -> None:
    i = data.draw(st.integers(0, len(gold) - 1))
    overall = score_trajectory(completion([*gold[:i], gold[i], *gold[i:]]), gold, profile).overall
    assert overall is not None
    assert overall < 1.0


@BOTH
@given(gold=unrepeated, data=st.data())
def test_order_matters(profile: TrajectoryProfile, gold: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(gold))
    assume(shuffled != gold)
    overall = score_trajectory(completion(shuffled), gold, profile).overall
    assert overall is not None
    assert overall < 1.0


@BOTH
@given(gold=kinds)
def test_an_early_mistake_costs_more_than_a_late_one(profile: TrajectoryProfile, gold: list[str]) -> None:
    assume(len(gold) > 1 and repetitions(gold) == 0)
    first, last = (
        score_trajectory(completion([*gold[:i], "wait", *gold[i + 1 :]]), gold, profile).overall
        for i in (0, len(gold) - 1)
    )
    assert first is not None
    assert last is not None
    assert first <= last


def test_a_weakness_of_the_published_rule() -> None:
    """Two steps in the wrong order earn nothing at the reference's length, where pairs go by position, and most of the
    accuracy with a third step, where the greedy matching begins. The gold plan still earns more than either."""
    assert accuracy("type click", "click type", PAPER) == 0.0
    assert accuracy("type click wait", "click type", PAPER) == pytest.approx((0.9 * 1.8 - 0.15) / 1.8)


@BOTH
@given(text=st.text(max_size=200))
def test_garbage_earns_nothing_and_raises_nothing(profile: TrajectoryProfile, text: str) -> None:
    for hostile in (text, f"<think>{text}</think><answer>Step 1: {text}</answer>", f"Step 1: {{{text}"):
        assert score_trajectory(hostile, ["click"], profile).overall == 0.0


# ---- forecast --------------------------------------------------------------------------------------------------------


def test_hit_by_depth() -> None:
    plan = Plan(steps("click type wait"))
    assert hit_by_depth(plan, ["click", "scroll", "wait", "type"]) == [True, False, True, False]
    assert hit_by_depth(plan, steps("click")) == [True, None, None]
    assert hit_by_depth(plan, steps("click type"), depth=5) == [True, True, None, None, None]
    assert hit_by_depth(plan, ["click", "scroll", "wait", "type"], depth=2) == [True, False]
    assert hit_by_depth(None, ["click", "type"]) == [False, False]
