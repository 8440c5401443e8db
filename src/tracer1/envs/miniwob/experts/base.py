"""How an expert sees and speaks: it looks at the page's elements and tells each step in the words of an executor.

An expert never touches the page. The driver performs the *instruction* through the DOM agent, so every instruction
that is recorded is proven executable, and checks that it led to the element the expert meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tracer1.coordinates import inside
from tracer1.errors import InstructionError
from tracer1.executors.dom import DomExecutor, find_element, reading_order
from tracer1.executors.instruction import Instruction, render_instruction
from tracer1.types import Action, Box, Element, Env, Observation, Status


@dataclass(frozen=True, slots=True)
class Move:
    """What the expert says next: a few words for the screen, the instruction, and the element it means by it."""

    abstraction: str
    instruction: Instruction
    target: Element | None = None


@dataclass(frozen=True, slots=True)
class ExpertStep:
    """A performed move: the screen before it, its words, its action and what it hit. ``box`` in fractions."""

    observation: Observation
    abstraction: str
    instruction: str
    action: Action
    box: Box | None
    status: Status


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One episode of an expert. It counts only with reward 1; ``reason`` says why another ended."""

    task: str
    seed: int
    goal: str
    steps: tuple[ExpertStep, ...]
    reward: float
    reason: str = ""


class Screen:
    """The goal and what is seen now, with the ways to point at it. The driver renews ``observation`` at each step."""

    def __init__(self, goal: str, observation: Observation) -> None:
        self.goal = goal
        self.observation = observation

    # ---- looking

    def all(self, role: str, name: str | None = None) -> list[Element]:
        """Everything of a role (and name, exactly) in reading order."""
        elements = reading_order(e for e in self.observation.elements or () if e.role == role)
        return [e for e in elements if name is None or e.name == name]

    def has(self, role: str, name: str | None = None) -> bool:
        """Whether something of this role (and name) is on the screen."""
        return bool(self.all(role, name))

    def texts(self) -> list[str]:
        """Every plain text on the screen, in reading order."""
        return [e.name for e in self.all("text")]

    def quoted(self) -> list[str]:
        """The strings between double quotes in the goal."""
        return re.findall(r'"(.*?)"(?![A-Za-z0-9])', self.goal)

    def match(self, pattern: str) -> tuple[str, ...]:
        """The groups of ``pattern`` in the goal. Raises InstructionError when the goal is worded otherwise."""
        found = re.search(pattern, self.goal)
        if found is None:
            raise InstructionError(f"the expert does not understand the goal {self.goal!r}")
        return found.groups()

    # ---- speaking

    def click(self, abstraction: str, role: str, name: str | None = None, nth: int | None = None) -> Move:
        """Click an element, called by its name if that says which, else by its place among those like it."""
        return self.click_on(abstraction, find_element(self.observation.elements or (), role, name, nth))

    def click_on(self, abstraction: str, target: Element) -> Move:
        """The same for an element already found."""
        same_role = self.all(target.role)
        namesakes = [e for e in same_role if target.name and e.name == target.name]
        if namesakes and namesakes[0] is target:
            return Move(abstraction, Instruction("click", name=target.name, role=target.role), target)
        if namesakes:
            nth = next(i for i, e in enumerate(namesakes, 1) if e is target)
            return Move(abstraction, Instruction("click", name=target.name, ordinal=nth, role=target.role), target)
        nth = next(i for i, e in enumerate(same_role, 1) if e is target)
        ordinal = nth if len(same_role) > 1 else None
        return Move(abstraction, Instruction("click", ordinal=ordinal, role=target.role), target)

    def type(self, abstraction: str, content: str) -> Move:
        """Type into what has the focus."""
        return Move(abstraction, Instruction("type", content=content))

    def press(self, abstraction: str, key: str) -> Move:
        """Press a key or a combination, spelt "ctrl+a"."""
        return Move(abstraction, Instruction("press", key=key))

    def scroll(self, abstraction: str, direction: str, role: str | None = None) -> Move:
        """Scroll the screen, or the first thing of ``role``."""
        return Move(abstraction, Instruction("scroll", direction=direction, role=role))


Moves: TypeAlias = Iterator[Move]
Expert: TypeAlias = Callable[[Screen], Moves]


async def demonstrate(env: Env, expert: Expert, task: str, seed: int) -> Demonstration:
    """Let the expert play one episode. An expert that gets stuck ends it with reward 0 and the reason."""
    agent = DomExecutor()
    asked, observation = await env.reset(task, seed)
    goal = asked.goal
    screen = Screen(goal, observation)
    steps: list[ExpertStep] = []
    try:
        for move in expert(screen):
            instruction = render_instruction(move.instruction)
            action = agent.ground(move.instruction, screen.observation)
            box = None if move.target is None else move.target.box
            if box is not None and (action.point is None or not inside(action.point, box)):
                raise InstructionError(f"{instruction!r} leads to another element than the expert's")
            transition = await env.step(action)
            status: Status = "done" if transition.terminated else "not done"
            steps.append(ExpertStep(screen.observation, move.abstraction, instruction, action, box, status))
            if transition.terminated:
                return Demonstration(task, seed, goal, tuple(steps), transition.reward, transition.reason)
            screen.observation = transition.observation
    except InstructionError as error:
        return Demonstration(task, seed, goal, tuple(steps), 0.0, str(error))
    return Demonstration(task, seed, goal, tuple(steps), 0.0, "the expert ended before the task did")
