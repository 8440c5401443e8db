"""The dialect round-trips, reads what real models write, names what is wrong, and is linear on hostile text."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracer1.errors import PlanError
from tracer1.plan.text import MAX_DEPTH, MAX_PROBLEMS, Reading, parse_plan, render_plan, render_step, require_plan
from tracer1.types import Plan, Step

STRICT = Reading(strict_status=True, strict_instruction=True, clean=True)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    max_leaves=8,
)
tricky = st.sampled_from(
    [
        "</answer>",
        "</think>",
        "<answer>",
        "< / think >",
        "\nStep 1: {",
        '"}',
        "\\u003c",
        "\u2028",
        "\r\n",
        "{{{",
        "登录 🙂",
    ]
)
texts = st.lists(st.text() | tricky, max_size=4).map("".join)
steps = st.builds(
    Step,
    texts,
    texts.filter(bool),
    texts,
    st.sampled_from(["not done", "done"]),
    st.none() | st.dictionaries(texts, json_values, max_size=3),
)
plans = st.builds(Plan, st.lists(steps, min_size=1, max_size=5).map(tuple), texts, st.integers(0, 10**6))

STEP = '{"screenshot_abstraction": "s", "action": {"action_type": "click", "step_instruction": "i"}, "status": "done"}'
GOLD = Plan(
    (Step("empty form", "click", "click the 'Name' field"), Step("focus", "type", "type 'ada'", "done")), "ok", 3
)


def answered(body: str) -> str:
    return f"<think>x</think><answer>{body}</answer>"


# ---- the pair --------------------------------------------------------------------------------------------------------


def test_a_step_is_the_line_of_the_method() -> None:
    step = Step("login form, empty", "click", "click the user name field")
    assert render_step(step, 3) == (
        'Step 3: {"screenshot_abstraction": "login form, empty", "action": {"action_type": "click", '
        '"step_instruction": "click the user name field"}, "status": "not done"}'
    )


def test_a_plan_is_a_thought_and_one_line_per_step() -> None:
    lines = "\n".join([render_step(GOLD.steps[0], 3), render_step(GOLD.steps[1], 4)])
    assert render_plan(GOLD) == f"<think>ok</think><answer>{lines}</answer>"


@given(plan=plans)
@example(
    plan=Plan((Step("</think>", "type", "type '</answer>'", "done", {"<answer>": "</ think>"}),), "</think><answer>")
)
def test_what_is_rendered_is_read_back(plan: Plan) -> None:
    parsed = parse_plan(render_plan(plan))
    assert parsed.plan == plan
    assert parsed.tags_ok
    assert parsed.lines == parsed.valid == len(plan.steps)
    assert parsed.problems == ()


@given(plan=plans)
def test_the_prototypes_reading_finds_the_same_steps(plan: Plan) -> None:
    parsed = parse_plan(render_plan(plan), STRICT)
    assert parsed.plan is not None
    assert [step.status for step in parsed.plan.steps] == [step.status for step in plan.steps]
    assert parsed.tags_ok
    assert parsed.lines == parsed.valid == len(plan.steps)


@given(text=st.text() | texts | plans.map(render_plan).flatmap(lambda t: st.integers(0, len(t)).map(lambda n: t[:n])))
def test_no_text_makes_it_raise(text: str) -> None:
    for strict in (False, True):
        parsed = parse_plan(text, STRICT if strict else Reading())
        assert 0 <= parsed.valid <= parsed.lines
        assert parsed.problems or parsed.plan is not None


# ---- what models write -----------------------------------------------------------------------------------------------


def test_steps_without_outer_braces() -> None:
    body = (
        'Step 1: "screenshot_abstraction": "a}b", "action": {"action_type": "click", "step_instruction": "i"}, '
        '"status": "not done"\n'
        'Step 2: "screenshot_abstraction": "c", "action": {"action_type": "type", "step_instruction": "j"}, '
        '"status": "done",  \r\n'
    )
    parsed = parse_plan(answered(body))
    assert parsed.plan == Plan((Step("a}b", "click", "i"), Step("c", "type", "j", "done")), "x", 1)
    assert parsed.valid == 2


def test_a_thinking_completion_begins_inside_the_thought() -> None:
    draft = f"Let me see.\nStep 1: {STEP}\nNo: <answer>not this</answer>\n</think> wait\n</think>\n\n"
    parsed = parse_plan(f"{draft}<answer>\nStep 7: {STEP}\n</answer>\n")
    assert parsed.plan is not None
    assert parsed.plan.first_number == 7
    assert parsed.lines == 1
    assert parsed.tags_ok


def test_white_space_may_stand_around_the_tags() -> None:
    assert parse_plan(f"\n <think>x</think>\n\n <answer>\n  Step 1: {STEP}\n</answer> \n").tags_ok


@pytest.mark.parametrize(
    "text",
    [
        f"<answer>Step 1: {STEP}</answer>",  # no thought
        f"<think>x</think>Step 1: {STEP}",  # no answer tags
        f"<think>x</think><answer>Step 1: {STEP}",  # cut off
        f"<answer>Step 1: {STEP}</answer><think>x</think>",  # the wrong order
        f"Sure! <think>x</think><answer>Step 1: {STEP}</answer>",
        f"<think>x</think>Here: <answer>Step 1: {STEP}</answer>",
        f"<think>x</think><answer>Step 1: {STEP}</answer> Done.",
        f"Step 1: {STEP}\n<think>x</think>",
        f"<think>x<answer>Step 1: {STEP}</answer>",
        f"Step 1: {STEP}",
    ],
)
def test_steps_are_read_where_the_tags_are_wrong(text: str) -> None:
    parsed = parse_plan(text)
    assert not parsed.tags_ok
    assert parsed.plan is not None
    assert [step.action_type for step in parsed.plan.steps] == ["click"]
    assert "answer" in parsed.problems[0] or "think" in parsed.problems[0]


def test_only_the_steps_inside_the_answer_count() -> None:
    text = f"<think>Step 1: {STEP}</think><answer>Step 1: {STEP}</answer>\nStep 2: {STEP}"
    assert parse_plan(text).lines == 1


def test_a_step_stands_at_the_start_of_a_line() -> None:
    parsed = parse_plan(answered(f"Step 1: {STEP} Step 2: {STEP}\n- Step 3: {STEP}\n\tStep  4 : {STEP}"))
    assert parsed.lines == parsed.valid == 2


def test_a_pretty_printed_object_is_one_step() -> None:
    pretty = json.dumps(json.loads(STEP), indent=2)
    parsed = parse_plan(answered(f"Step 1: {pretty}\nand then\nStep 2: {pretty}"))
    assert parsed.lines == parsed.valid == 2


def test_the_prototype_cleans_white_space_around_tags() -> None:
    text = f"< think >x< / think >\n< answer >Step 1: {STEP}\n</ answer>"
    assert not parse_plan(text).tags_ok
    assert parse_plan(text, Reading(clean=True)).tags_ok


def test_arguments_of_a_tool_step() -> None:
    step = Step("a receipt", "ocr", "read it", arguments={"image": "receipt.png", "n": 2})
    parsed = parse_plan(render_plan(Plan((step,))))
    assert parsed.plan is not None
    assert parsed.plan.steps == (step,)
    assert parsed.records[0]["action"]["arguments"] == {"image": "receipt.png", "n": 2}


# ---- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "read", "problem"),
    [
        ('{"action": {"action_type": "click"}, "status": "done"}', True, "no screenshot_abstraction"),
        ('{"screenshot_abstraction": 5, "action": {"action_type": "click"}, "status": "done"}', True, "abstraction"),
        ('{"screenshot_abstraction": "s", "action": {"action_type": "click"}}', True, "status"),
        ('{"screenshot_abstraction": "s", "action": {"action_type": "click"}, "status": "Done"}', True, "status"),
        ('{"screenshot_abstraction": "s", "action": {"action_type": "click"}, "status": ["done"]}', True, "status"),
        ('{"screenshot_abstraction": "s", "action": "click", "status": "done"}', False, "no action object"),
        ('{"screenshot_abstraction": "s", "action": {"action_type": ""}, "status": "done"}', False, "no action_type"),
        ('{"screenshot_abstraction": "s", "action": {"action_type": ["click"]}}', False, "no action_type"),
        ('{"screenshot_abstraction": "s", "action": {"action_type": "cli', False, "not JSON"),
        ("click the button", False, "not JSON"),
        ("", False, "not JSON"),
        ('{"screenshot_abstraction": "\\ud800", "action": {"action_type": "click"}}', False, "half of a character"),
        ('{"screenshot_abstraction": "s", "n": NaN}', False, "NaN"),
        ('{"screenshot_abstraction": "s", "n": 1e999}', False, "out of range"),
        ('{"screenshot_abstraction": "s", "n": ' + "1" * 5000 + "}", False, "not JSON"),
        ('{"a": ' * 40 + "1" + "}" * 40, False, f"deeper than {MAX_DEPTH}"),
    ],
)
def test_a_step_that_is_not_valid_says_why(step: str, read: bool, problem: str) -> None:
    parsed = parse_plan(answered(f"Step 4: {step}\nStep 5: {STEP}"))
    assert (parsed.lines, parsed.valid) == (2, 1)
    assert parsed.plan is not None
    assert len(parsed.plan.steps) == 1 + read
    assert parsed.plan.first_number == (4 if read else 5)
    assert len(parsed.problems) == 1
    assert parsed.problems[0].startswith("step 4: ")
    assert problem in parsed.problems[0]
    assert "\n" not in parsed.problems[0]


def test_the_prototypes_readings() -> None:
    no_status = '{"screenshot_abstraction": "s", "action": {"action_type": "click", "step_instruction": "i"}}'
    no_words = '{"screenshot_abstraction": "s", "action": {"action_type": "click"}, "status": "done"}'
    text = answered(f"Step 1: {no_status}\nStep 2: {no_words}")
    loose, strict = parse_plan(text), parse_plan(text, Reading(strict_status=True, strict_instruction=True))
    assert loose.plan is not None
    assert strict.plan is not None
    assert (len(loose.plan.steps), loose.valid) == (2, 1)
    assert (len(strict.plan.steps), strict.valid, strict.plan.first_number) == (1, 0, 2)


def test_a_step_without_a_type_keeps_its_place_in_the_prototypes_reading() -> None:
    untyped = '{"screenshot_abstraction": "s", "action": {"step_instruction": "i"}, "status": "done"}'
    no_action = '{"screenshot_abstraction": "s", "action": "click", "status": "done"}'
    typed = '{"screenshot_abstraction": "s", "action": {"action_type": "click"}, "status": "done"}'
    text = answered(f"Step 4: {untyped}\nStep 5: {no_action}\nStep 6: {typed}\nStep 7: status: done")
    paper, strict = parse_plan(text), parse_plan(text, STRICT)
    assert paper.plan is not None
    assert strict.plan is not None
    assert [step.action_type for step in paper.plan.steps] == ["click"]
    assert [step.action_type for step in strict.plan.steps] == ["", "click"]
    assert (paper.plan.first_number, strict.plan.first_number) == (6, 4)
    assert strict.records[1]["action"] == {"action_type": "click"}
    assert (paper.lines, strict.lines, paper.valid, strict.valid) == (4, 4, 1, 0)


def test_many_brackets_are_fine_and_deep_ones_are_not() -> None:
    wide = '{"screenshot_abstraction": "[[[{{{\\"", "action": {"action_type": "a", "arguments": {"x": [' + "[],{}," * 99
    parsed = parse_plan(answered(f'Step 1: {wide}0]}}}}, "status": "done"}}'))
    assert parsed.valid == 1


def test_problems_are_limited() -> None:
    parsed = parse_plan(answered("Step 1: {\n" * 1000))
    assert parsed.lines == 1000
    assert len(parsed.problems) == MAX_PROBLEMS


def test_require_plan_names_what_is_wrong() -> None:
    assert require_plan(render_plan(GOLD)) == GOLD
    with pytest.raises(PlanError, match="'Step N:'"):
        require_plan("I will click the button.")
    with pytest.raises(PlanError, match="step 1: not JSON"):
        require_plan(answered("Step 1: {click}"))


# ---- hostile text ----------------------------------------------------------------------------------------------------

MEGA = 1_000_000
HOSTILE = {
    "thoughts": "<think>" * (MEGA // 7),
    "closed thoughts": "</think>" * (MEGA // 8),
    "answers": "<answer>" * (MEGA // 8),
    "braces": "{" * MEGA,
    "steps in a line": "Step 1:" * (MEGA // 7),
    "empty steps": "Step 1:\n" * (MEGA // 8),
    "open steps": "Step 1: {\n" * (MEGA // 10),
    "nested objects": "Step 1: " + '{"a":' * (MEGA // 5),
    "nested lists": 'Step 1: {"a": ' + "[" * MEGA,
    "closed nesting": 'Step 1: {"a": ' + "[" * (MEGA // 2) + "]" * (MEGA // 2) + "}",
    "open string": 'Step 1: {"a": [' + "[]," * 100 + '"' + '\\"' * (MEGA // 2),
    "one number": 'Step 1: {"a": ' + "1" * MEGA + "}",
    "escapes": 'Step 1: {"a": "' + "\\u0041" * (MEGA // 6) + '"}',
    "half characters": "\ud800" * MEGA,
    "spaces": " " * MEGA,
    "lines": "\n" * MEGA,
    "tag and spaces": "< " * (MEGA // 2) + " " * MEGA,
    "step and spaces": "Step" + " " * MEGA,
    "slashes": "/ " * (MEGA // 2),
    "good steps": f"Step 1: {STEP}\n" * (MEGA // len(STEP)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_takes_less_than_a_second(name: str) -> None:
    start = time.process_time()
    parse_plan(HOSTILE[name])
    parse_plan(HOSTILE[name], STRICT)
    assert time.process_time() - start < 2.0
