"""Every frame converts to every other and back; frames never mix; the resize rule gives the values Qwen's gives."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.coordinates import convert, distance, inside, per_mille, pixels, smart_resize, smart_resized
from tracer1.errors import FrameError
from tracer1.types import FRACTION, Frame, Point

fractions = st.floats(0, 1)
sizes = st.tuples(st.integers(16, 4000), st.integers(16, 4000)).filter(lambda s: max(s) <= 200 * min(s))
frames = st.one_of(st.just(FRACTION), st.just(per_mille()), sizes.map(pixels), sizes.map(smart_resized))


@given(x=fractions, y=fractions, a=frames, b=frames)
def test_convert_goes_to_every_frame_and_back(x: float, y: float, a: Frame, b: Frame) -> None:
    point = convert(Point(x, y), a)
    back = convert(convert(convert(point, b), a), FRACTION)
    assert point.frame == a
    assert math.isclose(back.x, x, abs_tol=1e-9)
    assert math.isclose(back.y, y, abs_tol=1e-9)


def test_convert_keeps_the_place_on_the_screen() -> None:
    centre = Point(0.5, 0.5)
    assert convert(centre, per_mille()) == Point(500, 500, per_mille())
    assert convert(centre, pixels((1920, 1080))) == Point(960, 540, pixels((1920, 1080)))
    # UI-TARS-1.5's own example: (235, 512) in the resized image of a 1920x1080 screen is (234, 506) on the screen.
    resized = smart_resized((1920, 1080), factor=28, min_pixels=3136, max_pixels=12_845_056)
    screen = convert(Point(966, 546, resized), pixels((1920, 1080)))
    assert (screen.x, screen.y) == (960, 540)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (1932, 1092)),
        ((1280, 720), (1288, 728)),
        ((1080, 2400), (1092, 2408)),
        ((900, 1600), (896, 1596)),
        ((1024, 560), (1036, 560)),
        ((7680, 4320), (4760, 2688)),
        ((6000, 3000), (5068, 2520)),
        ((100, 100), (112, 112)),
    ],
)
def test_smart_resize_by_28(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert smart_resize(size, 28, 3136, 12_845_056) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (1920, 1088)),
        ((1280, 720), (1280, 704)),  # 720 / 32 = 22.5 is rounded to the even 22
        ((1080, 2400), (1088, 2400)),
        ((1440, 3120), (1440, 3136)),
        ((3840, 2160), (3840, 2176)),
        ((100, 100), (96, 96)),
    ],
)
def test_smart_resize_by_32(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert smart_resize(size, 32, min_pixels=4 * 32 * 32) == expected


def test_smart_resize_grows_what_is_below_the_minimum() -> None:
    # 160x210 has 33 600 pixels, the minimum is 65 536: both sides times 1.3966, rounded up to multiples of 32.
    assert smart_resize((160, 210)) == (224, 320)


@given(size=sizes)
def test_smart_resize_gives_multiples_within_the_limits(size: tuple[int, int]) -> None:
    width, height = smart_resize(size, 32, 65_536, 1_048_576)
    assert width % 32 == height % 32 == 0
    assert width >= 32
    assert height >= 32
    assert 65_536 <= width * height <= 1_048_576 or max(size) > 16 * min(size)  # a narrow side is kept at one patch


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (2010, 10)])
def test_impossible_screens_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(FrameError, match=f"{size[0]}x{size[1]}"):
        smart_resized(size)


def test_distance_is_normalised_and_refuses_mixed_frames() -> None:
    screen = pixels((1000, 500))
    # 30 of 1000 pixels across, 20 of 500 down: (0.03, 0.04), so 0.05 of the screen.
    assert math.isclose(distance(Point(100, 100, screen), Point(130, 120, screen)), 0.05)
    with pytest.raises(FrameError, match="convert"):
        distance(Point(0.1, 0.1), Point(100, 100, per_mille()))
    with pytest.raises(FrameError, match="pixels 1000x500"):
        distance(Point(1, 1, screen), Point(1, 1, pixels((1000, 501))))


def test_inside_counts_the_edges_and_refuses_other_frames() -> None:
    box = (0.25, 0.25, 0.5, 0.75)
    assert inside(Point(0.25, 0.75), box)
    assert inside(Point(0.5, 0.25), box)
    assert not inside(Point(0.5001, 0.5), box)
    with pytest.raises(FrameError, match="fractions"):
        inside(Point(300, 500, per_mille()), box)
