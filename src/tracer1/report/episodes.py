"""Live episodes for the page: each turn's screen, its plan, the executed action, and where plan and world diverge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracer1.errors import DataError
from tracer1.report.formatting import as_words, cut, figure, stage_label, style_of
from tracer1.report.pictures import Picture, picture
from tracer1.report.stability import kept_steps
from tracer1.results.reading import STAGES, Run
from tracer1.results.schema import EpisodeRow, PlannedStep, TurnRow
from tracer1.types import Action, Point

EPISODES = 64  # of a run on the page, unless set otherwise
MOST_TURNS = 12  # of an episode on the page; the middle of a longer one is left out
MOST_STEPS = 8  # of a plan on the page
MOST_TEXT = 1500  # characters of a completion
PICTURE_WIDTH = 640  # pixels that a larger picture is shrunk to

Match = Literal["same", "type", "different", ""]
Candidate = tuple[str, EpisodeRow]  # the planner, and the episode


@dataclass(frozen=True, slots=True)
class StepView:
    """One predicted step. ``match``: the executed step had the same words ("same"), only its type, or another type."""

    number: int
    action_type: str
    instruction: str
    abstraction: str
    done: bool
    match: Match


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn. ``point``, ``arrow``: where the action fell, in per cent of the picture. ``diverges_at``: the index of
    the first predicted step that the next turn's plan no longer holds, or None."""

    number: int
    picture: Picture | None
    missing: str  # why there is no picture
    steps: tuple[StepView, ...]
    diverges_at: int | None
    raw: str  # the completion, where no step could be read
    executed: str
    effect: str  # of the action on the screen
    error: str
    point: tuple[float, float] | None
    arrow: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class EpisodeView:
    """One live episode. ``left_out``: turns that are not shown, after the turn of index ``gap_after``."""

    anchor: str
    stage: str
    style: str
    task: str
    seed: str
    goal: str
    turns: tuple[TurnView, ...]
    left_out: int
    gap_after: int
    success: bool
    ending: str
    outcome: str


@dataclass(frozen=True, slots=True)
class EpisodeViews:
    """The episodes of a run that are on the page: ordered by task, planner and seed.

    ``rows``: for each task its episodes by planner, as ``planners`` (style, label). ``first``: those to begin with, and
    why. ``pictures``: each once. ``left_out``: episodes of the run that are not on the page.
    """

    episodes: tuple[EpisodeView, ...]
    planners: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[tuple[EpisodeView, ...], ...]], ...]
    first: tuple[tuple[str, EpisodeView], ...]
    pictures: tuple[Picture, ...]
    left_out: int


# ---- which episodes --------------------------------------------------------------------------------------------------


def episode_views(run: Run, most: int = EPISODES) -> EpisodeViews:
    """At most ``most`` episodes of ``run`` in the order of :func:`by_priority`, and those of :func:`highlights`."""
    found = [(name, e) for name, episodes in run.live.items() for e in episodes if e.turns]
    first = highlights(run)
    chosen = _chosen(run, found, [pair for _, pair in first], most)
    names = [name for name in run.live if any(name == n for n, _ in chosen)]
    views = [_view(run, name, episode, f"e{i}") for i, (name, episode) in enumerate(chosen, start=1)]
    by_episode = {id(episode): view for (_, episode), view in zip(chosen, views, strict=True)}
    return EpisodeViews(
        tuple(views),
        tuple((style_of(name), stage_label(name)) for name in names),
        _by_task(chosen, views, names),
        tuple((why, by_episode[id(episode)]) for why, (_, episode) in first),
        tuple({turn.picture.name: turn.picture for view in views for turn in view.turns if turn.picture}.values()),
        len(found) - len(chosen),
    )


def _chosen(run: Run, found: Sequence[Candidate], first: list[Candidate], most: int) -> list[Candidate]:
    """``first`` and up to ``most`` in all, sorted for the page."""
    others = [pair for pair in by_priority(found) if all(pair[1] is not e for _, e in first)]
    chosen = [*first, *others[: max(0, most - len(first))]]
    names, tasks = list(run.live), _tasks(run)
    return sorted(chosen, key=lambda pair: (tasks.index(pair[1].task), names.index(pair[0]), pair[1].seed))


