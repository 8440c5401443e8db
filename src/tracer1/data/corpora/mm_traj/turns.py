"""The turns of MM-Traj: what is thought, which tool the code calls, what came back. Pure.

Thought: I count the cups.              [OUTPUT OF STEP 0] Observation:
                                        3
Code:
```py
print(objectlocation(object="cup", image_path="a.jpg"))
```
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracer1.data.conversion import wording
from tracer1.data.conversion.calls import bind, parse_code

FINAL = "final_answer"
TOOLS: Mapping[str, tuple[str, ...]] = {  # the toolbox, with its parameters in order
    "visualizer": ("question", "image_path"),
    "facedetection": ("image_path",),
    "objectlocation": ("object", "image_path"),
    "inspect_file_as_text": ("question", "file_path"),
    "image_generator": ("prompt",),
    "segmentation": ("image_path", "prompt"),
    "image_edit": ("prompt", "image_path"),
    "ask_search_agent": ("query",),
    "ocr": ("image_path",),  # in the tools' code, and not in the published prompt
    FINAL: ("answer",),
}
_CALL = re.compile(rf"\b(?:{'|'.join(TOOLS)})\b")
INSTRUCTION = 240  # characters
HEADING = 40  # characters before the code in which its heading stands

_FENCE = re.compile(r"```(?:py|python)?\n")
_OUTPUT = re.compile(r"\[OUTPUT OF STEP -?\d+\] ?(Observation|Error):[ \n]?")
_LABEL = re.compile(r"[\s#*]*(?:Final )?Thoughts?[\s*]*:[\s*]*", re.IGNORECASE)
_BEFORE_CODE = re.compile(r"\n[\s#*]*Code[\s*]*:?[\s*]*\Z", re.IGNORECASE)
_PICTURES = re.compile(r"(?:(?:<image(?:_\d+)?>|Picture \d+:\s*<img>[^<\n]*</img>)\s*)*")
_ATTACHED = re.compile(r"^[ \t]*Attachment:([^\n]*)\Z", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?:])(?<!\b[DM]r\.)(?<!\bMrs\.)(?<!e\.g\.)\s+(?=[A-Z`\"'(*])|\n+")
_INTENT = re.compile(
    r"\b(?:I|we)(?:['’](?:ll|m going to)| will| can| need to| am going to| should)\b|\b[Ll]et(?:['’]s| me)\b"
)


@dataclass(frozen=True, slots=True)
class Task:
    """The first turn. ``attachments`` are names as recorded."""

    goal: str
    attachments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a turn's code does: the tool called, or ``python``; ``code`` where the arguments do not say all of it."""

    tool: str
    arguments: Mapping[str, Any]
    code: str | None
    calls: int  # of tools
    answer: ast.expr | None = None  # what is given to ``final_answer``, if that is no literal


def read_task(text: str) -> Task:
    """The task without its placeholders of pictures, with the attachments as they were told to the agent."""
    text = text.strip()
    goal = text[end.end() :] if (end := _PICTURES.match(text)) else text
    goal = goal.removeprefix("Task:").strip()
    attached = _ATTACHED.search(goal)
    names = [name.strip() for name in attached[1].split(";")] if attached else []
    return Task(goal.rstrip("; ") if attached else goal, tuple(filter(None, names)))


def read_code(text: str) -> str | None:
    """The first block of code, as the agent's interpreter looks for it; None when there is none."""
    begin = _FENCE.search(text)
    end = text.find("\n```", begin.end() - 1) if begin else -1
    return (text[begin.end() : end].strip("\n") or None) if begin and end >= 0 else None


def read_thought(text: str) -> str:
    """What is said before the code, without the headings."""
    begin = _FENCE.search(text)
    said = text[: begin.start()] if begin else text
    tail = max(0, len(said) - HEADING)
    if match := _BEFORE_CODE.search(said, tail):
        said = said[: match.start()]
    return _unlabelled(said)


def _unlabelled(said: str) -> str:
    match = _LABEL.match(said)
    return said[match.end() if match else 0 :].strip()


def read_output(text: str) -> tuple[str, bool] | None:
    """(what a step returned, whether it failed), or None when the turn says no such thing."""
    match = _OUTPUT.match(text.lstrip())
    return None if match is None else (text.lstrip()[match.end() :].strip("\n"), match[1] == "Error")


def instruction(thought: str) -> str:
    """The first sentence that says what will be done, or the first one; "" without a thought."""
    sentences = [one for one in map(_unlabelled, _SENTENCE.split(thought[:4000])) if one]
    chosen = next((one for one in sentences if _INTENT.search(one)), sentences[0] if sentences else "")
    return wording.one_line(chosen, INSTRUCTION)


def read_call(code: str) -> ToolCall:
    """Which tool the code calls, the first of several, and ``final_answer`` only where it is alone.

    Arguments are those that are literals. The code is kept unless it is that call with literal arguments, printed or
    not. Raises UnparsableCode.
    """
    statements = parse_code(code)
    calls = list(_tool_calls(statements)) if _CALL.search(code) else []
    calls.sort(key=lambda node: (node.lineno, node.col_offset))
    if not calls:
        return ToolCall("python", {}, code, 0)
    first = next((call for call in calls if _name(call) != FINAL), calls[-1])
    bound = bind(first, TOOLS[_name(first)])
    lone = bound.whole and len(statements) == 1 and _lone(statements[0]) is first
    answer = None
    if _name(first) == FINAL and "answer" not in bound.values:
        given = [*first.args, *(keyword.value for keyword in first.keywords)]
        answer = given[0] if given else None
    return ToolCall(_name(first), bound.values, None if lone else code, len(calls), answer)


def _tool_calls(statements: Sequence[ast.stmt]) -> Iterator[ast.Call]:
    """As ``ast.walk`` finds them, in less time: by the nodes' own fields."""
    nodes: list[Any] = list(statements)
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, ast.AST):
            if isinstance(node, ast.Call) and _name(node) in TOOLS:
                yield node
            nodes += node.__dict__.values()


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _lone(statement: ast.stmt) -> ast.expr | None:
    """The expression that is a whole statement, or is printed by it."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    printed = isinstance(value, ast.Call) and _name(value) == "print" and len(value.args) == 1 and not value.keywords
    return value.args[0] if printed and isinstance(value, ast.Call) else value


def names_in_words(attachments: Sequence[str]) -> str:
    """The attachments by their last names, for what is seen at the beginning."""
    names = [name.rstrip("/").rpartition("/")[2] for name in attachments]
    return wording.one_line(f"given: {', '.join(names)}") if names else "the task, and nothing known yet"
