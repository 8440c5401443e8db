"""Images as files: what a header says, without decoding a pixel, and whether the bytes are whole."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow

from tracer1.errors import DataError
from tracer1.types import Size

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}
MAX_BYTES = 256 << 20
BROKEN = (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError)  # how Pillow calls a broken image


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a raw corpus: its bytes as published, what its header says, and its file if it has one of its own.

    A task's other files travel the same way, with the size (0, 0).
    """

    data: bytes
    size: Size
    suffix: str  # ".png"
    path: Path | None = None


def verify(data: bytes) -> tuple[Size, str]:
    """(width, height) and Pillow's name of the format, by header and checksums; raises one of BROKEN."""
    with Pillow.open(io.BytesIO(data)) as image:
        size, kind = image.size, image.format or ""
        image.verify()
    return size, kind


def image_size(path: Path) -> Size:
    """(width, height) in pixels from the header alone; DataError names the file when there is none to read."""
    try:
        with Pillow.open(path) as image:
            return image.size
    except BROKEN as error:
        raise DataError(f"{path}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Why a file could not be opened or is no image, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, DataError) else f"corrupt image ({type(error).__name__}: {error})"


def read_image(data: bytes, where: str, path: Path | None = None) -> Image:
    """Check an image by its header and, where the format has them, its checksums; nothing is decoded.

    Raises DataError, beginning with ``where``, for what is no image, is cut off or would decode to a bomb.
    """
    try:
        size, kind = verify(data)
    except BROKEN as error:
        raise DataError(f"{where}: {reason(error)}; fetch the file again") from error
    if kind not in SUFFIXES:
        raise DataError(f"{where}: an image of the format {kind or 'unknown'}; use {', '.join(SUFFIXES)}")
    return Image(data, size, SUFFIXES[kind], path)


def read_image_file(path: Path, where: str = "") -> Image:
    """``read_image`` of a file; DataError when it is missing or larger than MAX_BYTES."""
    where = where or str(path)
    try:
        if (length := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{where}: an image of {length >> 20} MB; {MAX_BYTES >> 20} are read at most")
        return read_image(path.read_bytes(), where, path)
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from error
