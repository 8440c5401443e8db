"""``tracer1 data convert`` without its argument parsing: a corpus' raw files to an episode store.

    shards -> workers: records -> Episodes, images by content -> batches on disk -> merge -> episodes.jsonl
                                                                                          conversion.json

A conversion that is killed at any moment can be resumed: finished batches stay on disk. The output has the same bytes
for any number of workers and interruptions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tracer1.data.conversion.batches import RECORDS, BatchFolder, merge
from tracer1.data.conversion.corpus import ConvertSettings
from tracer1.data.conversion.fingerprint import checksum, name_in, size_of, task_hash
from tracer1.data.conversion.statistics import Statistics
from tracer1.data.conversion.summary import summarize, why_empty
from tracer1.data.conversion.workers import Job, ScreenDescriber, convert_shards
from tracer1.data.corpora.registry import corpus_class
from tracer1.data.store import CONVERSION, EPISODES, read_conversion
from tracer1.errors import DataError, UsageError
from tracer1.files import write_atomic
from tracer1.progress import Tick


def convert(
    source: str,
    raw: Path | str,
    out: Path | str,
    settings: ConvertSettings | None = None,
    workers: int = 1,
    progress: Tick | None = None,
    describe: ScreenDescriber | None = None,
    batch: int = RECORDS,
) -> dict[str, Any]:
    """Convert the corpus ``source`` in the folder ``raw`` to a store in ``out``. Returns its ``conversion.json``.

    A finished conversion of the same files with the same settings is not repeated. Raises UsageError for an unknown
    corpus or an ``out`` that holds another conversion; DataError if ``raw`` holds no files of the corpus, if its
    records give no episode, or with ``strict`` at the first damaged record.
    """
    settings, raw, out = settings or ConvertSettings(), Path(raw), Path(out)
    if workers < 1 or (settings.limit is not None and settings.limit < 1):
        raise UsageError(f"workers {workers}, limit {settings.limit}: each must be 1 or more")
    kind = corpus_class(source)
    shards = kind(raw, settings).shards()
    files = sorted({shard.file for shard in shards})
    task = {
        "source": source,
        "files": [[name_in(raw, file), size_of(file)] for file in files],
        "settings": settings.to_json(),
        "describe": describe.name if describe else None,
        "batch": batch,
    }
    if (finished := _finished(out, task)) is not None:
        return finished
    batches = BatchFolder(out)
    batches.open(task)
    done = convert_shards(Job(source, raw, out, settings, describe, batch, os.getpid()), shards, workers, progress)
    total = merge(batches, done, out, settings.duplicates == "keep", settings.limit)
    _refuse_empty(total, raw, out, batches)
    with ThreadPoolExecutor(workers) as pool:
        sums = list(pool.map(checksum, files))
    result = summarize(kind, settings, total) | {
        "files": [
            {"file": name_in(raw, file), "bytes": size_of(file), "sha256": found}
            for file, found in zip(files, sums, strict=True)
        ],
        "task": task_hash(task),
    }
    write_atomic(out / CONVERSION, json.dumps(result, ensure_ascii=False, indent=1).encode())
    batches.close()
    return result


def _finished(out: Path, task: dict[str, Any]) -> dict[str, Any] | None:
    """The finished conversion in ``out``, if any. Raises UsageError if it was a conversion of something else."""
    finished = read_conversion(out)
    if finished is not None and finished.get("task") != task_hash(task):
        raise UsageError(f"{out}: holds another conversion; choose another --out, or delete that folder")
    return finished


def _refuse_empty(total: Statistics, raw: Path, out: Path, batches: BatchFolder) -> None:
    """Raise DataError if records gave no episode. The batches go, so that the command can run again after a fix."""
    if total.records and not total.counts.get("steps per episode"):
        (out / EPISODES).unlink()
        batches.close()
        raise DataError(f"{raw}: 0 episodes from {total.records} records: {why_empty(total)}")


def convert_settings(pairs: Sequence[str], **given: Any) -> ConvertSettings:
    """Settings from ``key=value`` pairs and options. Raises UsageError for an unknown key or a wrong value."""
    values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found:
            raise UsageError(f"{pair!r} is not key=value; keys are {', '.join(ConvertSettings.__dataclass_fields__)}")
        values[key] = value
    unknown = sorted(set(values) - set(ConvertSettings.__dataclass_fields__))
    if unknown:
        raise UsageError(f"no setting {unknown[0]!r}; use one of {', '.join(ConvertSettings.__dataclass_fields__)}")
    try:
        return TypeAdapter(ConvertSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"setting {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
