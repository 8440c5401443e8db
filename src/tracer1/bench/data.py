"""How fast raw files become episodes and episodes windows, on one core, and how much memory that takes."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tracer1.bench.corpora import MAKERS, make_agenttrek, make_store
from tracer1.data.conversion.convert import convert
from tracer1.data.readers.tfexample import decode_example
from tracer1.data.readers.tfrecord import read_tfrecord
from tracer1.data.store import read_episodes
from tracer1.data.windows import make_windows
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_windows

REPEATS: Final = 3
STEPS: Final = {"androidcontrol": 600, "agenttrek": 6_000, "mm-traj": 12_000}
WINDOWS: Final = 60_000
SMALL, LARGE = 10_000, 1_000_000  # steps between which memory must stay flat
MACHINE: Final = {"cpus": os.cpu_count(), "threads": 1, "system": platform.platform()}


def bench_data() -> Iterator[dict[str, Any]]:
    """Steps a second of a conversion, windows a second, and peak memory in MB at 10 thousand and at 1 million steps.

    Beside each stands what one would write instead: for TFRecord the readers on PyPI that need no TensorFlow, for a
    conversion a script that loads the file and writes what it needs, for windows one that makes them one by one. Every
    run is a process of its own; rates are per second of processor time.
    """
    with TemporaryDirectory() as folder:
        yield from (_reading(Path(folder)), *(_converting(Path(folder), name) for name in MAKERS))
        yield _windows(Path(folder))
        yield from (_memory(Path(folder), what) for what in ("agenttrek", "windows"))


# ---- TFRecord --------------------------------------------------------------------------------------------------------


def _reading(folder: Path) -> dict[str, Any]:
    raw = folder / "reading"
    MAKERS["androidcontrol"](raw, STEPS["androidcontrol"])
    readers: dict[str, Callable[[Path], str]] = {"ours": read_ours, "tfrecord": read_tfrecord_package}
    readers["tfrecords"] = read_tfrecords_package
    steps: dict[str, list[float]] = {}
    seen: dict[str, set[str]] = {}
    for _ in range(REPEATS):
        for name, read in readers.items():
            found, used, _peak = _alone(read, raw)
            steps.setdefault(name, []).append(round(STEPS["androidcontrol"] / used))
            seen.setdefault(name, set()).add(found)
    best = max(statistics.median(rates) for name, rates in steps.items() if name != "ours")
    return {
        "name": "data-tfrecord",
        "ratio": round(statistics.median(steps["ours"]) / best, 2),
        "samples": steps,
        "parity": len(set().union(*seen.values())) == 1,
        "machine": MACHINE,
    }


def read_ours(raw: Path) -> str:
    """A checksum over the screenshots of all records, each record's checksums verified."""
    return _sum(
        shot
        for shard in sorted(raw.glob("android_control-*"))
        for _, payload in read_tfrecord(shard)
        if isinstance(payload, bytes)
        for shot in decode_example(payload)["screenshots"]
    )


def read_tfrecord_package(raw: Path) -> str:
    """The same by the package ``tfrecord``, which verifies nothing."""
    from tfrecord.reader import tfrecord_loader

    shards = sorted(raw.glob("android_control-*"))
    loaders = (tfrecord_loader(str(s), None, {"screenshots": "byte"}, compression_type="gzip") for s in shards)
    return _sum(bytes(shot) for loader in loaders for record in loader for shot in record["screenshots"])


def read_tfrecords_package(raw: Path) -> str:
    """The same by the package ``tfrecords`` (C++), its records decoded by protobuf."""
    import tfrecords

    options = tfrecords.TFRecordOptions(compression_type=tfrecords.TFRecordCompressionType.GZIP)
    records = (
        record
        for shard in sorted(raw.glob("android_control-*"))
        for record in tfrecords.tf_record_iterator(str(shard), options=options)
    )
    return _sum(shot for record in records for shot in decode_example(record)["screenshots"])


def _sum(shots: Iterator[Any]) -> str:
    total = 0
    for shot in shots:
        total = zlib.crc32(shot[-4096:], total)
    return f"{total:08x}"


# ---- conversions -----------------------------------------------------------------------------------------------------


def _converting(folder: Path, name: str) -> dict[str, Any]:
    raw = folder / name
    MAKERS[name](raw, STEPS[name])
    ours, plain, parity = [], [], True
    for repeat in range(REPEATS):
        made, used, _ = _alone(_convert, name, raw, folder / f"{name}-{repeat}")
        ours.append(round(made / used))
        written, used, _ = _alone(_script, name, raw, folder / f"{name}-{repeat}-script")
        plain.append(round(written / used))
        parity &= made >= written > 0
    return {
        "name": f"data-{name}",
        "ratio": round(statistics.median(ours) / statistics.median(plain), 2),
        "samples": {"ours": ours, "script": plain},
        "parity": parity,
        "machine": MACHINE,
    }


