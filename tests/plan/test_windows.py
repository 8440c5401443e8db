"""Every step is a window whose reference is what came next; steps and references survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.errors import DataError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import (
    episode_windows,
    reference_from_json,
    reference_to_json,
    step_from_json,
    step_to_json,
)
from tracer1.types import Action, Episode, EpisodeStep, HistoryStep, Point, Reference, Step

BRIEF = PROMPTS["brief-1"]


def gui_episode(length: int) -> Episode:
    steps = tuple(
        EpisodeStep(
            f"images/{t}.png",
            (160, 210),
            f"state {t}",
            f"click the '{t}' button",
            Action("click", Point(0.5, t / 10)),
            box=(0.4, 0.0, 0.6, 1.0),
            status="done" if t == length - 1 else "not done",
            elements=f"elements/{t}.json",
        )
        for t in range(length)
    )
    return Episode("e1", "miniwob", "web", "Click all.", "train", steps)


@given(length=st.integers(1, 9), history=st.integers(0, 6), horizon=st.integers(1, 6))
def test_one_window_per_step_with_the_recorded_continuation(length: int, history: int, horizon: int) -> None:
    episode = gui_episode(length)
    windows = list(episode_windows(episode, BRIEF, history, horizon))
    assert [window.step for window in windows] == list(range(length))
    for t, window in enumerate(windows):
        assert [step.abstraction for step in window.reference.steps] == [
            f"state {i}" for i in range(t, min(t + horizon, length))
        ]
        assert window.reference.action == episode.steps[t].action
        assert window.reference.box == episode.steps[t].box
        assert window.reference.elements == f"elements/{t}.json"
        assert window.images == (f"images/{t}.png",)
        assert (window.episode_id, window.source) == ("e1", "miniwob")


def test_a_window_shows_what_serving_shows() -> None:
    episode = gui_episode(7)
    past = [HistoryStep(step.abstraction, "click", step.instruction) for step in episode.steps]
    for t, window in enumerate(episode_windows(episode, BRIEF, history=5, horizon=3)):
        assert window.prompt == BRIEF.messages(
            "Click all.", past[:t], t + 1, 3, episode.platform, episode.steps[t].screenshot or ()
        )


def test_a_tool_episode() -> None:
    calls = (
        EpisodeStep(None, (0, 0), "a table", "read it", Action("ocr", arguments={"image": "t.png"}), observation="7"),
        EpisodeStep(None, (0, 0), "7 is known", "answer", Action("finished", content="7"), status="done"),
    )
    episode = Episode(
        "t1", "mm-traj", "tools", "Sum?", "train", calls, files=("files/t.PNG", "files/t.csv"), answer="7"
    )
    first, second = episode_windows(episode, BRIEF)
    assert first.images == second.images == ("files/t.PNG",)
    assert first.reference.observation == "7"
    assert first.reference.steps[0].arguments == {"image": "t.png"}
    assert "Files: files/t.csv" in first.prompt[0]["content"][-1]["text"]
    assert "Observation" not in first.prompt[0]["content"][-1]["text"]
    assert "Observation: 7" in second.prompt[0]["content"][-1]["text"]


def test_a_screen_that_is_text() -> None:
    steps = tuple(
        EpisodeStep(None, (0, 0), "", f"click {t}", Action("click", element=f"{t}"), text=f"RootWebArea {t}")
        for t in range(2)
    )
    windows = list(episode_windows(Episode("e1", "agenttrek", "web", "Click all.", "train", steps), BRIEF))
    for t, window in enumerate(windows):
        assert window.images == ()
        assert f"\nObservation: RootWebArea {t}\nNext: step {t + 1}" in window.prompt[0]["content"][-1]["text"]


# ---- JSON ------------------------------------------------------------------------------------------------------------

fractions = st.floats(0, 1)
kinds = st.sampled_from(["click", "type", "wait", "ocr"])
maybe_text = st.none() | st.text()
arguments = st.none() | st.dictionaries(st.text(), st.integers() | st.text(), max_size=2)
step_values = st.builds(Step, st.text(), kinds, st.text(), st.sampled_from(["not done", "done"]), arguments)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    steps = tuple(draw(st.lists(step_values, min_size=1, max_size=4)))
    point = draw(st.none() | st.builds(Point, fractions, fractions))
    action = Action(steps[0].action_type, point, content=draw(maybe_text), arguments=steps[0].arguments)
    corners = st.tuples(fractions, fractions).map(sorted)
    (x0, x1), (y0, y1) = draw(corners), draw(corners)
    box = draw(st.none() | st.just((x0, y0, x1, y1)))
    return Reference(steps, action, box, draw(maybe_text), draw(maybe_text))


@given(step=step_values)
def test_steps_survive_json(step: Step) -> None:
    assert step_from_json(json.loads(json.dumps(step_to_json(step)))) == step


@given(reference=references())
def test_references_survive_json(reference: Reference) -> None:
    assert reference_from_json(json.loads(json.dumps(reference_to_json(reference)))) == reference


def test_the_form_of_a_reference() -> None:
    window = next(episode_windows(gui_episode(2), BRIEF))
    assert reference_to_json(window.reference) == [
        {
            "screenshot_abstraction": "state 0",
            "action": {"action_type": "click", "step_instruction": "click the '0' button", "point": [0.5, 0.0]},
            "status": "not done",
            "box": [0.4, 0.0, 0.6, 1.0],
            "elements": "elements/0.json",
            "size": [160, 210],
        },
        {
            "screenshot_abstraction": "state 1",
            "action": {"action_type": "click", "step_instruction": "click the '1' button"},
            "status": "done",
        },
    ]


def test_action_types_stand_for_steps() -> None:
    assert reference_from_json(["click", "type"]) == Reference((Step("", "click", ""), Step("", "type", "")))
    assert reference_from_json([]) == Reference(())


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ("click", "reference: not a list"),
        ({"action": {}}, "reference: not a list"),
        ([5], "reference[0]: not a step"),
        ([""], "reference[0]: not a step"),
        (["click", {"action": "click"}], "reference[1]: not a step"),
        ([{"action": {"step_instruction": "x"}}], "reference[0].action: 'action_type'"),
        ([{"action": {"action_type": "a", "step_instruction": 1}}], "reference[0].action: 'step_instruction'"),
        ([{"action": {"action_type": "a", "arguments": 1}}], "reference[0].action: 'arguments'"),
        ([{"action": {"action_type": "a"}, "status": "Done"}], "reference[0]: 'status'"),
        ([{"action": {"action_type": "a"}, "screenshot_abstraction": 3}], "reference[0]: 'screenshot_abstraction'"),
        ([{"action": {"action_type": "a", "point": [1]}}], "reference[0].action: 'point'"),
        ([{"action": {"action_type": "a"}, "box": [0, 0, 1]}], "reference[0]: 'box'"),
        ([{"action": {"action_type": "a"}, "box": [0, 0, 1, "1"]}], "reference[0]: 'box'"),
        ([{"action": {"action_type": "a"}, "box": [0.5, 0, 0.1, 1]}], "reference[0]: 'box'"),
        ([{"action": {"action_type": "a"}, "elements": 3}], "reference[0]: 'elements'"),
    ],
)
def test_broken_references_name_the_step_and_the_field(records: Any, message: str) -> None:
    with pytest.raises(DataError) as raised:
        reference_from_json(records)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
