from __future__ import annotations

from tracer1.recipes.reproduce import headline, over_seeds


def test_a_figure_over_seeds_keeps_its_values() -> None:
    assert over_seeds([0.5, 0.7, 0.6]) == {
        "mean": 0.6,
        "lowest": 0.5,
        "highest": 0.7,
        "values": [0.5, 0.7, 0.6],
    }


def test_the_last_words() -> None:
    spread = {"mean": 0.6, "lowest": 0.5, "highest": 0.7}
    means = {"base": 0.4, "stage1": spread, "stage2": spread, "reactive": spread}
    lines = headline({"seeds": [{}, {}, {}], "mean": means})
    assert lines[0].startswith("live success, mean of 3 seeds")
    assert lines[1:] == ["  base 40%", *(f"  {name} 60% (50% to 70%)" for name in ("stage1", "stage2", "reactive"))]
