"""Which episodes a reader is shown, each as a film strip: what was seen and foreseen, done, and what came of it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from tracer1.actions import action_from_json
from tracer1.report.run import Record, Run
from tracer1.report.words import cut, plain, stage_label, style_of, words
from tracer1.types import Action, Point

MOST_TURNS = 8  # of an episode shown; the middle of a longer one is left out
MOST_STEPS = 8  # of a forecast shown
MOST_TEXT = 1500  # characters of what a model wrote
PLAIN_BYTES = 64 * 1024  # pictures up to this size are carried as they are
PICTURE_WIDTH = 640  # pixels that a larger one is shrunk to

CameTrue = Literal["kept", "kind", "changed", ""]


@dataclass(frozen=True, slots=True)
class Picture:
    """A screenshot inside the page."""

    uri: str
    width: int
    height: int


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
    """One turn. ``point``, ``arrow``: where the action fell, in per cent of the picture."""

    number: int
    picture: Picture | None
    missing: str  # why there is no picture
    steps: tuple[Foreseen, ...]
    raw: str  # the completion, where no step could be read
    executed: str
    error: str
    point: tuple[float, float] | None
    arrow: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class Strip:
    """One live episode. ``left_out``: turns between the last two frames' gap that are not shown."""

    stage: str
    style: str
    task: str
    seed: str
    goal: str
    why: str
    frames: tuple[Frame, ...]
    left_out: int
    gap_after: int  # the index of the frame that the left-out turns follow
    success: bool
    ending: str
    outcome: str


# ---- episodes --------------------------------------------------------------------------------------------------------


def film_strips(run: Run) -> tuple[Strip, ...]:
    """A long success of the last stage, the same episode by the base where that failed, a failure of the last."""
    if not run.live:
        return ()
    names = list(run.live)
    last = "stage2" if "stage2" in run.live else next((n for n in ("stage1", "base") if n in run.live), names[-1])
    earlier = {_key(e): e for e in run.live["base"]} if "base" in run.live and last != "base" else {}
    shown = [e for e in run.live[last] if e.records("turns")]
    strips = []
    successes = [e for e in shown if e.flag("success")]
    if successes:
        best = max(successes, key=lambda e: (_failed(earlier.get(_key(e))), _weight(e)))
        strips.append(_strip(run, last, best, "A long success"))
        if _failed(earlier.get(_key(best))):
            strips.append(_strip(run, "base", earlier[_key(best)], "The same episode before training"))
    failures = [e for e in shown if e.flag("success") is False]
    if failures:
        worst = max(failures, key=lambda e: (not e.text("where").startswith("infra"), _weight(e)))
        strips.append(_strip(run, last, worst, "A failure"))
    return tuple(strips)


def _key(episode: Record) -> tuple[str, int | None]:
    return episode.text("task"), episode.count("seed")


def _failed(episode: Record | None) -> bool:
    return episode is not None and episode.flag("success") is False and bool(episode.records("turns"))


def _weight(episode: Record) -> int:
    """How much there is to see: the number of turns, but none of those that go on for ever."""
    turns = len(episode.records("turns"))
    return turns if turns <= MOST_TURNS else -turns


def _strip(run: Run, stage: str, episode: Record, why: str) -> Strip:
    turns = episode.records("turns")
    kept = list(range(len(turns)))
    if len(turns) > MOST_TURNS:
        kept = [*range(MOST_TURNS - 2), len(turns) - 2, len(turns) - 1]
    frames = [_frame(run, turns, i) for i in kept]
    success = bool(episode.flag("success"))
    seed, seconds, reward = (episode.number(k) for k in ("seed", "seconds", "reward"))
    said = [f"{len(turns)} step{'s' * (len(turns) != 1)}"]
    said += [f"reward {plain(reward)}"] if reward is not None else []
    said += [f"{seconds:.1f} s"] if seconds is not None else []
    where = episode.text("where")
    return Strip(
        stage_label(stage),
        style_of(stage),
        episode.text("task"),
        "" if seed is None else f"{seed:g}",
        cut(episode.text("goal"), 600),
        why,
        tuple(frames),
        len(turns) - len(kept),
        MOST_TURNS - 3 if len(kept) < len(turns) else -1,
        success,
        episode.text("ending"),
        " · ".join([*said, *([cut(where, 300)] if where else [])]),
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
        "" if steps else cut(turn.text("completion"), MOST_TEXT),
        say_action(action) if action else "",
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
        data = (directory / path).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.verify()
        with Image.open(io.BytesIO(data)) as image:
            size, kind = image.size, image.format
            if kind != "PNG" or len(data) > PLAIN_BYTES:
                image.thumbnail((PICTURE_WIDTH, 4 * PICTURE_WIDTH))
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, "JPEG", quality=82)
                data, kind = buffer.getvalue(), "JPEG"
    except FileNotFoundError:
        return None, "the screenshot is not there"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # Pillow's words for a broken file
        return None, "the screenshot cannot be read"
    uri = f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
    return Picture(uri, *size), ""
