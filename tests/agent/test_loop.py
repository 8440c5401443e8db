"""The plan-act loop on real pages of the toy form."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from nano_planner import PROMPT, Nano

from tracer1.agent.baselines import AlwaysFinished, RandomPlanner
from tracer1.agent.episode import Limits, remember, surprise
from tracer1.agent.loop import run_episodes
from tracer1.data.windows_file import read_windows
from tracer1.envs.toy import TASKS, ToyForm
from tracer1.errors import EnvironmentFailure, ExecutorError, UsageError
from tracer1.executors.dom import DomExecutor
from tracer1.executors.instruction import parse_instruction
from tracer1.executors.running import TimeLimited
from tracer1.models.scripted import ScriptedModel
from tracer1.plan.text import parse_plan, render_plan
from tracer1.plan.windows import episode_windows
from tracer1.types import (
    Action,
    Element,
    Executor,
    HistoryStep,
    Message,
    Model,
    Observation,
    Plan,
    Step,
    Task,
    Trajectory,
    Transition,
)

Job = tuple[str, int]
SPEC = replace(PROMPT, horizon=3, history=2)


class BrokenForm(ToyForm):
    """A page that breaks: on the reset of seed 13, and at every key press."""

    async def reset(self, task: str, seed: int) -> tuple[Task, Observation]:
        if seed == 13:
            raise EnvironmentFailure("the page crashed")
        return await super().reset(task, seed)

    async def step(self, action: Action) -> Transition:
        if action.action_type == "hotkey":
            raise EnvironmentFailure("the page hangs")
        return await super().step(action)


class Tired:
    """An executor that fails at typing."""

    name = "tired"

    async def act(self, step: Step, observation: Observation) -> Action:
        if step.instruction.startswith("type"):
            raise ExecutorError("no answer within 30 s")
        return await DomExecutor().act(step, observation)


def text_of(prompt: Sequence[Message]) -> str:
    return str(prompt[0]["content"][-1]["text"])


def say(*instructions: str) -> str:
    """A completion that plans these steps."""
    kinds = [parse_instruction(instruction).action_type for instruction in instructions]
    return render_plan(Plan(tuple(Step("seen", kind, told) for kind, told in zip(kinds, instructions, strict=True))))


def expert(images: Path) -> ScriptedModel:
    """A planner that knows every toy page: it replays the history on a page of its own and tells the gold plan."""
    known: dict[str, Job] = {}
    env = ToyForm(images)
    for task in TASKS:
        for seed in range(30):
            asked, _ = asyncio.run(env.reset(task, seed))
            known.setdefault(asked.goal, (task, seed))

    def complete(prompt: Sequence[Message]) -> str:
        lines = text_of(prompt).splitlines()
        goal, number = lines[0].removeprefix("Task: "), int(lines[-1].split(",")[0].split()[-1])
        asyncio.run(env.reset(*known[goal]))
        return render_plan(Plan(env.gold()[number - 1 :][:3], "", number))

    return ScriptedModel(complete)


@pytest.fixture
def act(tmp_path: Path) -> Callable[..., list[Trajectory]]:
    """Run jobs on so many pages."""

    def run(
        jobs: Sequence[Job],
        model: Model,
        *,
        pages: int = 1,
        agent: Executor | None = None,
        limits: Limits | None = None,
        form: type[ToyForm] = ToyForm,
        on_trajectory: Callable[[Trajectory], None] = lambda _: None,
    ) -> list[Trajectory]:
        envs = [form(tmp_path / "images") for _ in range(pages)]
        agent, limits = agent or DomExecutor(), limits or Limits()
        return asyncio.run(run_episodes(jobs, envs, model, agent, SPEC, limits, on_trajectory))

    return run


# ---- endings ---------------------------------------------------------------------------------------------------------


def test_a_planner_that_knows_the_way_finishes(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    (rollout,) = act([("toy-form", 4)], expert(tmp_path))
    assert (rollout.ending, rollout.success, rollout.reward) == ("finished", True, 1.0)
    assert (rollout.task, rollout.seed) == ("toy-form", 4)
    assert rollout.goal.startswith("Enter ")
    assert rollout.where.endswith(" was pressed")
    assert [turn.action.action_type for turn in rollout.turns if turn.action] == ["click", "type"] * 2 + ["click"]
    assert all(turn.error is None and turn.plan is not None and turn.screenshot for turn in rollout.turns)
    assert len({turn.screenshot for turn in rollout.turns}) == 5
    assert rollout.seconds > 0


def test_a_wrong_end_is_finished_and_no_success(act: Callable[..., list[Trajectory]]) -> None:
    (rollout,) = act([("toy-field", 0)], ScriptedModel([say("click the 'Send' button")]))
    assert (rollout.ending, rollout.success, rollout.reward) == ("finished", False, -1.0)


def test_saying_finished_ends_an_episode(act: Callable[..., list[Trajectory]]) -> None:
    (rollout,) = act([("toy-press", 0)], AlwaysFinished())
    assert (rollout.ending, rollout.success, len(rollout.turns)) == ("finished", False, 1)


def test_an_episode_is_cut_off_after_its_steps(act: Callable[..., list[Trajectory]]) -> None:
    jobs = [("toy-press", 0), ("toy-field", 0)]
    rollouts = act(jobs, ScriptedModel(lambda _: say("wait")), limits=Limits({"toy-press": 2}, default_steps=4))
    assert [(r.ending, r.where, len(r.turns)) for r in rollouts] == [
        ("truncated", "2 steps", 2),
        ("truncated", "4 steps", 4),
    ]
    assert not any(r.success for r in rollouts)


def test_an_episode_is_cut_off_after_its_time(act: Callable[..., list[Trajectory]]) -> None:
    def slow(_: Sequence[Message]) -> str:
        time.sleep(0.02)
        return say("wait")

    (rollout,) = act([("toy-press", 0)], ScriptedModel(slow), limits=Limits(default_steps=1000, seconds=0.05))
    assert (rollout.ending, rollout.where) == ("truncated", "0.05 seconds")
    assert len(rollout.turns) <= 4


def test_the_last_step_counts_even_if_it_is_the_limit(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    (rollout,) = act([("toy-field", 2)], expert(tmp_path), limits=Limits(default_steps=3))
    assert (rollout.ending, rollout.success) == ("finished", True)


@pytest.mark.parametrize(
    ("completion", "where"),
    [
        ("", "step 1: no plan in the completion"),
        ("<think></think><answer>nothing</answer>", "step 1: no plan in the completion"),
        (say("click the 'Nowhere' button"), "step 1: no 'Nowhere' button on the screen"),
        (render_plan(Plan((Step("", "click", "dance"),))), "step 1: not an instruction"),
        (say("press ctrl+q"), "step 1: a form cannot do 'hotkey' ctrl q"),
        (say("scroll down"), "step 1: a form cannot do 'scroll'"),
    ],
    ids=["empty", "no-plan", "no-target", "no-instruction", "no-such-key", "no-such-action"],
)
def test_what_the_planner_gets_wrong_fails_the_episode(
    act: Callable[..., list[Trajectory]], completion: str, where: str
) -> None:
    (rollout,) = act([("toy-press", 0)], ScriptedModel([completion]))
    assert (rollout.ending, rollout.success, rollout.reward) == ("failed", False, 0.0)
    assert rollout.where.startswith(where)
    (turn,) = rollout.turns
    assert turn.completion == completion
    assert turn.error is not None
    assert turn.plan == parse_plan(completion).plan


def test_a_failure_later_on_says_at_which_step(act: Callable[..., list[Trajectory]]) -> None:
    (rollout,) = act([("toy-press", 0)], ScriptedModel([say("wait"), say("wait"), "garbage"]))
    assert rollout.where.startswith("step 3: no plan")
    assert [turn.error is None for turn in rollout.turns] == [True, True, False]


def test_an_environment_that_breaks_is_infrastructure(act: Callable[..., list[Trajectory]]) -> None:
    jobs = [("toy-press", 0), ("toy-press", 13), ("toy-press", 1)]
    script = ScriptedModel(lambda _: say("press tab"))
    first, second, third = act(jobs, script, form=BrokenForm)
    assert (first.ending, first.where) == ("failed", "infrastructure, step 1: the page hangs")
    assert (second.ending, second.where, second.turns) == ("failed", "environment: the page crashed", ())
    assert third.seed == 1


def test_only_broken_pages(act: Callable[..., list[Trajectory]]) -> None:
    rollouts = act([("toy-press", 13)] * 3, ScriptedModel([]), form=BrokenForm, pages=2)
    assert [r.ending for r in rollouts] == ["failed"] * 3


def test_a_tool_agent_that_fails_is_infrastructure(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    (rollout,) = act([("toy-field", 0)], expert(tmp_path), agent=Tired())
    assert (rollout.ending, rollout.where) == ("failed", "infrastructure, step 2: no answer within 30 s")


def test_an_executor_that_hangs_ends_its_episode(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    class Hanging(DomExecutor):
        async def act(self, step: Step, observation: Observation) -> Action:
            await asyncio.sleep(60)
            raise AssertionError

    (trajectory,) = act([("toy-field", 0)], expert(tmp_path), agent=TimeLimited(Hanging(), 0.05))
    assert trajectory.where == "infrastructure, step 1: executor 'dom': no answer within 0.05 s"


def test_an_unknown_task_is_the_callers_mistake(act: Callable[..., list[Trajectory]]) -> None:
    with pytest.raises(UsageError, match="no toy task"):
        act([("toy-dance", 0)], ScriptedModel([]))


# ---- many episodes ---------------------------------------------------------------------------------------------------

JOBS = [(task, seed) for seed in range(3) for task in TASKS]


@pytest.mark.parametrize("pages", [1, 3, 12, 20])
def test_rollouts_come_in_the_order_of_the_jobs(
    act: Callable[..., list[Trajectory]], tmp_path: Path, pages: int
) -> None:
    told: list[Job] = []
    rollouts = act(JOBS, expert(tmp_path), pages=pages, on_trajectory=lambda r: told.append((r.task, r.seed)))
    assert [(r.task, r.seed) for r in rollouts] == JOBS
    assert all(r.success for r in rollouts)
    assert sorted(told) == sorted(JOBS)
    if pages == 12:  # they finish by length
        assert [TASKS[task] for task, _ in told] == sorted(TASKS[task] for task, _ in JOBS)


def test_one_batch_serves_all_pages(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    sizes: list[int] = []

    class Counting:
        def __init__(self, model: Model) -> None:
            self.model = model

        def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
            sizes.append(len(prompts))
            return self.model.complete(prompts)

    act(JOBS, Counting(expert(tmp_path)), pages=4)
    assert max(sizes) == 4
    assert sum(sizes) == sum(2 * TASKS[task] + 1 for task, _ in JOBS)
    assert sizes[:3] == [4, 4, 4]


def test_nothing_to_do(act: Callable[..., list[Trajectory]]) -> None:
    assert act([], ScriptedModel([])) == []


def test_episodes_do_not_depend_on_their_neighbours(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    def bare(rollouts: list[Trajectory]) -> list[Trajectory]:
        return [replace(r, seconds=0.0) for r in rollouts]

    assert bare(act(JOBS, expert(tmp_path), pages=1)) == bare(act(JOBS, expert(tmp_path), pages=5))


# ---- what the planner is told ----------------------------------------------------------------------------------------


def test_the_history_holds_the_planners_own_words(act: Callable[..., list[Trajectory]]) -> None:
    clumsy = render_plan(Plan((Step("my words", "click", "click the 1st field"), Step("more", "wait", "wait")), "", 1))
    model = ScriptedModel([clumsy, say("wait"), say("wait"), say("finished")])
    act([("toy-field", 0)], model)
    cases = [text_of(prompt) for prompt in model.prompts]
    assert "History: none" in cases[0]
    assert "1. my words | click | click the 1st field" in cases[1]
    assert "more" not in cases[1]
    assert cases[1].endswith("Next: step 2, plan 3")
    assert [line.split(".")[0] for line in cases[3].splitlines()[2:-1]] == ["2", "3"]  # the last two
    assert remember(Step("a", "b", "c", "done")) == HistoryStep("a", "b", "c")


def test_old_screenshots_are_never_shown(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    model = expert(tmp_path)
    (rollout,) = act([("toy-form", 0)], model)
    shown = [[p["image"] for m in prompt for p in m["content"] if p["type"] == "image"] for prompt in model.prompts]
    assert shown == [[turn.screenshot] for turn in rollout.turns]


def test_live_prompts_are_the_windows_to_the_byte(
    nano: Nano, act: Callable[..., list[Trajectory]], tmp_path: Path
) -> None:
    """The gold plan acted live meets the prompts that were recorded, and the file of windows holds them."""
    model = expert(tmp_path)
    episode = next(e for e in nano.episodes if e.episode_id == "toy/toy-long-form/2")
    act([("toy-long-form", 2)], model)
    windows = list(episode_windows(episode, PROMPT, history=2, horizon=3))
    filed = [w for w in read_windows(nano.windows) if w.episode_id == episode.episode_id]
    assert len(model.prompts) == len(windows) == len(filed) == 7
    for live, recorded, kept in zip(model.prompts, windows, filed, strict=True):
        assert text_of(live).encode() == text_of(recorded.prompt).encode() == text_of(kept.prompt).encode()
        assert [m["role"] for m in live] == [m["role"] for m in recorded.prompt] == [m["role"] for m in kept.prompt]
        live_image, recorded_image = live[0]["content"][0]["image"], recorded.prompt[0]["content"][0]["image"]
        assert Path(live_image).read_bytes() == nano.store.path(recorded_image).read_bytes()


# ---- planners that know nothing --------------------------------------------------------------------------------------


def test_the_random_planner_speaks_the_dialect_and_earns_little(act: Callable[..., list[Trajectory]]) -> None:
    model = RandomPlanner(seed=0, horizon=4)
    for completion in model.complete([()] * 50):
        parsed = parse_plan(completion)
        assert parsed.tags_ok
        assert parsed.valid == parsed.lines <= 4
    assert RandomPlanner(1).complete([()] * 5) == RandomPlanner(1).complete([()] * 5)
    rollouts = act([("toy-form", seed) for seed in range(20)], RandomPlanner(0), pages=5)
    assert sum(r.success for r in rollouts) == 0


# ---- acting on the plan ----------------------------------------------------------------------------------------------


class Popping(ToyForm):
    """A form on which something opens when the first field is clicked."""

    async def step(self, action: Action) -> Transition:
        transition = await super().step(action)
        seen = transition.observation
        popup = Element("dialog", "Cookies?", (0.4, 0.4, 0.6, 0.6))
        return replace(transition, observation=replace(seen, elements=(*(seen.elements or ()), popup)))


class Blind(ToyForm):
    """A form whose elements are not known after a step."""

    async def step(self, action: Action) -> Transition:
        transition = await super().step(action)
        return replace(transition, observation=replace(transition.observation, elements=None))


def asked(rollout: Trajectory) -> list[bool]:
    return [bool(turn.completion) for turn in rollout.turns]


def test_by_default_every_step_is_planned_anew(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    (rollout,) = act([("toy-form", 4)], expert(tmp_path))
    assert asked(rollout) == [True] * 5


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (2, [True, False, True, False, True]),
        (3, [True, False, False, True, False]),
        (9, [True, False, False, True, False]),
    ],
    ids=["two", "three", "more-than-the-plan-has"],
)
def test_steps_of_a_plan_are_done_while_nothing_surprises(
    act: Callable[..., list[Trajectory]], tmp_path: Path, steps: int, expected: list[bool]
) -> None:
    (rollout,) = act([("toy-form", 4)], expert(tmp_path), limits=Limits(steps_per_plan=steps))
    assert rollout.success
    assert asked(rollout) == expected
    (planned,) = act([("toy-form", 4)], expert(tmp_path))
    assert [turn.action for turn in rollout.turns] == [turn.action for turn in planned.turns]
    assert all(turn.plan is not None for turn in rollout.turns)
    executed = [turn.plan.steps[0].instruction for turn in rollout.turns if turn.plan]
    assert executed == [turn.plan.steps[0].instruction for turn in planned.turns if turn.plan]


def test_a_surprise_is_planned_for(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    (rollout,) = act([("toy-form", 4)], expert(tmp_path), limits=Limits(steps_per_plan=3), form=Popping)
    assert asked(rollout)[:2] == [True, True]  # what opened was not there when the plan was made
    assert asked(rollout)[2] is False  # and now it is
    (rollout,) = act([("toy-form", 4)], expert(tmp_path), limits=Limits(steps_per_plan=3), form=Blind)
    assert rollout.ending == "failed" or all(asked(rollout))


def test_what_is_a_surprise() -> None:
    def reason(step: Step, planned_on: Observation, seen: Observation, executor: Executor) -> str:
        return asyncio.run(surprise(step, planned_on, seen, executor))

    box = (0.1, 0.1, 0.2, 0.2)
    before = Observation("a.png", (10, 10), (Element("button", "OK", box), Element("textbox", "Name", box)))
    step = Step("form", "click", "click the 'OK' button")
    assert reason(step, before, before, DomExecutor()) == ""
    moved = replace(before, elements=tuple(replace(e, box=(0.5, 0.5, 0.6, 0.6)) for e in before.elements or ()))
    assert reason(step, before, moved, DomExecutor()) == ""
    more = replace(before, elements=(*(before.elements or ()), Element("button", "Help", box)))
    assert reason(step, before, more, DomExecutor()) == "button 'Help' appeared"
    assert reason(step, more, before, DomExecutor()) == "button 'Help' is gone"
    assert "not known" in reason(step, before, replace(before, elements=None), DomExecutor())
    assert reason(Step("form", "click", "click the 'Send' button"), before, before, DomExecutor())


# ---- drafts ----------------------------------------------------------------------------------------------------------


class Drafting(ScriptedModel):
    """A scripted planner that is told drafts."""

    def __init__(self, script: Callable[[Sequence[Message]], str]) -> None:
        super().__init__(script)
        self.drafts: list[str] = []

    def complete_drafted(self, prompts: Sequence[Sequence[Message]], drafts: Sequence[str]) -> list[str]:
        self.drafts += drafts
        return self.complete(prompts)


def test_the_last_plans_tail_is_the_draft(act: Callable[..., list[Trajectory]], tmp_path: Path) -> None:
    expert_model = expert(tmp_path)
    model = Drafting(lambda prompt: expert_model.complete([prompt])[0])
    (rollout,) = act([("toy-form", 4)], model)
    assert rollout.success
    plans = [turn.plan for turn in rollout.turns if turn.plan]
    assert model.drafts[0] == ""
    for draft, last, now in zip(model.drafts[1:], plans, plans[1:], strict=False):
        drafted = parse_plan(draft).plan
        assert drafted is not None
        assert drafted.steps == last.steps[1:] == now.steps[: len(drafted.steps)]
        assert drafted.first_number == now.first_number
