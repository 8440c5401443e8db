"""Choosing an executor by one word, and what is said when that goes wrong."""

from __future__ import annotations

import pytest

from tracer1.errors import UsageError
from tracer1.executors.registry import make_executor


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
        make_executor(name)


def test_unknown_options() -> None:
    with pytest.raises(UsageError, match="options \\['colour'\\]: got an unexpected"):
        make_executor("dom", colour="red")


def test_a_name_or_a_path_makes_one() -> None:
    assert make_executor("dom").name == "dom"
    assert make_executor("tracer1.executors.dom:DomExecutor").name == "dom"
