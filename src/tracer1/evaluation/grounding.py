"""How often an executor that is given a recorded step points into the recorded target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tracer1.coordinates import inside
from tracer1.data.store import EpisodeStore
from tracer1.errors import InstructionError
from tracer1.executors.instruction import POINTING, parse_instruction
from tracer1.executors.running import Background, attempt
from tracer1.types import Box, Episode, EpisodeStep, Executor, Observation, Outcome, Step

ACTION_TYPES = frozenset(POINTING.values())


@dataclass(slots=True)
class _Counts:
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)  # by (group, name)
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    misses: list[dict[str, Any]] = field(default_factory=list)
    unscored: int = 0

    def add(self, outcome: Outcome, step: EpisodeStep, box: Box, groups: Sequence[tuple[str, str]]) -> None:
        if outcome.failed is not None:
            self.unscored += 1
            return
        point = outcome.action.point if outcome.action else None
        self.steps.update(groups)
        if point is not None and inside(point, box):
            self.hits.update(groups)
            return
        answer = outcome.missed or (None if point is None else [round(point.x, 4), round(point.y, 4)])
        self.misses.append(
            {"screenshot": step.screenshot, "instruction": step.instruction, "box": list(box), "answer": answer}
        )

    def summary(self) -> dict[str, Any]:
        report: dict[str, Any] = {"all": self._rate(("all", "")), "text": self._rate(("text", ""))}
        for group in ("role", "task"):
            report[group] = {name: self._rate((kind, name)) for kind, name in sorted(self.steps) if kind == group}
        return report | {"unscored": self.unscored, "misses": self.misses}

    def _rate(self, key: tuple[str, str]) -> Mapping[str, float]:
        hits, steps = self.hits[key], self.steps[key]
        return {"hits": hits, "steps": steps, "rate": hits / steps if steps else 0.0}


def grounding_report(
    episodes: Iterable[Episode],
    store_dir: Path | str,
    agents: Sequence[Executor],
    *,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Each executor's hit rate on the pointing steps of ``episodes`` (at most ``limit``), as a JSON object.

    A hit is a point inside the step's box, edges included. ``{"steps": n, "agents": {name: {"all": {"hits", "steps",
    "rate"}, "text": the same for targets whose name is drawn on the screen, "role": {...}, "task": {...},
    "unscored": steps where the executor itself failed, "misses": [{"screenshot", "instruction", "box", "answer"}]}}}``.
    """
    store = EpisodeStore(store_dir)
    counts = {agent.name: _Counts() for agent in agents}
    background, count = Background(), 0
    for task, step, box in islice(_pointing(episodes), limit):
        count += 1
        observation = _observation(step, store)
        planned = Step(step.abstraction, step.action.action_type, step.instruction)
        groups = _groups(task, step, observation, box)
        for agent in agents:
            shown = observation if agent.name == "dom" else replace(observation, elements=None)
            counts[agent.name].add(background.run(attempt(agent, planned, shown)), step, box, groups)
        if progress is not None:
            progress(count)
    return {"steps": count, "agents": {name: found.summary() for name, found in counts.items()}}


def _pointing(episodes: Iterable[Episode]) -> Iterable[tuple[str, EpisodeStep, Box]]:
    """(task, step, target) of every step that points."""
    for episode in episodes:
        task = str(episode.labels.get("task", episode.source))
        for step in episode.steps:
            if step.box is not None and step.action.action_type in ACTION_TYPES:
                yield task, step, step.box


def _observation(step: EpisodeStep, store: EpisodeStore) -> Observation:
    elements = store.load_elements(step.elements) if step.elements else None
    return Observation(str(store.path(step.screenshot)) if step.screenshot else None, step.size, elements)


def _groups(task: str, step: EpisodeStep, observation: Observation, box: Box) -> list[tuple[str, str]]:
    """What a step counts towards."""
    target = next((e for e in observation.elements or () if e.box == box), None)
    text = [("text", "")] if target is not None and target.bears_text else []
    return [("all", ""), ("role", _role(step.instruction)), ("task", task), *text]


def _role(instruction: str) -> str:
    """The role that an instruction names; "" where it is in free language."""
    try:
        return parse_instruction(instruction).role or ""
    except InstructionError:
        return ""
