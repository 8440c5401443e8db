"""The frame of conversions, on a corpus of three lines a record: batches, kills, merges, notes, images."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image as Pillow

from tracer1.data.conversion.batches import BatchFolder
from tracer1.data.conversion.convert import convert, convert_settings, read_conversion
from tracer1.data.conversion.corpus import ConvertedEpisode, ConvertSettings, Note, RawRecord, Shard, UnusableRecord
from tracer1.data.corpora import registry as corpora
from tracer1.data.images import Image, read_image_file
from tracer1.data.inspection.inspect import inspect_path
from tracer1.data.store import EPISODES, read_episodes
from tracer1.errors import DataError, UsageError
from tracer1.types import Action, Episode, EpisodeStep


class Toy:
    """A folder of .txt files, a part each; a line is a record: its id, its split and its actions."""

    name: ClassVar[str] = "toy"
    licence: ClassVar[str] = "none"
    citation: ClassVar[str] = "nobody"
    url: ClassVar[str] = "nowhere"
    terminal: ClassVar[str] = "none"
    converted: ClassVar[int] = 0
    dies_at: ClassVar[int | None] = None

    def __init__(self, raw: Path, settings: ConvertSettings) -> None:
        self.raw = raw

    def shards(self) -> Sequence[Shard]:
        return [Shard(file.stem, file) for file in sorted(self.raw.glob("*.txt"))]

    def read(self, part: Shard) -> Iterator[RawRecord | Note]:
        for number, line in enumerate(part.file.read_text().splitlines(), 1):
            where = f"{part.file.name} line {number}"
            if line == "broken":
                yield Note("damaged", "no fields", where, line)
            else:
                yield RawRecord(where, line.split(), _Pictures(self.raw))

    def convert(self, record: RawRecord) -> ConvertedEpisode:
        if Toy.dies_at is not None and Toy.converted >= Toy.dies_at:
            raise KeyboardInterrupt
        Toy.converted += 1
        name, split, *actions = record.data
        notes = tuple(Note("dropped", "unknown action", record.where, a) for a in actions if a == "fly")
        kept = [a for a in actions if a != "fly"]
        if name == "odd":
            raise UnusableRecord(Note("dropped", "odd", record.where))
        shown = record.images["screen.png"]
        steps = tuple(
            EpisodeStep("screen.png", shown.size, "", f"{a}", Action(a), status="done" if last else "not done")
            for a, last in zip(kept, [*[False] * (len(kept) - 1), True], strict=False)
        )
        goal = "a goal" if name in ("same", "other") else name
        return ConvertedEpisode(Episode(name, "toy", "mobile", goal, split, steps), {"screen.png": shown}, notes=notes)


class _Pictures(dict[str, Image]):
    def __init__(self, raw: Path) -> None:
        self.raw = raw

    def __missing__(self, name: str) -> Image:
        return read_image_file(self.raw / name)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(corpora.CORPORA, "toy", f"{__name__}:Toy")
    monkeypatch.setattr("tracer1.data.corpora.registry.import_module", lambda name: __import__("sys").modules[name])
    monkeypatch.setattr(corpora, "HERE", tmp_path)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "errata.json").write_text(
        json.dumps({"version": "7", "rows": [{"episode_id": "bad", "reason": "shown"}]})
    )
    monkeypatch.setattr(Toy, "converted", 0)
    monkeypatch.setattr(Toy, "dies_at", None)
    folder = tmp_path / "raw"
    folder.mkdir()
    Pillow.new("RGB", (8, 6), "blue").save(folder / "screen.png")
    for part in range(3):
        lines = [f"e{part}-{i} train {' '.join(['wait', 'press_back', 'press_home'][: 1 + i % 3])}" for i in range(7)]
        (folder / f"part{part}.txt").write_text("\n".join(lines))
    return folder


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_conversion_leaves_a_clean_store_and_says_what_it_did(raw: Path, tmp_path: Path) -> None:
    made = convert("toy", raw, tmp_path / "out", batch=2)
    assert (made["episodes"], made["steps"], made["records"]) == (21, 39, 21)
    assert made["counts"]["action"] == {"press_back": 12, "press_home": 6, "wait": 21}
    assert made["length"] == {"least": 1, "median": 2, "mean": 1.86, "greatest": 3}
    checksum = hashlib.sha256((raw / "part0.txt").read_bytes()).hexdigest()
    assert made["files"][0] == {"file": "part0.txt", "bytes": (raw / "part0.txt").stat().st_size, "sha256": checksum}
    assert read_conversion(tmp_path / "out") == made
    assert not inspect_path(tmp_path / "out").problems
    assert [e.episode_id for e in read_episodes(tmp_path / "out")] == [f"e{p}-{i}" for p in range(3) for i in range(7)]
    image = hashlib.sha256((raw / "screen.png").read_bytes()).hexdigest()
    assert sorted(contents(tmp_path / "out")) == ["conversion.json", EPISODES, f"images/{image}.png"]


def test_killed_anywhere_it_ends_in_the_same_bytes(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert("toy", raw, tmp_path / "whole", batch=2)
    rng = random.Random(0)
    deaths = 0
    while read_conversion(tmp_path / "out") is None:
        monkeypatch.setattr(Toy, "converted", 0)
        monkeypatch.setattr(Toy, "dies_at", rng.randrange(2, 6))
        try:
            convert("toy", raw, tmp_path / "out", batch=2)
        except KeyboardInterrupt:
            deaths += 1
    assert deaths > 3
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_is_done_is_not_done_again(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = convert("toy", raw, tmp_path / "out")
    monkeypatch.setattr(Toy, "dies_at", 0)
    assert convert("toy", raw, tmp_path / "out") == made
    with pytest.raises(UsageError, match="holds another conversion"):
        convert("toy", raw, tmp_path / "out", ConvertSettings(limit=3))


def test_another_conversion_is_not_mixed_in(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "dies_at", 9)
    with pytest.raises(KeyboardInterrupt):
        convert("toy", raw, tmp_path / "out", batch=2)
    with pytest.raises(UsageError, match="other settings"):
        convert("toy", raw, tmp_path / "out", ConvertSettings(split="test"), batch=2)


def test_what_is_left_out_is_counted_with_its_first_examples(raw: Path, tmp_path: Path) -> None:
    lines = ["broken", "odd train wait", "a test wait", "b train wait fly fly", "c train fly", "bad train wait"]
    (raw / "part0.txt").write_text("\n".join(lines))
    made = convert("toy", raw, tmp_path / "out", ConvertSettings(split="train"))
    fourth, fifth = (f"part0.txt line {number}: fly" for number in (4, 5))
    assert made["skipped"] == {
        "no fields": {"count": 1, "first": ["part0.txt line 1: broken"]},
        "no steps": {"count": 1, "first": ["part0.txt line 5: c"]},
        "odd": {"count": 1, "first": ["part0.txt line 2"]},
        "unknown action": {
            "count": 3,
            "first": [fourth, fourth, fifth],
        },
        "another split": {"count": 1, "first": ["part0.txt line 3: test"]},
        "erratum": {"count": 1, "first": ["part0.txt line 6: bad: shown"]},
    }
    assert made["records"] == 20
    assert made["errata"] == "7"
    kept = convert("toy", raw, tmp_path / "all", ConvertSettings(errata=False))
    assert kept["errata"] is None
    assert kept["episodes"] == made["episodes"] + 2


def test_strict_stops_at_the_first_damage(raw: Path, tmp_path: Path) -> None:
    (raw / "part0.txt").write_text("broken")
    with pytest.raises(DataError, match=r"part0.txt line 1: no fields: broken \(--strict"):
        convert("toy", raw, tmp_path / "out", ConvertSettings(strict=True))


def test_a_conversion_without_episodes_fails_with_the_reason_and_can_be_repeated(raw: Path, tmp_path: Path) -> None:
    whole = (raw / "screen.png").read_bytes()
    (raw / "screen.png").write_bytes(whole[:40])
    with pytest.raises(DataError, match=r"0 episodes from 21 records: 21 x unreadable, first part0.*corrupt"):
        convert("toy", raw, tmp_path / "out")
    (raw / "screen.png").write_bytes(whole)
    with pytest.raises(DataError, match=r"0 episodes from 21 records: 21 x another split, first part0.* line 1"):
        convert("toy", raw, tmp_path / "out", ConvertSettings(split="tset"))
    assert convert("toy", raw, tmp_path / "out")["episodes"] == 21
    for part in raw.glob("*.txt"):
        part.write_text("")
    assert convert("toy", raw, tmp_path / "empty")["episodes"] == 0  # no records, no failure


def test_duplicates_by_content_and_by_id(raw: Path, tmp_path: Path) -> None:
    (raw / "part0.txt").write_text("same train wait\nsame train wait\nsame train press_back\nother train wait")
    for part in ("part1.txt", "part2.txt"):
        (raw / part).unlink()
    made = convert("toy", raw, tmp_path / "out")
    assert [e.episode_id for e in read_episodes(tmp_path / "out")] == ["same", "same~2"]
    assert made["skipped"]["duplicate content"]["count"] == 2
    assert made["notes"]["changed"]["repeated episode id"]["first"] == ["same: now same~2"]
    convert("toy", raw, tmp_path / "all", ConvertSettings(duplicates="keep"))
    assert [e.episode_id for e in read_episodes(tmp_path / "all")] == ["same", "same~2", "same~3", "other"]


@pytest.mark.parametrize("limit", [1, 7, 8, 20, 99])
def test_a_limit_is_the_first_episodes(raw: Path, tmp_path: Path, limit: int) -> None:
    convert("toy", raw, tmp_path / "all")
    every = list(read_episodes(tmp_path / "all"))
    made = convert("toy", raw, tmp_path / "out", ConvertSettings(limit=limit), batch=2)
    assert list(read_episodes(tmp_path / "out")) == every[:limit]
    assert made["episodes"] == min(limit, 21)


@pytest.mark.parametrize("how", ["link", "copy"])
def test_images_are_linked_or_copied(raw: Path, tmp_path: Path, how: Any) -> None:
    convert("toy", raw, tmp_path / "out", ConvertSettings(images=how))
    (stored,) = (tmp_path / "out" / "images").iterdir()
    assert stored.samefile(raw / "screen.png") == (how == "link")
    assert stored.read_bytes() == (raw / "screen.png").read_bytes()


def test_screens_without_words_are_described(raw: Path, tmp_path: Path) -> None:
    class Colour:
        name = "colour-1"

        def __call__(self, image: Image) -> str:
            return str(Pillow.open(io.BytesIO(image.data)).getpixel((0, 0)))

    convert("toy", raw, tmp_path / "out", describe=Colour())
    first = next(read_episodes(tmp_path / "out"))
    assert first.steps[0].abstraction == "(0, 0, 255)"
    assert first.labels["abstraction"] == "colour-1"


def test_text_that_no_file_holds_costs_its_record_alone(raw: Path, tmp_path: Path) -> None:
    (raw / "part0.txt").write_text("fine train wait\nwr\\ong train wait")
    original = Toy.convert

    def convert_odd(self: Toy, record: RawRecord) -> ConvertedEpisode:
        made = original(self, record)
        if record.data[0] == "wr\\ong":
            object.__setattr__(made.episode, "goal", "\ud800")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Toy, "convert", convert_odd)
        made = convert("toy", raw, tmp_path / "out")
    assert made["skipped"]["unreadable"]["count"] == 1
    assert BatchFolder(tmp_path / "out").folder.exists() is False


@pytest.mark.parametrize(
    ("pairs", "word"),
    [
        (["page"], "not key=value"),
        (["pages=full"], "no setting 'pages'"),
        (["page=both"], "page"),
        (["min_alignment=high"], "min_alignment"),
    ],
)
def test_settings_that_are_not_are_named(pairs: list[str], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        convert_settings(pairs)


def test_settings_are_read_from_pairs() -> None:
    asked = convert_settings(["page=full", "terminal=false", "min_alignment=7"], split="train", limit=None)
    assert asked == ConvertSettings(page="full", terminal=False, min_alignment=7, split="train")
