"""The plan dialect (METHOD section 2): ``render_plan`` and ``parse_plan``, a pair that round-trips.

    <think>THOUGHT</think><answer>Step 3: {"screenshot_abstraction": ..., "action": {...}, "status": "not done"}
    Step 4: {...}</answer>

Parsing never raises and takes time linear in the text, whatever a model wrote: a step begins only at the start of a
line, each step's JSON is decoded once and from its own slice, and deep nesting is refused before it is decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from tracer1.errors import PlanError
from tracer1.types import Plan, Status, Step

THINK, THINK_END, ANSWER, ANSWER_END = "<think>", "</think>", "<answer>", "</answer>"
STATUSES: tuple[Status, ...] = ("not done", "done")
MAX_DEPTH = 32  # of nested JSON in one step; a tool's arguments need a handful
MAX_PROBLEMS = 16  # reported by name; `lines - valid` counts all of them

_STEP = re.compile(r"^[ \t]*Step[ \t]+([0-9]{1,9})[ \t]*:", re.MULTILINE)
_TAG_IN_STRING = re.compile(r"<(?=\s*+/?\s*+(?:think|answer)\s*+>)")
_TAG_CHARACTER = re.compile(r"([<>/])")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParsedPlan:
    """What a completion holds. ``plan`` has the steps that could be read, or is None when there are none."""

    plan: Plan | None
    lines: int  # all `Step N:` lines
    valid: int  # those with everything a step must have
    tags_ok: bool  # thought then answer, nothing but white space outside
    problems: tuple[str, ...] = ()  # one line each, the first MAX_PROBLEMS
    records: tuple[Mapping[str, Any], ...] = ()  # the JSON objects of the plan's steps, as written


# ---- render ----------------------------------------------------------------------------------------------------------


def render_step(step: Step, number: int) -> str:
    """One line of the answer: ``Step 3: {...}``. Raises ValueError for arguments that JSON cannot hold."""
    action: dict[str, Any] = {"action_type": step.action_type, "step_instruction": step.instruction}
    if step.arguments is not None:
        action["arguments"] = dict(step.arguments)
    record = {"screenshot_abstraction": step.abstraction, "action": action, "status": step.status}
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # A tag inside a string must not end the thought or the answer.
    return f"Step {number}: {_TAG_IN_STRING.sub(_escaped_bracket, text) if '<' in text else text}"


def render_plan(plan: Plan) -> str:
    """The completion that holds ``plan``; ``parse_plan`` reads the same plan back (of one step or more)."""
    lines = [render_step(step, number) for number, step in enumerate(plan.steps, plan.first_number)]
    return f"{THINK}{plan.thought}{THINK_END}{ANSWER}{chr(10).join(lines)}{ANSWER_END}"


def render_tail(plan: Plan) -> str:
    """The completion of ``plan`` without its first step, or "": what a planner probably writes after that step."""
    if len(plan.steps) < 2:
        return ""
    return render_plan(replace(plan, steps=plan.steps[1:], first_number=plan.first_number + 1))


def _escaped_bracket(_: re.Match[str]) -> str:
    return "\\u003c"


# ---- parse -----------------------------------------------------------------------------------------------------------


def _finite(literal: str) -> float:
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"number out of range: {literal[:20]}")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)


@dataclass(frozen=True, slots=True)
class Reading:
    """Which lines of an answer are steps, and which of those are valid. The prototype's rules are options.

    strict_status: a step is one with an ``action`` object and a ``status``; without an ``action_type`` it keeps its
        place, with the type "". Otherwise a step is one with an ``action_type``.
    strict_instruction: a valid step has a ``step_instruction``.
    clean: white space around ``<``, ``>`` and ``/`` is removed first.
    """

    strict_status: bool = False
    strict_instruction: bool = False
    clean: bool = False


PAPER_READING = Reading()


def parse_plan(text: str, reading: Reading = PAPER_READING) -> ParsedPlan:
    """Read a completion, with or without the outer braces of a step; never raises.

    Steps are those between the answer tags after the last ``</think>`` (a completion may begin inside the thought, its
    ``<think>`` standing in the prompt); with no answer tags, those in all that is not thought. Absent fields of a step
    are read as "" and "not done".
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # lone surrogates could not be written to any file
    if reading.clean:
        text = _clean(text)
    thought, body, tags_ok = _split(text)
    answer = _read_answer(body, reading)
    problems = [] if tags_ok else [_tag_problem(text)]
    problems += answer.problems if answer.lines else ["no line starts with 'Step N:'"]
    plan = Plan(tuple(answer.steps), thought, answer.first_number) if answer.steps else None
    return ParsedPlan(plan, answer.lines, answer.valid, tags_ok, tuple(problems[:MAX_PROBLEMS]), tuple(answer.records))


@dataclass(slots=True)
class _Answer:
    """What has been read of an answer so far."""

    lines: int
    valid: int
    first_number: int
    steps: list[Step]
    records: list[Mapping[str, Any]]
    problems: list[str]


