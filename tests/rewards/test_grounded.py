"""Stage 2: what the executor did decides; its failure is nobody's score."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.errors import ExecutorError, InstructionError
from tracer1.plan.text import render_plan
from tracer1.rewards.grounded import PROFILES, GroundedProfile, score_grounded
from tracer1.types import Action, Plan, Point, Reference, Score, Step

PAPER = PROFILES["paper"]
BUTTONS = {"Login": Point(0.5, 0.8), "Cancel": Point(0.2, 0.8)}
CLICK = Action("click", BUTTONS["Login"])
BOX = (0.4, 0.75, 0.6, 0.85)


def agent(step: Step) -> Action:
    """A small executor: knows two buttons by name, types what is quoted, and breaks on demand."""
    if "crash" in step.instruction:
        raise ExecutorError("the agent timed out after 30 s")
    quoted = step.instruction.split("'")[1] if step.instruction.count("'") >= 2 else ""
    if step.action_type == "type":
        return Action("type", content=quoted)
    if step.action_type == "ocr":
        return Action("ocr", arguments=step.arguments, content=quoted)
    if quoted not in BUTTONS:
        raise InstructionError(f"no element is named '{quoted}'")
    return Action(step.action_type, BUTTONS[quoted])


def plan(kind: str, instruction: str) -> str:
    return render_plan(Plan((Step("s", kind, instruction), Step("t", "wait", "wait")), "thought"))


def score(kind: str, instruction: str, recorded: Action = CLICK, **reference: object) -> Score:
    return score_grounded(plan(kind, instruction), replace(Reference((), recorded), **reference), agent)


def test_a_hit_in_the_box_earns_one() -> None:
    result = score("click", "click the 'Login' button", box=BOX)
    assert (result.overall, result.format, result.accuracy, result.unscored) == (1.0, 1.0, 1.0, None)
    assert result.terms == {"format": 1.0, "accuracy": 1.0, "coordinate": 1.0, "no_plan": 0.0, "no_target": 0.0}
    assert result.weights == {"format": 0.1, "accuracy": 0.9}


def test_a_miss_keeps_the_format() -> None:
    # Cancel lies 0.3 of the screen away: r = 0, the format is whole: 0.9 * 0 + 0.1 * 1.
    assert score("click", "click the 'Cancel' button", box=BOX).overall == pytest.approx(0.1)
    assert score("click", "click the 'Cancel' button").overall == pytest.approx(0.1)


def test_without_a_box_the_radius_decides() -> None:
    near = Action("click", Point(0.5, 0.67))  # 0.13 from the Login button
    assert score("click", "click the 'Login' button", near).accuracy == 1.0
    assert score("click", "click the 'Login' button", near, box=(0.4, 0.6, 0.6, 0.7)).accuracy == 0.0
    tight = GroundedProfile(radius=0.1)
    result = score_grounded(plan("click", "click the 'Login' button"), Reference((), near), agent, tight)
    assert result.accuracy == 0.0


def test_other_steps_by_type_and_argument() -> None:
    recorded = Action("type", content="ada")
    assert score("type", "type 'ada' in the 'Name' field", recorded).accuracy == 1.0
    assert score("type", "type 'bob' in the 'Name' field", recorded).accuracy == 0.0
    assert score("click", "click the 'Login' button", recorded).accuracy == 0.0


def test_an_instruction_that_leads_nowhere_is_a_miss() -> None:
    result = score("click", "click the 'Logn' button", box=BOX)
    assert (result.overall, result.unscored) == (pytest.approx(0.1), None)
    assert result.terms["no_target"] == 1.0


def test_a_failing_agent_leaves_the_sample_unscored() -> None:
    result = score("click", "crash", box=BOX)
    assert result.overall is None
    assert result.accuracy is None
    assert result.unscored == "the agent timed out after 30 s"
    assert result.format == 1.0


def test_other_exceptions_surface() -> None:
    def broken(step: Step) -> Action:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        score_grounded(plan("click", "x"), Reference((), CLICK), broken)


def test_a_recording_without_a_target_leaves_the_sample_unscored() -> None:
    nowhere = score("click", "click the 'Login' button", Action("click"))
    nothing = score_grounded(plan("click", "x"), Reference((Step("", "click", ""),)), agent)
    silent = score("ocr", "read '42'", Action("ocr", arguments={"image": "a.png"}))
    assert [result.overall for result in (nowhere, nothing, silent)] == [None, None, None]
    assert "point or a box" in (nowhere.unscored or "")
    assert "no recorded action" in (nothing.unscored or "")
    assert silent.unscored == "the recorded call of 'ocr' has no output to compare with"


@given(text=st.text(max_size=100))
def test_without_a_plan_the_agent_is_not_called(text: str) -> None:
    def never(step: Step) -> Action:
        raise AssertionError("called")

    for hostile in (text, f"<think>x</think><answer>Step 1: {{{text}</answer>"):
        result = score_grounded(hostile, Reference((), CLICK), never)
        assert (result.overall, result.terms["no_plan"]) == (0.0, 1.0)


def test_only_the_first_step_is_carried_out() -> None:
    seen: list[Step] = []

    def watching(step: Step) -> Action:
        seen.append(step)
        return agent(step)

    score_grounded(plan("click", "click the 'Login' button"), Reference((), CLICK), watching)
    assert [step.action_type for step in seen] == ["click"]


def test_a_tool_step_by_its_output() -> None:
    call = Action("ocr", arguments={"image": "a.png"})
    result = score("ocr", "read 'Total:  42'", call, observation="total: 42 ")
    assert (result.overall, result.terms["answer"]) == (1.0, 1.0)
    assert score("ocr", "read '43'", call, observation="42").accuracy == 0.0
    assert score("ocr", "read '42'", replace(call, content="42")).accuracy == 1.0


def test_the_prototypes_profile_is_strict_about_the_format() -> None:
    text = plan("click", "click the 'Login' button").replace('"status": "not done"', '"status": ""')
    results = [score_grounded(text, Reference((), CLICK, BOX), agent, profile) for profile in PROFILES.values()]
    assert [result.overall for result in results] == [0.9, 0.9]
    text = text.replace(', "status": ""', "")
    results = [score_grounded(text, Reference((), CLICK, BOX), agent, profile) for profile in PROFILES.values()]
    assert [result.overall for result in results] == [0.9, 0.0]  # the prototype reads no step without a status
