"""A row of AgentTrek in parts: the prompt of one step, split at its headings, and the reply. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tracer1.data.conversion import wording
from tracer1.data.conversion.corpus import Note, UnusableRecord, read_field

_GOAL, _OBSERVATION, _TREE = "## Goal:", "# Observation of current step:", "## AXTree:"
_HISTORY, _ACTIONS = "# History of interaction with the task:", "# Action space:"
_PAST_STEP = re.compile(r"^## step \d+", re.MULTILINE)
_PAST_ACTION = re.compile(r"^### Action:[ \t]*\n(.*?)(?=^#{2,3} |\Z)|^<action>(.*?)</action>", re.MULTILINE | re.DOTALL)
_ERROR = re.compile(r"^## Error from previous action:[ \t]*\n?(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_NOTES = re.compile(r"(?:[ \t]*(?:Note:[^\n]*)?\n)*")


@dataclass(frozen=True, slots=True)
class Turn:
    """One row. The observation is ``before``, the accessibility tree and ``after``."""

    where: str  # file and row
    goal: str
    history: tuple[str, ...]  # the actions before this one, with single blanks
    before: str
    tree: str
    after: str
    error: str  # of the action before this one, which ``after`` repeats; "" if it went well
    reply: str
    action: str | None  # what the reply has between its action tags

    def screen(self, tree: str, error: bool = True) -> str:
        """The observation as text with ``tree`` in it, with or without the section about the error."""
        after = self.after if error else _ERROR.sub("", self.after)
        return "\n\n".join(filter(None, (self.before, tree, after.strip())))


def read_row(row: Any, where: str) -> Turn | Note:
    """A row's turn, or the reason why it has none."""
    if isinstance(row, Note):
        return row
    try:
        content: dict[str, str] = {}
        for i, message in enumerate(read_field(row, "messages", list, where)):
            at = f"{where}: messages[{i}]"
            content[read_field(message, "role", str, at)] = read_field(message, "content", str, at)
        prompt = read_field(content, "user", str, f"{where}: messages")
        return _turn(prompt, read_field(content, "assistant", str, f"{where}: messages"), where)
    except UnusableRecord as error:
        return error.notes[-1]


def _turn(prompt: str, reply: str, where: str) -> Turn:
    head, found, rest = _partition(prompt, _OBSERVATION)
    goal = _partition(head, _GOAL)[2].strip()
    observation, _, rest = _partition(rest, _HISTORY)
    before, tree_found, tree = _partition(observation, _TREE)
    if not found or not goal or not tree_found:
        missing = _GOAL if not goal else _TREE if found else _OBSERVATION
        raise UnusableRecord(Note("damaged", f"no '{missing}'", f"{where}: messages: user", wording.one_line(prompt)))
    tree = tree[match.end() :] if (match := _NOTES.match(tree)) else tree
    tree, section, after = tree.partition("\n## ")  # a line of the tree begins with a tab or a word
    after = f"{section[1:]}{after}".rstrip()
    history = _past_actions(_partition(rest, _ACTIONS)[0])
    action = tagged(reply.rpartition("</think>")[2], "action")
    return Turn(where, goal, history, before.strip(), tree.rstrip(), after, _error(after), reply, action)


def _error(after: str) -> str:
    match = _ERROR.search(after)
    error = match[1].strip() if match else ""
    return "" if error == "None" else error


def _past_actions(text: str) -> tuple[str, ...]:
    steps = _PAST_STEP.split(text)[1:]
    if steps:
        return tuple(one_blank(_past(match)) if (match := _PAST_ACTION.search(step)) else "" for step in steps)
    return tuple(one_blank(_past(match)) for match in _PAST_ACTION.finditer(text))


def _past(match: re.Match[str]) -> str:
    return match[1] if match[1] is not None else match[2]


def one_blank(text: str) -> str:
    """Text with single blanks, so that two prints of one action compare equal."""
    return " ".join(text.split())


def _partition(text: str, heading: str) -> tuple[str, str, str]:
    """``text`` before and after the line ``heading``; no line of a page begins with a heading."""
    if text.startswith(heading):
        return "", heading, text[len(heading) :]
    before, found, after = text.partition(f"\n{heading}")
    return before, found, after


def tagged(text: str, tag: str) -> str | None:
    """The text between the first ``<tag>`` and the ``</tag>`` after it, or None."""
    _, opened, rest = text.partition(f"<{tag}>")
    inside, closed, _ = rest.partition(f"</{tag}>")
    return inside.strip() if opened and closed else None
