"""Damage: what a reader yields in the place of a record that cannot be read, so that the records around it are kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Damaged:
    """One record, or the rest of a file, that could not be read.

    ``where`` names the file and the record, line or member. ``reason`` is short and the same for all damage of a kind,
    so that it can be counted ("wrong CRC"). ``detail`` gives the finding and the remedy.
    """

    where: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}: {self.detail}"
