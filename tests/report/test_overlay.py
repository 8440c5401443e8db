from __future__ import annotations

import math

import pytest

from tracer1.report.overlay import overlay
from tracer1.types import Action, Box, Point


def test_places_are_per_cent_of_the_picture() -> None:
    over = overlay(Action("click", Point(0.97223, 1 / 3)), (0.1, 0.2, 0.4, 0.25))
    assert over.point == (97.223, 33.3333)
    assert over.box == pytest.approx((10, 20, 30, 5))
    assert not over.off


def test_a_drag_has_an_arrow_and_a_scroll_its_direction() -> None:
    assert overlay(Action("drag", start_point=Point(0.1, 0.2), end_point=Point(0.3, 0.4)), None).arrow == (
        pytest.approx((10, 20, 30, 40))
    )
    assert overlay(Action("scroll", direction="down"), None).point == (50, 50)
    over = overlay(Action("scroll", Point(0.2, 0.9), direction="up"), None)
    assert (over.point, over.scroll) == ((20, 90), "up")


@pytest.mark.parametrize(
    "action", [Action("hotkey", key="ctrl c"), Action("wait"), Action("scroll"), Action("drag"), Action("click")]
)
def test_what_has_no_place_draws_nothing(action: Action) -> None:
    over = overlay(action, None)
    assert (over.point, over.arrow, over.box) == (None, None, None)


@pytest.mark.parametrize(
    ("point", "box"), [(Point(1.4, -0.2), (0.5, 0.9, 0.2, 0.1)), (Point(math.inf, -math.inf), (-5.0, 0.9, 7.0, 0.1))]
)
def test_what_is_off_the_screen_stays_on_the_picture(point: Point, box: Box) -> None:
    over = overlay(Action("click", point), box)
    assert over.off
    assert over.point == (100, 0)
    assert over.box is not None
    left, top, width, height = over.box
    assert min(over.box) >= 0
    assert max(left + width, top + height) <= 100
