"""How often an executor, told a recorded instruction, points into the recorded target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracer1.coordinates import inside
from tracer1.data.store import EpisodeStore
from tracer1.errors import InstructionError
from tracer1.executors.instruction import POINTING, parse_instruction
from tracer1.executors.running import Background, attempt
from tracer1.types import Box, Element, Episode, EpisodeStep, Executor, Observation, Outcome, Step

ACTION_TYPES = frozenset(POINTING.values())


@dataclass(slots=True)
class _Tally:
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    misses: list[dict[str, Any]] = field(default_factory=list)
    unscored: int = 0


def grounding_report(
    episodes: Iterable[Episode],
    store_dir: Path | str,
    agents: Sequence[Executor],
    *,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Each agent's hit rate on the pointing steps of ``episodes`` (at most ``limit``), as a JSON object.

    A hit is a point inside the step's box, edges included. ``{"steps": n, "agents": {name: {"all": {"hits", "steps",
    "rate"}, "text": the same for targets whose name is drawn on the screen, "role": {...}, "task": {...},
    "unscored": steps where the agent itself failed, "misses": [{"screenshot", "instruction", "box", "answer"}]}}}``.
    """
    store = EpisodeStore(store_dir)
    tallies = {agent.name: _Tally() for agent in agents}
    count = 0
    background = Background()
    for task, step, box in _pointing(episodes):
        if limit is not None and count >= limit:
            break
        count += 1
        elements = store.load_elements(step.elements) if step.elements else None
        target = _target(elements or (), box)
        screenshot = str(store.path(step.screenshot)) if step.screenshot else None
        seen = Observation(screenshot, step.size, elements)
        told = Step(step.abstraction, step.action.action_type, step.instruction)
        groups = [("all", ""), ("role", _role(step.instruction)), ("task", task)]
        if target is not None and target.bears_text:
            groups.append(("text", ""))
        for agent in agents:
            shown = seen if agent.name == "dom" else replace(seen, elements=None)
            outcome = background.run(attempt(agent, told, shown))
            _count(outcome, tallies[agent.name], step, box, groups)
        if progress is not None:
            progress(count)
    return {"steps": count, "agents": {name: _summary(tally) for name, tally in tallies.items()}}


def _pointing(episodes: Iterable[Episode]) -> Iterable[tuple[str, EpisodeStep, Box]]:
    for episode in episodes:
        task = str(episode.labels.get("task", episode.source))
        for step in episode.steps:
            if step.box is not None and step.action.action_type in ACTION_TYPES:
                yield task, step, step.box


def _role(instruction: str) -> str:
    """The role that an instruction names; "" where it is in free language."""
    try:
        return parse_instruction(instruction).role or ""
    except InstructionError:
        return ""


def _count(outcome: Outcome, tally: _Tally, step: EpisodeStep, box: Box, groups: Sequence[tuple[str, str]]) -> None:
    if outcome.failed is not None:
        tally.unscored += 1
        return
    answer, point = outcome.missed or "", outcome.action.point if outcome.action else None
    hit = point is not None and inside(point, box)
    tally.steps.update(groups)
    if hit:
        tally.hits.update(groups)
    else:
        found = answer or (None if point is None else [round(point.x, 4), round(point.y, 4)])
        tally.misses.append(
            {"screenshot": step.screenshot, "instruction": step.instruction, "box": list(box), "answer": found}
        )


def _target(elements: Iterable[Element], box: Box) -> Element | None:
    return next((e for e in elements if e.box == box), None)


def _summary(tally: _Tally) -> dict[str, Any]:
    def rate(key: tuple[str, str]) -> Mapping[str, float]:
        hits, steps = tally.hits[key], tally.steps[key]
        return {"hits": hits, "steps": steps, "rate": hits / steps if steps else 0.0}

    report: dict[str, Any] = {"all": rate(("all", "")), "text": rate(("text", ""))}
    for group in ("role", "task"):
        report[group] = {name: rate((kind, name)) for kind, name in sorted(tally.steps) if kind == group}
    return report | {"unscored": tally.unscored, "misses": tally.misses}
