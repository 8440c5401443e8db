"""The image formats that data, models and pages accept: one table of names, file suffixes and MIME types."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """An image format. The first suffix is the one that files are written with."""

    name: str  # Pillow's
    suffixes: tuple[str, ...]
    mime: str


IMAGE_FORMATS = (
    ImageFormat("PNG", (".png",), "image/png"),
    ImageFormat("JPEG", (".jpg", ".jpeg"), "image/jpeg"),
    ImageFormat("WEBP", (".webp",), "image/webp"),
    ImageFormat("GIF", (".gif",), "image/gif"),
    ImageFormat("BMP", (".bmp",), "image/bmp"),
)
IMAGE_SUFFIXES = tuple(suffix for format in IMAGE_FORMATS for suffix in format.suffixes)
SUFFIX_OF_FORMAT = {format.name: format.suffixes[0] for format in IMAGE_FORMATS}
MIME_OF_SUFFIX = {suffix: format.mime for format in IMAGE_FORMATS for suffix in format.suffixes}


def is_image_name(name: str) -> bool:
    """Whether a file is an image by its name."""
    return name.lower().endswith(IMAGE_SUFFIXES)
