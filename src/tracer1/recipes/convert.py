"""A raw corpus to an episode store, with the describer that its settings ask for: ``tracer1 data convert``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracer1.data.conversion.convert import convert, convert_settings
from tracer1.data.corpora.rows.mapping import load_map
from tracer1.errors import UsageError
from tracer1.executors.describe import describer
from tracer1.progress import Tick


def convert_corpus(
    source: str,
    raw: Path,
    out: Path,
    pairs: Sequence[str] = (),
    *,
    mapping: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    strict: bool = False,
    workers: int = 1,
    tick: Tick | None = None,
) -> dict[str, Any]:
    """Convert with the settings in ``pairs`` (``key=value``) and the options. Returns ``conversion.json``.

    mapping: for the source ``rows``, the file of the map of their fields, or the name of a shipped one.
    """
    if (source == "rows") != (mapping is not None):
        raise UsageError("rows needs --map FILE.yaml, and no other source takes it")
    rows = None if mapping is None else load_map(mapping)
    settings = convert_settings(pairs, split=split, limit=limit, strict=strict, map=rows)
    return convert(source, raw, out, settings, workers, tick, describer(settings.abstractions))
