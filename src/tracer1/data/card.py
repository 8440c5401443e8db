"""The dataset card beside windows: a ``README.md`` for people and for ``datasets.load_dataset(folder)``.

It describes every windows file in its folder, each as a split named after its file, and is rewritten whenever one is
written. Licences and citations come from the ``conversion.json`` of the episode stores, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tracer1.data.store import read_conversion
from tracer1.data.windows_file import SourceCount, count_sources, store_places, windows_settings
from tracer1.errors import DataError
from tracer1.files import write_atomic

CARD = "README.md"
MARK = "<!-- Written by `tracer1 data windows`, and again with every file. Without this line it is yours and stays. -->"
# Licences that the Hub knows by name; any other is "other" there, and is given in words below.
LICENCES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "openrail"}

_COLUMNS = {
    "prompt": "the chat messages, `role` and `content`, all text; the images stand before the text of the user message",
    "images": "paths of the images that the planner sees, relative to the episode store",
    "reference": "the recorded next steps as JSON text; the first one also holds its action and the box of its target",
    "episode_id": "the id of the recorded trajectory",
    "step": "the number of the step at which the planner is asked, from 0",
    "source": "the corpus",
    "store": "where there are several episode stores: the number of the row's, from 0",
}
_PAGE = """\
# Training windows: {sources}

{mark}

One row for every recorded step: the prompt at that step, and the steps that followed as its reference.

{splits}

T is the number of steps in a reference, K that of past steps in a prompt.

## Columns

{columns}

## Loading

```python
from pathlib import Path
from datasets import load_dataset

windows = load_dataset(".", split="{split}")  # this folder
stores = {stores}
images = [Path(stores[windows[0].get("store", 0)], path) for path in windows[0]["images"]]
```

## How it was made

```
{commands}
```

## Licence and citation

{origins}
"""


@dataclass(frozen=True, slots=True)
class Split:
    """One windows file as its card shows it. ``origins``: the ``conversion.json`` of each of its stores."""

    file: str
    sources: tuple[SourceCount, ...]
    settings: Mapping[str, str]
    origins: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        """The name for ``load_dataset``."""
        return re.sub(r"\W", "_", self.file.removesuffix(".parquet"))


def write_card(folder: Path | str) -> Path | None:
    """Write the card of a folder of windows files; None where the folder has a README.md that is not ours.

    Raises DataError for a ``conversion.json`` that is no JSON object, SetupError when the disk refuses.
    """
    path = Path(folder) / CARD
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return None
    splits = [_split(file, settings) for file, settings in _windows_files(Path(folder))]
    write_atomic(path, render_card(splits).encode("utf-8", "replace"))  # a folder's name may be no UTF-8
    return path


def render_card(splits: Sequence[Split]) -> str:
    """The card's text: YAML for ``load_dataset`` and the Hub, then Markdown."""
    licences = _all(texts(origin, "licence") for split in splits for origin in split.origins)
    known = list(dict.fromkeys(name if (name := text.lower()) in LICENCES else "other" for text in licences))
    head = ({"license": known} if known else {}) | {"configs": _configs(splits)}
    body = _PAGE.format(
        sources=", ".join(_all([source.name for source in split.sources] for split in splits)),
        mark=MARK,
        splits=_table(("split", "source", "windows", "episodes", "T", "K", "prompt"), map(_cells, splits)),
        columns=_table(("column", "what it holds"), ([f"`{name}`", what] for name, what in _COLUMNS.items())),
        split=splits[0].name,
        stores=store_places(splits[0].settings),
        commands="\n".join(_command(split) for split in splits if "heldout_of" not in split.settings),
        origins="\n\n".join(_all(map(_origin_text, split.origins) for split in splits)),
    )
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n{body}"


def _configs(splits: Sequence[Split]) -> list[dict[str, Any]]:
    """Files of one schema, which ``load_dataset`` loads together. Those of several stores have one more column."""
    groups: dict[bool, list[dict[str, str]]] = {}
    for split in splits:
        groups.setdefault(len(split.origins) > 1, []).append({"split": split.name, "path": split.file})
    names = ["default", "others"]
    return [{"config_name": name, "data_files": files} for name, files in zip(names, groups.values(), strict=False)]


def texts(origin: Mapping[str, Any], key: str) -> list[str]:
    """The texts of ``conversion.json`` under ``key``, which holds one or a list."""
    value = origin.get(key)
    return [str(item) for item in (value if isinstance(value, list) else [value]) if item]


def _windows_files(folder: Path) -> Iterable[tuple[Path, dict[str, str]]]:
    for file in sorted(folder.glob("*.parquet")):
        try:
            settings = windows_settings(file)
        except DataError:  # another's file, or one that is being written
            continue
        if "store" in settings:
            yield file, settings


def _split(file: Path, settings: dict[str, str]) -> Split:
    origins = tuple(read_conversion(file.parent / place) or {} for place in store_places(settings))
    return Split(file.name, count_sources(file), settings, origins)


def _cells(split: Split) -> list[str]:
    counts = [(s.name, f"{s.windows:,}", f"{s.episodes:,}") for s in split.sources]
    settings = [split.settings.get(key, "") for key in ("horizon", "history", "prompt")]
    return [f"`{split.name}`", *("<br>".join(column) for column in zip(*counts, strict=True)), *settings]


def _command(split: Split) -> str:
    names = ("horizon", "history", "prompt", "heldout", "heldout_out")
    options = [f"--{key.replace('_', '-')} {split.settings[key]}" for key in names if key in split.settings]
    return " ".join(["tracer1 data windows", *store_places(split.settings), *options, "--out", split.file])


def _origin_text(origin: Mapping[str, Any]) -> str:
    source, licence, citation = (texts(origin, key) for key in ("source", "licence", "citation"))
    if not licence and not citation:
        return "The episode store names none; the terms of the recorded trajectories apply to these rows."
    lines = [f"**{', '.join(source) or 'Recorded trajectories'}**: {'; '.join(licence) or 'no licence is named'}"]
    return "\n\n".join([*lines, *(f"```\n{text.strip()}\n```" for text in citation)])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])


def _all(lists: Iterable[Iterable[str]]) -> list[str]:
    """Every text of the lists once, in order."""
    return list(dict.fromkeys(text for texts in lists for text in texts))
