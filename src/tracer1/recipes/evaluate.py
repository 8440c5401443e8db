"""Evaluation as a user starts it: one planner on held-out windows and live, with the baselines beside it."""

from __future__ import annotations

from typing import Any

from tracer1.config.planner import as_trained
from tracer1.config.settings import Config
from tracer1.errors import UsageError
from tracer1.evaluation.run import baselines, live, load_planner, summary
from tracer1.results.run import prepare, write_json


def benchmark(name: str, model: str, config: Config, horizon: int | None = None) -> dict[str, Any]:
    """``tracer1 evaluate``: live success with interval, the reactive agent and the baselines beside it.

    The planner is asked as in its own training; ``horizon`` replaces its T. The results are returned, and written to
    ``results.json`` of the run.
    """
    if name != "miniwob":
        raise UsageError(f"no benchmark {name!r}; there is miniwob")
    config = as_trained(config, model, horizon)
    run = prepare(config)
    planner = load_planner(model, config)
    every_step = config.evaluation.model_copy(update={"steps_per_plan": 1})
    acting: dict[str, Any] = {}
    if config.evaluation.steps_per_plan > 1:
        acting["acting_on_the_plan"] = {
            "steps_per_plan": config.evaluation.steps_per_plan,
            **summary(live(planner, config, run, "acting-on-the-plan")),
        }
    results = {
        "benchmark": name,
        "model": model,
        "protocol": {
            "success": "raw reward above 0",
            "executor": config.executor.name,
            "horizon": config.plan.horizon,
            "seeds": [
                config.evaluation.first_seed,
                config.evaluation.first_seed + config.evaluation.seeds_per_task - 1,
            ],
        },
        "planner": summary(live(planner, config, run, "planner", settings=every_step)),
        **acting,
        "reactive": summary(live(planner, config, run, "reactive", horizon=1)),
        "baselines": baselines(config, run),
    }
    write_json(run / "results.json", results)
    return results