def _convert(name: str, raw: Path, out: Path) -> int:
    return int(convert(name, raw, out)["steps"])


def _script(name: str, raw: Path, out: Path) -> int:
    """What is usually shared: everything loaded, the pictures written by number, a line of JSON a step."""
    out.mkdir()
    steps = 0
    with (out / "steps.jsonl").open("w") as lines:
        if name == "androidcontrol":
            from tfrecord.reader import tfrecord_loader

            for shard in sorted(raw.glob("android_control-*")):
                wanted = {"screenshots": "byte", "actions": "byte", "goal": "byte", "step_instructions": "byte"}
                for number, record in enumerate(tfrecord_loader(str(shard), None, wanted, compression_type="gzip")):
                    for step, action in enumerate(record["actions"]):
                        place = out / f"{shard.name}-{number}-{step}.png"
                        place.write_bytes(bytes(record["screenshots"][step]))
                        lines.write(json.dumps({"image": place.name, "action": json.loads(bytes(action))}) + "\n")
                        steps += 1
            return steps
        (file,) = raw.glob("*.json")
        for row in json.loads(file.read_text()):
            for turn in row.get("messages") or row["conversations"]:
                if turn["role"] == "assistant":
                    lines.write(json.dumps({"said": turn["content"], "row": row}) + "\n")
                    steps += 1
    return steps


# ---- windows ---------------------------------------------------------------------------------------------------------


def _windows(folder: Path) -> dict[str, Any]:
    store = folder / "store"
    make_store(store, WINDOWS)
    ours: list[float] = []
    plain: list[float] = []
    same: set[int] = set()
    for repeat in range(REPEATS):
        for rates, make in ((ours, _make_windows), (plain, _windows_one_by_one)):
            rows, used, _ = _alone(make, store, folder / f"{repeat}.parquet")
            rates.append(round(rows / used))
            same.add(rows)
    return {
        "name": "data-windows",
        "ratio": round(statistics.median(ours) / statistics.median(plain), 2),
        "samples": {"ours": ours, "one by one": plain},
        "parity": len(same) == 1,
        "machine": MACHINE,
    }


def _make_windows(store: Path, out: Path) -> int:
    return make_windows(store, out).windows


def _windows_one_by_one(store: Path, out: Path) -> int:
    """Each window as objects, its row as a dictionary, the file by ``datasets``."""
    from datasets import Dataset

    rows = [
        {
            "prompt": [{"role": m["role"], "content": m["content"][-1]["text"]} for m in window.prompt],
            "images": list(window.images),
            "reference": json.dumps([step.action_type for step in window.reference.steps]),
            "episode_id": window.episode_id,
            "step": window.step,
        }
        for episode in read_episodes(store)
        for window in episode_windows(episode, PROMPTS["full-1"])
    ]
    Dataset.from_list(rows).to_parquet(str(out))
    return len(rows)


# ---- memory ----------------------------------------------------------------------------------------------------------


def _memory(folder: Path, what: str) -> dict[str, Any]:
    peaks: dict[str, list[int]] = {}
    for steps in (SMALL, LARGE):
        source = folder / f"{what}-{steps}"
        if what == "windows":
            make_store(source, steps)
            rows, _, peak = _alone(_make_windows, source, folder / f"{steps}.parquet")
        else:
            make_agenttrek(source, steps, lines=12)  # a million rows of full size are 25 GB
            rows, _, peak = _alone(_convert, what, source, folder / f"{what}-{steps}-out")
        peaks[str(rows)] = [peak]
    least, most = (value[0] for value in peaks.values())
    return {
        "name": f"data-memory-{what}",
        "ratio": round(most / least, 2),
        "samples": peaks,
        "parity": most < 600,
        "machine": MACHINE,
    }


def _alone(work: Callable[..., Any], *args: Any) -> tuple[Any, float, int]:
    """What ``work`` gives in a process of its own, its seconds of processor time, and its peak memory in MB."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_timed, work, *args).result()


def _timed(work: Callable[..., Any], *args: Any) -> tuple[Any, float, int]:
    started = time.process_time()
    result = work(*args)
    used = time.process_time() - started
    status = Path("/proc/self/status").read_text()  # getrusage has the peak of the process before the exec, too
    return result, used, int(status.partition("VmHWM:")[2].split()[0]) // 1024
