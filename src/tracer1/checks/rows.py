"""Pre-flight of training rows in one pass: what can be read, how long it is, and what the recorded plans earn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

from tracer1.checks.findings import CheckItem, TokenFigures, some, split_remedy
from tracer1.config.settings import PlanSettings
from tracer1.data.images import image_size
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import read_rows, row_to_window, windows_store
from tracer1.errors import DataError, FrameError, TraceR1Error
from tracer1.evaluation.constant_plan import best_constant_plan, describe
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.text import render_plan
from tracer1.plan.tokens import (
    CHARACTERS,
    PromptSize,
    Vision,
    estimated_prompt,
    estimated_tokens,
    histogram,
    largest_max_pixels,
)
from tracer1.rewards.grounded import GroundedProfile, score_grounded
from tracer1.rewards.terms import repetitions
from tracer1.rewards.trajectory import TrajectoryProfile, score_trajectory
from tracer1.training.scoring import GroundedScorer
from tracer1.types import Action, Executor, HistoryStep, Message, Plan, Reference, Size, Step, Window

BATCH = 512  # rows whose text is tokenised at a time
TRIED = 16  # rows on which the executor is tried

# Of made-up rows: a desktop, a larger one and a phone; a goal and a past step of middling length.
SCREENS: tuple[Size, ...] = ((1920, 1080), (3840, 2160), (1080, 2400))
GOAL = "Set the proxy server of the browser to the address in the newest mail of the office, and make sure it is used."
PAST = HistoryStep("settings page, the section Network is open", "click", "click the 'Proxy server' field")


# ---- text ------------------------------------------------------------------------------------------------------------


class TextCounter(Protocol):
    """Counts tokens; ``exact`` is False for an estimate."""

    exact: bool

    def prompts(self, prompts: Sequence[Sequence[Message]]) -> list[int]:
        """Tokens of each prompt with the markup of the chat, without those that its images take."""
        ...

    def texts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it stands."""
        ...


class Tokenizer:
    """Exact counts by a Hugging Face tokenizer that has a chat template."""

    exact = True

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.backend = tokenizer.backend_tokenizer
        tokenizer([""])  # takes off the padding and truncation that the backend may have been saved with
        special = sorted((t.content for t in tokenizer.added_tokens_decoder.values() if t.special), key=len)
        self.special = re.compile("|".join(map(re.escape, reversed(special))) or "(?!)")

    def prompts(self, prompts: Sequence[Sequence[Message]]) -> list[int]:
        said = self.tokenizer.apply_chat_template(list(map(list, prompts)), add_generation_prompt=True, tokenize=False)
        images = (sum(part["type"] == "image" for m in prompt for part in m["content"]) for prompt in prompts)
        # The template writes one placeholder for each image, which the processor repeats for each of its tokens.
        return [tokens - count for tokens, count in zip(self._chats(said), images, strict=True)]

    def _chats(self, said: Sequence[str]) -> list[int]:
        """Tokens of rendered chats. What stands between special tokens is tokenised by itself, so a guide that is in
        every chat is tokenised once. Each call verifies that on its first chat."""
        pieces = [self.special.split(text) for text in said]
        distinct = list({piece for chat in pieces for piece in chat})
        tokens = dict(zip(distinct, self.texts(distinct), strict=True))
        counts = [sum(map(tokens.__getitem__, chat)) + len(chat) - 1 for chat in pieces]
        return counts if counts[:1] == self.texts(said[:1]) else self.texts(said)

    def texts(self, texts: Sequence[str]) -> list[int]:
        # Called itself, the tokenizer also asks where in the text each token stands: half as much work again.
        return list(map(len, self.backend.encode_batch_fast(list(texts), add_special_tokens=False)))


class Estimate:
    """Counts from the number of characters, where no tokenizer is at hand."""

    exact = False

    def prompts(self, prompts: Sequence[Sequence[Message]]) -> list[int]:
        return list(map(estimated_prompt, prompts))

    def texts(self, texts: Sequence[str]) -> list[int]:
        return list(map(estimated_tokens, texts))


