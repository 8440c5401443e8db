from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tracer1.report.formatting import as_words, cut, duration, figure
from tracer1.report.tables import comparison, gains, headline, pairs, share_bar, summary, task_rows
from tracer1.report.training import health, minutes, panels
from tracer1.results.json_records import from_json
from tracer1.results.reading import read_run
from tracer1.results.schema import ConstantPlan, Estimate, Results


def results(**values: object) -> Results:
    return from_json(Results, values, "results.json")


def test_a_bar_is_where_its_numbers_are() -> None:
    bar = share_bar(Estimate(0.5, 0.4, 0.7, 1234))
    assert bar is not None
    assert (bar.text, bar.at, bar.left, bar.width) == ("50.0\u202f%", 50.0, 40.0, 30.0)
    assert (bar.interval, bar.count) == ("40.0–70.0", "n = 1,234")
    wide = share_bar(Estimate(0.99, 0.9, 1.08), shares=False)
    assert wide is not None
    assert (wide.text, wide.left, wide.width, wide.interval) == ("0.990", 90.0, 10.0, "0.900–1.080")


def test_columns_without_a_figure_are_not_there() -> None:
    table = headline(results(stages=[{"name": "base", "live_success": 0.2}], reactive={"plan_reward": 0.5}))
    assert table.columns == ("Live success", "Plan reward")
    assert [[cell and cell.text for cell in row.cells] for row in table.rows] == [
        ["20.0\u202f%", None],
        [None, "0.500"],
    ]
    assert headline(results()).rows == ()


def test_the_best_constant_plan_stands_beside_every_plan_reward(run: Path) -> None:
    plan = {"action_types": ["click", "type"], "plan_reward": 0.69, "windows": 360}
    table = headline(results(stages=[{"name": "base", "plan_reward": 0.57}], constant_plan=plan))
    row = table.rows[-1]
    assert (row.label, row.note, [c and c.text for c in row.cells]) == (
        "Best constant plan",
        "always click, type",
        ["0.690"],
    )
    one, two = panels(read_run(run).metrics, {}, ConstantPlan(("click", "type"), 0.69, 360))
    assert [curve.label for curve in one.charts[0].curves] == ["reward", "best constant plan"]
    assert "best constant plan 0.690" in one.summary
    assert [curve.label for curve in two.charts[0].curves] == ["reward"]


def test_blank_images_stand_beside_the_same_tasks() -> None:
    table = headline(results(blank_images={"tasks": ["a", "b"], "live_success": 0.25, "with_images": 0.5}))
    assert table.rows[0].note == "on a, b; with images 50.0\u202f%"


def test_the_summary_is_a_sentence() -> None:
    stages = [
        {"name": n, "live_success": v, "episodes": 240} for n, v in (("base", 0.3), ("stage1", 0.4), ("stage2", 0.7))
    ]
    said = summary(results(stages=stages, tasks=["a", "b"])).replace("\u202f", " ")
    assert said == (
        "Over 240 live episodes of 2 tasks, the planner succeeds in 30.0 % (base), 40.0 % after stage 1"
        " and 70.0 % after stage 2."
    )
    assert summary(results(stages=stages[:1])) == ""


def test_gains_share_a_scale_around_zero() -> None:
    rows = gains(
        results(
            gains={
                "live_stage2_minus_base": {"value": 0.4, "interval": [0.3, 0.5], "count": 240},
                "plan_reward_stage1_minus_base": {"value": -0.1, "interval": [-0.2, 0.0]},
            },
            blank_images={
                "difference": {"value": -0.3, "interval": [-0.4, -0.1]},
                "with_images": 0.5,
                "live_success": 0.2,
            },
        )
    )
    assert [(r.label, r.note) for r in rows] == [
        ("Live success", "stage 2 − base"),
        ("Plan reward", "stage 1 − base"),
        ("Live success", "images − blank"),
    ]
    bars = [row.cells[0] for row in rows]
    assert [bar and bar.text for bar in bars] == ["+40.0\u202fpoints", "−0.100", "+30.0\u202fpoints"]
    assert [bar and (bar.left, bar.width) for bar in bars] == [(80.0, 20.0), (30.0, 20.0), (60.0, 30.0)]


