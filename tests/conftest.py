"""Builders of small true things: a picture, an episode, a store that holds them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

from tracer1.data.store import EpisodeStore
from tracer1.types import Action, Element, Episode, EpisodeStep, Point

pytest_plugins = ("nano_planner",)

# Shared machines stall; a slow example is no failure.
settings.register_profile("tracer1", deadline=None, max_examples=50)
settings.load_profile("tracer1")


def make_png(size: tuple[int, int] = (160, 210), colour: str = "white") -> bytes:
    """A plain picture as PNG bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def png() -> Callable[..., bytes]:
    return make_png


@pytest.fixture
def store(tmp_path: Path) -> EpisodeStore:
    return EpisodeStore(tmp_path / "episodes")


@pytest.fixture
def episode(store: EpisodeStore) -> Episode:
    """Two steps on a login page, with pictures and elements in ``store`` (and not yet appended to it)."""
    screenshot = store.put_image(make_png())
    elements = store.put_elements([Element("button", "Login", (0.1, 0.5, 0.4, 0.7))])
    field = EpisodeStep(
        screenshot,
        (160, 210),
        "login form, empty",
        "type 'ada' in the 'Username' field",
        Action("type", content="ada"),
        elements=elements,
    )
    button = EpisodeStep(
        screenshot,
        (160, 210),
        "login form, filled in",
        "click the 'Login' button",
        Action("click", Point(0.25, 0.6)),
        (0.1, 0.5, 0.4, 0.7),
        status="done",
        elements=elements,
    )
    return Episode(
        "login-user/7", "miniwob", "web", "Log in as 'ada'.", "train", (field, button), labels={"task": "login-user"}
    )
