"""A row of AgentTrek: the prompt of one step cut at its headings, and the reply to it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tracer1.data.conversion import wording
from tracer1.data.conversion.corpus import Note, UnusableRecord, read_field

_GOAL, _SEEN, _TREE = "## Goal:", "# Observation of current step:", "## AXTree:"
_HISTORY, _ACTIONS = "# History of interaction with the task:", "# Action space:"
_PAST_STEP = re.compile(r"^## step \d+", re.MULTILINE)
_PAST_ACTION = re.compile(r"^(?:### Action:|<action>)", re.MULTILINE)
_NOTES = re.compile(r"(?:[ \t]*(?:Note:[^\n]*)?\n)*")


@dataclass(frozen=True, slots=True)
class Turn:
    """One row, cut at its headings."""

    where: str  # file and row
    goal: str
    past: int  # steps in its history
    screen: str  # the accessibility tree, and what else was observed
    reply: str


def read_row(row: Any, where: str) -> Turn | Note:
    """A row's turn, or what is wrong with it."""
    if isinstance(row, Note):
        return row
    try:
        said: dict[str, str] = {}
        for i, message in enumerate(read_field(row, "messages", list, where)):
            at = f"{where}: messages[{i}]"
            said[read_field(message, "role", str, at)] = read_field(message, "content", str, at)
        prompt = read_field(said, "user", str, f"{where}: messages")
        goal, screen, past = _sections(prompt, where)
        return Turn(where, goal, past, screen, read_field(said, "assistant", str, f"{where}: messages"))
    except UnusableRecord as error:
        return error.notes[-1]


def _sections(prompt: str, where: str) -> tuple[str, str, int]:
    """(goal, what was observed, steps in the history) of the user's message."""
    at = f"{where}: messages: user"
    head, found, rest = _cut(prompt, _SEEN)
    goal = _cut(head, _GOAL)[2].strip()
    seen, _, rest = _cut(rest, _HISTORY)
    around, tree_found, tree = _cut(seen, _TREE)
    if not found or not goal or not tree_found:
        missing = _GOAL if not goal else _TREE if found else _SEEN
        raise UnusableRecord(Note("damaged", f"no '{missing}'", at, wording.one_line(prompt)))
    tree = tree[match.end() :] if (match := _NOTES.match(tree)) else tree
    screen = "\n\n".join(filter(None, (around.strip(), tree.rstrip())))
    history = _cut(rest, _ACTIONS)[0]
    return goal, screen, len(_PAST_STEP.findall(history)) or len(_PAST_ACTION.findall(history))


def _cut(text: str, heading: str) -> tuple[str, str, str]:
    """``text`` before and after the line ``heading``; what a page holds never begins a line with a heading."""
    if text.startswith(heading):
        return "", heading, text[len(heading) :]
    before, found, after = text.partition(f"\n{heading}")
    return before, found, after


def follows(turn: Turn, before: Turn) -> bool:
    """Whether both are of one trajectory, and nothing is between them."""
    return turn.past == before.past + 1 and turn.goal == before.goal


def tagged(text: str, tag: str) -> str | None:
    """What stands between the first ``<tag>`` and the ``</tag>`` after it, or None."""
    _, begun, rest = text.partition(f"<{tag}>")
    inside, ended, _ = rest.partition(f"</{tag}>")
    return inside.strip() if begun and ended else None
