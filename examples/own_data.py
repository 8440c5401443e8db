"""Your own recordings: write episodes, make training windows, check them: python examples/own_data.py mydata"""

import io
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from tracer1 import Action, Episode, load_config
from tracer1.checks.preflight import run_check
from tracer1.data.store import EpisodeStore
from tracer1.data.windows import make_windows
from tracer1.types import EpisodeStep, Point

SIZE, FIELD, BUTTON = (160, 120), (0.1, 0.2, 0.9, 0.4), (0.1, 0.6, 0.5, 0.8)  # boxes: fractions of the screenshot


def screenshot(text: str) -> bytes:
    image, png = Image.new("RGB", SIZE, "white"), io.BytesIO()
    ImageDraw.Draw(image).text((20, 30), text or "Name", "black")
    image.save(png, "PNG")
    return png.getvalue()


def episode(store: EpisodeStore, name: str) -> Episode:
    """Two recorded steps: the screen before each, what it shows, what to do in words, and what was done."""
    empty, full = store.put_image(screenshot("")), store.put_image(screenshot(name))
    click, type_it = Action("click", Point(0.3, 0.7)), f"type '{name}' in the 'Name' field"
    first = EpisodeStep(empty, SIZE, "form, empty", type_it, Action("type", content=name), FIELD)
    second = EpisodeStep(full, SIZE, "form, filled in", "click the 'Send' button", click, BUTTON, status="done")
    return Episode(f"form/{name}", "my-forms", "web", f"Enter '{name}' and send.", "train", (first, second))


store = EpisodeStore((out := Path(sys.argv[1])) / "episodes")
for name in ("ada", "grace", "alan"):
    store.append(episode(store, name))
made = make_windows(store.directory, out / "train.parquet", horizon=5, history=5, prompt_version="brief-1")
print(f"{made.windows} windows of {made.episodes} episodes")
for item in run_check(load_config("corpora", [f"data.train={out}/train.parquet", f"output_dir={out}/run"])):
    print("ok  " if item.ok else "FAIL", item.name, "-", item.detail)
