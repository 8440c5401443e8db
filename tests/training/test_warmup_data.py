from __future__ import annotations

import random
import re
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nano_planner import PROMPT, Nano

from tracer1.errors import InstructionError
from tracer1.executors.instruction import Instruction, parse_instruction
from tracer1.plan.text import require_plan
from tracer1.plan.windows import episode_windows
from tracer1.training.warmup_data import (
    Example,
    Phrasing,
    WarmupSource,
    arguments_of,
    copied_strings,
    invented,
    rephrase,
    task_of,
)
from tracer1.types import Action, Episode, EpisodeStep

PLAIN = Phrasing(augment=0.0, vague=0.0, continuation=1.0, horizon=99, history=99)


def episode(goal: str, *instructions: str, name: str = "made/task/0") -> Episode:
    steps = [
        EpisodeStep(None, (8, 8), "a page", told, Action(parse_instruction(told).action_type)) for told in instructions
    ]
    steps[-1] = replace(steps[-1], status="done")
    return Episode(name, "made", "web", goal, "train", tuple(steps))


def text_of(example: Example) -> str:
    return "\n".join(part["text"] for message in example.messages for part in message["content"] if "text" in part)


def told(example: Example) -> list[Instruction]:
    return [parse_instruction(step.instruction) for step in require_plan(example.completion).steps]


# ---- strings ---------------------------------------------------------------------------------------------------------


def test_arguments_are_what_an_instruction_quotes() -> None:
    assert arguments_of("type 'ada' in the 'Name' field") == ["Name", "ada"]
    assert arguments_of("click the 'it's' button") == ["it's"]
    assert arguments_of("click the 2nd field") == []
    with pytest.raises(InstructionError):
        arguments_of("do something")


@pytest.mark.parametrize(("name", "task"), [("miniwob/login-user/17", "login-user"), ("a/b", "made"), ("x", "made")])
def test_a_task_is_named_by_the_middle_of_an_id(name: str, task: str) -> None:
    assert task_of(episode("Wait.", "wait", name=name)) == task


def test_copied_strings_are_those_of_the_goal_without_what_the_task_always_says() -> None:
    episodes = [
        episode(f'Enter "{word}" and press Send.', f"type '{word}'", "click the 'Send' button", "click the 'X' button")
        for word in ("ada", "bob smith", "cy")
    ]
    assert copied_strings(episodes) == [("ada",), ("bob smith",), ("cy",)]


def test_copied_strings_come_longest_first_and_whole() -> None:
    one = episode("Enter carol and car as city.", "type 'car'", "type 'carol'", "type 'it'", name="made/a/0")
    two = episode("Enter dave.", "type 'dave'", name="made/a/1")
    three = episode("Enter eve.", "type 'eve'", name="made/a/2")
    assert copied_strings([one, two, three])[0] == ("carol", "car")  # "it" stands only inside of "city"


def test_a_task_with_one_episode_copies_nothing() -> None:
    assert copied_strings([episode("Enter ada.", "type 'ada'")]) == [()]


def shape(text: str) -> str:
    return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d", "0", text))


@given(text=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20), seed=st.integers(0, 1 << 30))
def test_an_invented_string_is_of_the_same_kind(text: str, seed: int) -> None:
    new = invented(text, random.Random(seed))
    assert shape(new) == shape(text)
    for old, run in zip(re.findall(r"[A-Za-z]+", text), re.findall(r"[A-Za-z]+", new), strict=True):
        assert abs(len(run) - len(old)) <= 2
        if old.islower():
            assert run.islower()
        if len(old) > 1 and old.isupper():
            assert run.isupper()
        if old.istitle() and len(old) > 1:
            assert run[0].isupper()
            assert run[1:] == run[1:].lower()
    assert new == invented(text, random.Random(seed))


def test_inventing_rarely_repeats_itself() -> None:
    rng = random.Random(0)
    assert len({invented("Katherine", rng) for _ in range(200)}) > 195
    assert not {invented("Katherine", rng) for _ in range(200)} & {"Katherine"}


def test_letters_of_other_scripts_stay() -> None:
    assert shape(invented("Zoë 漢字", random.Random(0))) == shape("Zoë 漢字")


# ---- re-telling ------------------------------------------------------------------------------------------------------


