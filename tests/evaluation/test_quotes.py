from __future__ import annotations

import pytest

from tracer1.evaluation.quotes import free_quotes, quoted_strings


@pytest.mark.parametrize(
    ("instruction", "strings"),
    [
        ("type 'ada' in the 'Name' field", ["Name", "ada"]),
        ('Open the "Settings" page and choose “Dark mode”', ["Settings", "Dark mode"]),
        ("Don't press the user's 'Send' button", ["Send"]),
        ("Set the title to 'don't'", ["don't"]),
        ("Click on the search bar", []),
        ("", []),
        ('an unclosed " quote', []),
    ],
)
def test_quoted_strings_of_any_instruction(instruction: str, strings: list[str]) -> None:
    assert quoted_strings(instruction) == strings


def test_quotes_come_in_their_order() -> None:
    assert free_quotes('‘b’ before "a" and «c»') == ["b", "a", "c"]
