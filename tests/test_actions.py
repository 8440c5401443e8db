"""The action space: one table behind the prompt text, the checks, the JSON and the comparison."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.actions import (
    ACTIONS,
    EXTRA_ACTIONS,
    POINTING,
    TERMINAL,
    action_from_json,
    action_to_json,
    describe,
    is_tool,
    same_action,
    same_type,
    validate,
)
from tracer1.coordinates import per_mille
from tracer1.errors import ActionError, DataError, FrameError
from tracer1.types import Action, Platform, Point

DESKTOP = ["click", "left_double", "right_single", "drag", "hotkey", "type", "scroll", "wait", "finished", "call_user"]
MOBILE = ["click", "long_press", "type", "scroll", "drag", "open_app", "press_home", "press_back", "wait", "finished"]
BOX = (0.4, 0.4, 0.6, 0.6)

points = st.builds(Point, st.floats(0, 1), st.floats(0, 1))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    max_leaves=5,
)
arguments: dict[str, st.SearchStrategy[Any]] = {
    "point": points,
    "start_point": points,
    "end_point": points,
    "content": st.text(min_size=1).filter(lambda s: bool(s.strip(" "))),
    "key": st.sampled_from(["ctrl c", "enter"]),
    "direction": st.sampled_from(["up", "down", "left", "right"]),
    "app_name": st.sampled_from(["Clock", "设置"]),
    "arguments": st.dictionaries(st.text(), json_values),
}


@st.composite
def actions(draw: st.DrawFn) -> Action:
    spec = draw(st.sampled_from(list(ACTIONS.values())))
    given_optional = draw(st.lists(st.sampled_from(spec.optional), unique=True)) if spec.optional else []
    values = {name: draw(arguments[name]) for name in (*spec.required, *given_optional)}
    return Action(spec.name, **values)


# ---- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("platform", "names"), [("desktop", DESKTOP), ("web", DESKTOP), ("mobile", MOBILE)])
def test_the_platforms_have_their_actions_and_the_prompt_names_each(platform: Platform, names: list[str]) -> None:
    assert {spec.name for spec in ACTIONS.values() if platform in spec.platforms} == set(names)
    lines = describe(platform).split("\n")
    assert {line[2 : line.index("(")] for line in lines} == set(names)


def test_tools_are_any_name_and_end_by_finished() -> None:
    validate(Action("ocr", arguments={"image": "a.png"}), "tools")
    validate(Action("finished", content="42"), "tools")
    assert is_tool("ocr")
    assert not is_tool("finished")
    assert describe("tools").count("\n") == 1
    with pytest.raises(ActionError, match="'arguments'"):
        validate(Action("ocr"), "tools")
    with pytest.raises(ActionError, match="unknown on tools"):
        validate(Action("click", point=Point(0, 0)), "tools")


def test_pointing_and_terminal() -> None:
    ours = {"click", "left_double", "right_single", "long_press"}
    assert ours | {"middle_click", "triple_click", "hover", "select"} == POINTING
    assert {"finished", "call_user"} == TERMINAL


def test_a_corpus_offers_what_it_has_beyond_its_platform() -> None:
    assert "- hover(point): " in describe("web", "mind2web")
    assert "- hover(" not in describe("web")
    assert "- call_user(" in describe("mobile", "gui-odyssey")
    assert {name for names in EXTRA_ACTIONS.values() for name in names} <= set(ACTIONS)
    hover = Action("hover", point=Point(0.5, 0.5))
    validate(hover, "web", "mind2web")
    with pytest.raises(ActionError, match="'hover' is unknown on web"):
        validate(hover, "web")


def test_an_element_stands_in_for_a_point() -> None:
    validate(Action("click", element="a51"), "web")
    with pytest.raises(ActionError, match="takes no 'element'"):
        validate(Action("wait", element="a51"), "web")
    validate(Action("type", element="a51", content="ada"), "web")
    validate(Action("hotkey", element="a51", key="enter"), "web")
    with pytest.raises(ActionError, match="lacks 'content'"):
        validate(Action("type", element="a51"), "web")
    with pytest.raises(ActionError, match="empty 'element'"):
        validate(Action("click", element=""), "web")
    assert same_action(Action("click", element="a51"), Action("click", element="a51"))
    assert not same_action(Action("click", element="a52"), Action("click", element="a51"))
    assert not same_action(Action("click", point=Point(0.5, 0.5)), Action("click", element="a51"))
    chosen = Action("select", element="7", content="Two  adults")
    assert same_action(Action("select", element="7", content="two adults"), chosen)
    assert not same_action(Action("select", element="7", content="one adult"), chosen)


@given(action=actions())
def test_every_complete_action_is_valid_on_its_platforms_only(action: Action) -> None:
    platforms: tuple[Platform, ...] = ("desktop", "mobile", "web")
    for platform in platforms:
        if platform in ACTIONS[action.action_type].platforms:
            validate(action, platform)
        else:
            with pytest.raises(ActionError, match=platform):
                validate(action, platform)


@pytest.mark.parametrize(
    ("action", "word"),
    [
        (Action("clik", point=Point(0, 0)), "unknown"),
        (Action("click"), "lacks 'point'"),
        (Action("drag", start_point=Point(0, 0)), "lacks 'end_point'"),
        (Action("wait", key="a"), "takes no 'key'"),
        (Action("type", content=""), "empty 'content'"),
        (Action("hotkey", key=" "), "empty 'key'"),
        (Action("scroll", direction="sideways"), "'direction'"),
        (Action("click", point=Point(1.2, 0.5)), "off the screen"),
        (Action("click", point=Point(500, 500, per_mille())), "per_mille"),
    ],
)
def test_invalid_actions_are_named(action: Action, word: str) -> None:
    with pytest.raises(ActionError, match=word):
        validate(action, "desktop")


# ---- JSON ------------------------------------------------------------------------------------------------------------


@given(action=actions() | st.builds(Action, st.just("ocr"), arguments=arguments["arguments"]))
def test_json_round_trip(action: Action) -> None:
    assert action_from_json(action_to_json(action)) == action


def test_json_form() -> None:
    assert action_to_json(Action("click", point=Point(0.5, 0.64))) == {"action_type": "click", "point": [0.5, 0.64]}
    with pytest.raises(FrameError, match="'point'"):
        action_to_json(Action("click", point=Point(500, 640, per_mille())))


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ("click", "not an object"),
        ({}, "'action_type'"),
        ({"action_type": 3}, "'action_type'"),
        ({"action_type": "click", "point": [0.5]}, "'point'"),
        ({"action_type": "click", "point": [0.5, True]}, "'point'"),
        ({"action_type": "click", "point": "0.5 0.5"}, "'point'"),
        ({"action_type": "type", "content": 5}, "'content'"),
        ({"action_type": "ocr", "arguments": []}, "'arguments'"),
        ({"action_type": "click", "pont": [0, 0]}, "'pont'"),
    ],
)
def test_broken_records_name_the_place_and_the_field(record: object, word: str) -> None:
    with pytest.raises(DataError, match=word) as raised:
        action_from_json(record, "row 7: action")
    assert str(raised.value).startswith("row 7: action")
    assert "\n" not in str(raised.value)


# ---- sameness --------------------------------------------------------------------------------------------------------


@given(action=actions())
def test_an_action_is_the_same_as_itself(action: Action) -> None:
    assert same_type(action, action)
    assert same_action(action, action)


@given(a=actions(), b=actions())
def test_different_types_are_never_the_same(a: Action, b: Action) -> None:
    assert a.action_type == b.action_type or not same_action(a, b)


@pytest.mark.parametrize("kind", sorted(POINTING))
def test_pointing_by_box_edges_included(kind: str) -> None:
    recorded = Action(kind, point=Point(0.5, 0.5))
    assert same_action(Action(kind, point=Point(0.4, 0.6)), recorded, BOX)
    assert not same_action(Action(kind, point=Point(0.399, 0.6)), recorded, BOX)  # though within the radius
    assert same_action(Action(kind, point=Point(0.5, 0.5)), Action(kind), BOX)  # a box is place enough
    assert not same_action(Action(kind), recorded, BOX)


def test_pointing_by_radius_where_there_is_no_box() -> None:
    recorded = Action("click", point=Point(0.5, 0.5))
    for x in range(87):  # exactly 0.14 apart, whatever the last bit of the difference is
        edge = Action("click", point=Point((x + 14) / 100, 0.5))
        assert same_action(edge, Action("click", point=Point(x / 100, 0.5)))
    assert not same_action(Action("click", point=Point(0.6, 0.6)), recorded)  # 0.1 * sqrt 2 = 0.1414
    assert same_action(Action("click", point=Point(0.6, 0.6)), recorded, radius=0.2)


def test_a_record_without_a_place_is_an_error_and_not_a_miss() -> None:
    with pytest.raises(ActionError, match="point or a box"):
        same_action(Action("click", point=Point(0.5, 0.5)), Action("click"))


def test_drag_compares_both_ends() -> None:
    recorded = Action("drag", start_point=Point(0.5, 0.5), end_point=Point(0.9, 0.9))
    assert same_action(recorded, recorded, BOX)
    assert not same_action(Action("drag", start_point=Point(0.5, 0.5), end_point=Point(0.5, 0.9)), recorded, BOX)
    assert not same_action(Action("drag", start_point=Point(0.1, 0.5), end_point=Point(0.9, 0.9)), recorded, BOX)


@pytest.mark.parametrize("key", ["ctrl c", "Ctrl+C", "control c", "c ctrl", "ctrl + c"])
def test_hotkeys_by_normalised_keys(key: str) -> None:
    recorded = Action("hotkey", key="ctrl c")
    assert same_action(Action("hotkey", key=key), recorded)
    assert not same_action(Action("hotkey", key="ctrl v"), recorded)
    assert not same_action(Action("hotkey"), recorded)


def test_the_plus_key() -> None:
    assert same_action(Action("hotkey", key="ctrl++"), Action("hotkey", key="ctrl +"))
    assert same_action(Action("hotkey", key="+"), Action("hotkey", key=" + "))
    assert not same_action(Action("hotkey", key="ctrl++"), Action("hotkey", key="ctrl"))


@pytest.mark.parametrize(
    ("action", "recorded", "same"),
    [
        (Action("type", content="ada"), Action("type", content="ada"), True),
        (Action("type", content="Ada"), Action("type", content="ada"), False),
        (Action("type", content="ada\n"), Action("type", content="ada"), False),  # one of them submits
        (Action("finished", content=" The  answer"), Action("finished", content="the answer"), True),
        (Action("finished", content="7"), Action("finished"), True),  # the record asks for no answer
        (Action("finished"), Action("finished", content="7"), False),
        (Action("scroll", direction="down", point=Point(0, 0)), Action("scroll", direction="down"), True),
        (Action("scroll", direction="up"), Action("scroll", direction="down"), False),
        (Action("open_app", app_name="clock"), Action("open_app", app_name="Clock"), True),
        (Action("open_app", app_name="Mail"), Action("open_app", app_name="Clock"), False),
        (Action("wait"), Action("wait"), True),
        (Action("press_back"), Action("press_home"), False),
        (Action("ocr", arguments={"a": 1}), Action("ocr", arguments={"a": 1}), True),
        (Action("ocr", arguments={"a": 1}), Action("ocr", arguments={"a": 2}), False),
    ],
)
def test_other_types_by_their_argument(action: Action, recorded: Action, same: bool) -> None:
    assert same_action(action, recorded) is same