def _by_task(
    chosen: Sequence[Candidate], views: Sequence[EpisodeView], names: Sequence[str]
) -> tuple[tuple[str, tuple[tuple[EpisodeView, ...], ...]], ...]:
    cells: dict[str, dict[str, list[EpisodeView]]] = {}
    for (name, episode), view in zip(chosen, views, strict=True):
        cells.setdefault(episode.task, {}).setdefault(name, []).append(view)
    return tuple((task, tuple(tuple(row.get(name, ())) for name in names)) for task, row in cells.items())


def by_priority(found: Sequence[Candidate]) -> list[Candidate]:
    """``found`` in the order in which they are shown while there is room: the method's planners before the others,
    then one episode of every task, planner and outcome, then a second of each; lower seeds first."""
    tasks = list(dict.fromkeys(episode.task for _, episode in found))
    rounds: Counter[tuple[str, str, bool]] = Counter()
    ranked = []
    for name, episode in sorted(found, key=lambda pair: pair[1].seed):
        kind = (name, episode.task, episode.success)
        ranked.append(((name not in STAGES, rounds[kind], tasks.index(kind[1])), name, episode))
        rounds[kind] += 1
    return [(name, episode) for _, name, episode in sorted(ranked, key=lambda item: item[0])]


def highlights(run: Run) -> list[tuple[str, Candidate]]:
    """A long success of the last stage, the same episode by the base if that failed, and a failure of the last stage.

    Each with its title.
    """
    if not run.live:
        return []
    names = list(run.live)
    last = "stage2" if "stage2" in run.live else next((n for n in ("stage1", "base") if n in run.live), names[-1])
    earlier = {_key(e): e for e in run.live["base"]} if "base" in run.live and last != "base" else {}
    shown = [e for e in run.live[last] if e.turns]
    found: list[tuple[str, Candidate]] = []
    if successes := [e for e in shown if e.success]:
        best = max(successes, key=lambda e: (_failed(earlier.get(_key(e))), _interest(e)))
        found.append(("A long success", (last, best)))
        if _failed(earlier.get(_key(best))):
            found.append(("The same episode before training", ("base", earlier[_key(best)])))
    if failures := [e for e in shown if not e.success]:
        worst = max(failures, key=lambda e: (not e.where.startswith("infra"), _interest(e)))
        found.append(("A failure", (last, worst)))
    return found


def _tasks(run: Run) -> list[str]:
    """In the order of the evaluation, where it is known."""
    played = (e.task for episodes in run.live.values() for e in episodes)
    return list(dict.fromkeys([*run.results.tasks, *played]))


def _key(episode: EpisodeRow) -> tuple[str, int]:
    return episode.task, episode.seed


def _failed(episode: EpisodeRow | None) -> bool:
    return episode is not None and not episode.success and bool(episode.turns)


def _interest(episode: EpisodeRow) -> int:
    """How much there is to see: the number of turns; an episode longer than the page shows comes last."""
    turns = len(episode.turns)
    return turns if turns <= MOST_TURNS else -turns


# ---- an episode ------------------------------------------------------------------------------------------------------


def plan_of(turn: TurnRow) -> list[tuple[str, str]]:
    """The plan of a turn: (action type, instruction) of each step."""
    return [(step.action_type, step.instruction) for step in turn.steps[:MOST_STEPS]]


def _view(run: Run, stage: str, episode: EpisodeRow, anchor: str) -> EpisodeView:
    turns = episode.turns
    shown = list(range(len(turns)))
    if len(turns) > MOST_TURNS:
        shown = [*range(MOST_TURNS - 2), len(turns) - 2, len(turns) - 1]
    return EpisodeView(
        anchor,
        stage_label(stage),
        style_of(stage),
        episode.task,
        str(episode.seed),
        cut(episode.goal, 600),
        tuple(_turn_view(run, turns, i) for i in shown),
        len(turns) - len(shown),
        MOST_TURNS - 3 if len(shown) < len(turns) else -1,
        episode.success,
        episode.ending,
        _outcome(episode),
    )


def _outcome(episode: EpisodeRow) -> str:
    facts = [f"{len(episode.turns)} step{'s' * (len(episode.turns) != 1)}"]
    facts += [f"reward {figure(episode.reward)}"] if episode.reward is not None else []
    facts += [f"{episode.seconds:.1f} s"] if episode.seconds is not None else []
    return " · ".join([*facts, *([cut(episode.where, 300)] if episode.where else [])])


