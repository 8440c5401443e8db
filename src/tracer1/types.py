"""The vocabulary: the types that every module shares. Imports no other module of ours and no third-party package.

Units: points and boxes inside records are fractions of the screenshot's width and height (``FRACTION``); sizes are
``(width, height)`` in pixels; times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

Size: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[float, float, float, float]  # x0, y0, x1, y1 as fractions, edges inclusive
Message: TypeAlias = dict[str, Any]  # a chat message: {"role": ..., "content": text or list of parts}
Platform: TypeAlias = Literal["desktop", "mobile", "web", "tools"]
Status: TypeAlias = Literal["not done", "done"]


# ---- coordinates -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """A coordinate system: the extents of the screen in it. Frames of equal name and extents are the same frame."""

    name: str  # "fraction", "per_mille", "pixels" or "smart_resized"
    width: float
    height: float


FRACTION = Frame("fraction", 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the screen in one frame; ``tracer1.coordinates`` converts and compares, and refuses to mix frames."""

    x: float
    y: float
    frame: Frame = FRACTION


# ---- actions and plans -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """What an executor does. Types are UI-TARS' names (``tracer1.actions``); points are fractions of the screen."""

    action_type: str
    point: Point | None = None
    start_point: Point | None = None
    end_point: Point | None = None
    content: str | None = None  # type, finished, call_user
    key: str | None = None  # hotkey: "ctrl c"
    direction: str | None = None  # scroll: where new content comes from
    app_name: str | None = None  # open_app
    arguments: Mapping[str, Any] | None = None  # tools
    element: str | None = None  # the element's id in the screen's text, where a corpus has no pixels to point at


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan: what the screen will show, what to do, and whether that completes the task."""

    abstraction: str
    action_type: str
    instruction: str
    status: Status = "not done"
    arguments: Mapping[str, Any] | None = None  # tool-use steps


@dataclass(frozen=True, slots=True)
class Plan:
    """The planner's forecast: a thought and the next steps, the first of which is executed."""

    steps: tuple[Step, ...]
    thought: str = ""
    first_number: int = 1  # the number of the first predicted step in its episode (t+1)


@dataclass(frozen=True, slots=True)
class Score:
    """A reward with its named terms. ``overall`` and ``accuracy`` are None when the sample could not be scored."""

    overall: float | None
    format: float
    accuracy: float | None
    terms: Mapping[str, float] = field(default_factory=dict)  # every term by name, unweighted
    weights: Mapping[str, float] = field(default_factory=dict)  # the declared weight of each weighted term
    unscored: str | None = None  # why, when overall is None


# ---- observations and episodes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Element:
    """Something on the screen as the page's own structure tells it (the yardstick's view, never the planner's)."""

    role: str  # a role of tools/instruction.py: "button", "field", "checkbox", ...
    name: str  # the visible text or label; "" when it bears none
    box: Box
    focused: bool = False
    bears_text: bool = True  # the name is drawn on the screen on or beside the element


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen at one moment. ``screenshot`` is a path: pixels are opened by who needs them and never carried."""

    screenshot: str | None
    size: Size  # of the screenshot in pixels; (0, 0) where there is none
    elements: tuple[Element, ...] | None = None
    text: str | None = None  # the last tool's output, or the screen as text where a corpus has no pixels
    platform: Platform = "web"
    files: tuple[str, ...] = ()  # tool use: paths of the task's files, pictures included


@dataclass(frozen=True, slots=True)
class Task:
    """One episode's task: what the planner is shown of it, and its limits (None: those of the evaluation)."""

    goal: str
    platform: Platform = "web"
    source: str = ""  # the corpus or environment, which may offer actions beyond the platform's
    files: tuple[str, ...] = ()  # tool use: paths of the task's files, pictures included
    max_steps: int | None = None
    seconds: float | None = None  # of wall time


@dataclass(frozen=True, slots=True)
class EpisodeStep:
    """One recorded step: the screen before the action, the words for it, the action and what it hit."""

    screenshot: str | None  # path relative to the store
    size: Size
    abstraction: str
    instruction: str
    action: Action
    box: Box | None = None  # the target's box
    observation: str | None = None  # tool use: what the tool returned
    status: Status = "not done"
    elements: str | None = None  # path of the elements' JSON list, relative to the store
    thought: str | None = None
    labels: Mapping[str, str | float | bool] = field(default_factory=dict)  # the corpus' own quality labels
    text: str | None = None  # the screen as text before the action, where a corpus has no pixels (accessibility)


