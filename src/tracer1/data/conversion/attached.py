"""Screenshots and other files that records name, beside the raw file or in a zip there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tracer1.data.images import Image, read_image
from tracer1.data.readers.image_sources import ImageSource, open_images
from tracer1.formats import is_image_name

PREFIXES = ("data/open_llava_next/", "data/tongagent/", "data/")  # one file may have several of them in one record
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}\Z")


class AttachedFiles(Mapping[str, Image]):
    """Files by their recorded names. A lookup reads the file, and raises DataError if it is damaged.

    A name is tried with and without its prefix. A file whose path merely ends alike is another file.
    """

    def __init__(self, raw: Path) -> None:
        self.raw = raw

    @cached_property
    def _sources(self) -> Sequence[ImageSource]:
        return [open_images(place) for place in (self.raw, *sorted(self.raw.glob("*.zip")))]

    def _find(self, name: str) -> tuple[ImageSource, str] | None:
        short = without_prefix(name)
        for source in self._sources:
            found = source.find(name)
            if found is not None and f"/{found}".endswith(f"/{short}"):
                return source, found
        return None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __getitem__(self, name: str) -> Image:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        source, path = found
        data = source.read(path)
        if is_image_name(name):
            return read_image(data, name, source.path(path))
        suffix = _SUFFIX.search(name.lower())
        return Image(data, (0, 0), suffix[0] if suffix else "", source.path(path))

    def __iter__(self) -> Iterator[str]:
        raise TypeError("files are looked up by name and cannot be listed")

    def __len__(self) -> int:
        raise TypeError("files are looked up by name and cannot be counted")


def without_prefix(name: str) -> str:
    """A file's name without its prefix."""
    return next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
