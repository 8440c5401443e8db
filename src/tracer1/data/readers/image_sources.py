"""Images by the names that records use, in a folder, in a zip or in a zip in parts.

A record may name other folders than the archive has. So a name that is not found is looked up by its file name alone;
among several such files, the one with the longest common end of the path counts, if there is only one.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Self

from tracer1.data.readers.zips import LIMIT, ZipReader, leaves_folder
from tracer1.errors import DataError


class ImageSource(ABC):
    """Images by name. Raises DataError for a name that is missing, ambiguous or outside of the folder."""

    def __init__(self, place: Path, limit: int) -> None:
        self.place, self._limit = place, limit

    @abstractmethod
    def names(self) -> Iterable[str]:
        """The names of all files."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of the file that a record calls ``name``."""

    @abstractmethod
    def path(self, name: str) -> Path | None:
        """The path of the file; None in an archive."""

    @abstractmethod
    def _has(self, name: str) -> bool: ...

    def find(self, name: str) -> str | None:
        """The source's own name for the file that a record calls ``name``; None if there is no such file."""
        if leaves_folder(name):
            raise DataError(f"{self.place}: {name!r} leads out of the folder; name a file below it")
        if self._has(name):
            return name
        parts = name.split("/")
        alike = [(_in_common(parts, other.split("/")), other) for other in self._by_last_part.get(parts[-1], ())]
        best = max(alike, default=(0, ""))[0]
        found = [other for common, other in alike if common == best]
        if len(found) > 1:
            raise DataError(f"{self.place}: {name!r} may be {found[0]!r} or {found[1]!r}; name it with its folder")
        return found[0] if found else None

    def _found(self, name: str) -> str:
        found = self.find(name)
        if found is None:
            raise DataError(f"{self.place}: no file {name!r}")
        return found

    @cached_property
    def _by_last_part(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for name in self.names():
            index.setdefault(name.rpartition("/")[2], []).append(name)
        return index

    def close(self) -> None:  # noqa: B027  a folder has nothing to close
        """Close the open files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_images(place: Path | str, limit: int = LIMIT) -> ImageSource:
    """Open a folder, a ``.zip``, or the last part of a zip in parts. ``limit``: bytes of one image.

    Raises DataError if ``place`` is something else or cannot be read.
    """
    place = Path(place)
    if place.is_dir():
        return ImageFolder(place, limit)
    if place.suffix.lower().startswith(".z") and place.suffix[2:].isdigit():
        raise DataError(f"{place}: a part of a zip; give its last part, {place.with_suffix('.zip').name}")
    return ImageZip(place, limit)


def _in_common(one: list[str], other: list[str]) -> int:
    """The number of equal parts at the ends of two paths."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one[::-1], other[::-1], strict=False))))


class ImageFolder(ImageSource):
    """Files below a folder. Links are followed, since caches of downloads consist of them."""

    def names(self) -> Iterable[str]:
        for folder, _, files in os.walk(self.place):
            names = ((Path(folder) / file).relative_to(self.place).as_posix() for file in files)
            yield from filter(self._has, names)  # reading a pipe would block

    def _has(self, name: str) -> bool:
        return os.path.isfile(self.place / name)  # pathlib raises for a name that is too long

    def path(self, name: str) -> Path:
        return self.place / self._found(name)

    def read(self, name: str) -> bytes:
        path = self.path(name)
        try:
            size = path.stat().st_size
            if size > self._limit:
                raise DataError(f"{path}: {size:,} bytes; at most {self._limit:,} are read")
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error


class ImageZip(ImageSource):
    """Members of a zip, whole or in parts."""

    def __init__(self, place: Path, limit: int) -> None:
        super().__init__(place, limit)
        self._zip = ZipReader(place, limit)

    def names(self) -> Iterable[str]:
        return self._zip.names()

    def _has(self, name: str) -> bool:
        return name in self._zip or name in self._zip.refused

    def path(self, name: str) -> None:
        self._found(name)

    def read(self, name: str) -> bytes:
        return self._zip.read(self._found(name))

    def close(self) -> None:
        self._zip.close()