@dataclass(frozen=True, slots=True)
class Episode:
    """One recorded trajectory, one line of ``episodes.jsonl``."""

    episode_id: str
    source: str  # "miniwob", "agentnet", ...
    platform: Platform
    goal: str
    split: str
    steps: tuple[EpisodeStep, ...]
    files: tuple[str, ...] = ()  # tool use: the task's images and files, relative to the store
    answer: str | None = None  # tool use: the recorded final answer
    labels: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One past step as the history shows it: the words, never the screenshot."""

    abstraction: str
    action_type: str
    instruction: str


@dataclass(frozen=True, slots=True)
class Reference:
    """What a window's completion is scored against: the recorded next steps, and for stage 2 the first one's target.

    ``observation`` is what came of the first step. ``text``, ``size``, ``platform`` and ``files`` are what was known
    before it: they are all that an executor may be shown beside the images.
    """

    steps: tuple[Step, ...]
    action: Action | None = None
    box: Box | None = None
    elements: str | None = None
    observation: str | None = None
    text: str | None = None
    size: Size = (0, 0)
    platform: Platform = "web"
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A training instance: everything the planner is shown at step ``step``, and the reference continuation."""

    prompt: tuple[Message, ...]
    images: tuple[str, ...]
    reference: Reference
    episode_id: str
    step: int  # 0-based index t of the observation
    source: str


# ---- acting ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transition:
    """What an environment returns for an action. ``terminated``: the task itself ended; its raw reward counts."""

    observation: Observation
    reward: float
    terminated: bool
    reason: str = ""


Ending: TypeAlias = Literal["finished", "truncated", "failed"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the plan-act loop: what was seen, the raw plan, the step taken from it and what came of it.

    ``completion`` is "" where the step comes from an earlier turn's plan; ``plan`` begins with the step taken.
    """

    screenshot: str | None
    completion: str
    plan: Plan | None
    action: Action | None
    error: str | None = None  # why the step could not be executed


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One live episode. ``ending``: finished (the task or the planner ended it), truncated (by a limit), failed."""

    task: str
    seed: int
    goal: str
    turns: tuple[Turn, ...]
    reward: float
    success: bool
    ending: Ending
    where: str = ""  # for failed and truncated: the place and the reason
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of giving a step to an executor: its action, or why there is none.

    ``missed``: the step names nothing that can be done, which is the planner's fault. ``failed``: the executor timed
    out or crashed, from which a planner could learn nothing.
    """

    action: Action | None = None
    missed: str | None = None
    failed: str | None = None


class Model(Protocol):
    """A planner behind any engine: prompts (chat messages with image paths) in, raw completions out, in order.

    Raises ModelError when the engine gives no completion.
    """

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]: ...


@runtime_checkable
class AsyncModel(Model, Protocol):
    """A planner that answers many prompts at once by itself, such as a server. Raises ModelError for one prompt."""

    async def complete_one(self, prompt: Sequence[Message]) -> str: ...


@runtime_checkable
class DraftingModel(Model, Protocol):
    """A planner that decodes faster from a draft of its probable completion ("" where there is none)."""

    def complete_drafted(self, prompts: Sequence[Sequence[Message]], drafts: Sequence[str]) -> list[str]: ...


class Executor(Protocol):
    """The frozen tool agent: turns a planned step and what is seen into an executable action.

    A step's type, instruction and arguments all bind it. For a tool step the action is the call, with the tool's output
    as ``content``. Raises InstructionError when the step leads nowhere, ExecutorError when the executor itself fails.
    """

    name: str

    async def act(self, step: Step, observation: Observation) -> Action: ...


class Env(Protocol):
    """One page, desktop, device or set of tools. Deterministic under its seed. Raises EnvironmentFailure when it
    breaks; ``reset`` then makes it usable again."""

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]: ...

    async def step(self, action: Action) -> Transition: ...

    async def close(self) -> None: ...