# ---- one file --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measure:
    """How rows are measured and scored: the planner's tokens and images, the limits, and the configured rewards."""

    text: TextCounter
    vision: Vision
    prompt_limit: int  # tokens
    plan_limit: int
    trajectory: TrajectoryProfile
    grounded: GroundedProfile | None  # None: stage 2 is not run
    agent: Executor | None  # None: there is none to try


@dataclass(slots=True)
class _Found:
    """What one pass over a file leaves."""

    rows: int = 0
    images: dict[str, Size | None] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    bad_images: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the rows that were measured
    prompts: list[PromptSize] = field(default_factory=list)
    plans: list[int] = field(default_factory=list)  # tokens, with the one that ends it
    repeating: int = 0
    below: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))  # gold below its mark, by stage
    unscored: list[str] = field(default_factory=list)  # in stage 2: the record lacks what would be compared
    references: Counter[tuple[str, ...]] = field(default_factory=Counter)  # the recorded action types


def check_rows(name: str, file: str, measure: Measure) -> tuple[int, list[CheckItem]]:
    """The number of rows of a windows file, and the findings on it. ``name``: train or heldout."""
    found = _Found()
    try:
        store = windows_store(file)
        rows = enumerate(read_rows(file))
        while batch := list(islice(rows, BATCH)):
            _read(batch, store, measure, found)
    except DataError as error:
        return 0, [CheckItem(f"{name} data", False, *split_remedy(error))]
    look = f"look at them with `tracer1 data inspect {file}`, then record or convert those episodes again"
    detail = f"{file}: {found.rows} rows" + (f"; unreadable: {some(found.unread)}" if found.unread else "")
    items = [CheckItem(f"{name} data", bool(found.rows) and not found.unread, detail, look)]
    detail = f"{len(found.images)} files" + (f"; unreadable: {some(found.bad_images)}" if found.bad_images else "")
    items.append(CheckItem(f"{name} images", not found.bad_images, detail, look))
    items += _gold_items(name, found, grounded=measure.grounded is not None)
    items += _constant_item(name, found, measure.trajectory)
    items += _token_items(name, found, measure)
    if measure.agent and measure.grounded and found.rows and not (found.unread or found.bad_images):
        scorer = GroundedScorer(measure.grounded, measure.agent, store)
        items.append(_agent_item(name, file, scorer, found.rows))
    return found.rows, items


def _read(batch: Iterable[tuple[int, dict[str, Any]]], store: EpisodeStore, measure: Measure, found: _Found) -> None:
    windows, golds, sizes = [], [], []
    for number, row in batch:
        found.rows += 1
        try:
            window = row_to_window(row, f"row {number}")
        except DataError as error:
            found.unread.append(str(error))
            continue
        gold = gold_plan(window)
        found.references[tuple(step.action_type for step in window.reference.steps)] += 1
        _score(window, gold, measure, found)
        images = [_image(path, window, store, measure.vision, found) for path in window.images]
        if None not in images:
            windows.append(window)
            golds.append(gold)
            sizes.append(tuple(size for size in images if size is not None))
    if windows:
        texts = measure.text.prompts([window.prompt for window in windows])
        found.names += map(name_of, windows)
        found.prompts += map(PromptSize, texts, sizes)
        found.plans += [tokens + 1 for tokens in measure.text.texts(golds)]


def name_of(window: Window) -> str:
    """A row by its episode and step, as everything that names rows does."""
    return f"{window.episode_id} step {window.step}"


def gold_plan(window: Window) -> str:
    """The recorded continuation as the planner would have to say it."""
    return render_plan(Plan(window.reference.steps, first_number=window.step + 1))


def _image(path: str, window: Window, store: EpisodeStore, vision: Vision, found: _Found) -> Size | None:
    """The size in the header, read once however many rows show the image; None where there is none to use."""
    if path not in found.images:
        try:
            size = image_size(store.path(path))
            vision.tokens(size)
            found.images[path] = size
        except (DataError, FrameError) as error:
            found.images[path] = None
            found.bad_images.append(f"{name_of(window)}: {error}")
    return found.images[path]


# ---- what the recorded plans earn ------------------------------------------------------------------------------------


