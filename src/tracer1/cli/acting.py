"""Acting and evaluating: act, check-env, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracer1.cli.common import DEMO_CONFIG, emit, tasks_of

app = typer.Typer()

ModelOption = Annotated[str, typer.Option(help="A planner: a folder, a hub name or a server's address, http://.../v1.")]
ModelName = Annotated[str | None, typer.Option(help="The server's model, where it has several.")]


@app.command()
def act(
    env: Annotated[str, typer.Argument(help="NAME:TASK, such as miniwob:login-user, toy-text:toy-form, replay:DIR.")],
    model: ModelOption,
    model_name: ModelName = None,
    seed: Annotated[int, typer.Option(help="The episode.")] = 0,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="T: steps forecast (default: the planner's own); 1 is reactive.")
    ] = None,
    executor: Annotated[str, typer.Option(help="dom or ocr.")] = "dom",
    out: Annotated[Path, typer.Option(help="Where the episode is kept.")] = Path("runs/act"),
) -> None:
    """One live episode of the plan-act loop.

    Example: tracer1 act miniwob:login-user --model runs/demo/checkpoints/stage2 --out runs/act
    """
    from tracer1.recipes.act import act as run_act

    episode = run_act(
        env, model, model_name=model_name, seed=seed, horizon=horizon, executor=executor, out=out, say=typer.echo
    )
    typer.echo(f"{episode.ending}, reward {episode.reward or 0.0:g}; the episode is in {out}")


@app.command("check-env")
def check_env_command(
    env: Annotated[str, typer.Argument(help="NAME:TASK, or module:Class:TASK of your own.")],
    seed: Annotated[int, typer.Option(help="The episode.")] = 0,
) -> None:
    """Check that an environment keeps its contract: types, sizes, determinism, errors, independence.

    Example: tracer1 check-env my_package.game:Game:level-1
    """
    from tracer1.envs.checker import check_env
    from tracer1.envs.registry import parse_env

    factory, task = parse_env(env)
    findings = check_env(factory, task, factory.expert(task) if factory.has_expert(task) else None, seed)
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.name}{': ' * (not finding.ok)}{finding.problem}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def evaluate(
    benchmark: Annotated[str, typer.Argument(help="An environment: miniwob, or module:Class of your own.")],
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="The run directory; an evaluation in it is resumed.")],
    model_name: ModelName = None,
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; default: the configuration's.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Episodes of each task.")] = None,
    first_seed: Annotated[int | None, typer.Option(help="The first of them.")] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="T: steps forecast (default: the planner's own).")] = None,
    executor: Annotated[str, typer.Option(help="The executor: dom or ocr.")] = "dom",
    steps_per_plan: Annotated[
        int | None, typer.Option(help="Also do up to so many steps of a plan while nothing surprises.")
    ] = None,
    config: Annotated[str, typer.Option(help="The configuration.")] = DEMO_CONFIG,
) -> None:
    """A planner on a benchmark, with the reactive agent (T = 1) and two baselines beside it.

    Example: tracer1 evaluate miniwob --model runs/demo/checkpoints/stage2 --out runs/eval --seeds 10
    """
    from tracer1.config.loading import load_config
    from tracer1.recipes.evaluate import benchmark as run_benchmark
    from tracer1.results.json_records import to_json

    options = {
        "output_dir": str(out),
        "executor.name": executor,
        "evaluation.tasks": tasks_of(tasks) if tasks else None,
        "evaluation.seeds_per_task": seeds,
        "evaluation.first_seed": first_seed,
        "evaluation.steps_per_plan": steps_per_plan,
    }
    values = {key: value for key, value in options.items() if value is not None}
    emit(to_json(run_benchmark(benchmark, model, load_config(config, values=values), horizon, model_name)))
