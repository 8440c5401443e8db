"""Episodes as film strips: what was seen and foreseen, done, what came of it, and where plan and world parted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracer1.actions import action_from_json
from tracer1.errors import DataError
from tracer1.report.pictures import Picture, picture
from tracer1.report.run import STAGES, Record, Run
from tracer1.report.stability import survivors
from tracer1.report.words import cut, plain, stage_label, style_of, words
from tracer1.types import Action, Point

EPISODES = 64  # shown of a run, unless told otherwise
MOST_TURNS = 12  # of an episode shown; the middle of a longer one is left out
MOST_STEPS = 8  # of a forecast shown
MOST_TEXT = 1500  # characters of what a model wrote
PICTURE_WIDTH = 640  # pixels that a larger one is shrunk to

CameTrue = Literal["kept", "kind", "changed", ""]
Candidate = tuple[str, Record]  # who played, and the episode


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One predicted step. ``came_true``: carried out word for word ("kept"), by its kind ("kind"), or otherwise."""

    number: int
    action_type: str
    instruction: str
    abstraction: str
    done: bool
    came_true: CameTrue


@dataclass(frozen=True, slots=True)
class Frame:
    """One turn. ``point``, ``arrow``: where the action fell, in per cent of the picture. ``parted``: the index of the
    first foreseen step that the next turn's plan no longer holds, or None."""

    number: int
    picture: Picture | None
    missing: str  # why there is no picture
    steps: tuple[Foreseen, ...]
    parted: int | None
    raw: str  # the completion, where no step could be read
    executed: str
    happened: str
    error: str
    point: tuple[float, float] | None
    arrow: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class Strip:
    """One live episode. ``left_out``: turns between the last two frames' gap that are not shown."""

    anchor: str
    stage: str
    style: str
    task: str
    seed: str
    goal: str
    frames: tuple[Frame, ...]
    left_out: int
    gap_after: int  # the index of the frame that the left-out turns follow
    success: bool
    ending: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Episodes:
    """The episodes of a run that can be looked at: ordered by task, planner and seed.

    ``rows``: for each task its strips by planner, as ``planners`` (style, label). ``first``: those to begin with, and
    why. ``pictures``: each once. ``left_out``: episodes of the run that are not here.
    """

    strips: tuple[Strip, ...]
    planners: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[tuple[Strip, ...], ...]], ...]
    first: tuple[tuple[str, Strip], ...]
    pictures: tuple[Picture, ...]
    left_out: int


# ---- which episodes --------------------------------------------------------------------------------------------------


def episodes(run: Run, most: int = EPISODES) -> Episodes:
    """At most ``most`` episodes of ``run``, dealt by :func:`dealt`, and those of :func:`highlights` in any case."""
    found = [(name, e) for name, played in run.live.items() for e in played if e.records("turns")]
    first = highlights(run)
    chosen = [pair for _, pair in first]
    others = [pair for pair in dealt(found) if all(pair[1] is not e for _, e in chosen)]
    chosen += others[: max(0, most - len(chosen))]
    names = [name for name in run.live if any(name == n for n, _ in chosen)]
    tasks = _tasks(run)
    chosen.sort(key=lambda pair: (tasks.index(pair[1].text("task")), names.index(pair[0]), pair[1].number("seed") or 0))
    strips = [_strip(run, name, episode, f"e{i}") for i, (name, episode) in enumerate(chosen, start=1)]
    by_episode = {id(episode): strip for (_, episode), strip in zip(chosen, strips, strict=True)}
    cells: dict[str, dict[str, list[Strip]]] = {}
    for (name, episode), strip in zip(chosen, strips, strict=True):
        cells.setdefault(episode.text("task"), {}).setdefault(name, []).append(strip)
    return Episodes(
        tuple(strips),
        tuple((style_of(name), stage_label(name)) for name in names),
        tuple((task, tuple(tuple(row.get(name, ())) for name in names)) for task, row in cells.items()),
        tuple((why, by_episode[id(episode)]) for why, (_, episode) in first),
        tuple({f.picture.name: f.picture for s in strips for f in s.frames if f.picture}.values()),
        len(found) - len(chosen),
    )


