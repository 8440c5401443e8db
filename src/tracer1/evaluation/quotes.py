"""The strings that an instruction quotes, whether it is in the executors' grammar or in free language."""

from __future__ import annotations

import re

from tracer1.errors import InstructionError
from tracer1.executors.instruction import parse_instruction

# A single quote counts only at a word's edge, so that the apostrophe of "don't" does not.
_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|‘([^’\n]+)’(?!\w)|«([^»\n]+)»|(?<!\w)'([^\n]+?)'(?!\w)")


def quoted_strings(instruction: str) -> list[str]:
    """The name of the target and the text to type; of free language, every string in quotes."""
    try:
        parsed = parse_instruction(instruction)
    except InstructionError:
        return free_quotes(instruction)
    return [text for text in (parsed.name, parsed.content) if text]


def free_quotes(text: str) -> list[str]:
    """Every string in quotes, in order."""
    return [next(filter(None, match.groups())).strip() for match in _QUOTED.finditer(text)]
