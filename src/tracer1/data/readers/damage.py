"""What a reader yields in place of a record that cannot be read, so that the good records around it are not lost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Damaged:
    """One record, or the rest of a file, that could not be read.

    ``where`` names the file and the record, line or member; ``reason`` is short and the same for every damage of its
    kind, so that it can be counted ("wrong CRC"); ``detail`` says what was found and what to change.
    """

    where: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}: {self.detail}"
