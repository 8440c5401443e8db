"""AgentTrek: trajectories of a model that followed tutorials on live web pages, recorded as accessibility trees.

One row of the published file is one step, as a chat of three messages. It has no trajectory id and no step number: rows
are joined by goal and history. There are no pictures and no boxes: actions name elements by id, and the page is text.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

from tracer1.actions import EXTRA_ACTIONS, TERMINAL, validate
from tracer1.data.conversion import wording
from tracer1.data.conversion.calls import UnparsableCode, bind, parse_code
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, Note, RawRecord, Shard, UnusableRecord
from tracer1.data.conversion.json_rows import json_rows, json_shards
from tracer1.data.corpora.agenttrek import axtree
from tracer1.data.corpora.agenttrek.rows import Turn, read_row, tagged
from tracer1.data.corpora.agenttrek.trajectories import join_rows
from tracer1.errors import ActionError
from tracer1.keyboard import key_name
from tracer1.types import Action, Episode, EpisodeStep

_STRING = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\"""", re.DOTALL)
_FENCE = re.compile(r"\A```(?:python|py)?\n?(.*?)\n?```\Z", re.DOTALL)

_PARAMETERS: Mapping[str, tuple[str, ...]] = {  # BrowserGym's functions with an equivalent
    "click": ("bid", "button", "modifiers"),
    "dblclick": ("bid", "button", "modifiers"),
    "fill": ("bid", "value"),
    "select_option": ("bid", "options"),
    "hover": ("bid",),
    "press": ("bid", "key_comb"),
    "scroll": ("delta_x", "delta_y"),
    "goto": ("url",),
    "go_back": (),
    "go_forward": (),
    "new_tab": (),
    "tab_close": (),
    "tab_focus": ("index",),
    "noop": ("wait_ms",),
    "send_msg_to_user": ("text",),
    "report_infeasible": ("reason",),
}
_NO_EQUIVALENT = ("focus", "clear", "drag_and_drop", "upload_file")
_BUTTONS = {"left": "click", "middle": "middle_click", "right": "right_single"}


class AgentTrek:
    """The corpus ``agenttrek``."""

    name: ClassVar[str] = "agenttrek"
    licence: ClassVar[str] = "none stated: do not redistribute"
    citation: ClassVar[str] = (
        "Xu et al., AgentTrek: Agent Trajectory Synthesis via Guiding Replay with Web Tutorials, arXiv:2412.09605"
    )
    url: ClassVar[str] = "https://huggingface.co/datasets/xlangai/AgentTrek"
    terminal: ClassVar[str] = (
        "as recorded: finished for send_msg_to_user, call_user for report_infeasible; none is added, since no screen "
        "follows the last action"
    )

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw, self.settings = raw, settings

    def shards(self) -> Sequence[Shard]:
        return json_shards(self.raw, "agenttrek_1207.json")

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        for found in join_rows(read_row(row, where) for where, row in json_rows(shard)):
            yield found if isinstance(found, Note) else RawRecord(found[0].where, found)

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        turns: Sequence[Turn] = record.data
        notes: list[Note] = []
        steps: list[EpisodeStep] = []
        labels: dict[str, str | float | bool] = {}
        if self.settings.abstractions == "rules":
            labels["abstraction"] = wording.RULES
        if missing := len(turns[0].history):
            notes.append(Note("changed", "rows missing", record.where, f"begins at step {missing}"))
            labels["first_step"] = missing
        if failed := sum(bool(turn.error) for turn in turns[1:]):
            labels["failed_actions"] = failed
        dropped = False  # the action before, since it failed
        for turn, after in zip_longest(turns, turns[1:]):
            try:
                steps.append(self._step(turn, after, dropped, notes))
            except UnusableRecord as error:
                notes += error.notes
            dropped = self.settings.failed == "drop" and after is not None and bool(after.error)
        if steps:
            steps[-1] = replace(steps[-1], status="done")
        episode = Episode(_identity(turns), self.name, "web", turns[0].goal, "train", tuple(steps), labels=labels)
        return ConvertedEpisode(episode, notes=tuple(notes))

    def _step(self, turn: Turn, after: Turn | None, hide_error: bool, notes: list[Note]) -> EpisodeStep:
        """The step of a turn. ``hide_error``: its observation must not show the error of an action that was dropped."""
        where = f"{turn.where}: messages[-1].content"
        action = self._wanted(turn, after, where)
        element = action.element or ""
        tree, lines = axtree.cut(turn.tree, element, self.settings.max_tree)
        instruction = wording.instruction(action, axtree.target(turn.tree, element) if element else "")
        if element and f"[{element}] " not in turn.tree:
            notes.append(Note("changed", "element not in the tree", turn.where, instruction))
        rules = self.settings.abstractions == "rules"
        labels = {
            "memory": tagged(turn.reply, "memory"),
            "tree_lines": lines,
            "error": after is not None and bool(after.error),
        }
        return EpisodeStep(
            screenshot=None,
            size=(0, 0),  # there is no picture
            abstraction=wording.screen(axtree.title(tree), axtree.names(tree)) if rules else "",
            instruction=instruction,
            action=action,
            thought=tagged(turn.reply, "think"),
            labels={key: value for key, value in labels.items() if value},
            text=turn.screen(tree, error=not hide_error),
        )

    def _wanted(self, turn: Turn, after: Turn | None, where: str) -> Action:
        """The action of a turn. Raises UnusableRecord if it has none, or one that the settings exclude."""
        if turn.action is None:
            raise _dropped("no <action>", where, turn.reply)
        action = _action(turn.action, where)
        if action.action_type in TERMINAL and after is not None:
            raise _dropped("terminal action before the end", where, turn.action)
        if action.action_type in EXTRA_ACTIONS[self.name] and self.settings.extra_actions == "drop":
            raise _dropped(f"no equivalent: {action.action_type}", where, turn.action)
        if after is not None and after.error and self.settings.failed == "drop":
            detail = wording.one_line(f"{turn.action}: {after.error}")
            raise UnusableRecord(Note("filtered", "action ended in an error", where, detail))
        return action


