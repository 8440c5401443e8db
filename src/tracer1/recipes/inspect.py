"""``tracer1 data inspect`` of a raw corpus: its first episodes, converted into a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tracer1.data.conversion.convert import convert
from tracer1.data.conversion.corpus import ConvertSettings
from tracer1.data.corpora.registry import sniff
from tracer1.data.inspection.inspect import inspect_path, quiet
from tracer1.data.inspection.result import Choice, Inspection, Problem, Tick


@contextmanager
def inspected(path: Path, choice: Choice, limit: int, tick: Tick = quiet) -> Iterator[Inspection]:
    """The inspection of ``path``: what ``inspect_path`` reads, or the first ``limit`` episodes of a raw corpus.

    Within the block the pictures of the samples can be opened. Damage in raw files is among the problems.
    """
    source = sniff(path)
    if source is None:
        yield inspect_path(path, choice, tick)
        return
    with TemporaryDirectory(prefix="tracer1-") as folder:
        made = convert(source, path, folder, ConvertSettings(limit=limit))
        found = inspect_path(Path(folder), choice, tick)
        found.path, found.corpus = path, source
        for reason, note in made["notes"].get("damaged", {}).items():
            for example in note["first"]:
                found.problems.add(Problem(example, "", "", reason))
        yield found
