from __future__ import annotations

from tracer1.recipes.reproduce import headline, means, over_seeds
from tracer1.results.schema import AgentResult, Results, SeedMeans, SeedResult


def test_a_figure_over_seeds_keeps_its_values() -> None:
    assert over_seeds([0.5, 0.7, 0.6]) == SeedMeans(0.6, 0.5, 0.7, (0.5, 0.7, 0.6))


def test_the_last_words() -> None:
    spread = SeedMeans(0.6, 0.5, 0.7)
    mean = {"base": SeedMeans(0.4, 0.4, 0.4), "stage1": spread, "stage2": spread, "reactive": spread}
    lines = headline(Results(seeds=tuple(SeedResult(seed) for seed in range(3)), mean=mean))
    assert lines[0].startswith("live success, mean of 3 seeds")
    assert lines[1:] == ["  base 40%", *(f"  {name} 60% (50% to 70%)" for name in ("stage1", "stage2", "reactive"))]


def test_means_are_those_of_every_planner() -> None:
    seeds = [
        SeedResult(
            seed, (AgentResult(live_success=0.4), AgentResult(live_success=value)), AgentResult(live_success=0.2)
        )
        for seed, value in enumerate((0.5, 0.7))
    ]
    found = means(AgentResult(live_success=0.3), seeds)
    assert {name: m.mean for name, m in found.items()} == {"base": 0.3, "stage1": 0.4, "stage2": 0.6, "reactive": 0.2}
