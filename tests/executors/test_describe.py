"""A screen in a line: read off by the real OCR, or asked of a model behind a real server."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
from chat_server import chat_server
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from tracer1.data.images import Image, read_image
from tracer1.errors import UsageError
from tracer1.executors.describe import QUESTION, ModelDescriber, OcrDescriber, describer


def screen() -> Image:
    picture = Pillow.new("RGB", (400, 200), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=28)
    draw.text((20, 20), "Settings", "black", font)
    draw.text((20, 120), "Brightness", "black", font)
    data = io.BytesIO()
    picture.save(data, "PNG")
    return read_image(data.getvalue(), "a screen")


def test_the_text_is_read_off_from_top_to_bottom_and_kept(tmp_path: Path) -> None:
    shown = screen()
    assert OcrDescriber(tmp_path)(shown) == "'Settings', 'Brightness'"
    blank = Image(b"not the picture", shown.size, ".png")
    assert pickle.loads(pickle.dumps(OcrDescriber(tmp_path)))(shown) == "'Settings', 'Brightness'"
    with pytest.raises(Exception, match="its text cannot be read"):
        OcrDescriber(tmp_path)(blank)


def test_a_model_is_asked_once(tmp_path: Path) -> None:
    with chat_server() as server:
        asked = ModelDescriber("m", server.url, tmp_path)
        assert asked(screen()) == asked(screen()) == f"re: {QUESTION}"
        assert len(server.asked) == 1
        assert server.asked[0]["messages"][0]["content"][0]["type"] == "image_url"


def test_who_describes_is_a_setting() -> None:
    assert describer("none") is None
    assert isinstance(describer("rules"), OcrDescriber)
    model = describer("qwen@http://localhost:8000/v1")
    assert isinstance(model, ModelDescriber)
    assert (model.name, model.endpoint.base_url) == ("qwen", "http://localhost:8000/v1")
    with pytest.raises(UsageError, match="MODEL@URL"):
        describer("gpt")
