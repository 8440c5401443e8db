"""Figures and names as text: per cent and minus signs, durations, labels of the stages."""

from __future__ import annotations

import re
from collections.abc import Sequence

NARROW = "\u202f"  # the space before a per cent sign
MINUS = "\u2212"
LABELS = {"base": "Base", "stage1": "After stage 1", "stage2": "After stage 2"}
SHORT = {"base": "base", "stage1": "stage 1", "stage2": "stage 2"}
STYLES = {"base": "base", "stage1": "one", "stage2": "two"}  # CSS classes


def percent(value: float) -> str:
    """A share as "71.7 %"."""
    return f"{signed(f'{100 * value:.1f}')}{NARROW}%"


def figure(value: float) -> str:
    """A figure of unknown kind, in as many digits as its size asks for."""
    if value == 0:
        return "0"
    size = abs(value)
    if size < 0.001 or size >= 1e6:
        return signed(exponent(value))
    return signed(f"{value:,.4f}" if size < 0.1 else f"{value:,.3f}" if size < 10 else f"{value:,.1f}")


def exponent(value: float) -> str:
    """A very small or large number as "3e-5"."""
    mantissa, _, power = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(power)}" if value else "0"


def signed(text: str) -> str:
    """``text`` with a typographic minus."""
    return text.replace("-", MINUS)


def as_words(name: str) -> str:
    """A key as words."""
    return " ".join(re.sub(r"\bstage(?=[0-9])", "stage ", name.replace("_", " ").replace("-", " ")).split())


def stage_label(name: str) -> str:
    """A planner, by the stage that made it."""
    return LABELS.get(name, as_words(name).capitalize())


def training_label(name: str) -> str:
    """A stage of training."""
    return as_words(name).capitalize()


def style_of(name: str) -> str:
    """The CSS class that colours a stage."""
    return STYLES.get(name, "other")


def duration(value: float) -> str:
    """Minutes as "3 min 20 s"."""
    seconds = round(60 * value)
    if seconds < 60:
        return f"{60 * value:.1f} s" if 60 * value < 10 else f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def cut(text: str, most: int) -> str:
    """``text`` up to ``most`` characters, with the number of those left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def join(parts: Sequence[str]) -> str:
    """Parts as "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
