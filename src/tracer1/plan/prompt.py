"""The prompt as one versioned object: training, evaluation and serving send the same bytes to the planner.

``full`` explains the dialect and the action space to a general model; ``brief`` only states the case, for a planner
that was trained on the dialect. The chat template of a thinking model opens ``<think>`` before the completion begins:
such a model needs ``full-2-thinking``, whose example begins inside the thought. With any other full prompt it writes
the tags twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from tracer1.actions import describe
from tracer1.formats import is_image_name
from tracer1.plan.text import THINK, render_plan
from tracer1.types import HistoryStep, Message, Observation, Plan, Platform, Step, Task

ThinkingStyle: TypeAlias = Literal["ours", "template"]
"""Who opens the thought: the completion, or the model's chat template."""


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """How a case is put to the planner. A change of any wording is a new version."""

    version: str
    guide: str = ""  # the system message; {actions}, {horizon} and {example} are filled in
    thinking: ThinkingStyle = "ours"  # the style of the example in the guide
    history: int = 5  # K: past steps shown
    horizon: int = 5  # T: steps asked for

    def prompt(
        self,
        task: Task,
        observation: Observation,
        history: Sequence[HistoryStep],
        number: int,
        horizon: int | None = None,
    ) -> tuple[Message, ...]:
        """The chat messages that ask for a plan from step ``number`` (t+1, from 1) on.

        Training windows, evaluation and acting all make their prompts here, so the same bytes reach the planner.
        history: all past steps or the last ones. horizon: steps asked for, ``self.horizon`` if None.
        """
        images, text, files = shown(observation, task.files)
        return self.messages(
            task.goal,
            history,
            number,
            horizon,
            task.platform,
            images,
            observation=text,
            files=files,
            source=task.source,
        )

    def messages(
        self,
        goal: str,
        history: Sequence[HistoryStep],
        number: int,
        horizon: int | None = None,
        platform: Platform = "web",
        images: str | Sequence[str] = (),
        *,
        observation: str | None = None,
        files: Sequence[str] = (),
        source: str = "",
    ) -> tuple[Message, ...]:
        """The chat messages that ask for a plan from step ``number`` (t+1, from 1) on.

        history: all past steps or the last ones; the last ``self.history`` are shown, numbered as in the episode.
        horizon: steps asked for, ``self.horizon`` if None.
        images: path or paths of what is seen, before the text. observation, files: tool use, what the last tool
        returned and the task's other files. source: the corpus, which may offer actions beyond the platform's.
        """
        horizon = self.horizon if horizon is None else horizon
        recent = history[-self.history :] if self.history else ()
        lines = [history_line(k, past) for k, past in enumerate(recent, number - len(recent))]
        parts: list[Message] = [
            {"type": "image", "image": path} for path in ([images] if isinstance(images, str) else images)
        ]
        parts.append({"type": "text", "text": case_text(goal, lines, number, horizon, observation, files)})
        user: Message = {"role": "user", "content": parts}
        if not self.guide:
            return (user,)
        return ({"role": "system", "content": [{"type": "text", "text": self.system(platform, horizon, source)}]}, user)

    def system(self, platform: Platform, horizon: int, source: str = "") -> str:
        """The text of the system message; "" when there is none."""
        return _system(self.guide, self.thinking, platform, horizon, source)

    def for_template(self, style: ThinkingStyle) -> str:
        """The version to use for a model whose chat template has this style: this one, or its twin in ``PROMPTS``."""
        if not self.guide or style == self.thinking:
            return self.version
        return "full-2-thinking" if style == "template" else "full-2"


def shown(observation: Observation, files: Sequence[str] = ()) -> tuple[tuple[str, ...], str | None, tuple[str, ...]]:
    """What of an observation a prompt shows: (image paths, text, paths of other files).

    The screenshot alone, where there is one; else the task's pictures and other ``files``, and what is known as text.
    """
    if observation.screenshot is not None:
        return (observation.screenshot,), None, ()
    pictures = tuple(path for path in files if is_image_name(path))
    return pictures, observation.text, tuple(path for path in files if path not in pictures)


def plain_messages(prompt: Sequence[Message]) -> list[Message]:
    """The messages with plain strings as content, for the chat template of a text-only model; images are left out."""
    return [{**message, "content": _plain_text(message["content"])} for message in prompt]