def _identity(turns: Sequence[Turn]) -> str:
    digest = hashlib.sha256()
    for text in (turns[0].goal, *(turn.reply for turn in turns)):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


# ---- actions ---------------------------------------------------------------------------------------------------------


def _dropped(reason: str, where: str, detail: str) -> UnusableRecord:
    return UnusableRecord(Note("dropped", reason, where, wording.one_line(detail)))


def _action(text: str, where: str) -> Action:
    """The action of a call such as ``click('12')``. Raises UnusableRecord."""
    call = _call(text, where)
    verb = call.func.id if isinstance(call.func, ast.Name) else ""
    if verb in _NO_EQUIVALENT:
        raise _dropped(f"no equivalent: {verb}", where, text)
    if verb not in _PARAMETERS:
        raise _dropped("unknown action", where, text)
    bound = bind(call, _PARAMETERS[verb])
    if not bound.whole:
        raise _dropped("unreadable arguments", where, text)
    try:
        action = _mapped(verb, bound.values)
        validate(action, "web", AgentTrek.name)
    except (ActionError, _NoEquivalent) as error:
        reason = "unreadable arguments" if isinstance(error, ActionError) else f"no equivalent: {error}"
        raise _dropped(reason, where, text) from error
    return action


def _call(text: str, where: str) -> ast.Call:
    code = match[1].strip() if (match := _FENCE.match(text)) else text
    try:
        try:
            statements = parse_code(code)
        except UnparsableCode as error:
            if error.damaged or "\n" not in code:
                raise
            statements = parse_code(_STRING.sub(lambda string: string[0].replace("\n", "\\n"), code))
    except UnparsableCode as error:
        if error.damaged:
            raise UnusableRecord(Note("damaged", "unparsable action", where, str(error))) from error
        raise _dropped("an action that is not a call", where, text) from error
    calls = [s.value for s in statements if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)]
    if len(calls) != len(statements) or not calls:
        raise _dropped("an action that is not a call", where, text)
    if len(calls) > 1:
        raise _dropped("several actions in one step", where, text)
    return calls[0]


class _NoEquivalent(ValueError):
    """An action without an equivalent in the action space."""


def _mapped(verb: str, arguments: Mapping[str, Any]) -> Action:
    match verb, arguments:
        case "click" | "dblclick", {"modifiers": [_, *_]}:
            raise _NoEquivalent(f"{verb} with a key held")
        case "click", {"bid": str(bid)} if arguments.get("button", "left") in _BUTTONS:
            return Action(_BUTTONS[arguments.get("button", "left")], element=bid)
        case "dblclick", {"bid": str(bid)} if arguments.get("button", "left") == "left":
            return Action("left_double", element=bid)
        case "dblclick", {"bid": str(), "button": str(button)}:
            raise _NoEquivalent(f"dblclick with the {button} button")
        case "fill", {"bid": str(bid), "value": str(value)}:
            if not value.strip(" "):
                raise _NoEquivalent("fill with nothing")
            return Action("type", element=bid, content=value)
        case "select_option", {"bid": str(bid), "options": str(option) | [str(option)]}:
            return Action("select", element=bid, content=option)
        case "select_option", {"bid": str(), "options": [_, *_]}:
            raise _NoEquivalent("several options at once")
        case "hover", {"bid": str(bid)}:
            return Action("hover", element=bid)
        case "press", {"bid": str(bid), "key_comb": str(keys)}:
            return Action("hotkey", element=bid, key=_key(keys))
        case "scroll", {"delta_x": int(dx) | float(dx), "delta_y": int(dy) | float(dy)}:
            return Action("scroll", direction=_direction(dx, dy))
        case "goto", {"url": str(url)}:
            return Action("goto", content=url)
        case "go_back" | "go_forward" | "new_tab" | "tab_close", {}:
            return Action(verb)
        case "tab_focus", {"index": int(index)}:
            return Action("tab_focus", content=str(index))
        case "noop", {}:
            return Action("wait")
        case "send_msg_to_user", {"text": str(text)}:
            return Action("finished", content=text)
        case "report_infeasible", {"reason": str(reason)}:
            return Action("call_user", content=reason)
    raise ActionError(f"{verb}: arguments of another kind")


def _key(keys: str) -> str:
    """Playwright's "Control+Shift+ArrowDown" as "ctrl shift down"."""
    return " ".join(map(key_name, re.split(r"(?<=[^+])\+", keys)))


def _direction(dx: float, dy: float) -> str:
    if (dx and dy) or not (dx or dy):
        raise _NoEquivalent("scroll in two directions" if dx else "scroll of length 0")
    return ("down" if dy > 0 else "up") if dy else ("right" if dx > 0 else "left")
