"""AgentNet (OpenCUA): people working on Windows, macOS and Ubuntu, as JSON Lines with pyautogui code, and PNGs.

    agentnet_ubuntu_5k.jsonl, ubuntu_images/         PNG files, or images.zip with its parts images.z01 ...,
    agentnet_win_mac_18k.jsonl, win_mac_images/      or images-full.zip, which joins these
    meta_data_merged.jsonl                           optional: operating system and screen size of each task

A step's ``observation`` becomes the abstraction of its screen, ``action`` the instruction and ``thought`` the thought.
Its ``reflection``, which was written after the next screen, is not used. If a step's code holds several actions, each
becomes a step on the same screenshot with an instruction by rule, since the corpus' text describes all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tracer1.data.conversion.corpus import (
    ConvertedEpisode,
    ConvertSettings,
    Note,
    RawRecord,
    Shard,
    UnusableRecord,
    read_field,
)
from tracer1.data.conversion.fields import (
    DraftStep,
    finish,
    is_wanted,
    labels,
    number,
    open_screenshots,
    out_of_order,
    read_id,
    text,
)
from tracer1.data.conversion.wording import instruction, one_line
from tracer1.data.corpora.agentnet.code import CodedAction, read_code
from tracer1.data.readers.damage import Damaged
from tracer1.data.readers.json_stream import json_lines_between
from tracer1.errors import DataError
from tracer1.types import Episode, EpisodeStep

FILES = {  # each with the folder of its screenshots
    "agentnet_ubuntu_5k.jsonl": "ubuntu_images",
    "agentnet_win_mac_18k.jsonl": "win_mac_images",
    "example.jsonl": "images",  # the sample in the publisher's repository
}
META = "meta_data_merged.jsonl"
SHARE = 16 << 20  # bytes of a shard
SYSTEMS = {"Windows": "windows", "Darwin": "macos", "Ubuntu": "ubuntu"}  # by the whole name: "Darwin" contains "win"

TASK_LABELS = (
    "task_completed",
    "alignment_score",
    "efficiency_score",
    "task_difficulty",
    "reason",
    "domain",
    "natural_language_task",
    "actual_task",
)
META_LABELS = (
    "system",
    "release",
    "domains",
    "applications",
    "websites",
    "screen_width",
    "screen_height",
    "complexity",
    "task_description_alignment",
    "task_description_ambiguity",
)
STEP_LABELS = ("last_step_correct", "last_step_redundant")  # they judge the step that has them, despite the name


class AgentNet:
    """The corpus ``agentnet``. It publishes no splits: every episode is "train"."""

    name: ClassVar[str] = "agentnet"
    licence: ClassVar[str] = "MIT; the dataset card adds: research and educational purposes only"
    citation: ClassVar[str] = "Wang et al., OpenCUA: Open Foundations for Computer-Use Agents, arXiv 2508.09123"
    url: ClassVar[str] = "https://huggingface.co/datasets/xlangai/AgentNet"
    terminal: ClassVar[str] = (
        "as recorded: finished or call_user where the code ends with computer.terminate; none is added, since the "
        "screen after the last action was not recorded"
    )

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw = raw
        self.settings = settings
        self._meta: dict[str, Mapping[str, Any]] | None = None

    # ---- reading -----------------------------------------------------------------------------------------------------

    def shards(self) -> Sequence[Shard]:
        shards = [Shard("meta", self.raw / META)] if (self.raw / META).is_file() else []
        files = [file for name in FILES if (file := self.raw / name).is_file()]
        if not files:
            raise DataError(f"{self.raw}: none of {', '.join(FILES)} there; give the folder that holds them")
        for file in files:
            size = file.stat().st_size
            shards += (
                Shard(f"{file.stem}-{nth:04d}", file, start, min(start + SHARE, size))
                for nth, start in enumerate(range(0, max(size, 1), SHARE))
            )
        return shards

    def read(self, shard: Shard) -> Iterator[RawRecord | Note]:
        if shard.file.name == META:
            yield from (row for row in self._meta_rows() if isinstance(row, Note))
            return
        try:
            images = open_screenshots(self.raw / FILES[shard.file.name])
        except DataError as error:  # the other file may have its screenshots
            detail = str(error).replace(f"{self.raw}/", "")
            yield Note("damaged", "no screenshots", f"{shard.file.name} byte {shard.start}", detail)
            return
        for offset, value in json_lines_between(shard.file, shard.start, shard.stop or shard.file.stat().st_size):
            where = f"{shard.file.name} byte {offset}"
            if isinstance(value, Damaged):
                yield Note("damaged", value.reason, where, value.detail)
            else:
                yield RawRecord(where, value, images)

    def _meta_rows(self) -> Iterator[tuple[str, Mapping[str, Any]] | Note]:
        for offset, value in json_lines_between(self.raw / META, 0, (self.raw / META).stat().st_size):
            where = f"{META} byte {offset}"
            if isinstance(value, Damaged):
                yield Note("damaged", f"meta data: {value.reason}", where, value.detail)
                continue
            try:
                yield read_id(value, "task_id", where), labels(value, META_LABELS)
            except UnusableRecord as error:
                yield from error.notes

    @property
    def meta(self) -> Mapping[str, Mapping[str, Any]]:
        """The meta data of each task; read on first use."""
        if self._meta is None:
            there = (self.raw / META).is_file()
            self._meta = dict(row for row in self._meta_rows() if isinstance(row, tuple)) if there else {}
        return self._meta

    # ---- converting --------------------------------------------------------------------------------------------------

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        where, data = record.where, record.data
        notes: list[Note] = []
        task_id = read_id(data, "task_id", where)
        steps = read_field(data, "traj", list, where)
        self._filter(data, where)
        goal = _goal(data, where, notes)
        if out_of_order(steps, "index"):
            notes.append(Note("changed", "steps numbered out of order", f"{where}: traj", "taken in the file's order"))
        drafts: list[DraftStep] = []
        for i, step in enumerate(steps):
            drafts += self._drafts(step, f"{where}: traj[{i}]", notes)
        finished, images = finish(drafts, record.images, notes)
        about = labels(data, TASK_LABELS) | self._about(task_id, where, notes)
        if any(step.abstraction for step in finished):
            about["abstraction"] = "corpus"
        return ConvertedEpisode(
            Episode(task_id, self.name, "desktop", goal, "train", finished, labels=about), images, notes=tuple(notes)
        )

    def _filter(self, data: Any, where: str) -> None:
        """Raise UnusableRecord for a task that the settings exclude."""
        completed = data.get("task_completed")
        if self.settings.completed and completed is not True:
            reason = "task judged not completed" if completed is False else "task not judged"
            raise UnusableRecord(Note("filtered", reason, where))
        for name, least in (("alignment", self.settings.min_alignment), ("efficiency", self.settings.min_efficiency)):
            score = number(data.get(f"{name}_score"))
            if least > 0 and (score is None or score < least):
                found = "not judged" if score is None else f"{score:g} is below {least}"
                raise UnusableRecord(Note("filtered", f"{name} too low", where, found))

    def _about(self, task_id: str, where: str, notes: list[Note]) -> dict[str, str | float | bool]:
        about = dict(self.meta.get(task_id, {}))
        if self.meta and not about:
            notes.append(Note("changed", f"no row in {META}", f"{where}: task_id", task_id))
        system = SYSTEMS.get(str(about.get("system")))
        if system is None and where.startswith("agentnet_ubuntu"):
            system = "ubuntu"
        return about | ({"os": system} if system else {})

    def _drafts(self, step: Any, where: str, notes: list[Note]) -> list[DraftStep]:
        """The steps in the code of one recorded step; none if it is dropped."""
        value = read_field(step, "value", dict, where)
        judged = labels(value, STEP_LABELS)
        if self.settings.incorrect == "drop" and judged.get("last_step_correct") is False:
            notes.append(Note("filtered", "step judged incorrect", where))
            return []
        if self.settings.redundant == "drop" and judged.get("last_step_redundant") is True:
            notes.append(Note("filtered", "step judged redundant", where))
            return []
        code_at = f"{where}: value.code"
        coded = read_code(read_field(value, "code", str, f"{where}: value"), code_at, notes)
        kept = [each for each in coded if is_wanted(each.action, self.name, self.settings, code_at, notes)]
        image = read_field(step, "image", str, where)
        words = text(value, "action") if len(coded) == 1 else ""
        return [DraftStep(where, _step(each, image, value, words, judged)) for each in kept]


def _step(
    coded: CodedAction, image: str, value: Mapping[str, Any], words: str, judged: Mapping[str, Any]
) -> EpisodeStep:
    return EpisodeStep(
        screenshot=image,
        size=(0, 0),
        abstraction=one_line(text(value, "observation")),
        instruction=words or instruction(coded.action),
        action=coded.action,
        thought=text(value, "thought") or None,
        labels={**judged, **coded.labels},
    )


def _goal(data: Any, where: str, notes: list[Note]) -> str:
    """The annotator's instruction; if that is empty, a rewritten one."""
    read_field(data, "instruction", str, where)
    for key in ("instruction", "natural_language_task", "actual_task"):
        if goal := text(data, key):
            if key != "instruction":
                notes.append(Note("changed", f"goal from {key}", f"{where}: instruction"))
            return goal
    raise UnusableRecord(Note("damaged", "no usable instruction", f"{where}: instruction", "it is empty"))
