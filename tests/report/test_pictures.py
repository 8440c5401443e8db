from __future__ import annotations

import base64
import io
from collections.abc import Callable

import pytest
from PIL import Image

from tracer1.errors import DataError
from tracer1.report.pictures import PictureBudget, picture


def noise(size: tuple[int, int] = (1600, 900), kind: str = "PNG", **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).save(buffer, kind, **how)
    return buffer.getvalue()


def inside(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_small_png_is_carried_as_it_is(png: Callable[..., bytes]) -> None:
    made = picture(png(), [100])
    assert base64.b64decode(made.uri.removeprefix("data:image/png;base64,")) == png()


def test_a_large_picture_is_shrunk_and_knows_its_size() -> None:
    made = picture(noise(), [640])
    assert (made.width, made.height) == (1600, 900)
    assert inside(made.uri).size == (640, 360)


def test_an_orientation_is_not_applied_by_anyone() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn, which a browser would apply
    made = picture(noise((300, 200), "JPEG", exif=turned), [640])
    assert (made.width, made.height) == (300, 200)
    assert not inside(made.uri).getexif()


@pytest.mark.parametrize("data", [b"", b"no picture", noise()[:5000]])
def test_a_broken_picture_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        picture(data, [640])


def test_an_album_keeps_within_its_room(png: Callable[..., bytes]) -> None:
    album = PictureBudget(400_000, 6)
    made = [album.add(noise()) for _ in range(5)]
    kept = [p for p in made if p is not None]
    assert len(kept) == 5
    assert sum(len(p.uri) for p in kept) <= 400_000
    assert {inside(p.uri).width for p in kept} == {480}
    assert album.add(png()) is not None

    crowded = PictureBudget(1000, 2)
    assert crowded.add(noise()) is None
    assert crowded.add(png()) is not None, "what is left out takes no room"
