"""Measured comparisons against what a user would use instead, by name: ``tracer1 bench``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tracer1.bench.data import bench_data
from tracer1.bench.env import bench_env
from tracer1.bench.grpo import bench_grpo
from tracer1.bench.plan import bench_plan_act
from tracer1.bench.reward import bench_reward

BENCHES: dict[str, Callable[[str], Iterator[dict[str, Any]]]] = {
    "data": lambda run: bench_data(),
    "env": lambda run: iter([bench_env()]),
    "grpo-step": lambda run: bench_grpo(),
    "plan-act": bench_plan_act,
    "reward": lambda run: bench_reward(),
}
"""Each yields its measurements as they are made; ``run`` is a finished run, for those that need a trained planner."""
