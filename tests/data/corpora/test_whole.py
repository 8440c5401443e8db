"""Every corpus from its published files to windows: whole, the same for any number of workers and over any kill."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from corpora.whole import check_whole

from tracer1.bench.corpora import MAKERS
from tracer1.data.conversion.convert import convert, read_conversion
from tracer1.data.conversion.corpus import ConvertSettings
from tracer1.data.corpora.registry import CORPORA, sniff
from tracer1.data.inspection.result import Choice
from tracer1.errors import UsageError
from tracer1.executors.describe import describer
from tracer1.recipes.inspect import inspected


def fixture(name: str, raw: Path) -> Path:
    """The files of a corpus as they are published, with every quirk that is known."""
    raw.mkdir()
    import_module(f"corpora.{name.replace('-', '_')}").make(raw)
    return raw


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", CORPORA)
def test_each_is_known_by_its_files_and_whole_when_converted(name: str, tmp_path: Path) -> None:
    raw = fixture(name, tmp_path / "raw")
    assert sniff(raw) == name
    made = convert(name, raw, tmp_path / "out")
    assert made["source"] == name
    assert made["licence"]
    assert made["citation"]
    check_whole(tmp_path / "out", tmp_path / "windows.parquet")


@pytest.mark.parametrize("name", CORPORA)
def test_raw_files_can_be_looked_at(name: str, tmp_path: Path) -> None:
    raw = fixture(name, tmp_path / "raw")
    before = contents(raw)
    with inspected(raw, Choice(), 50) as found:
        assert (found.corpus, found.path) == (name, raw)
        assert found.rows > 0
        assert found.samples
    assert contents(raw) == before


def test_two_workers_make_the_same_bytes(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    MAKERS["androidcontrol"](raw, 720)
    convert("androidcontrol", raw, tmp_path / "one", batch=16)
    convert("androidcontrol", raw, tmp_path / "two", workers=2, batch=16)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("name", MAKERS)
def test_the_synthetic_ones_are_whole_too(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path / "raw", 12)
    made = convert(name, tmp_path / "raw", tmp_path / "out")
    assert made["steps"] == 12 + (name == "androidcontrol") * 2  # `finished` on each episode's last screen
    assert not made["notes"]
    check_whole(tmp_path / "out", tmp_path / "windows.parquet")


def test_a_folder_of_something_else_is_not_taken_for_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert sniff(tmp_path) is None
    assert sniff(tmp_path / "notes.txt") is None
    with pytest.raises(UsageError, match="no corpus 'atari'; use one of agentnet, "):
        convert("atari", tmp_path, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("name", "steps"), [("androidcontrol", 1800), ("agenttrek", 9000)])
def test_killed_ten_times_it_ends_in_the_same_bytes(name: str, steps: int, workers: int, tmp_path: Path) -> None:
    raw, whole, out = (tmp_path / place for place in ("raw", "whole", "out"))
    MAKERS[name](raw, steps)
    convert(name, raw, whole, ConvertSettings(images="copy"), describe=describer("rules"))
    command = [sys.executable, "-c", "from tracer1.cli.main import main; main()", "data", "convert", name, "--raw", raw]
    command += ["--out", out, "--workers", str(workers), "images=copy"]
    rng = random.Random(workers)
    kills = 0
    while kills < 10:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(timeout=rng.uniform(0.5, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()  # its workers are left alone, to see to themselves
            process.wait()
            kills += 1
        if read_conversion(out) is not None:  # faster than ten kills: all of it is done again, killed elsewhere
            assert contents(out) == contents(whole)
            shutil.rmtree(out)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_workers_whose_conversion_was_killed_stop(tmp_path: Path) -> None:
    MAKERS["agenttrek"](tmp_path / "raw", 9000)  # 24 batches
    code = f"""
from tracer1.data.conversion.convert import convert
if __name__ == "__main__":
    convert("agenttrek", {str(tmp_path / "raw")!r}, {str(tmp_path / "out")!r}, workers=2)
"""
    (tmp_path / "run.py").write_text(code)
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py")])
    while not list((tmp_path / "out").glob(".convert/*/*.jsonl")):
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(2)
    assert len(list((tmp_path / "out").glob(".convert/*/*.jsonl"))) < 12
