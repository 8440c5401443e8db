"""Completions of training for the page: whole groups, their plans step by step beside the recorded one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from tracer1.data.windows_file import read_rows, row_to_window
from tracer1.plan.text import parse_plan
from tracer1.report.episodes import MOST_STEPS, MOST_TEXT
from tracer1.report.formatting import as_words, cut, figure, signed, style_of, training_label
from tracer1.report.training import groups_of
from tracer1.results.reading import Run
from tracer1.results.schema import RolloutRow
from tracer1.training.diagnosis import EQUAL
from tracer1.types import Step

MOST_COMPLETIONS = 8  # of a group shown side by side

Match = Literal["same", "type", "different", "missing", ""]


@dataclass(frozen=True, slots=True)
class Cell:
    """A step, and how it compares with the recorded one at the same place ("" where nothing was recorded)."""

    instruction: str
    abstraction: str
    match: Match


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion. ``times``: how many of the group share its steps and reward. ``hits``: steps as recorded."""

    times: int
    overall: str
    advantage: str
    hits: str
    terms: tuple[tuple[str, str], ...]
    thought: str
    cells: tuple[Cell, ...]
    raw: str


@dataclass(frozen=True, slots=True)
class Group:
    """The completions of one prompt, best first, beside the reference: ``cells`` and ``reference`` are equally long.
    The reference is empty where the windows are missing."""

    rank: str
    prompt: str
    summary: str
    reference: tuple[Cell, ...]
    completions: tuple[Completion, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one stage that are shown."""

    label: str
    style: str
    note: str
    groups: tuple[Group, ...]


References = Callable[[Collection[str]], Mapping[str, Sequence[Step]]]


def groups(rollouts: Mapping[str, Sequence[RolloutRow]], references: References) -> tuple[Groups, ...]:
    """The best, a typical (the median) and the worst group of each stage's last training steps, by mean reward;
    of those that carry a signal, where there are any.

    references: returns the recorded steps of the given prompts, as far as they are known.
    """
    chosen = {stage: _choose(lines) for stage, lines in rollouts.items()}
    known = references({lines[0].prompt for _, ranked in chosen.values() for _, lines in ranked})
    return tuple(
        Groups(
            training_label(stage),
            style_of(stage),
            note,
            tuple(_group(rank, lines, known.get(lines[0].prompt, ())) for rank, lines in ranked),
        )
        for stage, (note, ranked) in chosen.items()
        if ranked
    )


def _choose(lines: Sequence[RolloutRow]) -> tuple[str, list[tuple[str, list[RolloutRow]]]]:
    """(what was chosen from, the groups and why)."""
    found = [(rewards, group) for _, group in groups_of(lines) if (rewards := _rewards(group))]
    scored = [(sum(rewards) / len(rewards), max(rewards) - min(rewards), group) for rewards, group in found]
    differing = [s for s in scored if s[1] > EQUAL]
    ranked = [g for _, _, g in sorted(differing or scored, key=lambda s: -s[0])]
    if not ranked:
        return "", []
    steps = sorted({v for line in lines if (v := line.step) is not None})
    over = f" of steps {steps[0]:g} to {steps[-1]:g}" if len(steps) > 1 else f" of step {steps[0]:g}" if steps else ""
    note = f"Chosen by mean reward from {len(ranked):,} of {len(scored):,} groups{over}"
    note += ": those whose rewards differ." if differing else "; none of them carries a signal."
    last = len(ranked) - 1
    places = {0: "Best", last // 2: "Typical", last: "Worst"} if last > 1 else {0: "Best", last: "Worst"}
    return note, [(places[i], ranked[i]) for i in sorted(places)] if last else [("Only", ranked[0])]


def _rewards(group: Sequence[RolloutRow]) -> list[float]:
    return [v for line in group if (v := line.overall) is not None]


def _group(rank: str, lines: Sequence[RolloutRow], reference: Sequence[Step]) -> Group:
    rewards = _rewards(lines)
    alike: dict[str, list[RolloutRow]] = {}
    for line in sorted(lines, key=lambda r: -(r.overall or 0.0)):
        plan = parse_plan(line.completion).plan
        does = repr(plan.steps) if plan else line.completion
        alike.setdefault(f"{line.overall} {does}", []).append(line)
    shown = list(alike.values())[:MOST_COMPLETIONS]
    plans = [parse_plan(same[0].completion).plan for same in shown]
    height = min(MOST_STEPS, max([len(reference), *(len(plan.steps) for plan in plans if plan)]))
    step = lines[0].step
    summary = [
        f"mean reward {figure(sum(rewards) / len(rewards))}",
        f"{figure(min(rewards))} to {figure(max(rewards))}",
    ]
    summary += [f"step {step:g}"] if step is not None else []
    return Group(
        rank,
        lines[0].prompt,
        " · ".join(summary),
        tuple(_cell(reference, i) for i in range(height)) if reference else (),
        tuple(
            _completion(same, plan.steps if plan else (), plan.thought if plan else "", reference, height)
            for same, plan in zip(shown, plans, strict=True)
        ),
        len(lines) - sum(map(len, shown)),
    )


def _completion(
    same: Sequence[RolloutRow], steps: Sequence[Step], thought: str, reference: Sequence[Step], height: int
) -> Completion:
    line = same[0]
    overall, advantage = line.overall, line.advantage
    matches = align(steps, reference)
    return Completion(
        len(same),
        "–" if overall is None else figure(overall),
        "" if advantage is None else signed(f"{advantage:+.2f}"),
        f"{sum(m in ('same', 'type') for m in matches)} of {len(reference)} steps" if reference else "",
        tuple((as_words(name), figure(value)) for name, value in line.terms.items()),
        cut(" ".join(thought.split()), 400),
        tuple(_cell(steps, i, matches[i] if i < len(matches) else "") for i in range(height)),
        cut(line.completion, MOST_TEXT),
    )


def align(steps: Sequence[Step], reference: Sequence[Step]) -> tuple[Match, ...]:
    """How each step compares with the recorded one at the same place: "same" type and instruction, the same "type" (a
    hit, as in the hit rate by depth), a "different" type, or "missing"; "" beyond the recording's end."""
    matches: list[Match] = []
    for i in range(max(len(steps), len(reference))):
        if i >= len(steps):
            matches.append("missing")
        elif i >= len(reference):
            matches.append("")
        elif steps[i].action_type != reference[i].action_type:
            matches.append("different")
        else:
            matches.append("same" if steps[i].instruction == reference[i].instruction else "type")
    return tuple(matches)


def _cell(steps: Sequence[Step], i: int, match: Match = "") -> Cell:
    if i >= len(steps):
        return Cell("", "", match)
    step = steps[i]
    return Cell(cut(step.instruction or step.action_type, 200), cut(step.abstraction, 200), match)


# ---- the reference ---------------------------------------------------------------------------------------------------


def recorded(run: Run) -> References:
    """Looks prompts up in the windows that ``run`` was trained on: its own, or those that its configuration names.

    Raises DataError for a file that exists and cannot be read.
    """

    def look_up(prompts: Collection[str]) -> dict[str, Sequence[Step]]:
        found: dict[str, Sequence[Step]] = {}
        for path in _windows(run) if prompts else ():
            for row in read_rows(path):
                name = f"{row['episode_id']}#{row['step']}"
                if name in prompts and name not in found:
                    found[name] = row_to_window(row, f"{path}: {name}").reference.steps
                    if len(found) == len(prompts):
                        return found
        return found

    return look_up


def _windows(run: Run) -> list[Path]:
    own = run.path / "data" / "train.parquet"
    if own.is_file():
        return [own]
    try:
        named = yaml.safe_load(run.config)["data"]["train"]
    except (yaml.YAMLError, TypeError, KeyError, ValueError):
        return []
    names = named if isinstance(named, list) else [named]
    return [Path(name) for name in names if isinstance(name, str) and Path(name).is_file()]
