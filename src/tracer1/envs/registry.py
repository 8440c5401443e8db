"""The environments by name: ``miniwob:login-user``, ``replay:DIR``, or ``module:Class`` of one's own.

An environment is a class ``Class(images)`` with the methods of ``tracer1.types.Env``; ``images`` is the folder that its
screenshots go to. Three methods of the class itself are optional:

    task_names() -> list[str]          the tasks
    expert(task) -> Expert             the scripted expert of a task (``tracer1.envs.experts``)
    open_envs(images, count, options)  an async context manager of ``count`` environments that share something
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tracer1.envs.experts import Expert
from tracer1.envs.options import DEFAULTS, EnvOptions
from tracer1.errors import SetupError, UsageError
from tracer1.extensions import ENVIRONMENT, is_dotted, load_object, require_options
from tracer1.types import Env

ENVIRONMENTS: Final = {
    "miniwob": "tracer1.envs.miniwob.browser:MiniWobEnv",
    "toy": "tracer1.envs.toy:ToyForm",
    "toy-text": "tracer1.envs.toy:ToyText",
    "replay": "tracer1.envs.replay:Recordings",
}
"""Name to class; ``module:Class`` of anything else that follows the Env protocol works too."""
EXTRAS: Final = {"miniwob": "web", "toy": "data", "toy-text": "data", "replay": "data"}
"""The extra that installs what an environment needs."""
WITH_FOLDER: Final = frozenset({"replay"})  # environments that are built from a folder, as replay:DIR


@dataclass(frozen=True, slots=True)
class EnvFactory:
    """Opens the environments of one name. ``made``: their class, or an object that has its optional methods."""

    name: str
    made: Any

    def __call__(
        self, images: Path | str, count: int = 1, options: EnvOptions = DEFAULTS
    ) -> AbstractAsyncContextManager[list[Env]]:
        """``count`` environments side by side, closed when the block ends. ``images``: the folder for screenshots."""
        if hasattr(self.made, "open_envs"):
            opened: AbstractAsyncContextManager[list[Env]] = self.made.open_envs(Path(images), count, options)
            return opened
        return _separate(self, Path(images), count)

    def task_names(self) -> list[str]:
        """The tasks; none where the environment does not list them."""
        return list(self.made.task_names()) if hasattr(self.made, "task_names") else []

    def expert(self, task: str) -> Expert:
        """The scripted expert of a task. Raises UsageError when there is none."""
        if not hasattr(self.made, "expert"):
            raise UsageError(f"environment {self.name!r} has no scripted experts: its class needs expert(task)")
        found: Expert = self.made.expert(task)
        return found

    def has_expert(self, task: str) -> bool:
        try:
            self.expert(task)
        except UsageError:
            return False
        return True


def parse_env(text: str) -> tuple[EnvFactory, str]:
    """The environment and the task in ``name:task``, ``replay:DIR[:EPISODE]`` or ``module:Class[:task]``.

    Raises UsageError for an unknown name or a missing task, SetupError when a package is missing.
    """
    name, task = split_env(text)
    factory = find_env(name)
    if not task and name in ENVIRONMENTS:
        names = factory.task_names()
        raise UsageError(f"{name} needs a task, such as {name}:{names[0]}; there are: {', '.join(names)}")
    return factory, task


def split_env(text: str) -> tuple[str, str]:
    """``name:task`` in its parts. The name keeps the folder of ``replay:DIR`` and the class of ``module:Class``."""
    head, colon, rest = text.partition(":")
    if head in WITH_FOLDER:
        folder, _, task = rest.rpartition(":")
        return (text, "") if not folder or Path(rest).exists() else (f"{head}:{folder}", task)
    if head in ENVIRONMENTS or not colon:
        return head, rest
    attribute, _, task = rest.partition(":")
    return f"{head}:{attribute}", task


def find_env(name: str) -> EnvFactory:
    """The environment called ``name`` (without a task). Raises UsageError or SetupError as ``parse_env``."""
    head, _, argument = name.partition(":")
    if head in WITH_FOLDER:
        if not argument:
            raise UsageError(f"{head} needs a folder: write {head}:DIR, an episode store")
        return EnvFactory(name, _shipped(head)(argument))
    if name in ENVIRONMENTS:
        return EnvFactory(name, _shipped(name))
    if not is_dotted(name):
        known = ", ".join(ENVIRONMENTS)
        raise UsageError(f"no environment {name!r}; choose one of {known}, or a path such as 'package.module:Class'")
    try:
        return EnvFactory(name, load_object(name, ENVIRONMENT))
    except UsageError as error:  # perhaps a registered name was meant
        raise UsageError(f"{error}; by name there are {', '.join(ENVIRONMENTS)}") from error


def open_envs(
    name: str, images: Path | str, count: int = 1, options: EnvOptions = DEFAULTS
) -> AbstractAsyncContextManager[list[Env]]:
    """``count`` environments of a name, side by side, closed when the block ends.

    Raises UsageError for an unknown name, SetupError when a browser or a package is missing.
    """
    return find_env(name)(images, count, options)


def task_names(name: str) -> list[str]:
    """The tasks of an environment; none where it does not list them."""
    return find_env(name).task_names()


def expert(name: str, task: str) -> Expert:
    """The scripted expert of a task. Raises UsageError when there is none."""
    return find_env(name).expert(task)


def _shipped(name: str) -> Any:
    module, _, attribute = ENVIRONMENTS[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        extra = f"tracer1[{EXTRAS[name]}]"
        raise SetupError(f"environment {name!r} needs {error.name}; run: pip install '{extra}'") from error


@asynccontextmanager
async def _separate(factory: EnvFactory, images: Path, count: int) -> AsyncIterator[list[Env]]:
    where = f"environment {factory.name!r}: write its class as Class(images)"
    require_options(factory.made, {"images": images}, where)
    images.mkdir(parents=True, exist_ok=True)
    envs: list[Env] = [factory.made(images=images) for _ in range(count)]
    try:
        yield envs
    finally:
        for env in envs:
            await env.close()
