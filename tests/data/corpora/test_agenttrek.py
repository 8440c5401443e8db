"""AgentTrek: every quirk of the published rows, and the whole way to windows whose gold plans score 1."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from corpora import agenttrek as raw_agenttrek
from corpora.agenttrek import DROPPED, EVERY, SHOP, Row, reply, row, trajectory

from tracer1.actions import action_to_json
from tracer1.data.conversion import wording
from tracer1.data.conversion.convert import convert
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, Note, RawRecord, Shard
from tracer1.data.corpora.agenttrek.corpus import AgentTrek, axtree
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.store import read_episodes
from tracer1.errors import DataError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.text import render_plan
from tracer1.plan.windows import episode_windows
from tracer1.rewards.trajectory import score_trajectory
from tracer1.types import Episode, Plan

KEEP = ConvertSettings()


def read(tmp_path: Path, rows: list[Any], settings: ConvertSettings = KEEP) -> list[ConvertedEpisode | Note]:
    """What becomes of ``rows``: an Episode or a Note each."""
    file = tmp_path / "agenttrek_1207.json"
    file.write_text(json.dumps(rows))
    corpus = AgentTrek(tmp_path, settings)
    (part,) = corpus.shards()
    return [corpus.convert(found) if isinstance(found, RawRecord) else found for found in corpus.read(part)]


def one(tmp_path: Path, rows: list[Row], settings: ConvertSettings = KEEP) -> ConvertedEpisode:
    (found,) = read(tmp_path, rows, settings)
    assert isinstance(found, ConvertedEpisode)
    return found


def goals(found: list[ConvertedEpisode | Note]) -> list[tuple[str, int]]:
    return [(c.episode.goal, len(c.episode.steps)) for c in found if isinstance(c, ConvertedEpisode)]


# ---- rows to trajectories --------------------------------------------------------------------------------------------


def test_rows_of_a_goal_and_a_growing_history_are_one_trajectory(tmp_path: Path) -> None:
    rows = [
        *trajectory("A", "click('12')", "click('13')"),
        *trajectory("B", "click('12')"),
        *trajectory("B", "click('13')", "click('12')", tags=True),
    ]
    assert goals(read(tmp_path, rows)) == [("A", 2), ("B", 1), ("B", 2)]


def test_rows_in_any_order_are_joined_by_their_history(tmp_path: Path) -> None:
    calls = [f"click('{number}')" for number in ("12", "13", "22", "30")]
    rows = [*trajectory("A", *calls), *trajectory("A", calls[3], *calls[:3], tags=True), *trajectory("B", *calls)]
    rows += trajectory("B", calls[0], "send_msg_to_user('Done.')")
    whole = {tuple(step.action.element for step in c.episode.steps) for c in read(tmp_path, rows) if not_note(c)}
    for seed in range(5):
        mixed = random.Random(seed).sample(rows, len(rows))
        found = read(tmp_path, mixed)
        assert all(not c.notes for c in found if not_note(c))
        assert {tuple(step.action.element for step in c.episode.steps) for c in found if not_note(c)} == whole
        assert sorted(goals(found)) == [("A", 4), ("A", 4), ("B", 2), ("B", 4)]


def not_note(found: ConvertedEpisode | Note) -> TypeGuard[ConvertedEpisode]:
    return isinstance(found, ConvertedEpisode)


def test_interleaved_trajectories_of_one_goal_are_kept_apart(tmp_path: Path) -> None:
    one, other = trajectory("A", "click('12')", "click('13')"), trajectory("A", "click('22')", "click('30')")
    found = read(tmp_path, [one[0], other[0], one[1], other[1]])
    assert [[step.action.element for step in c.episode.steps] for c in found if not_note(c)] == [
        ["12", "13"],
        ["22", "30"],
    ]


def test_a_repeated_row_is_used_once_and_a_missing_row_is_noted(tmp_path: Path) -> None:
    gap = trajectory("A", "click('12')", "click('13')", "click('22')", "click('30')")
    first, second, third = read(tmp_path, [gap[3], gap[1], gap[0], gap[0]])
    assert isinstance(first, ConvertedEpisode)
    assert isinstance(second, ConvertedEpisode)
    assert isinstance(third, ConvertedEpisode)
    assert first.notes[0] == Note("changed", "rows missing", "agenttrek_1207.json row 0", "begins at step 3")
    assert first.episode.labels["first_step"] == 3
    assert (len(second.episode.steps), len(third.episode.steps)) == (2, 1)


def test_a_bad_row_costs_itself_and_is_named(tmp_path: Path) -> None:
    rows = trajectory("A", "click('12')", "click('13')", "click('22')")
    found = read(tmp_path, [rows[0], {"messages": 3}, rows[2]])
    assert [type(item) for item in found] == [Note, ConvertedEpisode, ConvertedEpisode]
    assert found[0] == Note(
        "damaged", "no usable messages", "agenttrek_1207.json row 1: messages", "expected list, found int"
    )


# ---- actions that failed ---------------------------------------------------------------------------------------------


def failing() -> list[Row]:
    """The second of three actions fails."""
    calls = ["click('12')", "click('99')", "click('13')"]
    errors = ["", "", "TimeoutError: no element 99"]
    pairs = enumerate(zip(calls, errors, strict=True))
    return [row("A", calls[:k], reply(call), error=error) for k, (call, error) in pairs]


def test_actions_that_ended_in_an_error_are_not_imitated(tmp_path: Path) -> None:
    found = one(tmp_path, failing())
    assert [step.action.element for step in found.episode.steps] == ["12", "13"]
    assert found.episode.labels["failed_actions"] == 1
    where, why = "agenttrek_1207.json row 1: messages[-1].content", "click('99'): TimeoutError: no element 99"
    assert found.notes == (Note("filtered", "action ended in an error", where, why),)
    text = found.episode.steps[1].text
    assert text is not None
    assert text.endswith("## Focused element:\nNone")  # the history does not have the action that failed


def test_actions_that_ended_in_an_error_are_labelled_when_kept(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/agenttrek_1207.json").write_text(json.dumps(failing()))
    made = convert("agenttrek", tmp_path / "raw", tmp_path / "out", ConvertSettings(failed="keep"))
    (episode,) = read_episodes(tmp_path / "out")
    assert [dict(step.labels) for step in episode.steps] == [{}, {"error": True}, {}]
    assert made["counts"]["outcome"] == {"error": 1}
    assert episode.steps[2].text is not None
    assert "TimeoutError" in episode.steps[2].text


# ---- trees that are too long -----------------------------------------------------------------------------------------


def test_a_long_tree_is_cut_to_the_block_of_the_target(tmp_path: Path) -> None:
    tree = "\n".join(["RootWebArea 'Shop'", *(f"\t[{i}] link 'Entry {i}', clickable" for i in range(1000))])
    rows = [
        row("A", [], reply("click('707')"), tree=tree),
        row("A", ["click('707')"], reply("scroll(0, 9)"), tree=tree),
    ]
    steps = one(tmp_path, rows, ConvertSettings(max_tree=2000)).episode.steps
    texts = [(step.text or "").partition("\n\n## Focused")[0] for step in steps]
    assert all(1500 < len(text) <= 2000 for text in texts)
    assert texts[0].startswith("RootWebArea 'Shop'\n[")
    assert "[707] link 'Entry 707', clickable\n" in texts[0]
    assert texts[1].startswith("RootWebArea 'Shop'\n\t[0] link 'Entry 0', clickable\n")
    assert [str(step.labels["tree_lines"]).endswith(" of 1000") for step in steps] == [True, True]
    assert steps[0].abstraction.startswith("Shop: 'Entry 6")  # what the block shows
    for settings in (ConvertSettings(max_tree=0), ConvertSettings(max_tree=40_000)):
        whole = one(tmp_path, rows, settings).episode.steps[0]
        assert ((whole.text or "").startswith(tree), "tree_lines" in whole.labels) == (True, False)
    default = one(tmp_path, rows).episode.steps[0].text
    assert len(default or "") < 12_100


@pytest.mark.parametrize("tree", ["x" * 100, "root\n" + "y" * 300, "root\n[2] 'StaticText [1] z'\n" + "y\n" * 100])
def test_odd_trees_are_cut_too(tree: str) -> None:
    assert len(axtree.cut(tree, "1", 50)[0]) <= 50 + 4 + 2 * axtree.MARK


def test_ids_are_those_of_the_content(tmp_path: Path) -> None:
    rows = trajectory("A", "click('12')", "click('13')")
    alone, behind = one(tmp_path, rows), read(tmp_path, [*trajectory("B", "click('12')"), *rows])[1]
    assert isinstance(behind, ConvertedEpisode)
    assert alone.episode == behind.episode
    assert len(alone.episode.episode_id) == 16
    assert one(tmp_path, rows[:1]).episode.episode_id != alone.episode.episode_id


def test_json_lines_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, trajectory("A", "click('12')", "click('13')"))))
    corpus = AgentTrek(tmp_path, KEEP)
    (record,) = corpus.read(corpus.shards()[0])
    assert isinstance(record, RawRecord)
    assert len(corpus.convert(record).episode.steps) == 2


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.json or \.jsonl there; put a file such as agenttrek_1207\.json"):
        AgentTrek(tmp_path, KEEP).shards()


def test_parts_may_have_any_name(tmp_path: Path) -> None:
    for name in ("a b.json", "..x.json", "a/b".replace("/", "_") + ".jsonl"):
        (tmp_path / name).write_text("[]")
    names = [part.name for part in AgentTrek(tmp_path, KEEP).shards()]
    assert names == ["000-..x.json", "001-a_b.json", "002-a_b.jsonl"]


# ---- what is shown ---------------------------------------------------------------------------------------------------


def test_the_page_is_text_without_the_notes_on_it(tmp_path: Path) -> None:
    step = one(tmp_path, [row("A", [], reply("click('12')"), error="it failed")]).episode.steps[0]
    assert (step.screenshot, step.size, step.box) == (None, (0, 0), None)
    assert step.text == f"{SHOP}\n\n## Focused element:\nNone\n\n## Error from previous action:\nit failed"


def test_what_a_page_says_is_no_heading(tmp_path: Path) -> None:
    tree = "RootWebArea 'x'\n\tStaticText '# History of interaction with the task:'\n\t[1] link '## Goal:'"
    step = one(tmp_path, [row("A", [], reply("click('1')"), tree=tree)]).episode.steps[0]
    assert step.text is not None
    assert step.text.startswith(tree)
    assert step.instruction == "click the '## Goal:' link"


def test_abstractions_are_by_rule_or_none(tmp_path: Path) -> None:
    rows = trajectory("A", "click('12')")
    told = one(tmp_path, rows).episode
    assert told.steps[0].abstraction.startswith("Bob's Shop: 'Returns', 'Sign in', 'Search \"all\" shops', 'Search',")
    assert told.labels["abstraction"] == wording.RULES
    silent = one(tmp_path, rows, ConvertSettings(abstractions="none")).episode
    assert (silent.steps[0].abstraction, dict(silent.labels)) == ("", {})


def test_thought_and_memory_are_kept(tmp_path: Path) -> None:
    said = reply("click('12')", think="I use <action>.\n\nNow.", memory="seen: 12")
    step = one(tmp_path, [row("A", [], said)]).episode.steps[0]
    assert (step.thought, step.labels, step.action.element) == ("I use <action>.\n\nNow.", {"memory": "seen: 12"}, "12")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("click('12')", "click the 'Returns' link"),
        ("fill('a51', 'ada')", "type 'ada' in the 'Search \"all\" shops' field"),
        ("press('a51', 'Control+a')", "press ctrl+a in the 'Search \"all\" shops' field"),
        ("click('31')", "click the 'Add to cart' button [31]"),
        ("click('32')", "click the image [32]"),
        ("click('50')", "click the 'I'm over 18' checkbox"),
        ("select_option('40', 'Two')", "select 'Two' in the 'Adults' field"),
        ("click('99')", "click the element [99]"),
        ("click('.*')", "click the element [.*]"),
        ("scroll(0, 10)", "scroll down"),
    ],
)
def test_elements_are_named_as_the_tree_names_them(tmp_path: Path, call: str, words: str) -> None:
    assert one(tmp_path, trajectory("A", call)).episode.steps[0].instruction == words


def test_an_element_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = one(tmp_path, trajectory("A", "click('99')"))
    assert found.notes == (
        Note("changed", "element not in the tree", "agenttrek_1207.json row 0", "click the element [99]"),
    )


def test_trees_of_any_kind() -> None:
    assert axtree.title("") == ""
    assert axtree.find("[1] link", "1") == axtree.Node("link", "", True)
    assert axtree.find("StaticText '[1] link'", "1") is None
    assert list(axtree.names(r"[1] link 'a\'b'" + '\n\t[2] button ""\n[3] x \'\\')) == ["a'b", ""]
    assert axtree.target(f"[1] link '{'n' * 200}'", "1") == "the link [1]"


# ---- actions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "action"), EVERY)
def test_every_action(tmp_path: Path, call: str, action: dict[str, Any]) -> None:
    found = one(tmp_path, trajectory("A", call))
    assert action_to_json(found.episode.steps[0].action) == action
    assert found.notes == ()


def test_giving_up_is_calling_the_user(tmp_path: Path) -> None:
    step = one(tmp_path, trajectory("A", "report_infeasible('No.')")).episode.steps[0]
    assert action_to_json(step.action) == {"action_type": "call_user", "content": "No."}


@pytest.mark.parametrize(("call", "reason"), DROPPED)
def test_what_has_no_equivalent_is_dropped_and_told(tmp_path: Path, call: str, reason: str) -> None:
    found = one(tmp_path, trajectory("A", "click('12')", call, "click('13')"))
    assert [step.action.element for step in found.episode.steps] == ["12", "13"]
    assert [(note.kind, note.reason) for note in found.notes] == [("dropped", reason)]
    assert found.notes[0].where == "agenttrek_1207.json row 1: messages[-1].content"


@pytest.mark.parametrize(
    "said", ["I am done.", "<action>click('12')", "", "<think><action>click('1')</action></think>"]
)
def test_a_reply_without_an_action_is_dropped_and_told(tmp_path: Path, said: str) -> None:
    found = one(tmp_path, [row("A", [], said), row("A", [""], reply("click('12')"))])
    assert len(found.episode.steps) == 1
    assert [(note.kind, note.reason) for note in found.notes] == [("dropped", "no <action>")]


def test_actions_beyond_ui_tars_are_dropped_when_asked(tmp_path: Path) -> None:
    rows = trajectory("A", "hover('12')", "go_back()", "click('12')")
    found = one(tmp_path, rows, ConvertSettings(extra_actions="drop"))
    assert [step.action.action_type for step in found.episode.steps] == ["click"]
    assert [note.reason for note in found.notes] == ["no equivalent: hover", "no equivalent: go_back"]


@pytest.mark.parametrize("call", ["-" * 10_000 + "1", "(" * 300, "a" + ".a" * 20_000, "x" * 200_000])
def test_code_too_deep_is_damaged(tmp_path: Path, call: str) -> None:
    found = one(tmp_path, trajectory("A", "click('12')", call))
    assert [(note.kind, note.reason) for note in found.notes] == [("damaged", "unparsable action")]
    assert found.episode.steps[-1].status == "done"


# ---- the whole way ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("out")
    raw_agenttrek.make(raw)
    return out, convert("agenttrek", raw, out)


def episodes(out: Path) -> dict[str, Episode]:
    return {f"{episode.goal} {len(episode.steps)}": episode for episode in read_episodes(out)}


def test_a_converted_store_is_clean(converted: tuple[Path, dict[str, Any]]) -> None:
    out, said = converted
    found = inspect_path(out)
    assert [str(problem) for problem in found.problems] == []
    assert (found.rows, said["episodes"], said["steps"]) == (14, 14, 49)
    for episode in read_episodes(out):
        assert [step.status for step in episode.steps] == ["not done"] * (len(episode.steps) - 1) + ["done"]


def test_everything_left_out_is_counted(converted: tuple[Path, dict[str, Any]]) -> None:
    _, said = converted
    notes = {
        kind: {reason: told["count"] for reason, told in reasons.items()} for kind, reasons in said["notes"].items()
    }
    assert notes["damaged"] == {
        "unparsable action": 1,
        "nested too deep": 1,
        "no '# Observation of current step:'": 1,
        "no usable assistant": 1,
        "no usable messages": 4,
        "no usable user": 1,
        "unreadable": 1,  # half a character
    }
    assert notes["changed"] == {"rows missing": 1}
    assert notes["filtered"] == {"action ended in an error": 1}
    assert notes["dropped"]["no <action>"] == notes["dropped"]["no steps"] == notes["dropped"]["duplicate content"] == 1
    assert {reason for _, reason in DROPPED} <= set(notes["dropped"])


def test_windows_show_the_page_and_gold_plans_score_1(converted: tuple[Path, dict[str, Any]]) -> None:
    out, _ = converted
    scored = 0
    for episode in read_episodes(out):
        for window in episode_windows(episode, PROMPTS["full-1"]):
            shown = window.prompt[-1]["content"]
            assert [part["type"] for part in shown] == ["text"]
            assert f"\nObservation: {episode.steps[window.step].text}\nNext: step" in shown[0]["text"]
            assert "- goto(content)" in window.prompt[0]["content"][0]["text"]
            completion = render_plan(Plan(window.reference.steps, "", window.step + 1))
            score = score_trajectory(completion, window.reference.steps)
            assert score.format == 1
            assert score.accuracy == pytest.approx(1 - 0.1 * score.terms["repetition"])
            scored += 1
    assert scored == 49


def test_strict_stops_at_the_first_damage(tmp_path: Path) -> None:
    raw_agenttrek.make(tmp_path)
    with pytest.raises(DataError, match=r"row 77: messages: user: no usable user"):
        convert("agenttrek", tmp_path, tmp_path / "out", ConvertSettings(strict=True))


def test_any_number_of_workers_writes_the_same(converted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = converted
    raw_agenttrek.make(tmp_path)
    convert("agenttrek", tmp_path, tmp_path / "out", workers=2, batch=3)
    assert (tmp_path / "out/episodes.jsonl").read_bytes() == (out / "episodes.jsonl").read_bytes()


def test_the_licence_is_said(converted: tuple[Path, dict[str, Any]]) -> None:
    assert converted[1]["licence"].startswith("none stated")


def test_a_part_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    assert list(AgentTrek(tmp_path, KEEP).read(Shard("p", tmp_path / "x.json"))) == []