def test_images_that_do_harm_are_not_told_as_worth_something() -> None:
    harm = {"difference": {"value": -0.1, "interval": [-0.2, 0.0]}, "with_images": 0.2, "live_success": 0.3}
    (row,) = gains(results(blank_images=harm))
    assert (row.note, row.cells[0] and row.cells[0].text) == ("images − blank", "−10.0\u202fpoints")
    (row,) = gains(results(blank_images={"difference": {"value": -0.1}}))
    assert (row.label, row.cells[0] and row.cells[0].text) == ("Live difference with blank images", "−10.0\u202fpoints")


def test_tasks_go_by_the_last_stage() -> None:
    per_task = {"a": {"success": 0.2}, "b": {"success": 0.9, "endings": {"finished": 3, "failed": 1}}}
    stages = [{"name": "base", "per_task": {"a": {"success": 0.6}}}, {"name": "stage2", "per_task": per_task}]
    names, rows = task_rows(results(tasks=["a", "b", "never"], stages=stages))
    assert names == (("base", "Base"), ("two", "After stage 2"))
    assert [(r.task, [text for _, text in r.values]) for r in rows] == [("b", ["–", "90"]), ("a", ["60", "20"])]
    assert rows[0].endings is not None
    assert rows[0].endings.parts == (("finished", 3, 75.0), ("failed", 1, 25.0))
    assert rows[1].span == (20.0, 40.0)


def test_training_is_one_panel_a_stage(run: Path) -> None:
    metrics = read_run(run).metrics
    one, two = panels(metrics, {"stage1": "why"})
    assert [chart.title for chart in one.charts] == [
        "Reward",
        "Format",
        "Accuracy",
        "Alignment",
        "Coverage",
        "Repetition",
    ]
    assert (one.signal, two.signal) == ("why", "")
    assert one.constant == "completion 0, overlong 0"
    assert "No target" in [chart.title for chart in two.charts]
    charts, steady = health(metrics)
    assert {"KL to the reference", "Entropy", "Zero-variance groups"} <= {chart.title for chart in charts}
    assert "learning rate 3e−5 in stage 1 and 5e−5 in stage 2" in steady


def test_minutes_are_bars() -> None:
    bars, total = minutes({"stage1": 2.0, "stage2_evaluation": 1.0})
    assert [(b.label, b.text, b.width, b.style) for b in bars] == [
        ("Stage 1", "2 min 00 s", 100.0, "one"),
        ("Stage 2 evaluation", "1 min 00 s", 50.0, "two"),
    ]
    assert total == "3 min 00 s"
    assert minutes({"a": 1.0, "all": 90.0})[1] == "1 h 30 min"
    assert minutes({}) == ((), "")


def test_runs_side_by_side_have_a_mean_only_where_all_were_measured(run: Path) -> None:
    whole = read_run(run)
    last = replace(whole.results.stages[2], live_success=None)
    part = replace(whole, results=replace(whole.results, stages=(*whole.results.stages[:2], last)))
    table = comparison([whole, part])
    assert [cell is None for cell in table.rows[-1].cells] == [False, False, True]


def test_free_records_become_pairs() -> None:
    assert pairs({"a_b": 1.5, "c": None, "d": {"e": ["x", 2]}, "f": True}) == (
        ("a b", "1.5"),
        ("d: e", "x, 2"),
        ("f", "True"),
    )


def test_how_figures_are_written() -> None:
    assert [figure(v) for v in (0, 0.0000312, 0.0123, 0.5, -1.25, 1234.5)] == [
        "0",
        "3.1e−5",
        "0.0123",
        "0.500",
        "−1.250",
        "1,234.5",
    ]
    assert [duration(m) for m in (0.05, 0.5, 1.1, 75)] == ["3.0 s", "30 s", "1 min 06 s", "1 h 15 min"]
    assert as_words("stage1_evaluation") == "stage 1 evaluation"
    assert cut("abcdef", 4) == "abcd… (2 more characters)"
