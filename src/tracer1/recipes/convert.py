"""A raw corpus to an episode store, with the describer that its settings ask for: ``tracer1 data convert``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracer1.data.conversion.convert import convert, convert_settings
from tracer1.executors.describe import describer
from tracer1.progress import Tick


def convert_corpus(
    source: str,
    raw: Path,
    out: Path,
    pairs: Sequence[str] = (),
    *,
    split: str | None = None,
    limit: int | None = None,
    strict: bool = False,
    workers: int = 1,
    tick: Tick | None = None,
) -> dict[str, Any]:
    """Convert with the settings in ``pairs`` (``key=value``) and the options. Returns ``conversion.json``."""
    settings = convert_settings(pairs, split=split, limit=limit, strict=strict)
    return convert(source, raw, out, settings, workers, tick, describer(settings.abstractions))
