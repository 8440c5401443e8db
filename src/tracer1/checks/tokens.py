"""Tokens of prompts and plans against their limits: exact counts by the planner's tokenizer, or an estimate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from tracer1.checks.findings import CheckItem, TokenFigures, some
from tracer1.config.settings import PlanSettings
from tracer1.plan.prompt import PROMPTS, plain_messages
from tracer1.plan.tokens import (
    CHARACTERS,
    PromptSize,
    Vision,
    estimated_prompt,
    estimated_tokens,
    histogram,
    largest_max_pixels,
)
from tracer1.types import HistoryStep, Message, Size

# Of made-up rows: a desktop, a larger one and a phone; a goal and a past step of middling length.
SCREENS: tuple[Size, ...] = ((1920, 1080), (3840, 2160), (1080, 2400))
GOAL = "Set the proxy server of the browser to the address in the newest mail of the office, and make sure it is used."
PAST = HistoryStep("settings page, the section Network is open", "click", "click the 'Proxy server' field")


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
    """Exact counts by a Hugging Face tokenizer with a chat template; ``text_only``: one that takes plain strings."""

    exact = True

    def __init__(self, tokenizer: Any, text_only: bool = False) -> None:
        self.text_only = text_only
        self.tokenizer = tokenizer
        self.backend = tokenizer.backend_tokenizer
        tokenizer([""])  # takes off the padding and truncation that the backend may have been saved with
        special = sorted((t.content for t in tokenizer.added_tokens_decoder.values() if t.special), key=len)
        self.special = re.compile("|".join(map(re.escape, reversed(special))) or "(?!)")

    def prompts(self, prompts: Sequence[Sequence[Message]]) -> list[int]:
        messages = list(map(plain_messages if self.text_only else list, prompts))
        chats = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        images = (sum(part["type"] == "image" for m in prompt for part in m["content"]) for prompt in prompts)
        # The template writes one placeholder for each image, which the processor repeats for each of its tokens.
        return [tokens - count for tokens, count in zip(self._chats(chats), images, strict=True)]

    def _chats(self, chats: Sequence[str]) -> list[int]:
        """Tokens of rendered chats. The text between special tokens is tokenised by itself, so a guide that is in
        every chat is tokenised once. Each call verifies that on its first chat."""
        pieces = [self.special.split(text) for text in chats]
        distinct = list({piece for chat in pieces for piece in chat})
        tokens = dict(zip(distinct, self.texts(distinct), strict=True))
        counts = [sum(map(tokens.__getitem__, chat)) + len(chat) - 1 for chat in pieces]
        return counts if counts[:1] == self.texts(chats[:1]) else self.texts(chats)

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


# ---- findings --------------------------------------------------------------------------------------------------------


def prompts_item(
    label: str, names: Sequence[str], prompts: Sequence[PromptSize], limit: int, vision: Vision, exact: bool
) -> CheckItem:
    """The finding on the prompts' tokens; the remedy makes every row fit."""
    figures = replace(
        _figures(names, [prompt.tokens(vision) for prompt in prompts], limit, exact),
        max_pixels=largest_max_pixels(prompts, limit, vision),
        max_pixels_999=largest_max_pixels(prompts, limit, vision, spare=len(prompts) // 1000),
    )
    remedy = f"{_pixels_remedy(figures, vision)}, raise max_prompt_tokens to {figures.largest}, or show less history"
    return CheckItem(label, bool(prompts) and not figures.over, words(figures), remedy, tokens=figures)


def plans_item(label: str, names: Sequence[str], plans: Sequence[int], limit: int, exact: bool) -> CheckItem:
    """The finding on the recorded plans' tokens."""
    figures = _figures(names, plans, limit, exact)
    remedy = f"raise max_completion_tokens to {figures.largest}, or write windows with a smaller horizon"
    return CheckItem(label, bool(plans) and not figures.over, words(figures), remedy)


def _pixels_remedy(figures: TokenFigures, vision: Vision) -> str:
    if figures.max_pixels is None and figures.max_pixels_999 is None:
        return "no model.max_pixels is small enough, as the text alone is too long"
    choices = [] if figures.max_pixels is None else [f"{figures.max_pixels} (every row fits)"]
    if figures.max_pixels_999 not in (None, figures.max_pixels):
        choices.append(f"{figures.max_pixels_999} (99.9 % of the rows fit)")
    below = any(0 < (most or 0) < vision.min_pixels for most in (figures.max_pixels, figures.max_pixels_999))
    return f"set model.max_pixels to {' or '.join(choices)}" + (", with model.min_pixels no larger" if below else "")


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


def made_up_item(
    plan: PlanSettings, screens: Sequence[Size], limit: int, vision: Vision, counter: TextCounter
) -> CheckItem:
    """The prompt arithmetic on a made-up step with a full history, shown on each of ``screens`` (width, height)."""
    spec = replace(PROMPTS[plan.prompt_version], history=plan.history, horizon=plan.horizon)
    messages = spec.messages(GOAL, [PAST] * plan.history, plan.history + 1, images="screen.png")
    text = counter.prompts([messages])[0]
    names = [f"{width}x{height}" for width, height in screens]
    prompts = [PromptSize(text, (size,)) for size in screens]
    item = prompts_item("made-up prompts", names, prompts, limit, vision, counter.exact)
    detail = f"no rows yet; with {plan.history} past steps {_arithmetic(text, names, screens, vision, counter.exact)}"
    largest = max(prompt.tokens(vision) for prompt in prompts)
    return replace(item, detail=f"{detail}: {largest} at most, {limit} allowed", optional=True, tokens=None)


def _arithmetic(text: int, names: Sequence[str], screens: Sequence[Size], vision: Vision, exact: bool) -> str:
    about = "" if exact else f"about (at {CHARACTERS} characters a token) "
    images = (f"{vision.tokens(size)} of a {name} screen" for name, size in zip(names, screens, strict=True))
    return f"{about}{text} tokens of text and {', '.join(images)}"
