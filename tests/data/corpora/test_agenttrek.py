"""AgentTrek: every quirk of the published rows, and the whole way to windows whose gold plans score 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def test_rows_out_of_order_and_gaps_are_told(tmp_path: Path) -> None:
    gap = trajectory("A", "click('12')", "click('13')", "click('22')")
    first, second, third, fourth = read(tmp_path, [gap[0], gap[2], gap[1], gap[0]])
    assert isinstance(first, ConvertedEpisode)
    assert isinstance(second, ConvertedEpisode)
    assert isinstance(third, ConvertedEpisode)
    assert isinstance(fourth, ConvertedEpisode)
    assert first.notes == fourth.notes == ()
    assert second.notes[0] == Note(
        "changed", "rows out of order or missing", "agenttrek_1207.json row 1", "begins at step 2"
    )
    assert second.episode.labels["first_step"] == 2
    assert third.notes[0].detail == "begins at step 1"


def test_a_bad_row_costs_itself_and_is_named(tmp_path: Path) -> None:
    rows = trajectory("A", "click('12')", "click('13')", "click('22')")
    found = read(tmp_path, [rows[0], {"messages": 3}, rows[2]])
    assert [type(item) for item in found] == [ConvertedEpisode, Note, ConvertedEpisode]
    assert found[1] == Note(
        "damaged", "no usable messages", "agenttrek_1207.json row 1: messages", "expected list, found int"
    )


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
    assert [note.reason for note in found.notes] == ["beyond UI-TARS: hover", "beyond UI-TARS: go_back"]


@pytest.mark.parametrize("call", ["-" * 10_000 + "1", "(" * 300, "a" + ".a" * 20_000, "x" * 200_000])
def test_code_too_deep_is_damaged(tmp_path: Path, call: str) -> None:
    found = one(tmp_path, trajectory("A", "click('12')", call))
    assert [(note.kind, note.reason) for note in found.notes] == [("damaged", "an action that cannot be parsed")]
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
    assert (found.rows, said["episodes"], said["steps"]) == (15, 15, 50)
    for episode in read_episodes(out):
        assert [step.status for step in episode.steps] == ["not done"] * (len(episode.steps) - 1) + ["done"]


def test_everything_left_out_is_counted(converted: tuple[Path, dict[str, Any]]) -> None:
    _, said = converted
    notes = {
        kind: {reason: told["count"] for reason, told in reasons.items()} for kind, reasons in said["notes"].items()
    }
    assert notes["damaged"] == {
        "an action that cannot be parsed": 1,
        "nested too deep": 1,
        "no '# Observation of current step:'": 1,
        "no usable assistant": 1,
        "no usable messages": 4,
        "no usable user": 1,
        "unreadable": 1,  # half a character
    }
    assert notes["changed"] == {"element not in the tree": 1, "rows out of order or missing": 2}
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
    assert scored == 50


def test_strict_stops_at_the_first_damage(tmp_path: Path) -> None:
    raw_agenttrek.make(tmp_path)
    with pytest.raises(DataError, match=r"row 70: .*cannot be parsed"):
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
