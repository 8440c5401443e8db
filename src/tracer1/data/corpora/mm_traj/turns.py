"""A turn of MM-Traj in parts: the thought, the tool that the code calls, and the output. Pure.

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
    "ocr": ("image_path",),  # in the toolbox' code, but not in the published prompt
    FINAL: ("answer",),
}
_CALL = re.compile(rf"\b(?:{'|'.join(TOOLS)})\b")
INSTRUCTION = 240  # characters
HEADING = 40  # characters before the code that may hold its heading

_FENCE = re.compile(r"```(?:py|python)?\n")
_OUTPUT = re.compile(r"\[OUTPUT OF STEP -?\d+\] ?(Observation|Error):[ \n]?")
_LABEL = re.compile(r"[\s#*]*(?:Final )?Thoughts?[\s*]*:[\s*]*", re.IGNORECASE)
_BEFORE_CODE = re.compile(r"\n[\s#*]*Code[\s*]*:?[\s*]*\Z", re.IGNORECASE)
_PICTURES = re.compile(r"(?:(?:<image(?:_\d+)?>|Picture \d+:\s*<img>[^<\n]*</img>)\s*)*")
_ATTACHED = re.compile(r"^[ \t]*Attachment:([^\n]*)\Z", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?:])(?<!\b[DM]r\.)(?<!\bMrs\.)(?<!e\.g\.)\s+(?=[A-Z`\"'(*])|\n+")
_INTENT = re.compile(
    r"\b(?:I|[Ww]e)(?:['’]ll|['’]m going to|['’]re going to"
    r"|(?: (?:first|now|next|then|also|just|still|therefore))*"
    r" (?:will|can|need to|have to|must|should|am going to|are going to|plan to|want to))\b"
    r"|\b[Ll]et(?:['’]s| me)\b"
)


@dataclass(frozen=True, slots=True)
class Task:
    """The first turn of the user. ``attachments``: names as recorded."""

    goal: str
    attachments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The tool that a turn's code calls, or ``python``; ``code`` unless the arguments are all of it."""

    tool: str
    arguments: Mapping[str, Any]
    code: str | None
    calls: int  # calls of tools
    answer: ast.expr | None = None  # the argument of ``final_answer`` if that is not a literal


def read_task(text: str) -> Task:
    """The task without its image placeholders, with the attachments as the agent saw them."""
    text = text.strip()
    goal = text[end.end() :] if (end := _PICTURES.match(text)) else text
    goal = goal.removeprefix("Task:").strip()
    attached = _ATTACHED.search(goal)
    names = [name.strip() for name in attached[1].split(";")] if attached else []
    return Task(goal.rstrip("; ") if attached else goal, tuple(filter(None, names)))


def read_code(text: str) -> str | None:
    """The first block of code, found as the agent's interpreter finds it; None if there is none."""
    begin = _FENCE.search(text)
    end = text.find("\n```", begin.end() - 1) if begin else -1
    return (text[begin.end() : end].strip("\n") or None) if begin and end >= 0 else None


def read_thought(text: str) -> str:
    """The text before the code, without headings."""
    begin = _FENCE.search(text)
    words = text[: begin.start()] if begin else text
    tail = max(0, len(words) - HEADING)
    if match := _BEFORE_CODE.search(words, tail):
        words = words[: match.start()]
    return _without_heading(words)


def _without_heading(words: str) -> str:
    match = _LABEL.match(words)
    return words[match.end() if match else 0 :].strip()


def read_output(text: str) -> tuple[str, bool] | None:
    """(a step's output, whether it failed); None if the turn is not an output."""
    match = _OUTPUT.match(text.lstrip())
    return None if match is None else (text.lstrip()[match.end() :].strip("\n"), match[1] == "Error")


def instruction(thought: str) -> str:
    """The first sentence that states an intention, else the first one; "" without a thought."""
    sentences = [one for one in map(_without_heading, _SENTENCE.split(thought[:4000])) if one]
    chosen = next((one for one in sentences if _INTENT.search(one)), sentences[0] if sentences else "")
    return wording.one_line(chosen, INSTRUCTION)


def read_call(code: str) -> ToolCall:
    """The first tool that the code calls; ``final_answer`` only if it calls no other.

    ``arguments`` holds the literal ones. The code is kept unless it is only that call with literal arguments, perhaps
    printed. Raises UnparsableCode.
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
    """The calls of tools, found as by ``ast.walk`` but faster: by the nodes' own fields."""
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
    """The expression that is a whole statement, or that it prints."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    printed = isinstance(value, ast.Call) and _name(value) == "print" and len(value.args) == 1 and not value.keywords
    return value.args[0] if printed and isinstance(value, ast.Call) else value


def names_in_words(attachments: Sequence[str]) -> str:
    """The attachments by file name, as the first abstraction."""
    names = [name.rstrip("/").rpartition("/")[2] for name in attachments]
    return wording.one_line(f"given: {', '.join(names)}") if names else "the task, nothing else known yet"
