"""Files of completions: the records in and out, what a line may hold for stage 2, and what a bad line says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tracer1.errors import DataError, UsageError
from tracer1.plan.text import render_plan
from tracer1.recipes.reward import reward_file
from tracer1.types import Plan, Step

GOLD = render_plan(Plan((Step("form", "click", "click the 'Name' field"), Step("focus", "type", "type 'ada'", "done"))))
OWN_POINT = GOLD.replace('"step_instruction": "click the', '"point": [0.5, 0.5], "step_instruction": "click the')
RECORDED = {
    "screenshot_abstraction": "form",
    "action": {"action_type": "click", "step_instruction": "click the 'Name' field", "point": [0.5, 0.5]},
    "status": "not done",
    "box": [0.4, 0.4, 0.6, 0.6],
}


def line(**fields: Any) -> str:
    return json.dumps({"id": "a", "completion": GOLD, "reference": ["click", "type"]} | fields) + "\n"


def one(stage: int = 1, profile: str = "paper", **fields: Any) -> dict[str, Any]:
    (row,) = reward_file([line(**fields)], stage, profile)
    return row


@pytest.mark.parametrize("profile", ["paper", "prototype"])
def test_stage_1(profile: str) -> None:
    lines = [line(), "\n", line(id=2, completion="garbage"), line(id="c", reference=[RECORDED, "type"])]
    rows = list(reward_file(lines, 1, profile))
    assert [row["id"] for row in rows] == ["a", 2, "c"]
    assert [row["overall"] for row in rows] == [1.0, 0.0, 1.0]
    assert set(rows[0]) == {"id", "overall", "format", "accuracy", "terms"}
    assert rows[0]["terms"]["alignment"] == pytest.approx(1.8)
    json.dumps(rows, allow_nan=False)


def test_rows_come_as_lines_are_read() -> None:
    rows = reward_file(iter([line(), "broken"]), 1)
    assert next(rows)["overall"] == 1.0
    with pytest.raises(DataError, match="line 2"):
        next(rows)


def test_stage_2_by_a_prediction_in_the_line() -> None:
    hit = {"action_type": "click", "point": [0.6, 0.4]}
    assert one(2, reference=[RECORDED], prediction=hit)["overall"] == 1.0
    miss = one(2, reference=[RECORDED], prediction=hit | {"point": [0.7, 0.4]})
    assert (miss["overall"], miss["terms"]["coordinate"]) == (pytest.approx(0.1), 0.0)


def test_stage_2_by_the_completions_own_action() -> None:
    assert one(2, "prototype", completion=OWN_POINT, reference=[RECORDED])["overall"] == 1.0
    other = RECORDED | {"action": {"action_type": "wait", "step_instruction": "wait"}}
    assert one(2, completion=OWN_POINT, reference=[other])["accuracy"] == 0.0
    broken = OWN_POINT.replace("[0.5, 0.5]", '"here"')
    assert one(2, completion=broken, reference=[RECORDED])["terms"]["no_target"] == 1.0


def test_stage_2_is_unscored_where_no_agent_was_heard() -> None:
    row = one(2, reference=[RECORDED])
    assert row["overall"] is None
    assert row["accuracy"] is None
    assert "'prediction'" in row["unscored"]
    assert one(2, completion="garbage", reference=[RECORDED])["overall"] == 0.0


def test_stage_2_of_a_tool_step() -> None:
    call = {"action": {"action_type": "ocr", "step_instruction": "read", "arguments": {}}, "observation": "42"}
    completion = render_plan(Plan((Step("receipt", "ocr", "read it", arguments={}),)))
    assert one(2, completion=completion, reference=[call], prediction=" 42\n")["overall"] == 1.0
    assert one(2, completion=completion, reference=[call], prediction="43")["accuracy"] == 0.0
    assert one(2, completion=completion, reference=[call])["overall"] is None


@pytest.mark.parametrize(
    ("text", "stage", "words"),
    [
        ("{", 1, "not JSON"),
        ("[" * 100_000, 1, "not JSON"),
        ("[]", 1, "not a JSON object"),
        ('{"id": 1, "completion": ""}', 1, "'reference' is missing"),
        ('{"completion": "", "reference": []}', 1, "'id' is missing"),
        (line(completion=None), 1, "'completion' is not a string"),
        (line(reference="click"), 1, "'reference' is not a list"),
        (line(reference=["click", 5]), 1, "reference[1]: not a step"),
        (line(reference=["click"]), 2, "reference[0]"),
        (line(reference=[]), 2, "reference[0]"),
        (line(reference=[RECORDED], prediction={"action_type": "click", "point": 5}), 2, "prediction: 'point'"),
        (line(reference=[RECORDED], prediction=5), 2, "prediction: not an object"),
        (
            line(
                reference=[{"action": {"action_type": "click"}}], prediction={"action_type": "click", "point": [0, 0]}
            ),
            2,
            "reference[0]: the recorded 'click' names no place",
        ),
        (line(reference=[{"action": {"action_type": "ocr"}}], prediction="7"), 2, "reference[0]: the recorded call"),
    ],
)
def test_a_bad_line_is_named(text: str, stage: int, words: str) -> None:
    with pytest.raises(DataError) as raised:
        list(reward_file(["\n", text], stage, name="scores.jsonl"))
    message = str(raised.value)
    assert message.startswith("scores.jsonl, line 2: ")
    assert words in message
    assert "\n" not in message


def test_unknown_choices() -> None:
    with pytest.raises(UsageError, match="stage 3"):
        list(reward_file([], 3))
    with pytest.raises(UsageError, match="paper or prototype"):
        list(reward_file([], 1, "papers"))