def _turn_view(run: Run, turns: Sequence[TurnRow], i: int) -> TurnView:
    turn = turns[i]
    shot, missing = _picture(run.path, turn.screenshot or "")
    point, arrow = _places(turn.action)
    steps = tuple(_step_view(step, i + 1 + k, _match(step, turns, i, k)) for k, step in enumerate(turn.steps))
    return TurnView(
        i + 1,
        shot,
        missing,
        steps[:MOST_STEPS],
        _divergence(turns, i),
        "" if steps else cut(turn.completion, MOST_TEXT),
        action_text(turn.action) if turn.action else "",
        _effect(turns, i),
        cut(turn.error or "", 300),
        point,
        arrow,
    )


def _step_view(step: PlannedStep, number: int, match: Match) -> StepView:
    return StepView(
        number,
        cut(step.action_type, 40),
        cut(step.instruction, 200),
        cut(step.abstraction, 200),
        step.status == "done",
        match,
    )


def _match(step: PlannedStep, turns: Sequence[TurnRow], i: int, k: int) -> Match:
    """How the step that turn ``i`` predicted ``k`` steps ahead compares with what turn ``i + k`` executed."""
    if k == 0 or i + k >= len(turns) or turns[i + k].action is None or turns[i + k].error or not turns[i + k].steps:
        return ""
    executed = turns[i + k].steps[0]
    if step.action_type != executed.action_type:
        return "different"
    return "same" if step.instruction == executed.instruction else "type"


def _divergence(turns: Sequence[TurnRow], i: int) -> int | None:
    """The index in turn ``i``'s plan of the first step that the next turn's plan no longer holds."""
    if i + 1 >= len(turns):
        return None
    kept = kept_steps(plan_of(turns[i])[1:], plan_of(turns[i + 1]))
    return next((k for k, held in enumerate(kept, 1) if not held), None)


def _effect(turns: Sequence[TurnRow], i: int) -> str:
    """What an action did to the screen: screenshots are named by their content."""
    shot = turns[i].screenshot
    if i + 1 >= len(turns) or not shot or not turns[i].action:
        return ""
    return "the screen stayed as it was" if turns[i + 1].screenshot == shot else "the screen changed"


def _places(action: Action | None) -> tuple[tuple[float, float] | None, tuple[float, float, float, float] | None]:
    """(point, arrow) of an action, in per cent of the picture."""
    if action is None:
        return None, None
    arrow = None
    if action.start_point and action.end_point:
        arrow = (*_percent(action.start_point), *_percent(action.end_point))
    return _percent(action.point) if action.point else None, arrow


def _percent(point: Point) -> tuple[float, float]:
    return round(100 * min(1.0, max(0.0, point.x)), 2), round(100 * min(1.0, max(0.0, point.y)), 2)


def action_text(action: Action) -> str:
    """An action in a few words: "click at (0.52, 0.64)"."""
    text = as_words(action.action_type)
    if action.content is not None:
        text += f" ‘{cut(action.content, 120)}’"
    for value in (action.key, action.direction, action.app_name):
        text += f" {value}" if value else ""
    if action.arguments is not None:
        text += f" {cut(str(dict(action.arguments)), 200)}"
    if action.point:
        text += f" at ({action.point.x:.2f}, {action.point.y:.2f})"
    if action.start_point and action.end_point:
        a, b = action.start_point, action.end_point
        text += f" from ({a.x:.2f}, {a.y:.2f}) to ({b.x:.2f}, {b.y:.2f})"
    return text


def _picture(directory: Path, relative: str) -> tuple[Picture | None, str]:
    """(the picture, or None and why). A path that leaves the run is not followed; a large picture is shrunk."""
    if not relative:
        return None, "no screenshot was taken"
    path = Path(relative)
    if path.is_absolute() or ".." in path.parts:
        return None, "the screenshot lies outside the run"
    try:
        return picture((directory / path).read_bytes(), [PICTURE_WIDTH]), ""
    except FileNotFoundError:
        return None, "the screenshot is missing"
    except (OSError, ValueError, DataError):  # ValueError: a name that no disk could hold
        return None, "the screenshot cannot be read"
