"""MM-Traj: every quirk of the published records, and the whole way to windows whose gold plans score 1."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from corpora import mm_traj as raw_mm_traj
from corpora.mm_traj import CUPS, IN_RECORD, IN_TEXT, NO_CODE, SHELF, Row, code, error, output, picture, row

from tracer1.actions import action_to_json
from tracer1.data.conversion.calls import UnparsableCode
from tracer1.data.conversion.convert import convert
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, Note, RawRecord, UnusableRecord
from tracer1.data.corpora.mm_traj.corpus import MMTraj
from tracer1.data.corpora.mm_traj.turns import TOOLS, instruction, read_call, read_code, read_task, read_thought
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.store import read_episodes
from tracer1.errors import DataError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.text import render_plan
from tracer1.plan.windows import episode_windows
from tracer1.rewards.trajectory import score_trajectory
from tracer1.types import Episode, Plan

KEEP = ConvertSettings()


def one(tmp_path: Path, record: Row, settings: ConvertSettings = KEEP) -> ConvertedEpisode:
    (tmp_path / "a.json").write_text(json.dumps([record]))
    corpus = MMTraj(tmp_path, settings)
    (found,) = corpus.read(corpus.shards()[0])
    assert isinstance(found, RawRecord)
    return corpus.convert(found)


def steps(found: ConvertedEpisode) -> list[dict[str, Any]]:
    return [action_to_json(step.action) for step in found.episode.steps]


def told(found: ConvertedEpisode) -> list[tuple[str, str]]:
    return [(note.kind, note.reason) for note in found.notes]


# ---- the task --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "goal", "attachments"),
    [
        ("Task: Why?\n", "Why?", ()),
        ("<image>\nTask: Why?\nAttachment: a b.jpg; c.pdf; ", "Why?\nAttachment: a b.jpg; c.pdf", ("a b.jpg", "c.pdf")),
        ("<image_00>\n<image_01>\nTask: Why?\n Attachment: a; ", "Why?\n Attachment: a", ("a",)),
        ("Picture 1: <img>a.jpg</img>\nPicture 2: <img>b.jpg</img>\nTask: Why?", "Why?", ()),
        ("Task: What does <image> mean? Attachment: none; ", "What does <image> mean? Attachment: none;", ()),
        ("Why;", "Why;", ()),
        ("<image>", "", ()),
    ],
)
def test_the_task_is_told_as_the_agent_was_told(text: str, goal: str, attachments: tuple[str, ...]) -> None:
    task = read_task(text)
    assert (task.goal, task.attachments) == (goal, attachments)


def test_role_and_content_are_from_and_value(tmp_path: Path) -> None:
    turns = (code("I add.", "print(1)"), output(0, "1"), code("So.", "final_answer(1)"))
    swift, other = (one(tmp_path, row("a", "Task: Add.", *turns, swift=swift)).episode for swift in (True, False))
    assert swift == other
    assert [step.observation for step in swift.steps] == ["1", None]


def test_a_system_turn_or_key_is_no_task(tmp_path: Path) -> None:
    record = row("a", "Task: Add.", code("So.", "final_answer(1)"))
    keyed = record | {"conversations": record["conversations"][1:], "system-prompt": "You are an expert."}
    assert one(tmp_path, record).episode == one(tmp_path, keyed).episode
    assert one(tmp_path, keyed).episode.goal == "Add."


# ---- thought and code ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "heading", ["Thought: ", "**Thought:** ", "### Thought:\n", "Final Thought: ", "Thoughts: ", ""]
)
@pytest.mark.parametrize("of_code", ["Code:", "**Code:**", "### Code:", "Code"])
def test_headings_of_any_kind_are_no_thought(heading: str, of_code: str) -> None:
    text = code("I will look.\nThen act.", "x = 1", heading=heading, of_code=of_code)
    assert (read_thought(text), read_code(text)) == ("I will look.\nThen act.", "x = 1")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```py\nx\n```<end_action>", "x"),
        ("```python\nx\n\n```", "x"),
        ("```\nx\n```", "x"),
        ("```py\nx\n```\n```py\ny\n```", "x"),
        ("```py\n```", None),
        ("```py\nx```", None),
        ("```js\nx\n```", None),
        ("", None),
        ("```py\n" * 50_000, None),
    ],
)
def test_code_is_the_first_block(text: str, found: str | None) -> None:
    assert read_code(text) == found


@pytest.mark.parametrize(
    ("thought", "words"),
    [
        ("I see cups. I will count them. Then I answer.", "I will count them."),
        ("Ask Dr. Who. Let me search for it", "Let me search for it"),
        ("To sum it, I first need to read it. Then I will add.", "To sum it, I first need to read it."),
        ("I now have to draw. We'll see.", "I now have to draw."),
        ("I have what I need: 3. We must answer.", "We must answer."),
        ("It is 3.\nDone", "It is 3."),
        ("It is so:\n\n**Thought:** I'll answer.", "I'll answer."),
        ("", ""),
    ],
)
def test_the_instruction_is_the_sentence_that_says_what_will_be_done(thought: str, words: str) -> None:
    assert instruction(thought) == words


@pytest.mark.parametrize(
    ("source", "tool", "arguments", "kept"),
    [
        ("print(visualizer('What?', 'a.jpg'))", "visualizer", {"question": "What?", "image_path": "a.jpg"}, False),
        ("ask_search_agent(query='x')  # now", "ask_search_agent", {"query": "x"}, False),
        (
            "segmentation('a.jpg', prompt=[(1, 2.5)])",
            "segmentation",
            {"image_path": "a.jpg", "prompt": [[1, 2.5]]},
            False,
        ),
        ("b = objectlocation(object='cup', image_path=p)\nprint(b)", "objectlocation", {"object": "cup"}, True),
        ("ask_search_agent('x', 'y')", "ask_search_agent", {"query": "x"}, True),
        ("ask_search_agent('x', query='y')", "ask_search_agent", {"query": "x"}, True),
        ("ask_search_agent(*x)", "ask_search_agent", {}, True),
        ("ask_search_agent(**x)", "ask_search_agent", {}, True),
        ("ask_search_agent(f'{x}')", "ask_search_agent", {}, True),
        ("ask_search_agent(1e999)", "ask_search_agent", {}, True),
        ("ask_search_agent(10**9)", "ask_search_agent", {}, True),
        ("ask_search_agent(99999999999999999999)", "ask_search_agent", {}, True),
        ("ask_search_agent(b'x')", "ask_search_agent", {}, True),
        ("ask_search_agent({1: 2})", "ask_search_agent", {}, True),
        ("ask_search_agent('\\ud83d')", "ask_search_agent", {}, True),
        ("ask_search_agent(-1)", "ask_search_agent", {"query": -1}, False),
        ("for q in x:\n    print(ask_search_agent(q))", "ask_search_agent", {}, True),
        ("print('a', ask_search_agent('x'))", "ask_search_agent", {"query": "x"}, True),
        ("final_answer(ask_search_agent('x'))", "ask_search_agent", {"query": "x"}, True),
        ("x = 'final_answer'", "python", {}, True),
        ("self.visualizer('x')", "python", {}, True),
        ("final_answer('x')", "final_answer", {"answer": "x"}, False),
        ("x = 1\nfinal_answer(answer='x')", "final_answer", {"answer": "x"}, True),
    ],
)
def test_the_tool_that_code_calls(source: str, tool: str, arguments: dict[str, Any], kept: bool) -> None:
    call = read_call(source)
    assert (call.tool, call.arguments, call.code) == (tool, arguments, source if kept else None)


def test_the_first_of_several_tools_and_their_number() -> None:
    call = read_call("if visualizer('a', 'b'):\n    x = image_edit('c', ocr('d'))\nfinal_answer(x)")
    assert (call.tool, call.calls) == ("visualizer", 4)
    assert list(TOOLS)[-1] == "final_answer"


def test_odd_code_is_parsed_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert read_call("print('\\d', 1if x else 2)").tool == "python"
    assert not recwarn.list


@pytest.mark.parametrize("source", ["-" * 10_000 + "1", "(" * 300, "a" + ".a" * 20_000, "x" * 200_000])
def test_code_too_deep_is_damaged(tmp_path: Path, source: str) -> None:
    with pytest.raises(UnparsableCode) as raised:
        read_call(source)
    assert raised.value.damaged
    with pytest.raises(UnusableRecord, match=r"a\.json row 0: conversations\[2\]: unparsable code"):
        one(tmp_path, row("a", "Task: Deep.", code("", source)))


# ---- steps -----------------------------------------------------------------------------------------------------------


def test_a_turn_is_a_step_with_what_came_back(tmp_path: Path) -> None:
    found = one(
        tmp_path,
        row(
            "a",
            "Task: Find.\nAttachment: x/a.pdf; ",
            code("I will read.", "print(inspect_file_as_text('Sum?', 'x/a.pdf'))"),
            error(0, "Error code: 429"),
            code("I will search.", "y = 1"),
            output(1, "one\n\ntwo"),
            code("Done.", "final_answer('two')"),
        ),
    )
    first, second, last = found.episode.steps
    assert first.abstraction == "given: a.pdf"
    assert first.instruction == first.thought == "I will read."
    assert first.observation is not None
    assert first.observation.startswith("Error code: 429\nNow let's retry")
    assert first.labels == {"error": True}
    assert second.abstraction.startswith("failed: Error code: 429 Now let's retry")
    assert (second.observation, last.abstraction) == ("one\n\ntwo", "one two")
    assert [step.status for step in found.episode.steps] == ["not done", "not done", "done"]
    assert steps(found) == [
        {"action_type": "inspect_file_as_text", "arguments": {"question": "Sum?", "file_path": "x/a.pdf"}},
        {"action_type": "python", "arguments": {"code": "y = 1"}},
        {"action_type": "finished", "content": "two"},
    ]


def test_turns_without_code_go_with_their_error(tmp_path: Path) -> None:
    found = one(tmp_path, row("a", "Task: Find.", "**", error(0, NO_CODE), code("Done.", "final_answer(2)")))
    assert steps(found) == [{"action_type": "finished", "content": "2"}]
    assert found.episode.steps[0].abstraction == "the task, nothing else known yet"
    assert found.notes == (Note("dropped", "turn without code", "a.json row 0: conversations[2]", "**"),)


def test_an_answer_that_failed_is_no_step(tmp_path: Path) -> None:
    turns = (code("So.", "final_answer(x)"), error(0, "name 'x' is not defined"), code("So.", "final_answer('y')"))
    found = one(tmp_path, row("a", "Task: Find.", *turns))
    assert steps(found) == [{"action_type": "finished", "content": "y"}]
    assert told(found) == [("dropped", "answer before the end")]


def test_an_answer_that_failed_at_the_end_is_no_end(tmp_path: Path) -> None:
    turns = (code("", "x = 1"), error(0, "no"), code("So.", "final_answer(y)"), error(1, "name 'y' is not defined"))
    found = one(tmp_path, row("a", "Task: Find.", *turns, answer="so"))
    assert [step.action.action_type for step in found.episode.steps] == ["python", "finished"]
    assert found.episode.steps[1].labels == {"added": True}
    assert found.episode.steps[1].abstraction.startswith("failed: no")
    told_of = one(tmp_path, row("a", "Task: Find.", code("So.", "final_answer('y')"), output(0, "y")))
    assert steps(told_of) == [{"action_type": "finished", "content": "y"}]


@pytest.mark.parametrize(
    ("given", "answer", "content", "kept"),
    [
        ("3", "3", "3", False),
        ("['a', 1]", "['a', 1]", "['a', 1]", False),
        ("f'{x} more'", "3 more", "3 more", True),
        ("x + 1", None, "x + 1", True),
        ("x", 7, "7", True),
    ],
)
def test_answers_that_are_no_text(tmp_path: Path, given: str, answer: Any, content: str, kept: bool) -> None:
    found = one(tmp_path, row("a", "Task: Find.", code("So.", f"final_answer({given})"), answer=answer))
    (step,) = found.episode.steps
    assert step.action.content == content
    assert step.labels == ({"code": f"final_answer({given})"} if kept else {})
    assert found.episode.answer == (None if answer is None else str(answer))


def test_a_recording_that_ends_with_an_output_is_finished_with_the_answer(tmp_path: Path) -> None:
    record = row("a", "Task: Draw.", code("I draw.", "image_generator('x')"), output(0, "x.png"), answer="x.png")
    last = one(tmp_path, record).episode.steps[-1]
    assert (action_to_json(last.action), last.labels) == (
        {"action_type": "finished", "content": "x.png"},
        {"added": True},
    )
    assert (last.abstraction, last.status) == ("x.png", "done")
    assert len(one(tmp_path, record, ConvertSettings(terminal=False)).episode.steps) == 1
    assert len(one(tmp_path, record | {"answer": None}).episode.steps) == 1


def test_code_that_is_no_python_is_kept_and_told(tmp_path: Path) -> None:
    found = one(tmp_path, row("a", "Task: Try.", code("Hm.", "for")))
    assert steps(found) == [{"action_type": "python", "arguments": {"code": "for"}}]
    assert told(found) == [("changed", "code that is not Python, kept as python")]


def test_abstractions_are_by_rule_or_none(tmp_path: Path) -> None:
    record = row("a", "Task: Try.", code("Hm.", "x = 1"), output(0, ""), code("", "final_answer(1)", heading=""))
    known = one(tmp_path, record).episode
    assert [step.abstraction for step in known.steps] == ["the task, nothing else known yet", "no output"]
    assert known.steps[1].instruction == "finished"
    silent = one(tmp_path, record, ConvertSettings(abstractions="none")).episode
    assert [step.abstraction for step in silent.steps] == ["", ""]
    assert "abstraction" not in silent.labels


def test_unexpected_turns_are_told(tmp_path: Path) -> None:
    found = one(tmp_path, row("a", "Task: Try.", code("", "x = 1"), "Go on!", code("", "final_answer(1)")))
    assert len(found.episode.steps) == 2
    assert told(found) == [("dropped", "turn that is neither step nor output")]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_pictures_are_found_under_any_of_their_names(tmp_path: Path) -> None:
    (tmp_path / CUPS).parent.mkdir(parents=True)
    (tmp_path / CUPS).write_bytes(picture("red"))
    record = row("a", f"<image>\nTask: How many?\nAttachment: {IN_TEXT}{CUPS}; ", code("", "final_answer(1)"))
    found = one(tmp_path, record | {"image": IN_RECORD + CUPS})
    assert found.episode.files == (IN_RECORD + CUPS,)
    assert found.images[IN_RECORD + CUPS].size == (40, 30)
    assert found.episode.goal.endswith(IN_TEXT + CUPS)  # as the code has it
    assert one(tmp_path, record).episode.files == (IN_TEXT + CUPS,)


def test_another_file_of_the_same_last_name_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "00016").mkdir()
    (tmp_path / "00016/1.jpg").write_bytes(picture("red"))
    found = one(tmp_path, row("a", "Task: Look.", code("", "final_answer(1)"), image="data/tongagent/00015/1.jpg"))
    assert found.episode.files == ()
    assert told(found) == [("changed", "picture missing")]


def test_pictures_that_are_missing_are_labelled_or_cost_the_episode(tmp_path: Path) -> None:
    record = row(
        "a", "<image>\nTask: Look.", code("", "final_answer(1)"), image={"<image_01>": "b.jpg", "<image_00>": "a.jpg"}
    )
    kept = one(tmp_path, record)
    assert kept.episode.labels["files_missing"] == 2
    assert [note.detail for note in kept.notes] == ["a.jpg", "b.jpg"]
    with pytest.raises(UnusableRecord, match=r"picture missing: a\.jpg") as raised:
        one(tmp_path, record, ConvertSettings(unseen="drop"))
    assert raised.value.notes[-1].kind == "dropped"


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg"])
def test_no_file_outside_of_the_folder_is_read(tmp_path: Path, name: str) -> None:
    found = one(tmp_path, row("a", "Task: Look.", code("", "final_answer(1)"), image=name))
    assert found.episode.files == ()
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": 7}, "no usable id"),
        ({"id": " "}, "no usable id"),
        ({"image": 7}, "no usable image"),
        ({"image": {"<image>": None}}, "no usable image"),
        ({"conversations": None}, "no usable conversations"),
        ({"conversations": ["x"]}, "no usable role"),
        ({"conversations": [{"from": "human", "value": None}]}, "no usable value"),
        ({"conversations": [{"role": "user", "content": "<image>"}]}, "no task"),
        ({"correct": "no"}, "not judged correct"),
        ({"correct": None}, "not judged correct"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableRecord) as raised:
        one(tmp_path, row("a", "Task: Look.", code("", "final_answer(1)")) | change)
    note = raised.value.notes[-1]
    assert (note.kind, note.reason) == ("filtered" if "correct" in change else "damaged", reason)
    assert note.where.startswith("a.json row 0")


def test_unverified_records_are_kept_when_asked(tmp_path: Path) -> None:
    record = row("a", "Task: Look.", code("", "final_answer(1)"), correct="no")
    assert one(tmp_path, record, ConvertSettings(verified=False)).episode.labels["correct"] == "no"


# ---- the whole way ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("out")
    raw_mm_traj.make(raw)
    return out, convert("mm-traj", raw, out)


def by_id(out: Path) -> dict[str, Episode]:
    return {episode.episode_id: episode for episode in read_episodes(out)}


def test_a_converted_store_is_clean(converted: tuple[Path, dict[str, Any]]) -> None:
    out, said = converted
    assert [str(problem) for problem in inspect_path(out).problems] == []
    assert (said["episodes"], said["steps"]) == (14, 24)
    for episode in read_episodes(out):
        assert [step.status for step in episode.steps] == ["not done"] * (len(episode.steps) - 1) + ["done"]


def test_everything_left_out_is_counted(converted: tuple[Path, dict[str, Any]]) -> None:
    _, said = converted
    notes = {kind: {reason: one["count"] for reason, one in found.items()} for kind, found in said["notes"].items()}
    assert notes == {
        "changed": {
            "code that is not Python, kept as python": 1,
            "repeated episode id": 1,
            "file missing": 1,
            "picture missing": 1,
        },
        "damaged": {
            "unparsable code": 1,
            "nested too deep": 1,
            "no task": 1,
            "no usable id": 4,
            "no usable image": 1,
            "no usable role": 1,
            "unreadable": 1,  # half a character
            "unreadable picture": 2,
        },
        "dropped": {
            "turn without code": 2,
            "answer before the end": 1,
            "duplicate content": 2,
            "no steps": 1,
        },
        "filtered": {"not judged correct": 2},
    }


def test_ids_that_repeat_and_ids_with_slashes(converted: tuple[Path, dict[str, Any]]) -> None:
    found = by_id(converted[0])
    assert found["aB3_x-9Z"].goal.startswith("How many cups?")
    assert found["aB3_x-9Z~2"].goal == "Another task."
    assert "sheet/../x" in found
    assert not (converted[0] / "sheet").exists()


def test_files_are_in_the_store(converted: tuple[Path, dict[str, Any]]) -> None:
    out, _ = converted
    found = by_id(out)
    (table,) = found["sheet/../x"].files
    assert table.startswith("files/")
    assert table.endswith(".xlsx")
    assert (out / table).read_bytes() == b"a table"
    red, blue = found["two_imgs"].files  # in the order of the placeholders
    assert (out / red).read_bytes() == picture("red")
    assert found["expanded"].files == (blue,)
    assert found["gone_img"].files == ()


def test_windows_show_the_pictures_and_gold_plans_score_1(converted: tuple[Path, dict[str, Any]]) -> None:
    out, _ = converted
    for episode in read_episodes(out):
        for window in episode_windows(episode, PROMPTS["full-1"]):
            assert list(window.images) == [file for file in episode.files if file.endswith(".jpg")]
            completion = render_plan(Plan(window.reference.steps, "", window.step + 1))
            score = score_trajectory(completion, window.reference.steps)
            assert score.format == 1
            assert score.accuracy == pytest.approx(1 - 0.1 * score.terms["repetition"])


def test_pictures_in_a_zip_and_beside_it_are_one_store(converted: tuple[Path, dict[str, Any]]) -> None:
    sizes = Counter(path.suffix for path in (converted[0] / "images").iterdir())
    assert sizes == {".jpg": 2}
    assert SHELF.endswith(".jpg")


def test_strict_stops_at_the_first_damage(tmp_path: Path) -> None:
    raw_mm_traj.make(tmp_path)
    with pytest.raises(DataError, match="row 8: unreadable picture"):
        convert("mm-traj", tmp_path, tmp_path / "out", ConvertSettings(strict=True))


def test_any_number_of_workers_writes_the_same(converted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = converted
    raw_mm_traj.make(tmp_path)
    convert("mm-traj", tmp_path, tmp_path / "out", workers=2, batch=3)
    assert (tmp_path / "out/episodes.jsonl").read_bytes() == (out / "episodes.jsonl").read_bytes()


def test_a_folder_of_pretty_printed_objects_is_said_to_be_that(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        record = row(name, "Task: Add.", code("So.", "final_answer(1)"))
        (tmp_path / name).write_text(json.dumps(record, indent=2))
    with pytest.raises(DataError, match=r"from 2 records: 2 x one JSON object over several lines, first a\.json"):
        convert("mm-traj", tmp_path, tmp_path / "out")
    (tmp_path / "c.json").write_text(json.dumps([record]))
    made = convert("mm-traj", tmp_path, tmp_path / "out")
    assert (made["episodes"], made["skipped"]["one JSON object over several lines"]["count"]) == (1, 2)
