"""Measured comparisons against what a user would use instead, by name: ``tracer1 bench``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer1.recipes.bench_env import bench_env

BENCHES: dict[str, Callable[[], dict[str, Any]]] = {"env": bench_env}
