"""One live episode, step by step: ``tracer1 act``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tracer1.config.planner import planner_settings, settings_of
from tracer1.config.settings import Config, EvaluationSettings
from tracer1.envs.registry import parse_env
from tracer1.evaluation.live import evaluate_live
from tracer1.evaluation.planners import planner_source
from tracer1.executors.registry import make_executor
from tracer1.executors.running import TimeLimited
from tracer1.models.choice import fitting_prompt, open_planner
from tracer1.results.manifest import Manifest, code_version, discard
from tracer1.results.schema import EpisodeRow


def act(
    env: str,
    model: str,
    *,
    model_name: str | None = None,
    seed: int = 0,
    horizon: int | None = None,
    executor: str = "dom",
    out: Path = Path("runs/act"),
    say: Callable[[str], None] = lambda _: None,
) -> EpisodeRow:
    """Let a planner act once in ``env``: "miniwob:TASK", "replay:DIR" or another name of ``tracer1.envs.registry``.

    model: a folder, a hub name or a server's address; model_name: the server's model, where it has several. The
    planner is asked as in its own training; ``horizon`` replaces its T. The episode goes to ``out/live/act.jsonl``, its
    screens beside it.
    """
    factory, task = parse_env(env)
    file = out / "live" / "act.jsonl"
    discard(file)
    trained = planner_settings(model)
    own = trained or settings_of(Config(output_dir=str(out)))
    pixels = trained.pixels if trained else None
    planner = open_planner(model, name=model_name, max_tokens=own.max_completion_tokens, pixels=pixels)
    prompt = own.prompt() if trained else fitting_prompt(own.prompt(), planner)
    source = planner_source(model, name=model_name)
    result = evaluate_live(
        planner,
        TimeLimited(make_executor(executor), Config(output_dir=str(out)).executor.timeout),
        replace(prompt, horizon=horizon or own.horizon),
        [(task, seed)],
        EvaluationSettings(tasks=(task,), pages=1),
        file,
        out / "live" / "images",
        Manifest(
            kind="live episodes",
            model=source.name,
            weights=source.weights,
            prompt=prompt.version,
            horizon=horizon or own.horizon,
            history=own.history,
            executor=executor,
            protocol=factory.name,
            first_seed=seed,
            code=code_version(),
        ),
        factory,
    )
    episode = result.episodes[0]
    say(f"goal: {episode.goal}")
    for number, turn in enumerate(episode.turns, 1):
        for depth, step in enumerate(turn.steps):
            lead = f"{number:>3} do  " if depth == 0 else "    then"
            say(f"{lead} {step.instruction}  [{step.abstraction}]")
        if turn.error:
            say(f"    {turn.error}")
    return episode
