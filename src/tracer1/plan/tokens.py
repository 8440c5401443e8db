"""How many tokens a prompt takes, from the sizes of its images: the arithmetic of a Qwen-VL processor, without pixels.

An image is resized to multiples of ``patch * merge`` pixels (``coordinates.smart_resize``) and takes one token for each
``patch * merge`` square. The defaults are Qwen3-VL's.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tracer1.coordinates import smart_resize
from tracer1.types import Message, Size

CHARACTERS = 3  # a token, without a tokenizer; English prose has about 4 and JSON 3, so the estimate is rather high
MARKUP = 5  # tokens of ChatML around a message: <|im_start|>role\n and <|im_end|>\n
OPENING = 3  # tokens that open the reply: <|im_start|>assistant\n
FRAME = 2  # tokens around an image, <|vision_start|> and <|vision_end|>


@dataclass(frozen=True, slots=True)
class Vision:
    """How a processor turns an image into tokens: least and most pixels after resizing, and its patches."""

    min_pixels: int
    max_pixels: int
    patch: int = 16  # pixels a side
    merge: int = 2  # patches a side that become one token

    def tokens(self, size: Size) -> int:
        """Tokens of an image of ``size`` (width, height in pixels). Raises FrameError for one too narrow."""
        factor = self.patch * self.merge
        width, height = smart_resize(size, factor, self.min_pixels, self.max_pixels)
        return (width // factor) * (height // factor)

    def capped(self, max_pixels: int) -> Vision:
        """The same with another ``max_pixels``, and ``min_pixels`` not above it."""
        return replace(self, max_pixels=max_pixels, min_pixels=min(self.min_pixels, max_pixels))


@dataclass(frozen=True, slots=True)
class PromptSize:
    """The tokens of a prompt's text, with the markup of chat and images, and the sizes of its images."""

    text: int
    images: tuple[Size, ...] = ()

    def tokens(self, vision: Vision) -> int:
        return self.text + sum(vision.tokens(size) for size in self.images)


def largest_max_pixels(prompts: Iterable[PromptSize], limit: int, vision: Vision, spare: int = 0) -> int | None:
    """The largest ``max_pixels``, up to ``vision``'s own, at which all prompts but ``spare`` keep to ``limit`` tokens.

    None when no resizing is enough, because the text alone is too long. One pixel more is too many; beyond that the
    count falls again only for images narrower than one token, a side that no resizing makes narrower.
    """
    texts: defaultdict[tuple[Size, ...], list[int]] = defaultdict(list)
    for prompt in prompts:
        texts[prompt.images].append(prompt.text)
    for same in texts.values():
        same.sort()

    def fits(max_pixels: int) -> bool:
        capped = vision.capped(max_pixels)
        over = 0
        for images, same in texts.items():
            left = limit - PromptSize(0, images).tokens(capped)
            over += len(same) - bisect_right(same, left)
        return over <= spare

    low, high = (vision.patch * vision.merge) ** 2, vision.max_pixels
    if fits(high):
        return high
    if not fits(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


# ---- estimates, where there is no tokenizer --------------------------------------------------------------------------


def estimated_tokens(text: str) -> int:
    """About how many tokens a text takes: a token for every ``CHARACTERS`` characters."""
    return math.ceil(len(text) / CHARACTERS)


def estimated_prompt(prompt: Sequence[Message]) -> int:
    """About how many tokens a ChatML prompt takes without those of its images."""
    parts = [part for message in prompt for part in message["content"]]
    texts = sum(estimated_tokens(part["text"]) for part in parts if part["type"] == "text")
    images = sum(1 for part in parts if part["type"] == "image")
    return texts + MARKUP * len(prompt) + OPENING + FRAME * images


# ---- histograms ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bin:
    """How many counts lie from ``low`` to ``high``, both included."""

    low: int
    high: int
    count: int


def histogram(counts: Sequence[int], bins: int = 10) -> tuple[Bin, ...]:
    """The counts in at most ``bins`` + 1 bins of equal, round width (1, 2 or 5 times a power of ten), without gaps."""
    if not counts:
        return ()
    least = math.ceil((max(counts) - min(counts) + 1) / bins)
    power = int("1" + "0" * (len(str(least)) - 1))
    width = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least)
    filled = Counter(count // width for count in counts)
    return tuple(Bin(k * width, (k + 1) * width - 1, filled[k]) for k in range(min(filled), max(filled) + 1))
