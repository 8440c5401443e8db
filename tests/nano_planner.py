"""A planner of a few thousand weights and the toy episodes it is made from, built once a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracer1.config.settings import ModelSettings
from tracer1.data.store import EpisodeStore, write_episodes
from tracer1.plan.prompt import PROMPTS
from tracer1.types import Action, Element, Env, Episode, EpisodeStep, Observation, Task, Transition

if TYPE_CHECKING:
    from tracer1.config.settings import NanoModelSettings
    from tracer1.training.warmup_data import WarmupSource

PROMPT = PROMPTS["brief-1"]
FP32 = ModelSettings(device="cpu", dtype="fp32")
SEEDS = 12  # of each of the four toy tasks
STAGE = {
    "steps": 2,
    "lr": 1e-2,
    "prompts_per_batch": 3,
    "group_size": 2,
    "updates_per_batch": 1,
    "micro_batch": 6,
    "max_completion_tokens": 6,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "save_every": 1,
}
"""A stage of GRPO that takes a second."""


def each(score: Callable[[str, dict[str, Any]], Any]) -> Any:
    """A scorer of batches from a function of one completion and its row."""
    return lambda completions, rows: [score(c, row) for c, row in zip(completions, rows, strict=True)]


@dataclass(frozen=True)
class Nano:
    """A saved planner, and what it was made from."""

    folder: Path
    settings: NanoModelSettings
    tokenizer: Any
    store: EpisodeStore
    episodes: list[Episode]
    source: WarmupSource
    windows: Path  # a Parquet file


async def play(images: Path, task: str, seed: int, store: EpisodeStore) -> Episode:
    """One episode of the toy form as its own expert plays it."""
    from tracer1.envs.toy import ToyForm
    from tracer1.executors.dom import DomExecutor

    env, agent = ToyForm(images), DomExecutor()
    asked, seen = await env.reset(task, seed)
    goal = asked.goal
    steps: list[EpisodeStep] = []
    terminated = False
    while not terminated:
        step = env.gold()[0]
        action = await agent.act(step, seen)
        assert seen.screenshot is not None
        assert seen.elements is not None
        boxes = [e.box for e in seen.elements if f"'{e.name}' {e.role}" in step.instruction]
        steps.append(
            EpisodeStep(
                f"images/{Path(seen.screenshot).name}",
                seen.size,
                step.abstraction,
                step.instruction,
                action,
                boxes[0] if action.action_type == "click" else None,
                status=step.status,
                elements=store.put_elements(seen.elements),
            )
        )
        transition = await env.step(action)
        seen, terminated = transition.observation, transition.terminated
    assert transition.reward == 1.0
    return Episode(f"toy/{task}/{seed}", "toy", "web", goal, "train", tuple(steps), labels={"task": task})


def as_text(episode: Episode, store: EpisodeStore) -> Episode:
    """An episode of the toy form without its screenshots: each step lists the elements as text."""

    def step(recorded: EpisodeStep) -> EpisodeStep:
        elements = store.load_elements(recorded.elements or "")
        return replace(recorded, screenshot=None, size=(0, 0), text=listing(elements))

    return replace(episode, steps=tuple(map(step, episode.steps)))


def listing(elements: Sequence[Element]) -> str:
    """The elements as an accessibility tree would list them."""
    return "; ".join(f"{e.role} '{e.name}'{' (focused)' if e.focused else ''}" for e in elements)


def text_windows(nano: Nano, version: str = PROMPT.version) -> Iterator[dict[str, Any]]:
    """Rows of windows whose observations are text."""
    from tracer1.plan.windows import episode_rows

    for episode in nano.episodes:
        yield from episode_rows(as_text(episode, nano.store), PROMPTS[version], 2, 3)


def write_text_windows(nano: Nano, out: Path, version: str = PROMPT.version) -> Path:
    """A windows file of the toy episodes as text."""
    from tracer1.data.windows_file import write_rows

    write_rows(out, text_windows(nano, version), nano.store.directory, {"horizon": 3, "history": 2, "prompt": version})
    return out


class TextForm:
    """``tracer1.types.Env``: the toy form seen as text."""

    def __init__(self, images: Path) -> None:
        from tracer1.envs.toy import ToyForm

        self.form = ToyForm(images)

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        asked, seen = await self.form.reset(task, seed)
        return asked, self._as_text(seen)

    async def step(self, action: Action) -> Transition:
        transition = await self.form.step(action)
        return replace(transition, observation=self._as_text(transition.observation))

    async def close(self) -> None:
        await self.form.close()

    def _as_text(self, seen: Observation) -> Observation:
        return replace(seen, screenshot=None, size=(0, 0), text=listing(seen.elements or ()))


@asynccontextmanager
async def toy_envs(images: Path, count: int) -> AsyncIterator[Sequence[Env]]:
    """Toy forms, as a live evaluation opens its environments."""
    from tracer1.envs.toy import ToyForm

    yield [ToyForm(images) for _ in range(count)]


@pytest.fixture(scope="session")
def toy_store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """48 episodes of the toy form."""
    from tracer1.envs.toy import TASKS

    store = EpisodeStore(tmp_path_factory.mktemp("toy") / "episodes")

    async def record() -> list[Episode]:
        jobs = [(task, seed) for seed in range(SEEDS) for task in TASKS]
        return [await play(store.directory / "images", task, seed, store) for task, seed in jobs]

    write_episodes(store.directory, asyncio.run(record()))
    return store


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Sums come out the same every time, and a busy machine is not made busier."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def nano(toy_store: EpisodeStore, one_thread: None) -> Nano:
    """An untrained planner, hidden size 32, in a folder of its own."""
    from tracer1.config.settings import NanoModelSettings
    from tracer1.data.store import read_episodes
    from tracer1.data.windows import make_windows
    from tracer1.models.nano import build_model, save_planner
    from tracer1.models.tokenizer import build_tokenizer
    from tracer1.training.warmup_data import WarmupSource

    settings = NanoModelSettings(
        hidden=32,
        layers=2,
        heads=2,
        vision_hidden=32,
        vision_layers=1,
        vision_heads=2,
        pieces=60,
        word_episodes=4,
        init_std=0.3,  # so large that it says different things of different prompts without being trained
    )
    episodes = list(read_episodes(toy_store.directory))
    source = WarmupSource(episodes, PROMPT, str(toy_store.directory))
    tokenizer = build_tokenizer(source.templates(), source.strings(), settings.pieces, settings.word_episodes)
    folder = toy_store.directory.parent / "planner"
    folder.mkdir()
    save_planner(build_model(settings, tokenizer, seed=0), tokenizer, folder)
    windows = toy_store.directory.parent / "train.parquet"
    make_windows(toy_store.directory, windows, 3, 2, "brief-1")
    return Nano(folder, settings, tokenizer, toy_store, episodes, source, windows)
