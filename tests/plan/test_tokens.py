"""Image tokens are those of the real processor; the pixel limit is the largest that fits; bins lose no count."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tracer1.errors import FrameError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.tokens import PromptSize, Vision, estimated_prompt, estimated_tokens, histogram, largest_max_pixels

BASE = Path(__file__).parents[2] / "models" / "nano-base"
QWEN3_VL = Vision(262_144, 4_194_304)

sides = st.integers(1, 1500)
sizes = st.tuples(sides, sides).filter(lambda s: max(s) <= 200 * min(s))
screens = st.tuples(st.integers(32, 4000), st.integers(32, 4000)).filter(lambda s: max(s) <= 100 * min(s))
prompts = st.lists(st.builds(PromptSize, st.integers(0, 3000), st.lists(screens, max_size=2).map(tuple)), min_size=1)


@cache
def processor() -> Any:
    from tracer1.models.loading import load_processor

    return load_processor(BASE)


# ---- images ----------------------------------------------------------------------------------------------------------


@given(size=sizes, least=st.integers(1, 40_000), more=st.integers(0, 300_000))
def test_an_image_takes_the_tokens_that_the_processor_gives_it(size: tuple[int, int], least: int, more: int) -> None:
    from PIL import Image

    images = processor().image_processor
    limits = {"shortest_edge": least, "longest_edge": least + more}
    grid = images(images=[Image.new("RGB", size)], size=limits, return_tensors="np")["image_grid_thw"][0]
    assert Vision(least, least + more).tokens(size) == grid.prod() // images.merge_size**2


@given(
    size=st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)).filter(lambda s: max(s) <= 200 * min(s)),
    least=st.integers(1, 2**21),
    more=st.integers(0, 2**23),
    patch=st.sampled_from([14, 16]),
)
def test_the_arithmetic_is_that_of_transformers(size: tuple[int, int], least: int, more: int, patch: int) -> None:
    kwargs = {"min_pixels": least, "max_pixels": least + more, "patch_size": patch, "merge_size": 2}
    patches = processor().image_processor.get_number_of_image_patches(size[1], size[0], kwargs)
    assert Vision(least, least + more, patch).tokens(size) == patches // 4


@pytest.mark.parametrize(
    ("size", "tokens"), [((1920, 1080), 2040), ((3840, 2160), 4080), ((1024, 1024), 1024), ((160, 210), 14 * 19)]
)
def test_screens_as_qwen3_vl_sees_them(size: tuple[int, int], tokens: int) -> None:
    assert QWEN3_VL.tokens(size) == tokens


def test_an_image_too_narrow() -> None:
    with pytest.raises(FrameError):
        QWEN3_VL.tokens((1, 1000))


# ---- the limit that fits ---------------------------------------------------------------------------------------------


def over(rows: list[PromptSize], limit: int, vision: Vision) -> int:
    return sum(row.tokens(vision) > limit for row in rows)


@given(rows=prompts, limit=st.integers(1, 8000), spare=st.integers(0, 2), other=st.integers(1024, 4_194_304))
def test_the_largest_limit_fits_and_no_larger_one_does(
    rows: list[PromptSize], limit: int, spare: int, other: int
) -> None:
    found = largest_max_pixels(rows, limit, QWEN3_VL, spare)
    if found is None:
        assert over(rows, limit, QWEN3_VL.capped(other)) > spare
        return
    assert over(rows, limit, QWEN3_VL.capped(found)) <= spare
    assume(found < other)
    assert over(rows, limit, QWEN3_VL.capped(other)) > spare


def test_a_limit_by_hand() -> None:
    # 1920x1080 in at most 1000 tokens of 32x32 pixels: 42 x 23 = 966 is the last grid before 42 x 24 = 1008, which the
    # height of 24 tokens, 768 pixels, reaches at an area of 768 * 768 * 16 / 9 pixels.
    row = PromptSize(5000, ((1920, 1080),))
    assert largest_max_pixels([row], 6000, QWEN3_VL) == 768 * 768 * 16 // 9 - 1
    assert largest_max_pixels([row, PromptSize(5000)], 6000, QWEN3_VL, spare=1) == QWEN3_VL.max_pixels
    assert largest_max_pixels([row], 5000, QWEN3_VL) is None


# ---- estimates and bins ----------------------------------------------------------------------------------------------


def test_estimates_by_hand() -> None:
    assert [estimated_tokens(text) for text in ("", "a", "abc", "abcd")] == [0, 1, 1, 2]
    prompt = PROMPTS["brief-1"].messages("x", [], 1, images=["a.png", "b.png"])
    text = prompt[0]["content"][2]["text"]
    assert estimated_prompt(prompt) == estimated_tokens(text) + 5 + 3 + 2 * 2


@given(counts=st.lists(st.integers(0, 10**6), max_size=30), bins=st.integers(1, 20))
def test_bins_hold_every_count_once_and_touch(counts: list[int], bins: int) -> None:
    found = histogram(counts, bins)
    assert [bin.count for bin in found] == [sum(bin.low <= c <= bin.high for c in counts) for bin in found]
    assert sum(bin.count for bin in found) == len(counts)
    assert all(a.high + 1 == b.low for a, b in pairwise(found))
    assert len(found) <= bins + 1
    assert not found or (found[0].count and found[-1].count)


def test_bins_are_round() -> None:
    assert [(bin.low, bin.high, bin.count) for bin in histogram([23, 24, 47, 61], bins=5)] == [
        (20, 29, 2),
        (30, 39, 0),
        (40, 49, 1),
        (50, 59, 0),
        (60, 69, 1),
    ]
