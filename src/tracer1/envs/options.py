"""What can be chosen of an environment when it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class EnvOptions:
    """Each environment uses what applies to it.

    ``scale``: screenshot pixels per CSS pixel. ``elements``: whether observations hold the screen's elements.
    ``mode``: which data a task shows, where it has both kinds. ``timeout``: seconds that one reset or step may take.
    """

    scale: int = 1
    elements: bool = True
    mode: Literal["train", "test"] = "train"
    timeout: float = 30.0


DEFAULTS = EnvOptions()
