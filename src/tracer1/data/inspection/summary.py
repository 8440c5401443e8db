"""An inspection on the terminal: schema, counts, samples and problems, each cut to what a screen holds."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tracer1.actions import action_to_json
from tracer1.data.inspection.result import Inspection, Sample, ranked
from tracer1.types import Episode, EpisodeStep, Step, Window

PROBLEMS_SHOWN = 20
COUNTS_SHOWN = 12  # of each table
STEPS_SHOWN = 40  # of each sample


def render(inspection: Inspection) -> RenderableType:
    """The inspection as tables and panels for a rich console."""
    parts: list[RenderableType] = [Text(inspection.title, style="bold")]
    parts.append(_table(("field", "type"), list(inspection.schema.items())))
    if inspection.conversion is not None:
        parts.append(_table(("conversion", ""), list(inspection.conversion.facts)))
    for name, counter in inspection.counts.items():
        rows = [(key, str(count)) for key, count in ranked(counter)]
        more = [(f"... and {len(rows) - COUNTS_SHOWN} more", "")] if len(rows) > COUNTS_SHOWN else []
        parts.append(_table((name, "count"), rows[:COUNTS_SHOWN] + more))
    if inspection.conversion is not None and inspection.conversion.skipped:
        rows = [(s.reason, f"{s.count}, first {', '.join(s.first[:3])}") for s in inspection.conversion.skipped]
        parts.append(_table(("skipped by the conversion", "count"), rows))
    parts += [_sample(sample) for sample in inspection.samples]
    parts.append(_problems(inspection))
    return Group(*parts)


def _problems(inspection: Inspection) -> RenderableType:
    problems = inspection.problems
    if not problems:
        return Text("no problems found", style="green")
    lines = [str(problem) for problem in problems.kept[:PROBLEMS_SHOWN]]
    if len(problems) > len(lines):
        lines.append(f"... and {len(problems) - len(lines)} more; in all, by field:")
        lines += [f"{count:>8}  {name or 'the whole row'}" for name, count in ranked(problems.fields)[:COUNTS_SHOWN]]
    title = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
    return Panel(Text("\n".join(lines)), title=title, border_style="red", title_align="left")


def _table(columns: tuple[str, str], rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(columns[0], style="cyan")
    table.add_column(columns[1])
    for row in rows:
        table.add_row(*map(Text, row))
    return table


# ---- samples ---------------------------------------------------------------------------------------------------------


def _sample(sample: Sample) -> Panel:
    item, row = sample.item, sample.place.row
    if isinstance(item, Episode):
        return _steps_panel(f"{item.episode_id} ({row})", item.goal, [_episode_row(step) for step in item.steps])
    if isinstance(item, Window):
        title = f"{item.episode_id} step {item.step} ({row})"
        texts = ((m["role"], p["text"]) for m in item.prompt for p in m["content"] if p["type"] == "text")
        texts_shown = [text if role == "user" else f"[{role}: {len(text)} characters]" for role, text in texts]
        shown = "\n".join([*texts_shown, *(f"[image: {path}]" for path in item.images)])
        return _steps_panel(title, shown, [_reference_row(step) for step in item.reference.steps])
    return Panel(Text(json.dumps(item, ensure_ascii=False, indent=1)), title=f"record ({row})", title_align="left")


def _steps_panel(title: str, text: str, rows: list[tuple[str, str, str, str]]) -> Panel:
    table = Table(box=None, pad_edge=False)
    for column in ("", "screen", "instruction", "action", "status"):
        table.add_column(column)
    for i, row in enumerate(rows[:STEPS_SHOWN]):
        table.add_row(*map(Text, (str(i), *row)))
    more = [Text(f"... and {len(rows) - STEPS_SHOWN} more steps")] if len(rows) > STEPS_SHOWN else []
    return Panel(Group(Text(text), Text(""), table, *more), title=Text(title), title_align="left")


def _episode_row(step: EpisodeStep) -> tuple[str, str, str, str]:
    kind, *arguments = action_to_json(step.action).items()
    shown = [f"{name}={json.dumps(_short(value), ensure_ascii=False)}" for name, value in arguments]
    return step.abstraction, step.instruction, " ".join([kind[1], *shown]), step.status


def _short(value: Any) -> Any:
    """Points to three digits, which is enough to read."""
    return [round(x, 3) for x in value] if isinstance(value, list) else value


def _reference_row(step: Step) -> tuple[str, str, str, str]:
    return step.abstraction, step.instruction, step.action_type, step.status
