"""How a scripted expert plays an episode: it reads the screen's elements and words each step as an instruction.

An expert never touches the environment. ``demonstrate`` gives its instruction to the dom executor, so every recorded
instruction is known to be executable, and checks that it leads to the element that the expert meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from tracer1.coordinates import inside
from tracer1.errors import ActionError, InstructionError
from tracer1.executors.dom import DomExecutor, find_element, reading_order
from tracer1.executors.instruction import Instruction, render_instruction
from tracer1.types import Action, Box, Element, Env, Observation, Status, Task


@dataclass(frozen=True, slots=True)
class Move:
    """An expert's next step: a few words for the screen, the instruction, and the element that it refers to."""

    abstraction: str
    instruction: Instruction
    target: Element | None = None


@dataclass(frozen=True, slots=True)
class ExpertStep:
    """A step that was performed: the screen before it, the words, the action and the target's box in fractions."""

    observation: Observation
    abstraction: str
    instruction: str
    action: Action
    box: Box | None
    status: Status


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One episode of an expert, usable where the reward is 1; otherwise ``reason`` says how it ended.

    ``task`` and ``seed`` name the episode; ``asked`` is what the environment asked for in it.
    """

    task: str
    seed: int
    asked: Task = field(default_factory=lambda: Task(""))
    steps: tuple[ExpertStep, ...] = ()
    reward: float = 0.0
    reason: str = ""

    @property
    def goal(self) -> str:
        """The goal in words; "" where the episode never began."""
        return self.asked.goal


class Screen:
    """The goal and the current observation, with the ways to refer to what is on it."""

    def __init__(self, goal: str, observation: Observation) -> None:
        self.goal = goal
        self.observation = observation  # ``demonstrate`` replaces it after each step

    # ---- reading the screen

    def all(self, role: str, name: str | None = None) -> list[Element]:
        """Every element of a role (and of exactly this name) in reading order."""
        elements = reading_order(e for e in self.observation.elements or () if e.role == role)
        return [e for e in elements if name is None or e.name == name]

    def has(self, role: str, name: str | None = None) -> bool:
        """Whether the screen holds an element of this role (and name)."""
        return bool(self.all(role, name))

    def texts(self) -> list[str]:
        """Every plain text on the screen, in reading order."""
        return [e.name for e in self.all("text")]

    def quoted(self) -> list[str]:
        """The strings between double quotes in the goal."""
        return re.findall(r'"(.*?)"(?![A-Za-z0-9])', self.goal)

    def match(self, pattern: str) -> tuple[str, ...]:
        """The groups of ``pattern`` in the goal. Raises InstructionError where the goal does not match."""
        found = re.search(pattern, self.goal)
        if found is None:
            raise InstructionError(f"the expert does not understand the goal {self.goal!r}")
        return found.groups()

    # ---- choosing the next move

    def click(self, abstraction: str, role: str, name: str | None = None, nth: int | None = None) -> Move:
        """Click an element, by its name where that identifies it, else by its place among those like it."""
        return self.click_on(abstraction, find_element(self.observation.elements or (), role, name, nth))

    def click_on(self, abstraction: str, target: Element) -> Move:
        """Click an element of this screen."""
        same_role = self.all(target.role)
        namesakes = [e for e in same_role if target.name and e.name == target.name]
        among = namesakes or same_role
        nth = next(i for i, e in enumerate(among, 1) if e is target)
        first_of_its_name = bool(namesakes) and nth == 1
        ordinal = None if first_of_its_name or len(among) == 1 else nth
        name = target.name if namesakes else None
        return Move(abstraction, Instruction("click", name=name, ordinal=ordinal, role=target.role), target)

    def type(self, abstraction: str, content: str) -> Move:
        """Type into what has the focus."""
        return Move(abstraction, Instruction("type", content=content))

    def press(self, abstraction: str, key: str) -> Move:
        """Press a key or a combination, spelt "ctrl+a"."""
        return Move(abstraction, Instruction("press", key=key))

    def scroll(self, abstraction: str, direction: str, role: str | None = None) -> Move:
        """Scroll the screen, or the first element of ``role``."""
        return Move(abstraction, Instruction("scroll", direction=direction, role=role))


Moves: TypeAlias = Iterator[Move]
Expert: TypeAlias = Callable[[Screen], Moves]


async def demonstrate(env: Env, expert: Expert, task: str, seed: int) -> Demonstration:
    """Let the expert play one episode. An expert that gets stuck ends it with reward 0 and the reason."""
    asked, observation = await env.reset(task, seed)
    screen = Screen(asked.goal, observation)
    steps: list[ExpertStep] = []

    def ended(reward: float, reason: str) -> Demonstration:
        return Demonstration(task, seed, asked, tuple(steps), reward, reason)

    try:
        for move in expert(screen):
            action = ground(move, screen.observation)
            transition = await env.step(action)
            steps.append(_performed(move, screen.observation, action, transition.terminated))
            if transition.terminated:
                return ended(transition.reward, transition.reason)
            screen.observation = transition.observation
    except (InstructionError, ActionError) as error:
        return ended(0.0, str(error))
    return ended(0.0, "the expert ended before the task did")


def ground(move: Move, observation: Observation) -> Action:
    """The dom executor's action for a move. Raises InstructionError where it misses the element that was meant."""
    words = render_instruction(move.instruction)
    action = DomExecutor().ground(move.instruction, observation)
    if move.target is not None and (action.point is None or not inside(action.point, move.target.box)):
        raise InstructionError(f"{words!r} leads to another element than the expert's")
    return action


def _performed(move: Move, observation: Observation, action: Action, last: bool) -> ExpertStep:
    words = render_instruction(move.instruction)
    box = None if move.target is None else move.target.box
    return ExpertStep(observation, move.abstraction, words, action, box, "done" if last else "not done")
