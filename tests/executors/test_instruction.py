"""The instruction language: what it reads, what it refuses, and that words and parts are one."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.actions import DIRECTIONS
from tracer1.errors import InstructionError
from tracer1.executors.instruction import (
    POINTING,
    ROLES,
    Instruction,
    drop_target_name,
    ordinal_word,
    parse_instruction,
    render_instruction,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("click the 'Login' button", Instruction("click", name="Login", role="button")),
        ("click the 2nd radio button", Instruction("click", ordinal=2, role="radio button")),
        ("click the button", Instruction("click", role="button")),
        ("click the 3rd 'Odd' button", Instruction("click", ordinal=3, name="Odd", role="button")),
        ("double-click the text area", Instruction("double-click", role="text area")),
        ("type 'ada'", Instruction("type", content="ada")),
        ("type 'ada' in the 'User' field", Instruction("type", content="ada", name="User", role="field")),
        ("type 'it's 5' o'clock'", Instruction("type", content="it's 5' o'clock")),
        ("click the 'Ann's cat's' link", Instruction("click", name="Ann's cat's", role="link")),
        ("press ctrl+a", Instruction("press", key="ctrl+a")),
        ("scroll down", Instruction("scroll", direction="down")),
        ("scroll down in the 'X' list", Instruction("scroll", direction="down", name="X", role="list")),
        (
            "drag the 'A' shape to the 'B' image",
            Instruction("drag", name="A", role="shape", to_name="B", to_role="image"),
        ),
        ("  wait\n", Instruction("wait")),
        ("finished", Instruction("finished")),
    ],
)
def test_reads(text: str, expected: Instruction) -> None:
    assert parse_instruction(text) == expected
    assert parse_instruction(render_instruction(expected)) == expected


NONSENSE = [
    "",
    "click",
    "click the 'A'",
    "click the 0th button",
    "smash the 'A' button",
    "type ada",
    "scroll on",
    "press",
]


@pytest.mark.parametrize("text", NONSENSE)
def test_refuses(text: str) -> None:
    with pytest.raises(InstructionError, match="not an instruction"):
        parse_instruction(text)


def test_loosening_keeps_the_role_and_drops_what_only_the_screen_could_tell() -> None:
    assert drop_target_name(parse_instruction("click the 'Login' button")) == parse_instruction("click the button")
    assert drop_target_name(parse_instruction("click the 2nd 'Odd' button")) == parse_instruction("click the button")
    assert drop_target_name(parse_instruction("click the 2nd field")) == parse_instruction("click the 2nd field")


def test_ordinal_words() -> None:
    assert [ordinal_word(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
    )


def test_what_would_be_read_differently_is_not_rendered() -> None:
    sly = Instruction("type", content="a' in the 'b' field' in the 'c", name="d", role="field")
    with pytest.raises(InstructionError, match="read differently"):
        render_instruction(Instruction("type", content="x", name="y' in the 'z", role="field"))
    assert parse_instruction(render_instruction(sly)) == sly


HOSTILE = ["click the '" + "' button the '" * 9999, "type '" + "' in the '" * 150 + "x", "drag the " + "'a' text" * 200]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InstructionError):
        parse_instruction(text)
    assert time.perf_counter() - started < 1.0


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
plain = names.filter(lambda s: "'" not in s)
roles = st.sampled_from(ROLES)
verbs = st.sampled_from(sorted(POINTING))
keys = st.lists(st.sampled_from(["ctrl", "a", "enter"]), min_size=1)
directions = st.sampled_from(DIRECTIONS)
ordinals = st.none() | st.integers(1, 999)
instructions = st.one_of(
    st.builds(lambda v, n, o, r: Instruction(v, n, o, r), verbs, st.none() | names, ordinals, roles),
    st.builds(lambda c: Instruction("type", content=c), plain),
    st.builds(lambda c, n, o, r: Instruction("type", n, o, r, content=c), plain, st.none() | plain, ordinals, roles),
    st.builds(lambda k: Instruction("press", key="+".join(k)), keys),
    st.builds(lambda d, n, r: Instruction("scroll", n, None, r, direction=d), directions, plain, roles),
    st.builds(lambda a, r, b, q: Instruction("drag", a, None, r, to_name=b, to_role=q), plain, roles, plain, roles),
    st.sampled_from([Instruction("wait"), Instruction("finished")]),
)


@given(instructions)
def test_words_and_parts_are_one(instruction: Instruction) -> None:
    assert parse_instruction(render_instruction(instruction)) == instruction


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InstructionError):
        assert render_instruction(parse_instruction(text))