def _plain_text(content: str | Sequence[Message]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def case_text(
    goal: str, history: Sequence[str], number: int, horizon: int, observation: str | None, files: Sequence[str]
) -> str:
    """The text of the user message. history: a ``history_line`` for each past step shown."""
    lines = [f"Task: {goal}"]
    if files:
        lines.append(f"Files: {', '.join(files)}")
    lines.append("History:" if history else "History: none")
    lines += history
    if observation is not None:
        lines.append(f"Observation: {observation}")
    lines.append(f"Next: step {number}, plan {horizon}")
    return "\n".join(lines)


def history_line(number: int, past: HistoryStep | Step) -> str:
    """The line of the history for step ``number`` (from 1) of the episode."""
    return f"{number}. {_line(past.abstraction)} | {past.action_type} | {_line(past.instruction)}"


@cache
def _system(guide: str, thinking: ThinkingStyle, platform: Platform, horizon: int, source: str) -> str:
    example = render_plan(_EXAMPLES[platform])
    if thinking == "template":
        example = example.removeprefix(THINK)
    guide = guide.replace("{horizon}", str(horizon)).replace("{example}", example)
    return guide.replace("{actions}", describe(platform, source))


def _line(text: str) -> str:
    return " ".join(text.splitlines())


_GUIDE = """\
You plan for an agent that works on a screen or with tools. You are given a task, the steps taken so far and what is \
seen now. Foresee the next {horizon} steps (fewer if the task is completed sooner). Only your first step will be \
carried out, by a tool agent that sees the same screen but knows nothing of the task; then you plan again.

Answer with your reasoning, then one line per step, each line one JSON object, exactly like this:
{example}

Rules:
- Number the steps from the number that you are told is next.
- screenshot_abstraction: what matters of the state in which the step is taken, in a few words.
- action_type: one of the actions below, spelt the same.
- step_instruction: tells the tool agent in words what to do; name the element, and quote text to be typed.
- status: "done" for the one step that completes the task, otherwise "not done".
- Nothing outside the two tags.

Actions (the tool agent finds out what stands in brackets from your instruction):
{actions}"""

_GUIDE_2 = """\
You plan for an agent that works on a screen or with tools. You get a task, the steps taken so far and the current \
observation. Predict the next {horizon} steps, or fewer if the task is completed sooner. Only your first step is \
executed, by an executor that sees the same observation but does not know the task; then you plan again.

{form}
{example}

Rules:
- Number the steps from the number given as next.
- screenshot_abstraction: the state before the step, in a few words.
- action_type: one of the actions below, spelt the same.
- step_instruction: one instruction to the executor; name the element, and quote text to be typed.
- status: "done" for the one step that completes the task, otherwise "not done".
- Write nothing {outside}.

Actions (the executor derives what stands in brackets from your instruction):
{actions}"""
_FORMS: dict[ThinkingStyle, dict[str, str]] = {
    "ours": {
        "{form}": "Answer with your reasoning, then one line per step, each line one JSON object, exactly like this:",
        "{outside}": "outside <think>...</think><answer>...</answer>",
    },
    "template": {
        "{form}": "Your reply begins inside <think>, which is already open: do not write that tag again. Reason "
        "briefly, close the thought, then write one line per step, each line one JSON object, exactly like this:",
        "{outside}": "after </answer>, and nothing between </think> and <answer>",
    },
}

_GUI_EXAMPLE = Plan(
    thought="The login form is empty. I fill in the name, then the password, and log in.",
    first_number=3,
    steps=(
        Step("login form, empty", "click", "click the 'User name' field"),
        Step("login form, user name has the focus", "type", "type 'ada' in the 'User name' field"),
        Step("login form, user name filled in", "click", "click the 'Login' button", "done"),
    ),
)
_TOOL_EXAMPLE = Plan(
    thought="I need the total on the receipt, then I can answer.",
    first_number=1,
    steps=(
        Step("a photo of a receipt", "ocr", "read the text of receipt.png", arguments={"image": "receipt.png"}),
        Step("the text of the receipt is known", "finished", "answer with the total", "done"),
    ),
)
_EXAMPLES: dict[Platform, Plan] = {
    "desktop": _GUI_EXAMPLE,
    "mobile": _GUI_EXAMPLE,
    "web": _GUI_EXAMPLE,
    "tools": _TOOL_EXAMPLE,
}


def _guide_2(thinking: ThinkingStyle) -> str:
    guide = _GUIDE_2
    for mark, text in _FORMS[thinking].items():
        guide = guide.replace(mark, text)
    return guide


PROMPTS: dict[str, PromptSpec] = {
    "full-2": PromptSpec("full-2", _guide_2("ours")),
    "full-2-thinking": PromptSpec("full-2-thinking", _guide_2("template"), "template"),
    "full-1": PromptSpec("full-1", _GUIDE),
    "brief-1": PromptSpec("brief-1"),
}