def _score(window: Window, gold: str, measure: Measure, found: _Found) -> None:
    """The recorded plan must earn all there is: 1 less what its own repetitions cost in stage 1, and 1 in stage 2."""
    most = best_score(window.reference, measure.trajectory)
    score = score_trajectory(gold, window.reference.steps, measure.trajectory).overall or 0.0
    if abs(score - most) > 1e-9:
        found.below[0].append(f"{name_of(window)} scores {score:.3f}")
    elif most < 1:
        found.repeating += 1
    if measure.grounded is not None:
        grounded = score_grounded(gold, window.reference, recorded_agent(window.reference), measure.grounded)
        if grounded.unscored is not None:
            found.unscored.append(f"{name_of(window)}: {grounded.unscored}")
            return
        score = grounded.overall or 0.0
        if abs(score - 1) > 1e-9:
            found.below[1].append(f"{name_of(window)} scores {score:.3f}")


def best_score(reference: Reference, profile: TrajectoryProfile) -> float:
    """What the recorded plan should earn in stage 1: 1, less what the rule on repetition takes (Eq. 10)."""
    repeated = repetitions([step.action_type for step in reference.steps]) if profile.repetition == "absolute" else 0
    return profile.lambda_fmt + (1 - profile.lambda_fmt) * max(0.0, 1 - profile.lambda_rep * repeated)


def recorded_agent(reference: Reference) -> Callable[[Step], Action]:
    """An executor that does what was recorded, whatever it is told; a tool returns what it returned then."""

    def act(step: Step) -> Action:
        recorded = reference.action or Action(step.action_type)
        return recorded if reference.observation is None else replace(recorded, content=reference.observation)

    return act


def _constant_item(name: str, found: _Found, profile: TrajectoryProfile) -> Iterator[CheckItem]:
    """What a plan earns that is the same for every row: a planner that earns no more has not looked at the screen."""
    best = best_constant_plan(found.references.elements(), profile)
    if best.plan_reward is not None:
        detail = f"best constant plan earns {best.plan_reward:.3f} in stage 1: {describe(best)}"
        yield CheckItem(f"{name} constant plan", True, detail)


def _gold_items(name: str, found: _Found, *, grounded: bool) -> Iterator[CheckItem]:
    remedy = "the recorded steps lack what the reward asks for; see `tracer1 data inspect`"
    scored = found.rows - len(found.unread)
    repeated = f"; {found.repeating} of them less what a threefold action costs" if found.repeating else ""
    for stage, below in enumerate(found.below, start=1):
        if stage == 2 and not grounded:
            continue
        label = f"{name} gold plans, stage {stage}"
        if below:
            detail = f"{len(below)} of {scored} recorded plans score less than they should: {some(below)}"
            yield CheckItem(label, False, detail, remedy)
        elif stage == 2 and found.unscored:
            lost = len(found.unscored)
            detail = f"{scored - lost} recorded plans score 1.0; {lost} cannot be scored: {some(found.unscored)}"
            yield CheckItem(label, False, detail, remedy, optional=lost < scored)
        else:
            yield CheckItem(label, bool(scored), f"{scored} recorded plans score 1.0{repeated * (stage == 1)}", remedy)


