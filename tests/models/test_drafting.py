"""Drafted decoding writes what plain decoding writes, in fewer passes; sampled, it keeps the distribution."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nano_planner import FP32, Nano

from tracer1.data.windows_file import read_windows
from tracer1.models.drafting import Draft, _judge, decode
from tracer1.models.local import LocalPlanner
from tracer1.types import Message

TOKENS = st.lists(st.integers(0, 5), max_size=30)


def written_by(draft: Draft, truth: list[int]) -> tuple[list[int], int]:
    """What greedy decoding writes with the draft when ``truth`` is what the model would say; and in how many passes."""
    passes = 0
    while len(draft.written) < len(truth):
        tried = draft.propose(len(truth) - len(draft.written) - 1)
        rest = truth[len(draft.written) :]
        kept = 0
        while kept < len(tried) and tried[kept] == rest[kept]:
            kept += 1
        draft.wrote(tried[:kept], rest[kept])
        passes += 1
    return draft.written, passes


# ---- the draft -------------------------------------------------------------------------------------------------------


@given(expected=TOKENS, prompt=TOKENS, truth=TOKENS)
def test_any_draft_leaves_the_text_as_it_is(expected: list[int], prompt: list[int], truth: list[int]) -> None:
    written, passes = written_by(Draft(expected, prompt), truth)
    assert written == truth
    assert passes <= len(truth)


def test_what_is_expected_takes_one_pass() -> None:
    text = list(range(50))
    assert written_by(Draft(text, []), text)[1] == 1
    assert written_by(Draft([], []), text)[1] == 50


def test_a_word_in_anothers_place_costs_one_pass() -> None:
    text = list(range(50))
    assert written_by(Draft([*text[:20], 99, *text[21:]], []), text)[1] == 2


@pytest.mark.parametrize("inserted", [1, 3])
def test_after_longer_words_the_place_is_found_again(inserted: int) -> None:
    text = list(range(50))
    expected = text[:20] + text[20 + inserted :]  # the model says more than was expected
    assert written_by(Draft(expected, []), text)[1] <= 3 + inserted + 2


def test_left_out_words_are_passed_over() -> None:
    text = list(range(50))
    assert written_by(Draft([*text[:20], 91, 92, 93, *text[20:]], []), text)[1] <= 6


def test_names_are_drafted_from_the_prompt() -> None:
    prompt = [7, 8, 31, 32, 33, 34, 9]
    draft = Draft([], prompt)
    written, passes = written_by(draft, [1, 7, 8, 31, 32, 33, 34])
    assert written == [1, 7, 8, 31, 32, 33, 34]
    assert passes == 4  # 1, 7, 8, and then the name at once


def test_no_more_is_proposed_than_there_is_room_for() -> None:
    draft = Draft(list(range(9)), [])
    assert draft.propose(4) == [0, 1, 2, 3]
    assert draft.propose(0) == []


# ---- the rule of keeping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draft", [[0], [2], [3], [1, 1], [2, 0]])
def test_sampling_keeps_the_distribution(draft: list[int]) -> None:
    torch.manual_seed(0)
    p = torch.tensor([[0.1, 0.2, 0.7, 0.0], [0.4, 0.3, 0.3, 0.0], [0.25, 0.25, 0.25, 0.25]])
    counts: Counter[tuple[int, ...]] = Counter()
    total = 6000
    for _ in range(total):
        kept, token = _judge(p.log(), draft, sample=True)
        text = [*draft[:kept], token]
        while len(text) < 2:  # what plain sampling would go on with
            text.append(int(torch.multinomial(p[len(text)], 1)))
        counts[tuple(text[:2])] += 1
    for a in range(4):
        for b in range(4):
            expected = float(p[0, a] * p[1, b])
            assert counts[a, b] / total == pytest.approx(expected, abs=4.5 * (expected * (1 - expected) / total) ** 0.5)


def test_greedy_keeps_what_is_most_likely() -> None:
    scores = torch.eye(4)
    assert _judge(scores, [0, 1, 2], sample=False) == (3, 3)
    assert _judge(scores, [0, 2, 2], sample=False) == (1, 1)
    assert _judge(scores, [], sample=False) == (0, 0)


# ---- a real planner --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prompts(nano: Nano) -> list[tuple[Message, ...]]:
    root = nano.store.directory
    found = []
    for window in list(read_windows(str(nano.windows)))[:7]:
        messages = [dict(m) for m in window.prompt]
        for message in messages:
            message["content"] = [
                {**part, "image": str(root / part["image"])} if part["type"] == "image" else part
                for part in message["content"]
            ]
        found.append(tuple(messages))
    return found


def test_greedy_text_is_the_same_whatever_is_drafted(nano: Nano, prompts: list[tuple[Message, ...]]) -> None:
    planner = LocalPlanner(nano.folder, max_new_tokens=24, settings=FP32)
    plain = planner.complete(prompts)
    assert len(set(plain)) > 1
    halves = [text[: len(text) // 2] + "zq" + text[len(text) // 2 + 3 :] for text in plain]
    for drafts in (plain, [""] * 7, plain[1:] + plain[:1], halves):
        assert planner.complete_drafted(prompts, drafts) == plain


def test_a_right_draft_takes_one_pass(nano: Nano, prompts: list[tuple[Message, ...]]) -> None:
    planner = LocalPlanner(nano.folder, max_new_tokens=24, settings=FP32)
    inputs = planner.inputs(prompts)
    options = {"max_new_tokens": 24, "processors": planner._processors()}
    first = decode(planner.model, inputs, [[]] * 7, **options)  # ids, as an untrained planner's text reads otherwise
    again = decode(planner.model, inputs, first.tokens, **options)
    assert again.tokens == first.tokens
    assert again.passes == [1] * 7
    assert again.accepted == [len(tokens) - 1 for tokens in first.tokens]
    assert sum(first.passes) > 7 * 3


def test_sampling_stays_within_the_settings(nano: Nano, prompts: list[tuple[Message, ...]]) -> None:
    planner = LocalPlanner(nano.folder, max_new_tokens=10, temperature=30.0, settings=FP32)
    one = planner.complete_drafted(prompts, [""] * 7)
    assert planner.complete_drafted(prompts, one) != one
    banned = planner.options["suppress_tokens"]
    special = nano.tokenizer.convert_ids_to_tokens(banned)
    assert not [text for text in one if any(token in text for token in special)]
