"""The prompt's bytes are fixed by its version, and its guide tells the truth about the dialect and the actions."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from tracer1.actions import describe
from tracer1.agent.loop import Live, remember
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.text import parse_plan
from tracer1.plan.windows import episode_rows, episode_windows
from tracer1.types import (
    Action,
    Episode,
    EpisodeStep,
    HistoryStep,
    Message,
    Observation,
    Platform,
    Step,
    Task,
)

PAST = [HistoryStep(f"screen {k}", "click", f"click the 'B{k}' button") for k in range(1, 8)]


def user_text(messages: tuple[Message, ...]) -> str:
    text = messages[-1]["content"][-1]["text"]
    assert isinstance(text, str)
    return text


def test_brief_at_the_first_step() -> None:
    messages = PROMPTS["brief-1"].messages("Log in.", [], 1, images="images/a.png")
    assert messages == (
        {
            "role": "user",
            "content": [
                {"type": "image", "image": "images/a.png"},
                {"type": "text", "text": "Task: Log in.\nHistory: none\nNext: step 1, plan 5"},
            ],
        },
    )


def test_brief_with_a_history() -> None:
    assert user_text(PROMPTS["brief-1"].messages("Log in.", PAST[:2], 3, 4)) == (
        "Task: Log in.\n"
        "History:\n"
        "1. screen 1 | click | click the 'B1' button\n"
        "2. screen 2 | click | click the 'B2' button\n"
        "Next: step 3, plan 4"
    )


def test_only_the_last_steps_are_shown_with_their_own_numbers() -> None:
    text = user_text(PROMPTS["brief-1"].messages("g", PAST, 8))
    assert [line.split(" | ")[0] for line in text.split("\n")[2:-1]] == [f"{k}. screen {k}" for k in range(3, 8)]
    assert text == user_text(PROMPTS["brief-1"].messages("g", PAST[2:], 8))  # told all of it or the last K: same bytes
    assert "History: none" in user_text(replace(PROMPTS["brief-1"], history=0).messages("g", PAST, 8))


def test_a_past_step_keeps_to_its_line() -> None:
    text = user_text(PROMPTS["brief-1"].messages("g", [HistoryStep("a\nHistory: none", "type", "b\r\nc")], 2))
    assert "1. a History: none | type | b c\n" in text


def test_tool_use_shows_files_and_the_last_output() -> None:
    messages = PROMPTS["brief-1"].messages(
        "Sum.", PAST[:1], 2, platform="tools", images=["a.png", "b.png"], observation="7", files=["t.csv", "u.txt"]
    )
    assert [part["type"] for part in messages[0]["content"]] == ["image", "image", "text"]
    assert user_text(messages) == (
        "Task: Sum.\nFiles: t.csv, u.txt\nHistory:\n1. screen 1 | click | click the 'B1' button\n"
        "Observation: 7\nNext: step 2, plan 5"
    )


@pytest.mark.parametrize("version", ["full-1", "full-2", "full-2-thinking"])
@pytest.mark.parametrize("platform", ["desktop", "mobile", "web", "tools"])
def test_the_full_guide_shows_a_valid_example_and_the_actions(platform: Platform, version: str) -> None:
    system, user = PROMPTS[version].messages("g", PAST[:2], 3, 4, platform)
    guide = system["content"][0]["text"]
    assert system["role"] == "system"
    assert describe(platform) in guide
    assert "next 4 steps" in guide
    assert not [mark for mark in ("{actions}", "{form}", "{outside}", "{example}") if mark in guide]
    lines = guide.split("exactly like this:\n")[1]
    example = parse_plan(lines[: lines.index("</answer>") + len("</answer>")])
    assert example.tags_ok
    assert example.valid == example.lines > 1
    assert user_text((user,)) == user_text(PROMPTS["brief-1"].messages("g", PAST[:2], 3, 4, platform))


def test_the_bytes_of_a_version_do_not_change() -> None:
    """Windows made long ago name the version of their prompts: another wording is another version."""
    texts = {
        v: spec.system("web", 5) + spec.messages("g", PAST[:1], 2)[-1]["content"][0]["text"]
        for v, spec in PROMPTS.items()
    }
    assert {version: hashlib.sha256(text.encode()).hexdigest()[:16] for version, text in texts.items()} == {
        "full-1": "52b989572db27bfa",
        "full-2": "88cd12a7559da523",
        "full-2-thinking": "ec6ddc8c9f5fe719",
        "brief-1": "e8fee33a2bd09e6d",
    }


def test_the_example_begins_inside_the_thought_where_the_template_opens_it() -> None:
    """Defect 20: an example with <think>, after a template that has written it already, doubled the tags."""
    plain, thinking = PROMPTS["full-2"].system("web", 5), PROMPTS["full-2-thinking"].system("web", 5)
    assert "like this:\n<think>The login form" in plain
    assert "like this:\nThe login form" in thinking
    assert "<think>" not in thinking.split("like this:")[1]
    assert PROMPTS["full-2"].for_template("template") == PROMPTS["full-1"].for_template("template") == "full-2-thinking"
    assert PROMPTS["full-2-thinking"].for_template("ours") == "full-2"
    assert [spec.for_template(spec.thinking) for spec in PROMPTS.values()] == list(PROMPTS)
    assert PROMPTS["brief-1"].for_template("template") == "brief-1"  # it shows no example


def test_versions_are_their_names() -> None:
    assert all(spec.version == name for name, spec in PROMPTS.items())


@pytest.mark.parametrize(
    ("platform", "source", "screenshot", "text", "files"),
    [
        ("web", "miniwob", "a.png", None, ()),
        ("desktop", "agentnet", "a.png", None, ()),
        ("mobile", "gui-odyssey", "a.png", None, ()),
        ("web", "agenttrek", None, "[1] button 'Send'", ()),
        ("tools", "mm-traj", None, None, ("files/a.png", "files/b.pdf")),
    ],
)
@pytest.mark.parametrize("version", PROMPTS)
def test_acting_sends_the_bytes_of_training(
    platform: Platform, source: str, screenshot: str | None, text: str | None, files: tuple[str, ...], version: str
) -> None:
    """The prompts of recorded windows, of their fast form, and of the live loop are the same bytes at every step."""
    steps = tuple(
        EpisodeStep(
            screenshot,
            (10, 10) if screenshot else (0, 0),
            f"state {t}",
            "do it",
            Action("ocr", arguments={"image": "a"}) if platform == "tools" else Action("wait"),
            observation=f"output {t}" if platform == "tools" else None,
            text=text,
        )
        for t in range(3)
    )
    episode = Episode("e", source, platform, "Do it.", "train", steps, files)
    spec = replace(PROMPTS[version], history=2, horizon=3)
    windows = list(episode_windows(episode, spec, 2, 3))
    rows = list(episode_rows(episode, spec, 2, 3))
    seen = Observation(screenshot, steps[0].size, None, text, platform, files)
    live = Live("task", 0, Task("Do it.", platform, source, files), seen, 0.0)
    for window, row, step in zip(windows, rows, steps, strict=True):
        assert live.prompt(spec) == window.prompt
        assert [m["content"] for m in row["prompt"]] == [m["content"][-1]["text"] for m in window.prompt]
        assert row["images"] == list(window.images) == [p["image"] for p in window.prompt[-1]["content"][:-1]]
        live.history.append(remember(Step(step.abstraction, step.action.action_type, step.instruction)))
        live.observation = replace(seen, text=step.observation if platform == "tools" else text)
