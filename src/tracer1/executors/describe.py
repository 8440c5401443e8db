"""Describers of screens that a corpus does not describe: the text on the screen by OCR, or a model's answer."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from diskcache import Cache
from PIL import Image as Pillow

from tracer1.data.conversion.wording import RULES, one_line, screen
from tracer1.data.images import Image
from tracer1.errors import DataError, ExecutorError, UsageError
from tracer1.executors.ocr import read_lines
from tracer1.models.endpoint import Endpoint

SIDE = 960  # pixels of the longer side for OCR
CACHE = Path.home() / ".cache" / "tracer1" / "screens"
QUESTION = (
    "Say in one line of at most 20 words what this screen shows: the app or page, and what matters of its state. "
    "Only the line."
)


class OcrDescriber:
    """Describes a screen by its text from top to bottom, read by OCR and cached by image."""

    name = f"ocr-{RULES}"

    def __init__(self, cache: Path | str | None = None) -> None:
        self.folder = str(cache or CACHE)

    def __call__(self, image: Image) -> str:
        """A line such as ``'Settings', 'Display', 'Brightness'``; "" if there is no text."""
        key = (hashlib.sha256(image.data).hexdigest(), SIDE, self.name)
        with Cache(self.folder) as cache:
            line = cache.get(key)
            if line is None:
                cache.set(key, line := _read(image))
        return str(line)


def _read(image: Image) -> str:
    try:
        pixels = np.asarray(Pillow.open(io.BytesIO(image.data)).convert("RGB"))
        lines = read_lines(pixels, SIDE)
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError, ExecutorError) as error:
        raise DataError(f"its text cannot be read ({error})") from error
    in_order = sorted(lines, key=lambda line: (round(line.box[1] / 16), line.box[0]))
    return screen("", (line.text for line in in_order if line.score > 0.7 and len(line.text.strip()) > 1))


class ModelDescriber:
    """Describes a screen by a vision-language model's answer to QUESTION."""

    def __init__(self, model: str, base_url: str, cache: Path | str | None = None) -> None:
        self.name = model
        self.endpoint = Endpoint(model, base_url, max_tokens=96, cache=cache)

    def __call__(self, image: Image) -> str:
        content = [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]
        return one_line(self.endpoint.complete([[{"role": "user", "content": content}]])[0])


def describer(abstractions: str) -> OcrDescriber | ModelDescriber | None:
    """The describer for the setting ``abstractions``: rules, none or MODEL@URL (``qwen3-vl@http://localhost:8000/v1``)."""
    if abstractions == "none":
        return None
    if abstractions == "rules":
        return OcrDescriber()
    model, found, url = abstractions.partition("@")
    if not found or not url.startswith(("http://", "https://")):
        raise UsageError(
            f"abstractions={abstractions!r}: use rules, none or MODEL@URL, such as qwen@http://host:8000/v1"
        )
    return ModelDescriber(model, url)
