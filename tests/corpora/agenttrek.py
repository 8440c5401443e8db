"""AgentTrek as published: one JSON array, a row for each step, three messages in a row. All of it is invented."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

SYSTEM = "You are an agent trying to solve a web task based on the content of the page and user instructions."
NOTES = (
    "Note: [bid] is the unique alpha-numeric identifier at the beginning of lines for each element in the AXTree. "
    "Always use bid to refer to elements in your actions.\n\n"
    'Note: You can only interact with visible elements. If the "visible" tag is not present, the element is not '
    "visible on the page.\n"
)
SHOP = (
    "RootWebArea 'Bob\\'s Shop', focused\n"
    "\t[5] banner ''\n"
    "\t\t[12] link 'Returns', clickable, visible\n"
    "\t\t[13] link 'Sign in', clickable, visible\n"
    "\t[20] search ''\n"
    "\t\t[a51] textbox 'Search \"all\" shops', clickable, visible, required\n"
    "\t\t[22] button 'Search', clickable, visible\n"
    "\tStaticText 'Free delivery [12] link'\n"
    "\t[30] button 'Add to cart', clickable, visible\n"
    "\t[31] button 'Add to cart', clickable, visible\n"
    "\t[32] img '', visible\n"
    "\t[40] combobox 'Adults' value='One', clickable, visible, hasPopup='menu', expanded=False\n"
    "\t\t[41] option 'One', selected=True\n"
    "\t\t[42] option 'Two', selected=False\n"
    "\t[50] checkbox \"I'm over 18\", clickable, visible, checked='false'"
)
DEEP = "-" * 1_000_000 + "1"


def reply(call: str, think: str = "I see what to do.", memory: str = "") -> str:
    remembered = f"<memory>\n{memory}\n</memory>\n\n" if memory else ""
    return f"<think>\n{think}\n</think>\n\n{remembered}<action>\n{call}\n</action>"


def prompt(goal: str, history: Sequence[str], tree: str = SHOP, tags: bool = False, error: str = "") -> str:
    """The prompt as AgentLab writes it; ``tags``: the history in the words of its later versions."""
    past = [
        f"## step {k}\n\n<action>\n{call}\n</action>\n" if tags else f"## step {k}\n\n### Action:\n{call}\n"
        for k, call in enumerate(history)
    ]
    failed = f"\n\n## Error from previous action:\n{error}" if error else ""
    return (
        "# Instructions\nReview the current state of the page and all other information to find the best possible next "
        "action to accomplish your goal.\n\n"
        f"## Goal:\n{goal}\n\n"
        f"# Observation of current step:\n\n## AXTree:\n{NOTES}\n{tree}\n\n## Focused element:\nNone{failed}\n\n"
        f"# History of interaction with the task:\n\n{chr(10).join(past)}\n"
        "# Action space:\nNote: This action set allows you to interact with your environment. 13 different types of "
        "actions are available.\n\nscroll(delta_x: float, delta_y: float)\n    Examples:\n        scroll(0, 200)\n\n"
        "# Abstract Example\n\n<think>\nThink step by step.\n</think>\n\n<action>\nOne single action.\n</action>\n\n"
        "# Concrete Example\n\n<action>\nclick('a324')\n</action>\n"
    )


def row(goal: str, history: Sequence[str], said: str, **more: Any) -> Row:
    return {
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": prompt(goal, history, **more)},
            {"role": "assistant", "content": said},
        ]
    }


def trajectory(goal: str, *calls: str, **more: Any) -> list[Row]:
    return [row(goal, calls[:k], reply(call), **more) for k, call in enumerate(calls)]


EVERY = (  # each call, and the action that it is
    ("click('12')", {"action_type": "click", "element": "12"}),
    ("click(bid='13', button=\"left\")", {"action_type": "click", "element": "13"}),
    ("click('12', button='right')", {"action_type": "right_single", "element": "12"}),
    ("click('12', 'middle')", {"action_type": "middle_click", "element": "12"}),
    ("dblclick('12')", {"action_type": "left_double", "element": "12"}),
    (
        'fill("a51", "Bob\'s, Ann\'s and \\"Co\\", (the first)")',
        {"action_type": "type", "element": "a51", "content": "Bob's, Ann's and \"Co\", (the first)"},
    ),
    ("fill('a51', 'one\ntwo')", {"action_type": "type", "element": "a51", "content": "one\ntwo"}),
    ("fill('a51', 'one\\ntwo')", {"action_type": "type", "element": "a51", "content": "one\ntwo"}),
    ("fill(\n    'a51',\n    '''one\ntwo'''\n)", {"action_type": "type", "element": "a51", "content": "one\ntwo"}),
    ("select_option('40', 'Two')", {"action_type": "select", "element": "40", "content": "Two"}),
    ("select_option('40', ['Two'])", {"action_type": "select", "element": "40", "content": "Two"}),
    ("hover('12')", {"action_type": "hover", "element": "12"}),
    ("press('a51', 'Enter')", {"action_type": "hotkey", "element": "a51", "key": "enter"}),
    ("press('a51', 'Control+Shift+ArrowDown')", {"action_type": "hotkey", "element": "a51", "key": "ctrl shift down"}),
    ("press('a51', 'Control++')", {"action_type": "hotkey", "element": "a51", "key": "ctrl +"}),
    ("scroll(0, 500)", {"action_type": "scroll", "direction": "down"}),
    ("scroll(0, -500.5)", {"action_type": "scroll", "direction": "up"}),
    ("scroll(200, 0)", {"action_type": "scroll", "direction": "right"}),
    ("scroll(-200, 0)", {"action_type": "scroll", "direction": "left"}),
    ("goto('https://example.com/?q=a+b')", {"action_type": "goto", "content": "https://example.com/?q=a+b"}),
    ("go_back()", {"action_type": "go_back"}),
    ("go_forward()", {"action_type": "go_forward"}),
    ("new_tab()", {"action_type": "new_tab"}),
    ("tab_focus(1)", {"action_type": "tab_focus", "content": "1"}),
    ("tab_close()", {"action_type": "tab_close"}),
    ("noop(1000)", {"action_type": "wait"}),
    ("```\nnoop()\n```", {"action_type": "wait"}),
    ("send_msg_to_user('It is \"30 days\".')", {"action_type": "finished", "content": 'It is "30 days".'}),
)
DROPPED = (  # each call, and the reason for which it is no step
    ("click('12', modifiers=['Shift'])", "no equivalent: click with a key held"),
    ("dblclick('12', button='right')", "no equivalent: dblclick with the right button"),
    ("fill('a51', '')", "no equivalent: fill with nothing"),
    ("select_option('40', ['One', 'Two'])", "no equivalent: several options at once"),
    ("scroll(100, 100)", "no equivalent: scroll in two directions"),
    ("scroll(0, 0)", "no equivalent: scroll of length 0"),
    ("focus('12')", "no equivalent: focus"),
    ("clear('a51')", "no equivalent: clear"),
    ("drag_and_drop('12', '13')", "no equivalent: drag_and_drop"),
    ("upload_file('12', 'a.pdf')", "no equivalent: upload_file"),
    ("fly('12')", "unknown action"),
    ("__import__('os').system('true')", "unknown action"),
    ("click(12)", "unreadable arguments"),
    ("click(f'{1}2')", "unreadable arguments"),
    ("click('12', 'left', [], 'more')", "unreadable arguments"),
    ("click('')", "unreadable arguments"),
    ("scroll(0, 10000000000000000000000)", "unreadable arguments"),
    ("fill('a51', 'half \\ud83d of one')", "unreadable arguments"),
    ("click('12')\nclick('13')", "several actions in one step"),
    ("click('12'", "an action that is not a call"),
    ("I click on Returns", "an action that is not a call"),
    ("'12'", "an action that is not a call"),
    ("", "an action that is not a call"),
    ("send_msg_to_user('Working on it.')", "terminal action before the end"),
    ("report_infeasible('Too hard.')", "terminal action before the end"),
)


def rows() -> list[Any]:
    returns = trajectory("Find the return policy", "scroll(0, 500)", "click('12')", "send_msg_to_user('30 days')")
    shop = trajectory("Buy a lamp,\nthe cheapest", "fill('a51', 'lamp')", "click('30')", tags=True)
    again = trajectory("Buy a lamp,\nthe cheapest", "click('22')", "report_infeasible('There is none.')")
    gap = trajectory("Sign in", "click('12')", "click('13')", "click('50')", "click('32')")
    silent = [
        row("Say nothing", [], "<think>\nDone?\n</think>\n\nI am done."),
        row("Say nothing", [""], reply("click('99')", memory="It was <b>99</b>.")),
        row(
            "Say nothing", ["", "click('99')"], "<think>\nuse <action>?</think><action>click('13')</action>", error="x"
        ),
    ]
    every = trajectory("Do everything", *(call for call, _ in EVERY))
    dropped = trajectory("Do the impossible", *(call for call, _ in DROPPED), "click('12')")
    nothing = trajectory("Only the impossible", "clear('a51')", "focus('a51')")
    deep = trajectory("Go deep", "click('12')", f"scroll(0, {DEEP})", "click('13')")
    surrogate = trajectory("Half a character \ud83d", "click('12')")
    surrogate += trajectory("Half a character in a call", "fly('\ud83d')", "click('12')")
    swapped = [*trajectory("Out of order", "click('12')", "click('13')")][::-1]
    broken: list[Any] = [
        {"messages": []},
        {"messages": "none"},
        {},
        [],
        None,
        {"messages": [{"role": "user", "content": "## Goal:\nno page"}, {"role": "assistant", "content": ""}]},
        {"messages": [{"role": "user", "content": prompt("Lost", [])}]},
    ]
    good = [*returns, *shop, *again, gap[0], *gap[2:], *silent, *every, *dropped, *nothing, *deep, *surrogate, *swapped]
    return [*good, *broken, *trajectory("The end", "click('12')"), *returns]


def make(raw: Path) -> None:
    """The published file; beside it a second one as JSON Lines."""
    (raw / "agenttrek_1207.json").write_text(json.dumps(rows()), encoding="utf-8")
    lines = [json.dumps(one) for one in trajectory("In lines", "click('12')", "click('13')")]
    deep = "[" * 1_000_000
    (raw / "agenttrek_more.jsonl").write_text("\n".join([*lines, deep, lines[0], ""]), encoding="utf-8")
