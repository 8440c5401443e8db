"""Evaluation as a user starts it: one planner live, with the reactive agent and the baselines beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tracer1.config.planner import as_trained
from tracer1.config.settings import Config
from tracer1.envs.registry import find_env
from tracer1.evaluation.planners import live_manifest, load_planner, planner_source
from tracer1.evaluation.run import baselines, live, live_figures
from tracer1.results.files import write_json
from tracer1.results.manifest import claim
from tracer1.results.run import locked, prepare
from tracer1.results.schema import Results


def benchmark(
    name: str, model: str, config: Config, horizon: int | None = None, model_name: str | None = None
) -> Results:
    """``tracer1 evaluate``: live success with interval, the reactive agent and the baselines beside it.

    ``name`` is an environment's; ``model`` a folder, a hub name or a server's address, and ``model_name`` the server's
    model, where it has several. The planner is asked as in its own training; ``horizon`` replaces its T. The results
    are returned, and written to ``results.json`` of the run. Raises UsageError for an unknown environment, and where
    the run holds results that were made otherwise.
    """
    find_env(name)
    config = as_trained(config, model, horizon)
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"environment": name})})
    with locked(Path(config.output_dir)):
        return _benchmark(name, model, config, model_name)


def _benchmark(name: str, model: str, config: Config, model_name: str | None) -> Results:
    several, every_step = config.evaluation, config.evaluation.model_copy(update={"steps_per_plan": 1})
    out = Path(config.output_dir) / "results.json"
    source = planner_source(model, name=model_name)
    claim(out, replace(live_manifest(source, config, several, None), kind="results"))
    run = prepare(config)
    planner = load_planner(model, config, name=model_name)
    on_the_plan = live_figures(live(planner, config, run, "acting-on-the-plan")) if several.steps_per_plan > 1 else None
    results = Results(
        benchmark=name,
        model=model,
        protocol=protocol(config),
        planner=live_figures(live(planner, config, run, "planner", settings=every_step)),
        acting_on_the_plan=on_the_plan and replace(on_the_plan, steps_per_plan=several.steps_per_plan),
        reactive=live_figures(live(planner, config, run, "reactive", horizon=1)),
        baselines=baselines(config, run),
    )
    write_json(out, results)
    return results


def protocol(config: Config) -> dict[str, object]:
    """What the numbers mean."""
    e = config.evaluation
    return {
        "success": "raw reward above 0",
        "executor": config.executor.name,
        "horizon": config.plan.horizon,
        "seeds": [e.first_seed, e.first_seed + e.seeds_per_task - 1],
    }