def _agent_item(name: str, file: str, scorer: GroundedScorer, count: int) -> CheckItem:
    """The configured executor on an even sample of the recorded first steps: what it misses, stage 2 cannot teach."""
    rows = list(islice(read_rows(file), 0, None, -(-count // TRIED)))
    missed = []
    for row in rows:
        window = row_to_window(row)
        images = [str(scorer.store.path(path).resolve()) for path in window.images]
        try:
            (score,) = scorer([gold_plan(window)], [{**row, "images": images}])
        except TraceR1Error as error:
            missed.append(f"{name_of(window)}: {error}")
            continue
        if score.accuracy != 1:
            missed.append(f"{name_of(window)}: {score.unscored or window.reference.steps[0].instruction}")
    detail = f"{len(rows) - len(missed)} of {len(rows)} recorded first steps end where they should"
    detail += f"; not {some(missed)}" if missed else ""
    remedy = "stage 2 teaches nothing where its executor fails: choose another, or word those steps anew"
    return CheckItem(f"{name} executor", not missed, detail, remedy, optional=len(missed) < len(rows))


# ---- tokens ----------------------------------------------------------------------------------------------------------


def _token_items(name: str, found: _Found, measure: Measure) -> Iterator[CheckItem]:
    yield _prompts_item(f"{name} prompt tokens", found.names, found.prompts, measure)
    figures = _figures(found.names, found.plans, measure.plan_limit, measure.text.exact)
    remedy = f"raise max_completion_tokens to {figures.largest}, or write windows with a smaller horizon"
    yield CheckItem(f"{name} plan tokens", bool(found.plans) and not figures.over, words(figures), remedy)


def _prompts_item(label: str, names: Sequence[str], prompts: Sequence[PromptSize], measure: Measure) -> CheckItem:
    """The finding on the prompts' tokens, and what would make those fit that do not."""
    limit, vision = measure.prompt_limit, measure.vision
    figures = replace(
        _figures(names, [prompt.tokens(vision) for prompt in prompts], limit, measure.text.exact),
        max_pixels=largest_max_pixels(prompts, limit, vision),
        max_pixels_999=largest_max_pixels(prompts, limit, vision, spare=len(prompts) // 1000),
    )
    remedy = f"{_pixels_remedy(figures, vision)}, raise max_prompt_tokens to {figures.largest}, or tell less history"
    return CheckItem(label, bool(prompts) and not figures.over, words(figures), remedy, tokens=figures)


def _pixels_remedy(figures: TokenFigures, vision: Vision) -> str:
    if figures.max_pixels is None and figures.max_pixels_999 is None:
        return "no model.max_pixels is small enough, as the text alone is too long"
    told = [] if figures.max_pixels is None else [f"{figures.max_pixels} (every row fits)"]
    if figures.max_pixels_999 not in (None, figures.max_pixels):
        told.append(f"{figures.max_pixels_999} (99.9 % of the rows fit)")
    below = any(0 < (most or 0) < vision.min_pixels for most in (figures.max_pixels, figures.max_pixels_999))
    return f"set model.max_pixels to {' or '.join(told)}" + (", with model.min_pixels no larger" if below else "")


def _figures(names: Sequence[str], counts: Sequence[int], limit: int, exact: bool) -> TokenFigures:
    return TokenFigures(
        rows=len(counts),
        mean=sum(counts) / len(counts) if counts else 0.0,
        largest=max(counts, default=0),
        limit=limit,
        over=tuple(name for name, count in zip(names, counts, strict=True) if count > limit),
        exact=exact,
        max_pixels=None,
        max_pixels_999=None,
        histogram=histogram(counts),
    )


def words(figures: TokenFigures) -> str:
    """The figures in one line."""
    if not figures.rows:
        return "no row to measure"
    detail = f"{figures.mean:.0f} on average, {figures.largest} at most, {figures.limit} allowed"
    if not figures.exact:
        detail = f"about {detail} (text estimated at {CHARACTERS} characters a token)"
    if figures.over:
        detail += f"; too long: {len(figures.over)} of {figures.rows} rows: {some(figures.over)}"
    return detail


# ---- rows that are not there yet -------------------------------------------------------------------------------------


def made_up(plan: PlanSettings, screens: Sequence[Size], measure: Measure) -> CheckItem:
    """The prompt arithmetic on a made-up step with a full history, shown on each of ``screens`` (width, height)."""
    spec = replace(PROMPTS[plan.prompt_version], history=plan.history, horizon=plan.horizon)
    messages = spec.messages(GOAL, [PAST] * plan.history, plan.history + 1, images="screen.png")
    text = measure.text.prompts([messages])[0]
    about = "" if measure.text.exact else f"about (at {CHARACTERS} characters a token) "
    names = [f"{width}x{height}" for width, height in screens]
    item = _prompts_item("made-up prompts", names, [PromptSize(text, (size,)) for size in screens], measure)
    images = ", ".join(
        f"{measure.vision.tokens(size)} of a {name} screen" for name, size in zip(names, screens, strict=True)
    )
    most = f"{item.tokens.largest} at most, {measure.prompt_limit} allowed" if item.tokens else ""
    detail = f"no rows yet; with {plan.history} past steps {about}{text} tokens of text and {images}: {most}"
    return CheckItem(item.name, item.ok, detail, item.remedy, optional=True)