def _read_answer(body: str, reading: Reading) -> _Answer:
    marks = list(_STEP.finditer(body))
    ends = [mark.start() for mark in marks[1:]] + [len(body)]
    answer = _Answer(len(marks), 0, 0, [], [], [])
    for mark, end in zip(marks, ends, strict=False):  # without a step there is an end and no mark
        record, problem = _decode(body[mark.end() : end])
        if record is not None:
            problem = _missing(record, reading.strict_instruction)
            step = _step(record, reading)
            if step is not None:
                answer.first_number = answer.first_number if answer.steps else int(mark[1])
                answer.steps.append(step)
                answer.records.append(record)
        answer.valid += not problem
        if problem and len(answer.problems) < MAX_PROBLEMS:
            answer.problems.append(f"step {mark[1]}: {problem}")
    return answer


def require_plan(text: str) -> Plan:
    """The plan in ``text``, to be acted on. Raises PlanError, which names the first problems, when there is none."""
    parsed = parse_plan(text)
    if parsed.plan is None:
        raise PlanError(f"no plan in the completion: {'; '.join(parsed.problems[:3])}")
    return parsed.plan


def _clean(text: str) -> str:
    """``text`` without white space before and after ``<``, ``>`` and ``/``."""
    first, *rest = _TAG_CHARACTER.split(text)
    if not rest:
        return text
    *middle, last = rest
    return "".join([first.rstrip(), *(part.strip() for part in middle), last.lstrip()])


def _split(text: str) -> tuple[str, str, bool]:
    """(thought, the text that holds the steps, whether both tags are in order with only white space outside)."""
    close = text.rfind(THINK_END)
    head, tail = (text[:close], text[close + len(THINK_END) :]) if close >= 0 else ("", text)
    start = head.find(THINK)
    before, thought = (head[:start], head[start + len(THINK) :]) if start >= 0 else ("", head)
    if ANSWER not in tail:  # tags in the wrong order or none at all: read what there is, but no drafts in the thought
        _, body = _answer(before) if ANSWER in before else (False, f"{before}\n{tail}" if before else tail)
        return thought, body.partition(ANSWER_END)[0], False
    alone, body = _answer(tail)
    return thought, body, alone and close >= 0 and not before.strip()


def _answer(text: str) -> tuple[bool, str]:
    """(whether the answer is closed and alone in ``text``, its content up to the first closing tag)."""
    before, _, rest = text.partition(ANSWER)
    content, closing, after = rest.partition(ANSWER_END)
    return bool(closing) and not before.strip() and not after.strip(), content


def _tag_problem(text: str) -> str:
    absent = [tag for tag in (THINK_END, ANSWER, ANSWER_END) if tag not in text]
    if absent:
        return f"no {absent[0]}"
    return "text outside of <think>...</think><answer>...</answer>, or these not in this order"


def _decode(chunk: str) -> tuple[dict[str, Any] | None, str]:
    """(the JSON object that ``chunk`` begins with, or None, and then the problem)."""
    if '"' not in chunk:  # spares a million empty steps the decoder
        return None, "not JSON: no key in it"
    text = chunk.strip()
    if not text.startswith("{"):
        text = "{" + text.partition("\n")[0].rstrip(", \t\r") + "}"
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than(text, MAX_DEPTH):
        return None, f"JSON nested deeper than {MAX_DEPTH}"
    try:
        record, _ = _DECODER.raw_decode(text)
        if "\\u" in text:
            json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return None, "an escape that is half of a character"
    except json.JSONDecodeError as error:
        return None, f"not JSON: {error.msg} at character {error.pos}"
    except ValueError as error:  # a number that Python or JSON does not hold
        return None, f"not JSON: {error}"
    return cast("dict[str, Any]", record), ""


def _deeper_than(text: str, limit: int) -> bool:
    """Whether the JSON value that ``text`` begins with nests deeper than ``limit``, by one linear scan."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match[0]
        if token in ("{", "["):
            depth += 1
        elif token in ("}", "]"):
            depth -= 1
        if depth > limit or depth <= 0:
            break
    return depth > limit


def _step(record: Mapping[str, Any], reading: Reading) -> Step | None:
    """The step that a record holds under a reading, or None."""
    action, status = record.get("action"), record.get("status")
    if not isinstance(action, dict):
        return None
    kind, instruction, arguments = action.get("action_type"), action.get("step_instruction"), action.get("arguments")
    kind = kind if isinstance(kind, str) else ""
    if not (isinstance(status, str) if reading.strict_status else kind):
        return None
    abstraction = record.get("screenshot_abstraction")
    return Step(
        abstraction if isinstance(abstraction, str) else "",
        kind,
        instruction if isinstance(instruction, str) else "",
        "done" if status == "done" else "not done",
        arguments if isinstance(arguments, dict) else None,
    )


def _missing(record: Mapping[str, Any], strict_instruction: bool) -> str:
    """The first reason why a step is not valid, "" when it is."""
    if not isinstance(record.get("screenshot_abstraction"), str):
        return "no screenshot_abstraction"
    action = record.get("action")
    if not isinstance(action, dict):
        return "no action object"
    kind = action.get("action_type")
    if not (isinstance(kind, str) and kind):
        return "no action_type"
    if strict_instruction and not isinstance(action.get("step_instruction"), str):
        return "no step_instruction"
    if record.get("status") not in STATUSES:
        return "status is neither 'not done' nor 'done'"
    return ""