def test_told_plainly_a_window_is_what_the_trainer_is_given(nano: Nano) -> None:
    """No augmentation, full names, every step: the prompt and the plan of the recorded window."""
    for recorded, copied in zip(nano.episodes[:8], copied_strings(nano.episodes)[:8], strict=True):
        for t, window in enumerate(episode_windows(recorded, PROMPT, history=2, horizon=3)):
            telling = Phrasing(0.0, 0.0, 1.0, horizon=3, history=2)
            spec = replace(PROMPT, history=2, horizon=3)
            example = rephrase(recorded, copied, t, telling, spec, "ROOT", random.Random(0))
            parts = [part for message in example.messages for part in message["content"]]
            assert [p["image"] for p in parts if p["type"] == "image"] == [f"ROOT/{window.images[0]}"]
            assert text_of(example) == window.prompt[0]["content"][-1]["text"]
            plan = require_plan(example.completion)
            assert plan.steps == window.reference.steps
            assert plan.first_number == t + 1
            assert plan.thought == f"{len(plan.steps)} steps"


def test_strings_are_replaced_everywhere_at_once(nano: Nano) -> None:
    telling = replace(PLAIN, augment=1.0)
    swapped = 0
    for seed, (recorded, copied) in enumerate(zip(nano.episodes, copied_strings(nano.episodes), strict=True)):
        t = len(recorded.steps) // 2
        example = rephrase(recorded, copied, t, telling, PROMPT, None, random.Random(seed))
        plain = rephrase(recorded, copied, t, PLAIN, PROMPT, None, random.Random(seed))
        case, plain_case = text_of(example), text_of(plain)
        goal, plain_goal = case.split("\nHistory")[0], plain_case.split("\nHistory")[0]
        assert len(goal.split()) == len(plain_goal.split())
        # The map from old to new, read off the instructions, is the one by which the goal and the history changed.
        swaps: dict[str, str] = {}
        for new, old in zip(told(example), told(plain), strict=True):
            for after, before in ((new.name, old.name), (new.content, old.content)):
                if before in copied:
                    assert before is not None
                    assert after is not None
                    assert swaps.setdefault(before, after) == after
                    assert after in goal
                else:
                    assert after == before
        for old_string, new_string in swaps.items():
            pattern = rf"(?<![A-Za-z0-9]){re.escape(old_string)}(?![A-Za-z0-9])"
            assert len(re.findall(pattern, plain_case)) <= case.count(new_string)
        swapped += any(old != new for old, new in swaps.items())
    assert swapped > 30


def test_a_replacement_that_is_another_string_is_not_replaced_again() -> None:
    words = list(string.ascii_lowercase[:14])
    goal = "Enter " + " and ".join(f'"{word}"' for word in words) + "."
    recorded = episode(goal, *(f"type '{word}'" for word in words))
    for seed in range(20):
        example = rephrase(recorded, words, 0, replace(PLAIN, augment=1.0), PROMPT, None, random.Random(seed))
        asked = re.findall(r'"(\w+)"', text_of(example))
        assert [instruction.content for instruction in told(example)] == asked


def test_numbers_are_replaced_only_where_the_goal_quotes_them() -> None:
    telling = replace(PLAIN, augment=1.0)
    ordinal = rephrase(
        episode("Click the 12 day.", "click the '12' day"), ["12"], 0, telling, PROMPT, None, random.Random(1)
    )
    assert told(ordinal)[0].name == "12"
    quoted = rephrase(
        episode('Enter "1234567".', "type '1234567'"), ["1234567"], 0, telling, PROMPT, None, random.Random(1)
    )
    content = told(quoted)[0].content
    assert content != "1234567"
    assert f'"{content}"' in text_of(quoted)


def test_loose_speech_drops_names_only(nano: Nano) -> None:
    telling = replace(PLAIN, vague=1.0)
    recorded = nano.episodes[3]
    vague = told(rephrase(recorded, (), 0, telling, PROMPT, None, random.Random(0)))
    exact = [parse_instruction(step.instruction) for step in recorded.steps]
    assert [i.name for i in vague] == [None] * len(exact)
    assert any(i.name for i in exact)
    for spoken, meant in zip(vague, exact, strict=True):
        assert (spoken.verb, spoken.role, spoken.content) == (meant.verb, meant.role, meant.content)


