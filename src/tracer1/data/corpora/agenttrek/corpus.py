"""AgentTrek: trajectories that a model walked in live web pages along tutorials, seen as accessibility trees.

One row of the published file is one step, the three messages of a chat; there is no id of a trajectory and no number
of a step. Rows that follow each other belong together while their goal is the same and their history grows by one.
There are no pictures and no boxes: actions name elements by their ids, and the page is text.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from tracer1.actions import EXTRA_ACTIONS, TERMINAL, validate
from tracer1.data.conversion import wording
from tracer1.data.conversion.calls import UnparsableCode, bind, parse_code
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, Note, RawRecord, Shard, UnusableRecord
from tracer1.data.conversion.json_rows import json_rows, json_shards
from tracer1.data.corpora.agenttrek import axtree
from tracer1.data.corpora.agenttrek.rows import Turn, follows, read_row, tagged
from tracer1.errors import ActionError
from tracer1.types import Action, Episode, EpisodeStep

_STRING = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\"""", re.DOTALL)
_FENCE = re.compile(r"\A```(?:python|py)?\n?(.*?)\n?```\Z", re.DOTALL)

_PARAMETERS: Mapping[str, tuple[str, ...]] = {  # BrowserGym's functions that have an equivalent
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
_KEYS = {"control": "ctrl", "controlormeta": "ctrl", "meta": "cmd", "escape": "esc", " ": "space"}


class AgentTrek:
    """The corpus as ``tracer1.data.corpora.registry`` knows it."""

    name: ClassVar[str] = "agenttrek"
    licence: ClassVar[str] = "none stated: treat it as not to be passed on"
    citation: ClassVar[str] = (
        "Xu et al., AgentTrek: Agent Trajectory Synthesis via Guiding Replay with Web Tutorials, arXiv:2412.09605"
    )
    url: ClassVar[str] = "https://huggingface.co/datasets/xlangai/AgentTrek"
    terminal: ClassVar[str] = (
        "as recorded: send_msg_to_user is finished, report_infeasible is call_user; no screen follows the last action, "
        "so none is added"
    )

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw, self.settings = raw, settings

    def shards(self) -> Sequence[Shard]:
        return json_shards(self.raw, "agenttrek_1207.json")

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        turns: list[Turn] = []
        for where, row in json_rows(shard):
            turn = read_row(row, where)
            if turns and not (isinstance(turn, Turn) and follows(turn, turns[-1])):
                yield RawRecord(turns[0].where, turns)
                turns = []
            if isinstance(turn, Note):
                yield turn
            else:
                turns = [*turns, turn]
        if turns:
            yield RawRecord(turns[0].where, turns)

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        turns: Sequence[Turn] = record.data
        notes: list[Note] = []
        steps: list[EpisodeStep] = []
        if turns[0].past:
            notes.append(
                Note("changed", "rows out of order or missing", record.where, f"begins at step {turns[0].past}")
            )
        for turn in turns:
            try:
                step = self._step(turn, turn is turns[-1])
            except UnusableRecord as error:
                notes += error.notes
                continue
            if step.action.element is not None and f"[{step.action.element}] " not in turn.screen:
                notes.append(Note("changed", "element not in the tree", turn.where, step.instruction))
            steps.append(step)
        if steps:
            steps[-1] = replace(steps[-1], status="done")
        labels: dict[str, str | float | bool] = {}
        if self.settings.abstractions == "rules":
            labels["abstraction"] = wording.RULES
        if turns[0].past:
            labels["first_step"] = turns[0].past
        episode = Episode(_identity(turns), self.name, "web", turns[0].goal, "train", tuple(steps), labels=labels)
        return ConvertedEpisode(episode, notes=tuple(notes))

    def _step(self, turn: Turn, last: bool) -> EpisodeStep:
        where = f"{turn.where}: messages[-1].content"
        said = tagged(turn.reply.rpartition("</think>")[2], "action")
        if said is None:
            raise _dropped("no <action>", where, turn.reply)
        action = _action(said, where)
        if action.action_type in TERMINAL and not last:
            raise _dropped("an end before the last step", where, said)
        if action.action_type in EXTRA_ACTIONS[self.name] and self.settings.extra_actions == "drop":
            raise _dropped(f"beyond UI-TARS: {action.action_type}", where, said)
        rules = self.settings.abstractions == "rules"
        memory = tagged(turn.reply, "memory")
        return EpisodeStep(
            screenshot=None,
            size=(0, 0),  # there is no picture
            abstraction=wording.screen(axtree.title(turn.screen), axtree.names(turn.screen)) if rules else "",
            instruction=wording.instruction(
                action, axtree.target(turn.screen, action.element) if action.element else ""
            ),
            action=action,
            thought=tagged(turn.reply, "think"),
            labels={"memory": memory} if memory else {},
            text=turn.screen,
        )


def _identity(turns: Sequence[Turn]) -> str:
    digest = hashlib.sha256()
    for text in (turns[0].goal, *(turn.reply for turn in turns)):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


# ---- actions ---------------------------------------------------------------------------------------------------------


def _dropped(reason: str, where: str, detail: str) -> UnusableRecord:
    return UnusableRecord(Note("dropped", reason, where, wording.one_line(detail)))


def _action(said: str, where: str) -> Action:
    """The action of a call such as ``click('12')``. Raises UnusableRecord."""
    call = _call(said, where)
    verb = call.func.id if isinstance(call.func, ast.Name) else ""
    if verb in _NO_EQUIVALENT:
        raise _dropped(f"no equivalent: {verb}", where, said)
    if verb not in _PARAMETERS:
        raise _dropped("unknown action", where, said)
    bound = bind(call, _PARAMETERS[verb])
    if not bound.whole:
        raise _dropped("arguments that cannot be read", where, said)
    try:
        action = _mapped(verb, bound.values)
        validate(action, "web", AgentTrek.name)
    except (ActionError, _NoEquivalent) as error:
        reason = "arguments that cannot be read" if isinstance(error, ActionError) else f"no equivalent: {error}"
        raise _dropped(reason, where, said) from error
    return action


def _call(said: str, where: str) -> ast.Call:
    code = match[1].strip() if (match := _FENCE.match(said)) else said
    try:
        try:
            statements = parse_code(code)
        except UnparsableCode as error:
            if error.damaged or "\n" not in code:
                raise
            statements = parse_code(_STRING.sub(lambda string: string[0].replace("\n", "\\n"), code))
    except UnparsableCode as error:
        if error.damaged:
            raise UnusableRecord(Note("damaged", "an action that cannot be parsed", where, str(error))) from error
        raise _dropped("an action that is no call", where, said) from error
    calls = [s.value for s in statements if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)]
    if len(calls) != len(statements) or not calls:
        raise _dropped("an action that is no call", where, said)
    if len(calls) > 1:
        raise _dropped("several actions in one step", where, said)
    return calls[0]


class _NoEquivalent(ValueError):
    """What UI-TARS cannot say."""


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
    parts = re.split(r"(?<=[^+])\+", keys.lower())
    return " ".join(_KEYS.get(part, part.removeprefix("arrow")) for part in parts)


def _direction(dx: float, dy: float) -> str:
    if (dx and dy) or not (dx or dy):
        raise _NoEquivalent("scroll in two directions" if dx else "scroll of length 0")
    return ("down" if dy > 0 else "up") if dy else ("right" if dx > 0 else "left")
