"""The library from Python: load a planner, plan, act on an environment, score a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

from tracer1.agent.loop import Limits, run_episodes
from tracer1.config.planner import planner_settings, settings_of
from tracer1.config.settings import Config
from tracer1.envs.checker import EnvFinding, examine
from tracer1.envs.registry import parse_env
from tracer1.errors import UsageError
from tracer1.executors.registry import make_executor
from tracer1.executors.running import Background, TimeLimited
from tracer1.plan.prompt import PROMPTS, PromptSpec
from tracer1.plan.text import render_plan, require_plan
from tracer1.rewards.trajectory import PROFILES, score_trajectory
from tracer1.types import Env, Executor, HistoryStep, Model, Observation, Plan, Score, Step, Task, Trajectory

# ---- planning --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planner:
    """A model together with the prompt that it understands: it forecasts the next steps of a task."""

    model: Model
    spec: PromptSpec

    def plan(
        self,
        goal: str,
        screenshot: Path | str,
        history: Sequence[HistoryStep] = (),
        horizon: int | None = None,
    ) -> Plan:
        """The next steps towards ``goal`` from what the ``screenshot`` (a path) shows.

        history: the steps taken so far. horizon: how many steps to forecast, the planner's own if None.
        Raises PlanError when the completion holds no plan, ModelError when the engine gives no completion.
        """
        from tracer1.data.images import read_image_file

        size = read_image_file(Path(screenshot)).size
        prompt = self.spec.prompt(Task(goal), Observation(str(screenshot), size), history, len(history) + 1, horizon)
        return require_plan(self.model.complete([prompt])[0])


def load_planner(
    model: Path | str,
    *,
    model_name: str | None = None,
    horizon: int | None = None,
    history: int | None = None,
    prompt_version: str | None = None,
) -> Planner:
    """A planner from a Hugging Face folder, a hub name or the URL of an OpenAI-compatible server (``.../v1``).

    model_name: the server's model, where it has several. horizon, history, prompt_version: those that the planner was
    trained with if None; of a model of another origin, 5, 5 and the full prompt in the style of its chat template.
    Raises UsageError for an unknown prompt version, SetupError when no planner can be loaded.
    """
    from tracer1.models.choice import fitting_prompt, open_planner

    if prompt_version is not None and prompt_version not in PROMPTS:
        raise UsageError(f"unknown prompt version {prompt_version!r}: use {' or '.join(PROMPTS)}")
    trained = planner_settings(model)
    own = trained or settings_of(Config(output_dir=""))
    pixels = trained.pixels if trained else None
    planner = open_planner(model, name=model_name, max_tokens=own.max_completion_tokens, pixels=pixels)
    spec = own.prompt() if trained else fitting_prompt(own.prompt(), planner)
    spec = PROMPTS[prompt_version] if prompt_version is not None else spec
    steps = own.horizon if horizon is None else horizon
    return Planner(planner, replace(spec, horizon=steps, history=own.history if history is None else history))


# ---- acting ----------------------------------------------------------------------------------------------------------


def run_episode(
    env: Env | str,
    planner: Planner,
    task: str = "",
    seed: int = 0,
    *,
    executor: Executor | str = "dom",
    max_steps: int = 12,
    seconds: float = 120.0,
    images: Path | str | None = None,
) -> Trajectory:
    """One episode of the plan-act loop: forecast, let the executor do the first step, look, forecast again.

    env: a name with its task, such as ``miniwob:login-user`` or ``module:Class:task``, which is opened and closed here
    (``images``: the folder for its screenshots, a temporary one if None); or an open environment, with ``task`` beside
    it. executor: an object, or a name for ``make_executor``. What fails in the episode is not raised: ``ending`` and
    ``where`` of the Trajectory say what happened.
    """
    agent = TimeLimited(make_executor(executor) if isinstance(executor, str) else executor, seconds)
    limits = Limits(default_steps=max_steps, seconds=seconds)

    async def act(opened: Env, name: str) -> Trajectory:
        episodes = run_episodes([(name, seed)], [opened], planner.model, agent, planner.spec, limits)
        return (await episodes)[0]

    async def open_and_act(text: str) -> Trajectory:
        factory, name = parse_env(text)
        async with factory(images or mkdtemp(prefix="tracer1-")) as (opened,):
            return await act(opened, name)

    with Background() as loop:  # a thread of its own: a notebook has a running loop already
        return loop.run(open_and_act(env) if isinstance(env, str) else act(env, task))


def check_env(env: str, seed: int = 0) -> list[EnvFinding]:
    """Check that an environment, named as in ``run_episode``, keeps its contract: a finding for each promise.

    Raises UsageError for an unknown environment or task.
    """
    factory, task = parse_env(env)
    expert = factory.expert(task) if factory.has_expert(task) else None
    with Background() as loop:
        return loop.run(examine(factory, task, expert, seed))


# ---- scoring ---------------------------------------------------------------------------------------------------------


def score_plan(plan: Plan | str, reference: Plan | Sequence[Step | str], profile: str = "paper") -> Score:
    """The stage 1 reward of a plan (or a raw completion) against the recorded next steps (or their action types).

    ``overall`` is between 0 and 1; ``terms`` has its parts by name. profile: ``paper`` or ``prototype``.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown profile {profile!r}: use {' or '.join(PROFILES)}")
    completion = plan if isinstance(plan, str) else render_plan(plan)
    steps = reference.steps if isinstance(reference, Plan) else reference
    return score_trajectory(completion, steps, PROFILES[profile])
