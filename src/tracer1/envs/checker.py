"""The conformance checker of environments: tries an environment against each promise of ``tracer1.types.Env``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias, get_args

from PIL import Image, UnidentifiedImageError

from tracer1.envs.experts import Demonstration, Expert, demonstrate
from tracer1.envs.registry import EnvFactory
from tracer1.errors import ActionError, EnvironmentFailure, TraceR1Error, UsageError
from tracer1.types import Action, Env, Observation, Platform, Task, Transition

UNKNOWN: Final = "no such task, surely"
IMPOSSIBLE: Final = Action("click")  # a click lacks its point on a screen, and is unknown among tools
WAIT: Final = Action("wait")
GIVE_UP: Final = Action("finished")


@dataclass(frozen=True, slots=True)
class EnvFinding:
    """One promise, and why the environment breaks it; ``problem`` is "" where it holds."""

    name: str
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


class _BrokenPromise(Exception):
    """A check's own result, raised where it is found and caught where the finding is made."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """What every check works with: two environments side by side, a task and a seed."""

    env: Env
    other: Env
    task: str
    seed: int
    action: Action  # one that the task's platform has
    expert: Expert | None = None


Check: TypeAlias = Callable[[_Trial], Coroutine[Any, Any, None]]


def check_env(factory: EnvFactory, task: str, expert: Expert | None = None, seed: int = 0) -> list[EnvFinding]:
    """Check that environments of ``factory`` keep the contract on ``task``: a finding for each promise.

    ``expert``: also check that it earns reward 1. Where not even ``reset`` works, that is the only finding. Raises
    UsageError for an unknown task, SetupError when the environment cannot be opened.
    """
    return asyncio.run(examine(factory, task, expert, seed))


async def examine(factory: EnvFactory, task: str, expert: Expert | None = None, seed: int = 0) -> list[EnvFinding]:
    """``check_env`` inside a running event loop."""
    findings: list[EnvFinding] = []
    try:
        with TemporaryDirectory() as images:
            async with factory(images, 2) as (env, other):
                trial = _Trial(env, other, task, seed, await _some_action(env, task, seed), expert)
                findings += await _examine(trial)
    except Exception as error:
        if not findings:  # it could not be opened
            raise
        findings.append(EnvFinding("environments can be closed at the end", f"raised {_named(error)}"))
    return findings


async def _examine(trial: _Trial) -> list[EnvFinding]:
    first = await _finding(*FIRST, trial)
    others = CHECKS | (EXPERT if trial.expert else {}) if first.ok else {}
    return [first, *[await _finding(name, check, trial) for name, check in others.items()]]


async def _some_action(env: Env, task: str, seed: int) -> Action:
    """Every screen can wait; among tools only 'finished' is known to all."""
    try:
        asked, _ = await env.reset(task, seed)
    except UsageError:
        raise
    except Exception:  # the first check says what is wrong
        return WAIT
    return GIVE_UP if getattr(asked, "platform", "") == "tools" else WAIT


async def _finding(name: str, check: Check, trial: _Trial) -> EnvFinding:
    try:
        await check(trial)
    except _BrokenPromise as broken:
        return EnvFinding(name, str(broken))
    except Exception as error:  # the environment under test may raise anything: that is what is checked
        return EnvFinding(name, f"raised {_named(error)}")
    return EnvFinding(name)


# ---- the promises ----------------------------------------------------------------------------------------------------


async def _reset(trial: _Trial) -> None:
    made: Any = await trial.env.reset(trial.task, trial.seed)
    _require(isinstance(made, tuple) and len(made) == 2, f"reset returned {_kind(made)}, not (Task, Observation)")
    task, seen = made
    _require(isinstance(task, Task), f"reset's first value is {_kind(task)}, not a Task")
    _require(bool(task.goal.strip()), "the task's goal is empty")
    _require(task.platform in get_args(Platform), f"the task's platform is {task.platform!r}")
    _require_observation(seen, "reset")
    _require(seen.platform == task.platform, f"the observation is of {seen.platform}, the task of {task.platform}")


async def _size(trial: _Trial) -> None:
    _, seen = await trial.env.reset(trial.task, trial.seed)
    if seen.screenshot is None:
        _require(seen.text is not None or bool(seen.files), "an observation has neither a screenshot nor text")
        return
    try:
        with Image.open(seen.screenshot) as image:
            size = image.size
    except (OSError, UnidentifiedImageError) as error:
        raise _BrokenPromise(f"the screenshot cannot be opened: {error}") from error
    _require(size == tuple(seen.size), f"the screenshot has {size} pixels, but the observation's size is {seen.size}")


async def _elements(trial: _Trial) -> None:
    _, seen = await trial.env.reset(trial.task, trial.seed)
    for element in seen.elements or ():
        x0, y0, x1, y1 = element.box
        inside = 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1
        _require(inside, f"the box of {element.role} {element.name!r} is not in fractions: {element.box}")


