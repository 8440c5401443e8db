from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tracer1.errors import SetupError
from tracer1.training import checkpoints
from tracer1.training.checkpoints import COMPLETE, damage_of, newest_intact, publish, rotate, seal

FILES = {"model.safetensors": b"weights" * 100, "optimizer.pt": b"moments", "deep/trainer_state.json": b"{}"}


def write(folder: Path) -> None:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def checkpoint(out: Path, step: int) -> Path:
    write(out / "unfinished")
    seal(out / "unfinished", out / f"checkpoint-{step}")
    return out / f"checkpoint-{step}"


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


# ---- damage ----------------------------------------------------------------------------------------------------------


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def turn_a_bit(name: str) -> Callable[[Path], None]:
    def turn(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[3] ^= 1
        (folder / name).write_bytes(data)

    return turn


def say(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights cut off": (cut("model.safetensors"), "model.safetensors is not what was written"),
    "weights turned": (turn_a_bit("model.safetensors"), "model.safetensors is not what was written"),
    "optimizer turned": (turn_a_bit("optimizer.pt"), "optimizer.pt is not what was written"),
    "optimizer lost": (lose("optimizer.pt"), "optimizer.pt is missing"),
    "wrong state": (say("deep/trainer_state.json", "[]"), "deep/trainer_state.json is not what was written"),
    "empty folder": (empty, "complete is missing"),
    "no list": (lose(COMPLETE), "complete is missing"),
    "half a list": (cut(COMPLETE), "it cannot be read"),
    "an empty list": (say(COMPLETE, "{}"), "complete lists no files"),
    "another list": (say(COMPLETE, "[1]"), "complete lists no files"),
}


@pytest.mark.parametrize(("harm", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_by_name_and_kept(
    harm: Callable[[Path], None], reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, newest = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    assert newest_intact(tmp_path) == newest
    assert caplog.text == ""
    harm(newest)
    left = sorted(path.name for path in newest.iterdir())
    assert newest_intact(tmp_path) == before
    assert f"{newest} is damaged and skipped: {reason}" in caplog.text
    assert names(tmp_path) == ["checkpoint-10.damaged", "checkpoint-9"]
    assert names(tmp_path / "checkpoint-10.damaged") == left
    caplog.clear()
    assert newest_intact(tmp_path) == before  # and it is told once
    assert caplog.text == ""


def test_each_damaged_one_is_told_and_none_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (2, 4, 4):
        lose("optimizer.pt")(checkpoint(tmp_path, step))
        if step == 4:
            assert newest_intact(tmp_path) is None
    assert names(tmp_path) == ["checkpoint-2.damaged", "checkpoint-4.damaged", "checkpoint-4.damaged-2"]
    assert caplog.text.count("checkpoint-4 is damaged") == 2
    assert caplog.text.count("checkpoint-2 is damaged") == 1


def test_a_large_file_is_known_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "HASHED", len(FILES["model.safetensors"]) - 1)
    folder = checkpoint(tmp_path, 1)
    turn_a_bit("model.safetensors")(folder)
    assert damage_of(folder) is None
    cut("model.safetensors")(folder)
    assert damage_of(folder) == "model.safetensors is not what was written"


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    assert newest_intact(tmp_path / "none") is None
    write(tmp_path / "unfinished")
    write(tmp_path / "checkpoint-x")
    (tmp_path / "checkpoint-7").write_text("a file")
    before = names(tmp_path)
    assert newest_intact(tmp_path) is None
    rotate(tmp_path, 1)
    assert names(tmp_path) == before


@pytest.mark.parametrize(("keep", "left"), [(1, [10]), (2, [9, 10]), (5, [8, 9, 10]), (None, [8, 9, 10])])
def test_the_newest_stay(keep: int | None, left: list[int], tmp_path: Path) -> None:
    for step in (10, 8, 9):  # the order in which they were written tells nothing
        checkpoint(tmp_path, step)
    rotate(tmp_path, keep)
    assert sorted(int(path.name.split("-")[1]) for path in tmp_path.iterdir()) == left


# ---- a kill at every touch of the disk -------------------------------------------------------------------------------


class Killed(BaseException):
    """What no handler of errors may catch."""


def at_every_touch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, work: Callable[[Path], None], before: Callable[[Path], Any]
) -> Iterator[Path]:
    """Fresh folders after ``before`` and then ``work``, ended at its first, second ... call that changes or syncs the
    disk; the last folder is one of which the work came to its end."""
    for touch in count():
        out, left, done = tmp_path / str(touch), [touch], False
        before(out)

        def killing(call: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                if not left[0]:
                    raise Killed
                left[0] -= 1
                return call(*args, **kwargs)

            return wrapped

        with monkeypatch.context() as context, suppress(Killed):
            for name in ("fsync", "mkdir", "replace", "rename", "unlink", "rmdir"):
                context.setattr(os, name, killing(getattr(os, name)))
            work(out)
            done = True
        yield out
        if done:
            return


def test_a_kill_at_any_moment_of_a_save_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def save(out: Path) -> None:
        checkpoint(out, 4)
        rotate(out, 1)

    found = []
    for out in at_every_touch(monkeypatch, tmp_path, save, lambda out: checkpoint(out, 2)):
        newest = newest_intact(out)
        assert newest is not None
        found.append(newest.name)
    assert names(out) == ["checkpoint-4"]
    assert set(found) == {"checkpoint-2", "checkpoint-4"}
    assert found == sorted(found)
    assert len(found) > 10
    assert caplog.text == ""


def test_a_kill_at_any_moment_of_publishing_leaves_a_whole_folder_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(out: Path) -> bool:
        return {name: (out / name).read_bytes() for name in FILES} == FILES

    def publish_stage(out: Path) -> None:
        publish(out / "stage1", write)

    seen = []
    for out in at_every_touch(monkeypatch, tmp_path, publish_stage, Path.mkdir):
        seen.append((out / "stage1").exists())
        if not seen[-1]:
            publish_stage(out)
        assert whole(out / "stage1")
        assert names(out) == ["stage1"]
    assert seen == sorted(seen)
    assert False in seen


# ---- a full disk -----------------------------------------------------------------------------------------------------


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_safetensors(folder: Path) -> None:
    save_file({"a": torch.zeros(10_000)}, folder / "model.safetensors")


def save_torch(folder: Path) -> None:
    torch.save({"a": torch.zeros(10_000)}, folder / "optimizer.pt")


def save_text(folder: Path) -> None:
    (folder / "text").write_text("a" * 40_000)


@pytest.mark.parametrize("save", [save_safetensors, save_torch, save_text])
def test_a_full_disk_is_one_line(tmp_path: Path, save: Callable[[Path], None]) -> None:
    with no_file_above(5000), pytest.raises(SetupError) as error:
        publish(tmp_path / "stage1", save)
    assert str(error.value) == (
        f"{tmp_path / 'stage1'}: the disk is full; free some space and run the same command again"
    )
    assert not (tmp_path / "stage1").exists()
    publish(tmp_path / "stage1", save)
    assert (tmp_path / "stage1").exists()


def test_an_error_that_is_not_the_disks_stays_as_it_is(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        publish(tmp_path / "stage1", broken)
