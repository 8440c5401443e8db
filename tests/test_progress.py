from __future__ import annotations

import io
from itertools import count

import pytest
from rich.console import Console

from tracer1 import progress as module
from tracer1.progress import progress


def run(console: Console, steps: int = 3) -> None:
    with progress("recording [miniwob]", console) as tick:
        for i in range(steps):
            tick(i + 1, steps, f"reward {i / 10:.1f} [bold]")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by two seconds whenever it is asked."""
    monkeypatch.setattr(module.time, "monotonic", count(0.0, 2.0).__next__)


@pytest.mark.usefixtures("clock")
def test_plain_lines_elsewhere_than_on_a_terminal() -> None:
    out = io.StringIO()
    run(Console(file=out, width=60))
    assert out.getvalue().splitlines() == [
        "recording [miniwob] ...",
        "recording [miniwob]: 3/3, 6 s, reward 0.2 [bold]",  # five seconds have gone by since the beginning
    ]
    out = io.StringIO()
    run(Console(file=out, width=60), steps=10)
    assert len(out.getvalue().splitlines()) == 5


def test_a_bar_on_a_terminal() -> None:
    out = io.StringIO()
    run(Console(file=out, width=120, force_terminal=True, legacy_windows=False))
    assert "recording [miniwob]" in out.getvalue()
    assert "3/3" in out.getvalue()
    assert "reward 0.2 [bold]" in out.getvalue()


def test_an_error_passes_through_and_the_last_line_is_said() -> None:
    out = io.StringIO()

    def fail() -> None:
        with progress("work", Console(file=out)) as tick:
            tick(1, 9)
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert out.getvalue().splitlines()[-1].startswith("work: 1/9, ")
