from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nano_planner import Nano
from tokenizers import pre_tokenizers

from tracer1.models.tokenizer import SPECIAL, WORD, boilerplate, build_tokenizer, template_words
from tracer1.plan.text import parse_plan, render_plan
from tracer1.types import Plan, Step

PLAN = Plan(
    (Step("form, empty", "click", "click the 'City' field"), Step("form, ready", "type", "type 'qu'", "done")),
    "2 steps",
    first_number=3,
)


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


@given(text=st.text())
def test_any_text_comes_back(nano: Nano, text: str) -> None:
    assert nano.tokenizer.decode(ids(nano.tokenizer, text)) == text


def test_odd_texts_come_back(nano: Nano) -> None:
    plan = render_plan(PLAN)
    for text in ("", " ", "\n\n", "\t\r\n", "  two  spaces ", "\0", "ÄÖ ß 漢字 😀\u200d", plan, plan * 2, plan[:-5]):
        assert nano.tokenizer.decode(ids(nano.tokenizer, text)) == text


@pytest.fixture(scope="module")
def words_of_the_tasks(nano: Nano) -> set[str]:
    return {w.strip() for w in template_words(nano.source.templates(), nano.settings.word_episodes)}


@given(text=st.text(st.sampled_from(string.ascii_letters + "äßé"), min_size=1, max_size=12) | st.text(min_size=1))
def test_a_string_is_spelt_the_same_wherever_it_stands(nano: Nano, words_of_the_tasks: set[str], text: str) -> None:
    vocabulary = nano.tokenizer.get_vocab()
    assume(text.strip() == text)
    first = pre_tokenizers.Split(WORD, "isolated").pre_tokenize_str(text)[0][0]
    assume(
        first not in words_of_the_tasks
    )  # a word of the tasks' language is a token of its own, with and without the space
    assume(not text.startswith(("'", '"')))
    space = vocabulary["Ġ"]
    spelt = ids(nano.tokenizer, text)
    after_a_space = ids(nano.tokenizer, " " + text)
    after_a_quote = ids(nano.tokenizer, "'" + text)
    after_a_line = ids(nano.tokenizer, "\n" + text)
    assert after_a_space == [space, *spelt]
    assert after_a_quote[1:] == spelt
    assert after_a_line[1:] == spelt


def test_the_boilerplate_is_single_tokens(nano: Nano) -> None:
    pieces = boilerplate()
    assert '", "action": {"action_type": "' in pieces
    assert all(len(ids(nano.tokenizer, piece)) == 1 for piece in pieces)
    assert not any(character.isdigit() for piece in pieces for character in piece)


def test_a_rendered_plan_is_a_fraction_of_its_length(nano: Nano) -> None:
    text = render_plan(PLAN)
    with_boilerplate = ids(nano.tokenizer, text)
    without = build_tokenizer(
        nano.source.templates(), nano.source.strings(), nano.settings.pieces, nano.settings.word_episodes
    )
    plain = without.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    assert len(with_boilerplate) < len(plain) / 2
    assert len(with_boilerplate) < len(text) / 5
    assert parse_plan(nano.tokenizer.decode(with_boilerplate)).plan == PLAN


@pytest.mark.parametrize("token", SPECIAL)
def test_qwens_special_tokens_are_there(nano: Nano, token: str) -> None:
    assert len(ids(nano.tokenizer, token)) == 1
    assert nano.tokenizer.decode(ids(nano.tokenizer, f"a{token}b"), skip_special_tokens=True) == "ab"


def test_the_ends_are_qwens(nano: Nano) -> None:
    assert nano.tokenizer.eos_token == "<|im_end|>"
    assert nano.tokenizer.pad_token == "<|endoftext|>"
    assert nano.tokenizer.padding_side == "left"


def test_every_id_is_a_token(nano: Nano) -> None:
    assert sorted(nano.tokenizer.get_vocab().values()) == list(range(len(nano.tokenizer)))


def test_names_of_episodes_are_no_words(nano: Nano) -> None:
    words = set(template_words(nano.source.templates(), nano.settings.word_episodes))
    assert {" press", "Task"} <= words
    typed = {step.action.content for e in nano.episodes for step in e.steps if len(step.action.content or "") > 3}
    assert len(typed) > 30
    assert not {spelt for text in typed for spelt in (text, " " + text)} & words


def test_template_words_are_those_of_many_texts() -> None:
    assert template_words(["press ab", "press cd", "press press ef"], 3) == ["press"]
    assert template_words(["a b", "a b"], 2) == [" b"]


def test_building_again_gives_the_same(nano: Nano) -> None:
    again = build_tokenizer(
        nano.source.templates(), nano.source.strings(), nano.settings.pieces, nano.settings.word_episodes
    )
    assert again.get_vocab() == nano.tokenizer.get_vocab()


def test_pieces_are_short_and_leave_the_space_alone() -> None:
    tokenizer = build_tokenizer(["x"], ["katherine johnson"] * 50, 60, 2)
    learnt = [piece for piece in tokenizer.get_vocab() if piece.isalpha() and piece.isascii() and len(piece) > 1]
    assert learnt
    assert max(map(len, learnt)) == 2
    assert ids(tokenizer, "katherine johnson")[: len(ids(tokenizer, "katherine"))] == ids(tokenizer, "katherine")
    assert [token for token in tokenizer.get_vocab() if token.startswith("Ġ") and len(token) > 1] == []


def test_the_template_speaks_qwens_chat(nano: Nano) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Go"}]},
    ]
    text = nano.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Go<|im_end|>\n<|im_start|>assistant\n"
    )