def dealt(found: Sequence[Candidate]) -> list[Candidate]:
    """``found`` in the order in which they are shown while there is room: the method's planners before what they are
    compared with, then one episode of every task, planner and outcome, then a second of each; lower seeds first."""
    tasks = list(dict.fromkeys(episode.text("task") for _, episode in found))
    rounds: Counter[tuple[str, str, bool]] = Counter()
    ranked = []
    for name, episode in sorted(found, key=lambda pair: pair[1].number("seed") or 0):
        kind = (name, episode.text("task"), bool(episode.flag("success")))
        ranked.append(((name not in STAGES, rounds[kind], tasks.index(kind[1])), name, episode))
        rounds[kind] += 1
    return [(name, episode) for _, name, episode in sorted(ranked, key=lambda item: item[0])]


def highlights(run: Run) -> list[tuple[str, Candidate]]:
    """A long success of the last stage, the same episode by the base where that failed, a failure of the last."""
    if not run.live:
        return []
    names = list(run.live)
    last = "stage2" if "stage2" in run.live else next((n for n in ("stage1", "base") if n in run.live), names[-1])
    earlier = {_key(e): e for e in run.live["base"]} if "base" in run.live and last != "base" else {}
    shown = [e for e in run.live[last] if e.records("turns")]
    found: list[tuple[str, Candidate]] = []
    successes = [e for e in shown if e.flag("success")]
    if successes:
        best = max(successes, key=lambda e: (_failed(earlier.get(_key(e))), _weight(e)))
        found.append(("A long success", (last, best)))
        if _failed(earlier.get(_key(best))):
            found.append(("The same episode before training", ("base", earlier[_key(best)])))
    failures = [e for e in shown if e.flag("success") is False]
    if failures:
        worst = max(failures, key=lambda e: (not e.text("where").startswith("infra"), _weight(e)))
        found.append(("A failure", (last, worst)))
    return found


def _tasks(run: Run) -> list[str]:
    """In the order of the evaluation, where it is known."""
    played = (e.text("task") for found in run.live.values() for e in found)
    return list(dict.fromkeys([*run.results.texts("tasks"), *played]))


def _key(episode: Record) -> tuple[str, int | None]:
    return episode.text("task"), episode.count("seed")


def _failed(episode: Record | None) -> bool:
    return episode is not None and episode.flag("success") is False and bool(episode.records("turns"))


def _weight(episode: Record) -> int:
    """How much there is to see: the number of turns, but none of those that go on for ever."""
    turns = len(episode.records("turns"))
    return turns if turns <= MOST_TURNS else -turns


# ---- an episode ------------------------------------------------------------------------------------------------------


def plan_of(turn: Record) -> list[tuple[str, str]]:
    """The plan of a turn as what its steps do: (action type, instruction)."""
    return [(step.text("action_type"), step.text("instruction")) for step in turn.records("steps")[:MOST_STEPS]]


def _strip(run: Run, stage: str, episode: Record, anchor: str) -> Strip:
    turns = episode.records("turns")
    kept = list(range(len(turns)))
    if len(turns) > MOST_TURNS:
        kept = [*range(MOST_TURNS - 2), len(turns) - 2, len(turns) - 1]
    frames = [_frame(run, turns, i) for i in kept]
    success = bool(episode.flag("success"))
    seed, seconds, reward = (episode.number(k) for k in ("seed", "seconds", "reward"))
    facts = [f"{len(turns)} step{'s' * (len(turns) != 1)}"]
    facts += [f"reward {plain(reward)}"] if reward is not None else []
    facts += [f"{seconds:.1f} s"] if seconds is not None else []
    where = episode.text("where")
    return Strip(
        anchor,
        stage_label(stage),
        style_of(stage),
        episode.text("task"),
        "" if seed is None else f"{seed:g}",
        cut(episode.text("goal"), 600),
        tuple(frames),
        len(turns) - len(kept),
        MOST_TURNS - 3 if len(kept) < len(turns) else -1,
        success,
        episode.text("ending"),
        " · ".join([*facts, *([cut(where, 300)] if where else [])]),
    )


