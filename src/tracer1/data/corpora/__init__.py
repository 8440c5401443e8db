"""The corpora by name. Loaded when asked for: each stands on other packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from tracer1.data.corpora.corpus import Corpus
from tracer1.data.store import parse_json
from tracer1.errors import UsageError

CORPORA = {
    "agentnet": "tracer1.data.corpora.agentnet:AgentNet",
    "androidcontrol": "tracer1.data.corpora.androidcontrol:AndroidControl",
    "gui-odyssey": "tracer1.data.corpora.gui_odyssey:GuiOdyssey",
    "mind2web": "tracer1.data.corpora.mind2web:Mind2Web",
    "agenttrek": "tracer1.data.corpora.agenttrek:AgentTrek",
    "mm-traj": "tracer1.data.corpora.mm_traj:MMTraj",
}
ERRATA = Path(__file__).parent / "errata"  # one <corpus>.json for each


@dataclass(frozen=True, slots=True)
class Errata:
    """Episodes of a corpus that are known to be bad, each with what is wrong and who found it."""

    version: str
    rows: Mapping[str, str]


def load_errata(name: str) -> Errata:
    """The errata that come with the library."""
    record = parse_json((ERRATA / f"{name}.json").read_bytes())
    return Errata(record["version"], {row["episode_id"]: row["reason"] for row in record["rows"]})


def corpus_class(name: str) -> type[Corpus]:
    """The class of a corpus; UsageError names those that there are."""
    if name not in CORPORA:
        raise UsageError(f"no corpus {name!r}; there are {', '.join(CORPORA)}")
    module, _, attribute = CORPORA[name].partition(":")
    return cast("type[Corpus]", getattr(import_module(module), attribute))
