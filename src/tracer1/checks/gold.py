"""What the recorded plans earn: rendered, parsed and scored, each must earn all that its reference allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tracer1.checks.findings import CheckItem, some
from tracer1.plan.text import render_plan
from tracer1.rewards.grounded import GroundedProfile, score_grounded
from tracer1.rewards.terms import best_return, repetitions
from tracer1.rewards.trajectory import TrajectoryProfile, best_sum, score_trajectory
from tracer1.types import Action, Plan, Reference, Step, Window

EXACT = 1e-9
REMEDY = "the recorded steps lack what the reward asks for; see `tracer1 data inspect`"


@dataclass(slots=True)
class GoldScores:
    """Recorded plans that earn less than they should, by stage, and those that the rules allow less than 1.0."""

    scored: int = 0
    allowed_less: int = 0  # in stage 1
    below: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    unscored: list[str] = field(default_factory=list)  # in stage 2: the record lacks what would be compared

    def add(self, window: Window, gold: str, stage1: TrajectoryProfile, stage2: GroundedProfile | None) -> None:
        """Score one recorded plan; ``stage2`` is None where stage 2 is not run."""
        self.scored += 1
        self._stage1(window, gold, stage1)
        if stage2 is not None:
            self._stage2(window, gold, stage2)

    def _stage1(self, window: Window, gold: str, profile: TrajectoryProfile) -> None:
        best = best_score(window.reference, profile)
        score = score_trajectory(gold, window.reference.steps, profile).overall or 0.0
        if abs(score - best) > EXACT:
            self.below[0].append(f"{name_of(window)} scores {score:.3f}")
        elif best < 1 - EXACT:
            self.allowed_less += 1

    def _stage2(self, window: Window, gold: str, profile: GroundedProfile) -> None:
        score = score_grounded(gold, window.reference, recorded_executor(window.reference), profile)
        if score.unscored is not None:
            self.unscored.append(f"{name_of(window)}: {score.unscored}")
        elif abs((score.overall or 0.0) - 1) > EXACT:
            self.below[1].append(f"{name_of(window)} scores {score.overall or 0.0:.3f}")

    def items(self, name: str, *, grounded: bool) -> Iterator[CheckItem]:
        """The finding on each stage; ``name``: train or heldout."""
        less = f"; {self.allowed_less} of them less, by the rules of the profile" if self.allowed_less else ""
        yield self._item(f"{name} gold plans, stage 1", self.below[0], less)
        if not grounded:
            return
        label, lost = f"{name} gold plans, stage 2", len(self.unscored)
        if self.below[1] or not lost:
            yield self._item(label, self.below[1])
            return
        detail = f"{self.scored - lost} recorded plans score 1.0; {lost} cannot be scored: {some(self.unscored)}"
        yield CheckItem(label, False, detail, REMEDY, optional=lost < self.scored)

    def _item(self, label: str, below: list[str], less: str = "") -> CheckItem:
        if below:
            detail = f"{len(below)} of {self.scored} recorded plans score less than they should: {some(below)}"
            return CheckItem(label, False, detail, REMEDY)
        return CheckItem(label, bool(self.scored), f"{self.scored} recorded plans score 1.0{less}", REMEDY)


def name_of(window: Window) -> str:
    """A row by its episode and step, as everything that names rows does."""
    return f"{window.episode_id} step {window.step}"


def gold_plan(window: Window) -> str:
    """The recorded continuation as a completion."""
    return render_plan(Plan(window.reference.steps, first_number=window.step + 1))


def best_score(reference: Reference, profile: TrajectoryProfile) -> float:
    """What the recorded plan should earn in stage 1: 1, less its repetitions and a bonus that it cannot earn.

    Repetitions cost in the profiles' ``absolute`` rule (Eq. 10); the prototype's bonus is for plans that end the task.
    """
    steps = reference.steps
    repeated = repetitions([step.action_type for step in steps]) if profile.repetition == "absolute" else 0
    ends = bool(steps) and steps[-1].status == "done"
    earned = profile.lambda_align * best_return(len(steps), profile.gamma) + profile.completion_bonus * ends
    share = earned / best_sum(len(steps), profile) if steps else 1.0
    return profile.lambda_fmt + (1 - profile.lambda_fmt) * max(0.0, share - profile.lambda_rep * repeated)


def recorded_executor(reference: Reference) -> Callable[[Step], Action]:
    """An executor that does the recorded action for any step; a tool returns its recorded output."""

    def act(step: Step) -> Action:
        recorded = reference.action or Action(step.action_type)
        return recorded if reference.observation is None else replace(recorded, content=reference.observation)

    return act
