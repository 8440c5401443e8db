"""Image files: size and format from the header, and whether the bytes are complete. No pixel is decoded."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from tracer1.errors import DataError
from tracer1.formats import SUFFIX_OF_FORMAT
from tracer1.types import Size

MAX_BYTES = 256 << 20
BROKEN = (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError)  # what Pillow raises for a broken image


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a raw corpus: its bytes as published, size and suffix from its header, and its file if it has one.

    Other files of a task are stored the same way, with the size (0, 0).
    """

    data: bytes
    size: Size
    suffix: str  # ".png"
    path: Path | None = None


def verify(data: bytes) -> tuple[Size, str]:
    """(width, height) and Pillow's name of the format, from header and checksums. Raises one of BROKEN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # pages of 100 megapixels are real
        return _verify(data)


def _verify(data: bytes) -> tuple[Size, str]:
    with Pillow.open(io.BytesIO(data)) as image:
        size, kind = image.size, image.format or ""
        image.verify()
    return size, kind


def image_size(path: Path) -> Size:
    """(width, height) in pixels from the header alone. Raises DataError, naming the file, if it cannot be read."""
    try:
        with Pillow.open(path) as image:
            return image.size
    except BROKEN as error:
        raise DataError(f"{path}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Why a file could not be opened, or is not an image, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnidentifiedImageError):
        return "corrupt image (unknown format)"
    return str(error) if isinstance(error, DataError) else f"corrupt image ({type(error).__name__}: {error})"


def read_image(data: bytes, where: str, path: Path | None = None) -> Image:
    """Check an image by its header and, where the format has them, its checksums; nothing is decoded.

    Raises DataError, beginning with ``where``, if it is not an image, is cut off or is a decompression bomb.
    """
    try:
        size, kind = verify(data)
    except BROKEN as error:
        raise DataError(f"{where}: {reason(error)}; fetch the file again") from error
    if kind not in SUFFIX_OF_FORMAT:
        raise DataError(f"{where}: an image of the format {kind or 'unknown'}; use {', '.join(SUFFIX_OF_FORMAT)}")
    return Image(data, size, SUFFIX_OF_FORMAT[kind], path)


def read_image_file(path: Path, where: str = "") -> Image:
    """``read_image`` of a file. Raises DataError if it is missing or larger than MAX_BYTES."""
    where = where or str(path)
    try:
        if (length := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{where}: an image of {length >> 20} MB; {MAX_BYTES >> 20} are read at most")
        return read_image(path.read_bytes(), where, path)
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from error
