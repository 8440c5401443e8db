"""MM-Traj: tasks with pictures and files that an agent solved by writing code that calls tools.

A turn of the assistant is a step. Its action is the first tool that its code calls, with the literal arguments, or
``python`` if it calls none. Text and code keep their paths; the pictures are those in the raw folder.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from tracer1.data.conversion import wording
from tracer1.data.conversion.attached import AttachedFiles, without_prefix
from tracer1.data.conversion.calls import UnparsableCode
from tracer1.data.conversion.corpus import (
    ConvertedEpisode,
    ConvertSettings,
    Note,
    RawRecord,
    Shard,
    UnusableRecord,
    read_field,
)
from tracer1.data.conversion.json_rows import json_rows, json_shards
from tracer1.data.corpora.mm_traj.turns import (
    FINAL,
    instruction,
    names_in_words,
    read_call,
    read_code,
    read_output,
    read_task,
    read_thought,
)
from tracer1.data.images import Image
from tracer1.errors import DataError
from tracer1.formats import is_image_name
from tracer1.types import Action, Episode, EpisodeStep

_ROLES = {"human": "user", "gpt": "assistant"}


class MMTraj:
    """The corpus ``mm-traj``."""

    name: ClassVar[str] = "mm-traj"
    licence: ClassVar[str] = "MIT (the code's repository); the pictures keep the licences of their sources"
    citation: ClassVar[str] = (
        "Gao et al., Multi-modal Agent Tuning: Building a VLM-Driven Agent for Efficient Tool Usage, arXiv:2412.15606"
    )
    url: ClassVar[str] = "https://huggingface.co/datasets/PengxiangLi/MAT"
    terminal: ClassVar[str] = (
        "as recorded: finished for final_answer; if the last turn is an output, finished is added with the answer"
    )

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw, self.settings = raw, settings

    def shards(self) -> Sequence[Shard]:
        return json_shards(self.raw, "agent_tune_dataset_gaia_25k_20241210.json")

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        files = AttachedFiles(self.raw)
        for where, row in json_rows(shard):
            yield row if isinstance(row, Note) else RawRecord(where, row, files)

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        where, data = record.where, record.data
        name = read_field(data, "id", str, where)
        if not name.strip():
            raise UnusableRecord(Note("damaged", "no usable id", f"{where}: id", "empty"))
        correct = data.get("correct")
        if self.settings.verified and not (isinstance(correct, str) and correct.strip().lower() == "yes"):
            raise UnusableRecord(Note("filtered", "not judged correct", where, f"correct: {str(correct)[:40]}"))
        prompt, turns, notes = _conversation(data, where)
        task = read_task(prompt)
        if not task.goal:
            raise UnusableRecord(Note("damaged", "no task", f"{where}: conversations", wording.one_line(prompt)))
        files, missing = self._files(record, task.attachments, notes)
        answer = _answer(data.get("answer"))
        rules = self.settings.abstractions == "rules"
        steps = _steps(turns, answer, names_in_words(task.attachments) if rules else None, notes)
        if self.settings.terminal and answer is not None and steps and _goes_on(steps[-1]):
            known = _known(steps[-1].observation or "", bool(steps[-1].labels.get("error"))) if rules else ""
            steps.append(_step(known, Action("finished", content=answer), "answer", labels={"added": True}))
        labels: dict[str, str | float | bool] = {"correct": correct.strip()} if isinstance(correct, str) else {}
        if rules:
            labels["abstraction"] = wording.RULES
        if missing:
            labels["files_missing"] = missing
        if steps:
            steps[-1] = replace(steps[-1], status="done")
        episode = Episode(name, self.name, "tools", task.goal, "train", tuple(steps), tuple(files), answer, labels)
        return ConvertedEpisode(episode, files, notes=tuple(notes))

    def _files(self, record: RawRecord, attachments: Sequence[str], notes: list[Note]) -> tuple[dict[str, Image], int]:
        """The pictures and other attachments in the raw folder, and the number of missing ones."""
        files, missing = dict[str, Image](), 0
        for name in _file_names(_pictures(record.data.get("image"), record.where), attachments):
            kind = "picture" if is_image_name(name) else "file"
            try:
                if name in record.images:
                    files[name] = record.images[name]
                    continue
                note = Note("changed", f"{kind} missing", record.where, name)
            except DataError as error:
                note = Note("damaged", f"unreadable {kind}", record.where, str(error))
            if kind == "picture" and self.settings.unseen == "drop":
                raise UnusableRecord(replace(note, kind="dropped"), notes)
            notes.append(note)
            missing += 1
        return files, missing


# ---- turns -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Turn:
    """A reply of the assistant and its output."""

    where: str
    reply: str
    output: tuple[str, bool] | None  # with whether it is an error


def _conversation(data: Any, where: str) -> tuple[str, list[_Turn], list[Note]]:
    """(the first turn of the user, the turns of the assistant with their outputs, notes)."""
    task: str | None = None
    turns: list[_Turn] = []
    notes: list[Note] = []
    for i, turn in enumerate(read_field(data, "conversations", list, where)):
        at = f"{where}: conversations[{i}]"
        role, text = (("role", "content"), ("from", "value"))[isinstance(turn, Mapping) and "from" in turn]
        who, content = read_field(turn, role, str, at), read_field(turn, text, str, at)
        who = _ROLES.get(who, who)
        output = read_output(content) if who == "user" else None
        if who == "assistant" and task is not None:
            turns.append(_Turn(at, content, None))
        elif who == "user" and task is None:
            task = content
        elif output is not None and turns and turns[-1].output is None:
            turns[-1] = replace(turns[-1], output=output)
        elif who != "system":
            notes.append(Note("dropped", "turn that is neither step nor output", at, wording.one_line(content)))
    return task or "", turns, notes


def _steps(turns: Sequence[_Turn], answer: str | None, first: str | None, notes: list[Note]) -> list[EpisodeStep]:
    """The steps of the turns that have code; a note for each other turn.

    first: the abstraction of the first step; those of the others are the last outputs. None for no abstractions.
    """
    steps: list[EpisodeStep] = []
    known = first or ""
    for turn in turns:
        code = read_code(turn.reply)
        if code is None:
            notes.append(Note("dropped", "turn without code", turn.where, wording.one_line(turn.reply)))
            continue
        try:
            action, labels = _action(code, answer)
        except UnparsableCode as error:
            if error.damaged:
                raise UnusableRecord(Note("damaged", "unparsable code", turn.where, str(error)), notes) from error
            notes.append(Note("changed", "code that is not Python, kept as python", turn.where, str(error)))
            action, labels = Action("python", arguments={"code": code}), {}
        output, failed = turn.output or (None, False)
        if action.action_type == "finished" and (failed or turn is not turns[-1]):
            notes.append(Note("dropped", "answer before the end", turn.where, wording.one_line(code)))
            continue
        thought = read_thought(turn.reply)
        labels |= {"error": True} if failed else {}
        words = instruction(thought) or wording.instruction(action)
        steps.append(_step(known, action, words, output, thought or None, labels))
        known = _known(output, failed) if output is not None and first is not None else known
    return steps


def _action(code: str, answer: str | None) -> tuple[Action, dict[str, str | float | bool]]:
    """The action of a code block, and its labels: number of calls, code of an answer. Raises UnparsableCode."""
    call = read_call(code)
    labels: dict[str, str | float | bool] = {"calls": call.calls} if call.calls > 1 else {}
    if call.tool != FINAL:
        rest = {} if call.code is None else {"code": call.code}
        return Action(call.tool, arguments={**call.arguments, **rest}), labels
    content = _answer(call.arguments.get("answer"))
    if call.answer is not None:  # not a literal; its value was recorded
        content = answer if answer is not None else ast.get_source_segment(code, call.answer)
    return Action("finished", content=content), labels | ({} if call.code is None else {"code": call.code})


def _step(
    known: str,
    action: Action,
    words: str,
    output: str | None = None,
    thought: str | None = None,
    labels: Mapping[str, str | float | bool] | None = None,
) -> EpisodeStep:
    size = (0, 0)  # there is no screen
    return EpisodeStep(None, size, known, words, action, observation=output, thought=thought, labels=labels or {})


def _goes_on(step: EpisodeStep) -> bool:
    """Whether a step has an output and is not the end."""
    return step.observation is not None and step.action.action_type != "finished"


def _known(output: str, failed: bool) -> str:
    return wording.one_line(f"failed: {output}" if failed else output) or "no output"


def _answer(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


# ---- files -----------------------------------------------------------------------------------------------------------


def _pictures(value: Any, where: str) -> list[str]:
    """The names of the pictures in the order of their placeholders."""
    match value:
        case None:
            return []
        case str():
            return [value] if value else []
        case dict() if all(isinstance(name, str) for name in value.values()):
            return [value[placeholder] for placeholder in sorted(value)]
    raise UnusableRecord(Note("damaged", "no usable image", f"{where}: image", f"found {type(value).__name__}"))


def _file_names(pictures: Sequence[str], attachments: Sequence[str]) -> list[str]:
    """Each file once, though its prefix may differ between the text and the record."""
    known = {without_prefix(name) for name in pictures}
    others = [name for name in attachments if without_prefix(name) not in known]
    return list(dict.fromkeys((*pictures, *others)))