async def _deterministic(trial: _Trial) -> None:
    first = await _begin(trial.env, trial)
    await trial.env.reset(trial.task, trial.seed + 1)
    _require(await _begin(trial.env, trial) == first, f"two resets with seed {trial.seed} differ")
    _require(await _begin(trial.other, trial) == first, f"a second environment differs under seed {trial.seed}")


async def _side_by_side(trial: _Trial) -> None:
    alone = await _transition(trial.other, trial)
    await trial.other.reset(trial.task, trial.seed)
    await trial.env.reset(trial.task, trial.seed + 1)
    await trial.env.step(GIVE_UP)
    both = await trial.other.step(trial.action)
    _require(_content(both) == alone, "an episode changes when another environment acts beside it")


async def _step(trial: _Trial) -> None:
    await trial.env.reset(trial.task, trial.seed)
    transition = await trial.env.step(trial.action)
    _require(isinstance(transition, Transition), f"step returned {_kind(transition)}, not a Transition")
    _require_observation(transition.observation, "step")
    _require(isinstance(transition.reward, int | float), f"the reward is {_kind(transition.reward)}, not a number")
    _require(isinstance(transition.terminated, bool), f"'terminated' is {_kind(transition.terminated)}, not a bool")


async def _impossible(trial: _Trial) -> None:
    await trial.env.reset(trial.task, trial.seed)
    await _require_raised(trial.env.step(IMPOSSIBLE), "a click without a point", ActionError)
    with suppress(UsageError, EnvironmentFailure):  # the episode may be over, where the environment says so
        await trial.env.step(GIVE_UP)
    await trial.env.reset(trial.task, trial.seed)


async def _give_up(trial: _Trial) -> None:
    await trial.env.reset(trial.task, trial.seed)
    transition = await trial.env.step(GIVE_UP)
    _require(transition.terminated, "the action 'finished' does not end the episode")


async def _after_the_end(trial: _Trial) -> None:
    await trial.env.reset(trial.task, trial.seed)
    await trial.env.step(GIVE_UP)
    await _require_raised(trial.env.step(trial.action), "a step after the end", UsageError)


async def _unknown_task(trial: _Trial) -> None:
    await _require_raised(trial.env.reset(UNKNOWN, trial.seed), f"a reset of the unknown task {UNKNOWN!r}", UsageError)


async def _expert(trial: _Trial) -> None:
    assert trial.expert is not None
    first = await demonstrate(trial.env, trial.expert, trial.task, trial.seed)
    _require(first.reward == 1, f"the expert earned {first.reward:g}: {first.reason or 'no reason given'}")
    again = await demonstrate(trial.other, trial.expert, trial.task, trial.seed)
    _require(_played(again) == _played(first), "the expert's episode differs when it is played again")


async def _close(trial: _Trial) -> None:
    await trial.env.reset(trial.task, trial.seed)
    await trial.env.close()
    await trial.env.close()
    await _require_raised(trial.env.step(trial.action), "a step after close", UsageError)


FIRST: Final[tuple[str, Check]] = ("reset gives a task and an observation", _reset)
CHECKS: Final[dict[str, Check]] = {
    "sizes match the screenshot": _size,
    "boxes are fractions of the screen": _elements,
    "the seed decides the first screen": _deterministic,
    "environments are independent": _side_by_side,
    "step gives a transition": _step,
    "an impossible action raises ActionError": _impossible,
    "'finished' ends the episode": _give_up,
    "a step after the end raises UsageError": _after_the_end,
    "an unknown task raises UsageError": _unknown_task,
    "close may be called twice": _close,
}
EXPERT: Final[dict[str, Check]] = {"the expert earns reward 1, twice the same way": _expert}


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise _BrokenPromise(problem)


def _require_observation(seen: Any, where: str) -> None:
    _require(isinstance(seen, Observation), f"{where} gave {_kind(seen)}, not an Observation")


async def _require_raised(work: Awaitable[object], what: str, wanted: type[TraceR1Error]) -> None:
    try:
        await work
    except wanted:
        return
    except Exception as error:
        raise _BrokenPromise(f"{what} raised {_named(error)} instead of {wanted.__name__}") from error
    raise _BrokenPromise(f"{what} did not raise {wanted.__name__}")


async def _begin(env: Env, trial: _Trial) -> tuple[Task, Observation]:
    task, seen = await env.reset(trial.task, trial.seed)
    return task, _bytes(seen)


async def _transition(env: Env, trial: _Trial) -> Transition:
    await env.reset(trial.task, trial.seed)
    return _content(await env.step(trial.action))


def _content(transition: Transition) -> Transition:
    return replace(transition, observation=_bytes(transition.observation))


def _bytes(seen: Observation) -> Observation:
    """An observation with its screenshot's bytes in place of the path, so that equal screens are equal."""
    return seen if seen.screenshot is None else replace(seen, screenshot=Path(seen.screenshot).read_bytes().hex())


def _played(shown: Demonstration) -> list[tuple[Observation, str, Action]]:
    return [(_bytes(step.observation), step.instruction, step.action) for step in shown.steps]


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"