def test_half_loose_speech_is_both(nano: Nano) -> None:
    telling = replace(PLAIN, vague=0.5)
    named = [
        instruction.name is not None
        for seed in range(20)
        for instruction in told(rephrase(nano.episodes[3], (), 0, telling, PROMPT, None, random.Random(seed)))
    ]
    assert 0.3 < sum(named) / len(named) < 0.7


@pytest.mark.parametrize("t", [0, 2, 4])
def test_the_continuation_decides_how_far_a_plan_sees(nano: Nano, t: int) -> None:
    recorded = nano.episodes[3]  # seven steps
    assert len(recorded.steps) == 7

    def length(continuation: float, horizon: int, seed: int) -> int:
        telling = Phrasing(0.0, 0.0, continuation, horizon, 5)
        return len(told(rephrase(recorded, (), t, telling, PROMPT, None, random.Random(seed))))

    assert {length(0.0, 5, seed) for seed in range(10)} == {1}
    assert {length(1.0, 5, seed) for seed in range(10)} == {min(5, 7 - t)}
    assert {length(1.0, 99, seed) for seed in range(10)} == {7 - t}
    assert {length(1.0, 1, 0)} == {1}
    assert {length(0.5, 3, seed) for seed in range(60)} == {1, 2, 3}


def test_the_history_is_cut_and_told_in_the_planners_words(nano: Nano) -> None:
    telling = Phrasing(0.0, 1.0, 0.0, 5, history=2)
    case = text_of(rephrase(nano.episodes[3], (), 5, telling, PROMPT, None, random.Random(0)))
    lines = case.split("History:\n")[1].splitlines()
    assert [line.split(".")[0] for line in lines[:-1]] == ["4", "5"]
    assert lines[0].endswith(" in the field")
    assert lines[1].endswith("| click | click the field")
    assert lines[-1] == "Next: step 6, plan 5"


def test_text_only_examples_have_no_image(nano: Nano) -> None:
    example = rephrase(nano.episodes[0], (), 0, PLAIN, PROMPT, None, random.Random(0))
    assert [part["type"] for part in example.messages[0]["content"]] == ["text"]


# ---- drawing ---------------------------------------------------------------------------------------------------------


def test_drawing_is_a_function_of_the_generator(nano: Nano) -> None:
    telling = Phrasing(0.7, 0.5, 0.5, 3, 2)
    again = WarmupSource(nano.episodes, PROMPT, str(nano.store.directory))
    for seed in range(10):
        assert nano.source.draw(random.Random(seed), telling) == again.draw(random.Random(seed), telling)


def test_copying_draws_only_steps_that_copy(nano: Nano) -> None:
    rng = random.Random(0)
    for _ in range(40):
        example = nano.source.draw(rng, replace(PLAIN, horizon=1), copying=True, text_only=True)
        quoted = [s for i in told(example) for s in (i.name, i.content) if s]
        assert any(s in text_of(example) for s in quoted)


def test_every_task_is_drawn(nano: Nano) -> None:
    rng = random.Random(0)
    goals = [text_of(nano.source.draw(rng, PLAIN)).split("\n")[0] for _ in range(60)]
    assert {goal.count('"') // 2 for goal in goals} == {0, 1, 2, 3}
    assert nano.source.tasks == ["toy-field", "toy-form", "toy-long-form", "toy-press"]


def test_templates_hold_no_copied_strings(nano: Nano) -> None:
    texts = nano.source.templates()
    assert len(texts) == len(nano.episodes)
    in_order = [pair for task in nano.source.by_task.values() for pair in task]
    for text, (_, copied) in zip(texts, in_order, strict=True):
        assert not [s for s in copied if re.search(rf"(?<![A-Za-z0-9]){s}(?![A-Za-z0-9])", text)]
        assert "Task: " in text
        assert "step_instruction" in text


def test_quoted_strings_are_all_that_the_demonstrations_quote(nano: Nano) -> None:
    quoted = nano.source.quoted()
    assert {"Send", "Help", "Back", "Name"} <= quoted
    assert {s for step in nano.episodes[5].steps for s in arguments_of(step.instruction)} <= quoted
