"""Images inside a page: small ones as they are, large ones shrunk, all of them within one budget of bytes."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from tracer1.errors import DataError
from tracer1.types import Size

PLAIN_BYTES = 64 * 1024  # pictures up to this size are carried as they are
WIDTHS = (1280, 960, 640, 480, 320)  # pixels that a picture of a bounded page is shrunk to, the first that fits
QUALITY = 82


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture inside the page. ``name`` comes from its bytes; ``width`` and ``height`` are the original's pixels."""

    name: str
    uri: str
    width: int
    height: int


def picture(data: bytes, widths: Sequence[int], most: int | None = None) -> Picture:
    """The image in ``data``: a small PNG as it is, or the first of ``widths`` (pixels) that fits, else the last.

    most: bytes that the picture may take in the page. A pixel's place as a fraction of the whole stays what it was: an
    orientation in the file's notes is not applied. DataError when the image is broken.
    """
    try:  # Pillow has several words for a broken file
        with Image.open(io.BytesIO(data)) as image:
            image.verify()
        with Image.open(io.BytesIO(data)) as image:
            size = image.size
            if image.format == "PNG" and len(data) <= PLAIN_BYTES and (most is None or 4 * len(data) <= 3 * most):
                return _named("png", data, size)
            pixels = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the image cannot be read ({type(error).__name__})") from error
    for width in widths:
        pixels.thumbnail((width, 4 * width))
        buffer = io.BytesIO()
        pixels.save(buffer, "JPEG", quality=QUALITY)
        made = _named("jpeg", buffer.getvalue(), size)
        if most is None or len(made.uri) <= most:
            break
    return made


def _named(kind: str, data: bytes, size: Size) -> Picture:
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Picture(f"s{hashlib.sha256(data).hexdigest()[:12]}", uri, *size)


class PictureBudget:
    """The pictures of one page, ``count`` of them in all: each takes at most its share of what is left of ``room``.

    room: bytes of the page for all of them, in base64.
    """

    def __init__(self, room: int, count: int) -> None:
        self.room, self.count = room, count

    def add(self, data: bytes) -> Picture | None:
        """The largest version of an image that its share holds; None when there is no room for the smallest.

        Raises DataError as :func:`picture`.
        """
        share = self.room // max(1, self.count)
        self.count -= 1
        made = picture(data, WIDTHS, share)
        if len(made.uri) > self.room:
            return None
        self.room -= len(made.uri)
        return made
