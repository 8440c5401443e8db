"""Warm-up examples: recorded windows rephrased so that a random network learns to read, to copy and to write plans.

Three changes to a recorded window keep the base as able, and as reactive, as the paper's starting model:

- *augmentation*: strings that the plan copies from the goal are replaced, everywhere at once, by new strings, so that
  the network learns to copy and not a list of names;
- *vague steps*: with probability ``vague`` a step names only the kind of its target ("click the field"), as if it did
  not know what the executor can find. Stage 2 teaches grounding;
- *short plans*: after each step the plan goes on with probability ``continuation``. Stage 1 teaches foresight.
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tracer1.executors.instruction import Instruction, drop_target_name, parse_instruction, render_instruction
from tracer1.plan.prompt import PromptSpec
from tracer1.plan.text import render_plan
from tracer1.types import Episode, HistoryStep, Message, Observation, Plan, Step, Task

COMMON_SHARE = 0.5  # a string in more than this share of a task's episodes belongs to the task, not to the episode


@dataclass(frozen=True, slots=True)
class Phrasing:
    """How a window is rephrased (see the module); the first three are probabilities."""

    augment: float
    vague: float
    continuation: float
    horizon: int
    history: int


@dataclass(frozen=True, slots=True)
class Example:
    """One supervised example."""

    messages: tuple[Message, ...]
    completion: str


def task_of(episode: Episode) -> str:
    """The task's name within its source: "miniwob/login-user/17" is of task "login-user"."""
    return episode.episode_id.split("/")[1] if episode.episode_id.count("/") >= 2 else episode.source


def arguments_of(instruction: str) -> list[str]:
    """The strings an instruction quotes: the name of its target and the text it types."""
    parsed = parse_instruction(instruction)
    return [s for s in (parsed.name, parsed.content) if s]


def copied_strings(episodes: Sequence[Episode]) -> list[tuple[str, ...]]:
    """For each episode the strings its instructions copy from its goal, longest first.

    Those that most of the task's episodes hold are left out.
    """
    found = [
        {s for step in e.steps for s in arguments_of(step.instruction) if _whole(s).search(e.goal)} for e in episodes
    ]
    tasks = Counter(task_of(e) for e in episodes)
    common: dict[str, Counter[str]] = defaultdict(Counter)
    for episode, strings in zip(episodes, found, strict=True):
        common[task_of(episode)].update(strings)
    return [
        tuple(
            sorted(
                (s for s in strings if common[task_of(e)][s] <= COMMON_SHARE * tasks[task_of(e)]),
                key=lambda s: (-len(s), s),
            )
        )
        for e, strings in zip(episodes, found, strict=True)
    ]


def _whole(*texts: str) -> re.Pattern[str]:
    """Any of the texts, the first where several fit, standing by itself and not inside a longer word."""
    return re.compile(r"(?<![A-Za-z0-9])(?:" + "|".join(map(re.escape, texts)) + r")(?![A-Za-z0-9])")


def invented(like: str, rng: random.Random) -> str:
    """A new string of the same kind: letters for letters, in runs of like length and case, digits for digits."""

    def run(match: re.Match[str]) -> str:
        old = match.group()
        if old.isdigit():
            return "".join(rng.choice(string.digits) for _ in old)
        size = max(1, len(old) + rng.choice((-2, -1, 0, 0, 1, 2)))
        if rng.random() < 0.5:  # pronounceable, as names and words are
            vowel = rng.random() < 0.5
            letters = [rng.choice("aeiou" if (i % 2 == 0) == vowel else "bcdfghjklmnprstvwz") for i in range(size)]
        else:
            letters = [rng.choice(string.ascii_lowercase) for _ in range(size)]
        if old.isupper() and len(old) > 1:
            letters = [c.upper() for c in letters]
        elif old[0].isupper():
            letters[0] = letters[0].upper()
        elif any(c.isupper() for c in old):
            letters = [c.upper() if rng.random() < 0.4 else c for c in letters]
        return "".join(letters)

    return re.sub(r"[A-Za-z]+|\d+", run, like)