def _frame(run: Run, turns: Sequence[Record], i: int) -> Frame:
    turn = turns[i]
    data = turn.data.get("action")
    action = None if data is None else action_from_json(data, f"{turn.where}: 'action'")
    picture, missing = _picture(run.path, turn.text("screenshot"))
    steps = [
        _foreseen(step, i + 1 + k, _came_true(step, turns, i, k))
        for k, step in enumerate(turn.records("steps")[:MOST_STEPS])
    ]
    point = _place(action.point) if action and action.point else None
    arrow = None
    if action and action.start_point and action.end_point:
        arrow = (*_place(action.start_point), *_place(action.end_point))
    return Frame(
        i + 1,
        picture,
        missing,
        tuple(steps),
        _parted(turns, i),
        "" if steps else cut(turn.text("completion"), MOST_TEXT),
        say_action(action) if action else "",
        _happened(turns, i),
        cut(turn.text("error"), 300),
        point,
        arrow,
    )


def _foreseen(step: Record, number: int, came_true: CameTrue) -> Foreseen:
    return Foreseen(
        number,
        cut(step.text("action_type"), 40),
        cut(step.text("instruction"), 200),
        cut(step.text("abstraction"), 200),
        step.text("status") == "done",
        came_true,
    )


def _came_true(step: Record, turns: Sequence[Record], i: int, k: int) -> CameTrue:
    """What became of the step that turn ``i`` foresaw ``k`` steps ahead, by what turn ``i + k`` then carried out."""
    if k == 0 or i + k >= len(turns) or turns[i + k].data.get("action") is None or turns[i + k].text("error"):
        return ""
    then = turns[i + k].records("steps")
    if not then:
        return ""
    if step.text("action_type") != then[0].text("action_type"):
        return "changed"
    return "kept" if step.text("instruction") == then[0].text("instruction") else "kind"


def _parted(turns: Sequence[Record], i: int) -> int | None:
    """The index in turn ``i``'s plan of the first step that the next turn's plan no longer holds."""
    if i + 1 >= len(turns):
        return None
    return next(
        (k for k, kept in enumerate(survivors(plan_of(turns[i])[1:], plan_of(turns[i + 1])), 1) if not kept), None
    )


def _happened(turns: Sequence[Record], i: int) -> str:
    """What an action did to the screen, where that shows: screenshots are named by their content."""
    shot = turns[i].text("screenshot")
    if i + 1 >= len(turns) or not shot or not turns[i].data.get("action"):
        return ""
    return "the screen stayed as it was" if turns[i + 1].text("screenshot") == shot else "the screen changed"


def _place(point: Point) -> tuple[float, float]:
    return round(100 * min(1.0, max(0.0, point.x)), 2), round(100 * min(1.0, max(0.0, point.y)), 2)


def say_action(action: Action) -> str:
    """An action in a few words: "click at (0.52, 0.64)"."""
    said = words(action.action_type)
    if action.content is not None:
        said += f" ‘{cut(action.content, 120)}’"
    for value in (action.key, action.direction, action.app_name):
        said += f" {value}" if value else ""
    if action.arguments is not None:
        said += f" {cut(str(dict(action.arguments)), 200)}"
    if action.point:
        said += f" at ({action.point.x:.2f}, {action.point.y:.2f})"
    if action.start_point and action.end_point:
        a, b = action.start_point, action.end_point
        said += f" from ({a.x:.2f}, {a.y:.2f}) to ({b.x:.2f}, {b.y:.2f})"
    return said


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
        return None, "the screenshot is not there"
    except (OSError, ValueError, DataError):  # a name may be none that a disk could hold
        return None, "the screenshot cannot be read"
