"""Which completions of training a reader is shown: whole groups, their plans step by step beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from tracer1.data.windows_file import read_rows, row_to_window
from tracer1.plan.text import parse_plan
from tracer1.report.run import Record, Run
from tracer1.report.strips import MOST_STEPS, MOST_TEXT
from tracer1.report.training import groups_of
from tracer1.report.words import cut, plain, signed, style_of, training_label, words
from tracer1.training.diagnosis import EQUAL
from tracer1.types import Step

MOST_COMPLETIONS = 8  # of a group shown side by side

Hit = Literal["kept", "kind", "changed", "missing", ""]


@dataclass(frozen=True, slots=True)
class Cell:
    """A step, and how it compares with the reference's at the same place ("": there is none there)."""

    instruction: str
    abstraction: str
    hit: Hit


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion; ``times`` of the group had its steps and reward. ``hits``: how many of the reference's steps."""

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
    The reference is empty where the windows are not there."""

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


def groups(rollouts: Mapping[str, Sequence[Record]], references: References) -> tuple[Groups, ...]:
    """The best, a typical (the median) and the worst group of each stage's last training steps, by mean reward;
    of those that carry a signal, where there are any.

    references: the recorded steps of the prompts it is asked for, as far as they are known.
    """
    chosen = {stage: _choose(lines) for stage, lines in rollouts.items()}
    known = references({lines[0].text("prompt") for _, ranked in chosen.values() for _, lines in ranked})
    return tuple(
        Groups(
            training_label(stage),
            style_of(stage),
            note,
            tuple(_group(rank, lines, known.get(lines[0].text("prompt"), ())) for rank, lines in ranked),
        )
        for stage, (note, ranked) in chosen.items()
        if ranked
    )


def _choose(lines: Sequence[Record]) -> tuple[str, list[tuple[str, list[Record]]]]:
    """(what was chosen from, the groups and why)."""
    found = [(rewards, group) for _, group in groups_of(lines) if (rewards := _rewards(group))]
    scored = [(sum(rewards) / len(rewards), max(rewards) - min(rewards), group) for rewards, group in found]
    telling = [s for s in scored if s[1] > EQUAL]
    ranked = [g for _, _, g in sorted(telling or scored, key=lambda s: -s[0])]
    if not ranked:
        return "", []
    steps = sorted({v for line in lines if (v := line.number("step")) is not None})
    over = f" of steps {steps[0]:g} to {steps[-1]:g}" if len(steps) > 1 else f" of step {steps[0]:g}" if steps else ""
    note = f"Chosen by mean reward from {len(ranked):,} of {len(scored):,} groups{over}"
    note += ": those whose rewards differ." if telling else "; none of them carries a signal."
    last = len(ranked) - 1
    places = {0: "Best", last // 2: "Typical", last: "Worst"} if last > 1 else {0: "Best", last: "Worst"}
    return note, [(places[i], ranked[i]) for i in sorted(places)] if last else [("Only", ranked[0])]


def _rewards(group: Sequence[Record]) -> list[float]:
    return [v for line in group if (v := line.number("overall")) is not None]


def _group(rank: str, lines: Sequence[Record], reference: Sequence[Step]) -> Group:
    rewards = _rewards(lines)
    alike: dict[str, list[Record]] = {}
    for line in sorted(lines, key=lambda r: -(r.number("overall") or 0.0)):
        plan = parse_plan(line.text("completion")).plan
        does = repr(plan.steps) if plan else line.text("completion")
        alike.setdefault(f"{line.number('overall')} {does}", []).append(line)
    shown = list(alike.values())[:MOST_COMPLETIONS]
    plans = [parse_plan(same[0].text("completion")).plan for same in shown]
    height = min(MOST_STEPS, max([len(reference), *(len(plan.steps) for plan in plans if plan)]))
    step = lines[0].number("step")
    summary = [f"mean reward {plain(sum(rewards) / len(rewards))}", f"{plain(min(rewards))} to {plain(max(rewards))}"]
    summary += [f"step {step:g}"] if step is not None else []
    return Group(
        rank,
        lines[0].text("prompt"),
        " · ".join(summary),
        tuple(_cell(reference, i) for i in range(height)) if reference else (),
        tuple(
            _completion(same, plan.steps if plan else (), plan.thought if plan else "", reference, height)
            for same, plan in zip(shown, plans, strict=True)
        ),
        len(lines) - sum(map(len, shown)),
    )


def _completion(
    same: Sequence[Record], steps: Sequence[Step], thought: str, reference: Sequence[Step], height: int
) -> Completion:
    line = same[0]
    overall, advantage = line.number("overall"), line.number("advantage")
    hits = align(steps, reference)
    return Completion(
        len(same),
        "–" if overall is None else plain(overall),
        "" if advantage is None else signed(f"{advantage:+.2f}"),
        f"{sum(h in ('kept', 'kind') for h in hits)} of {len(reference)} steps" if reference else "",
        tuple((words(name), plain(value)) for name, value in line.numbers("terms").items()),
        cut(" ".join(thought.split()), 400),
        tuple(_cell(steps, i, hits[i] if i < len(hits) else "") for i in range(height)),
        cut(line.text("completion"), MOST_TEXT),
    )


def align(steps: Sequence[Step], reference: Sequence[Step]) -> tuple[Hit, ...]:
    """How each step compares with the recorded one at the same place: "kept" is the same type and instruction, "kind"
    the same type (a hit, as in the hit rate by depth), "changed" another type, "missing" none; "" beyond the record."""
    hits: list[Hit] = []
    for i in range(max(len(steps), len(reference))):
        if i >= len(steps):
            hits.append("missing")
        elif i >= len(reference):
            hits.append("")
        elif steps[i].action_type != reference[i].action_type:
            hits.append("changed")
        else:
            hits.append("kept" if steps[i].instruction == reference[i].instruction else "kind")
    return tuple(hits)


def _cell(steps: Sequence[Step], i: int, hit: Hit = "") -> Cell:
    if i >= len(steps):
        return Cell("", "", hit)
    step = steps[i]
    return Cell(cut(step.instruction or step.action_type, 200), cut(step.abstraction, 200), hit)


# ---- the reference ---------------------------------------------------------------------------------------------------


def recorded(run: Run) -> References:
    """Looks prompts up in the windows that ``run`` was trained on: its own, or where its configuration says. Raises
    DataError for a file that is there and cannot be read."""

    def look_up(prompts: Collection[str]) -> dict[str, Sequence[Step]]:
        found: dict[str, Sequence[Step]] = {}
        rows = ((path, row) for path in _windows(run) for row in read_rows(path)) if prompts else iter(())
        for path, row in rows:
            name = f"{row['episode_id']}#{row['step']}"
            if name in prompts:
                found[name] = row_to_window(row, f"{path}: {name}").reference.steps
                if len(found) == len(prompts):
                    break
        return found

    return look_up


def _windows(run: Run) -> list[Path]:
    try:
        named = yaml.safe_load(run.config)["data"]["train"]
    except (yaml.YAMLError, TypeError, KeyError):
        named = None
    own = run.path / "data" / "train.parquet"
    if own.is_file():
        return [own]
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    return [path for path in map(Path, filter(None, map(str, names))) if path.is_file()]