def rephrase(
    episode: Episode,
    copied: Sequence[str],
    t: int,
    phrasing: Phrasing,
    prompt: PromptSpec,
    root: str | None,
    rng: random.Random,
) -> Example:
    """The example for step ``t`` (0-based). ``root`` is the store's folder, or None for a text-only example."""
    swaps = (
        {s: invented(s, rng) for s in copied if not s.isdigit() or f'"{s}"' in episode.goal}
        if rng.random() < phrasing.augment
        else {}
    )

    def swap(text: str) -> str:  # all at once: one string's replacement may be another string
        return _whole(*swaps).sub(lambda found: swaps[found.group()], text) if swaps else text

    def rephrased(instruction: str) -> str:
        parsed: Instruction = parse_instruction(instruction)
        parsed = replace(
            parsed,
            name=swaps.get(parsed.name, parsed.name) if parsed.name else parsed.name,
            content=swaps.get(parsed.content, parsed.content) if parsed.content else parsed.content,
        )
        return render_instruction(drop_target_name(parsed) if rng.random() < phrasing.vague else parsed)

    past = episode.steps[max(0, t - phrasing.history) : t]
    history = [HistoryStep(s.abstraction, s.action.action_type, rephrased(s.instruction)) for s in past]
    length = 1
    ahead = episode.steps[t : t + phrasing.horizon]
    while length < len(ahead) and rng.random() < phrasing.continuation:
        length += 1
    steps = tuple(Step(s.abstraction, s.action.action_type, rephrased(s.instruction), s.status) for s in ahead[:length])
    shot = episode.steps[t].screenshot
    screenshot = f"{root}/{shot}" if root is not None and shot else None
    seen = Observation(screenshot, episode.steps[t].size, platform=episode.platform)
    task = Task(swap(episode.goal), episode.platform, episode.source)
    messages = prompt.prompt(task, seen, history, t + 1, phrasing.horizon)
    return Example(messages, render_plan(Plan(steps, thought_of(steps), first_number=t + 1)))


def thought_of(steps: Sequence[Step]) -> str:
    """The nano planner's whole thought: the length of its plan."""
    return f"{len(steps)} steps"


class WarmupSource:
    """Draws examples: a task, then one of its episodes, then a step."""

    def __init__(self, episodes: Iterable[Episode], prompt: PromptSpec, root: str) -> None:
        self.prompt, self.root = prompt, root
        episodes = list(episodes)
        self.by_task: dict[str, list[tuple[Episode, tuple[str, ...]]]] = defaultdict(list)
        self.copying: dict[str, list[tuple[Episode, tuple[str, ...], int]]] = defaultdict(list)
        for episode, copied in zip(episodes, copied_strings(episodes), strict=True):
            task = task_of(episode)
            self.by_task[task].append((episode, copied))
            self.copying[task] += [
                (episode, copied, t)
                for t, step in enumerate(episode.steps)
                if set(copied) & set(arguments_of(step.instruction))
            ]
        self.tasks = sorted(self.by_task)
        self.copying_tasks = sorted(t for t, steps in self.copying.items() if steps)

    def draw(
        self, rng: random.Random, phrasing: Phrasing, *, copying: bool = False, text_only: bool = False
    ) -> Example:
        """An example; ``copying``: only of a step that copies from the goal, ``text_only``: without the screenshot."""
        if copying:
            episode, copied, t = rng.choice(self.copying[rng.choice(self.copying_tasks)])
        else:
            episode, copied = rng.choice(self.by_task[rng.choice(self.tasks)])
            t = rng.randrange(len(episode.steps))
        return rephrase(episode, copied, t, phrasing, self.prompt, None if text_only else self.root, rng)

    def templates(self) -> list[str]:
        """One text per episode, its prompts and plans without the copied strings: the tokenizer's words."""
        rng = random.Random(0)
        texts = []
        for pairs in self.by_task.values():
            for episode, copied in pairs:
                text = ""
                for t, vague in ((0, 0.0), (len(episode.steps) - 1, 1.0)):
                    phrasing = Phrasing(0.0, vague, 1.0, len(episode.steps), len(episode.steps))
                    example = rephrase(episode, (), t, phrasing, self.prompt, None, rng)
                    text += "\n".join(
                        [*(p["text"] for m in example.messages for p in m["content"]), example.completion, ""]
                    )
                for s in copied:
                    text = _whole(s).sub(" ", text)
                texts.append(text)
        return texts

    def strings(self) -> list[str]:
        """Copied strings, and invented ones like them: the source of the tokenizer's pieces."""
        rng = random.Random(0)
        known = [s for pairs in self.by_task.values() for _, copied in pairs for s in copied]
        return known + [invented(s, rng) for s in known]

    def quoted(self) -> set[str]:
        """Every string that the demonstrations quote; any other counts as unseen."""
        return {
            s
            for pairs in self.by_task.values()
            for e, _ in pairs
            for step in e.steps
            for s in arguments_of(step.instruction)
        }
