"""Choosing a tool agent by one word, and what is said when that goes wrong."""

from __future__ import annotations

import pytest

from tracer1.errors import UsageError
from tracer1.executors.registry import make_tool_agent


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("domm", "choose one of dom, ocr"),
        ("no.such.module:Agent", "there is no module"),
        ("tracer1.executors.dom:Missing", "has no 'Missing'"),
    ],
)
def test_unknown_names(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_tool_agent(name)


def test_unknown_options() -> None:
    with pytest.raises(UsageError, match="takes no arguments"):
        make_tool_agent("dom", colour="red")


def test_a_name_or_a_path_makes_one() -> None:
    assert make_tool_agent("dom").name == "dom"
    assert make_tool_agent("tracer1.executors.dom:DomToolAgent").name == "dom"
