"""The corpora by name. Each is imported on demand, since it needs packages of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from tracer1.data.conversion.corpus import Corpus
from tracer1.data.store import EPISODES
from tracer1.errors import UsageError
from tracer1.files import parse_json

CORPORA = {
    "agentnet": "tracer1.data.corpora.agentnet.corpus:AgentNet",
    "androidcontrol": "tracer1.data.corpora.androidcontrol.corpus:AndroidControl",
    "gui-odyssey": "tracer1.data.corpora.gui_odyssey.corpus:GuiOdyssey",
    "mind2web": "tracer1.data.corpora.mind2web.corpus:Mind2Web",
    "agenttrek": "tracer1.data.corpora.agenttrek.corpus:AgentTrek",
    "mm-traj": "tracer1.data.corpora.mm_traj.corpus:MMTraj",
}
ROWS = {"rows": "tracer1.data.corpora.rows.corpus:Rows"}  # rows of one's own, by a map of their fields
FILE_PATTERNS = {  # by which a raw folder is recognised; the first match counts
    "androidcontrol": ("android_control-*-of-*",),
    "agentnet": ("agentnet_*.jsonl", "example.jsonl"),
    "gui-odyssey": ("annotations/*.json", "all_anno.json"),
    "mind2web": ("data/train-*.parquet", "data/test_*-*.parquet"),
    "agenttrek": ("agenttrek*.json", "agenttrek*.jsonl"),
    "mm-traj": ("*.json",),
}
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Errata:
    """Episodes of a corpus that are known to be bad, each with its reason."""

    version: str
    rows: Mapping[str, str]


def sniff(folder: Path) -> str | None:
    """The corpus that a raw folder holds, by the names of its files; None if it is not one of these."""
    if not folder.is_dir() or (folder / EPISODES).exists():
        return None
    return next(
        (name for name, patterns in FILE_PATTERNS.items() if any(next(folder.glob(g), None) for g in patterns)), None
    )


def load_errata(name: str) -> Errata:
    """The errata shipped with the library."""
    record = parse_json((HERE / name.replace("-", "_") / "errata.json").read_bytes())
    return Errata(record["version"], {row["episode_id"]: row["reason"] for row in record["rows"]})


def corpus_class(name: str) -> type[Corpus]:
    """The class of a corpus. Raises UsageError, with the known names, for any other."""
    known = CORPORA | ROWS
    if name not in known:
        raise UsageError(f"no corpus {name!r}; use one of {', '.join(known)}")
    module, _, attribute = known[name].partition(":")
    return cast("type[Corpus]", getattr(import_module(module), attribute))
