"""The planner before it is loaded: its tokenizer, its images' patches, and where its files are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracer1.assets import resolve
from tracer1.checks.findings import CheckItem
from tracer1.checks.tokens import Estimate, TextCounter, Tokenizer
from tracer1.config.settings import ModelSettings
from tracer1.plan.tokens import CHARACTERS, Vision

QWEN3_VL = ("qwen3_vl", "qwen3_vl_moe")
QWEN3_VL_TOKENIZERS = ("Qwen2Tokenizer", "TokenizersBackend", "PreTrainedTokenizerFast")
INSTEAD = f"images are counted as Qwen3-VL's, text is estimated at {CHARACTERS} characters a token"


@dataclass(frozen=True, slots=True)
class Planner:
    """What is known of a planner without loading it; without its files, Qwen3-VL's constants and an estimate."""

    vision: Vision
    text: TextCounter
    folder: Path | None = None


def inspect_planner(settings: ModelSettings) -> tuple[Planner, CheckItem]:
    """The planner and the finding on it; nothing is downloaded."""
    unknown = Planner(Vision(*settings.pixels), Estimate())
    try:
        import transformers
    except ImportError:
        remedy = "install it with: pip install 'tracer1[train]'"
        return unknown, CheckItem("model", False, f"transformers is not installed; {INSTEAD}", remedy)
    remedy = f"fetch it with `hf download {settings.path}`, or make a base with `tracer1 train --stage warmup`"
    folder = model_folder(settings.path)
    if folder is None:
        detail = f"{settings.path}: no such folder, and not in the Hugging Face cache; {INSTEAD}"
        return unknown, CheckItem("model", False, detail, remedy)
    try:
        chosen = getattr(transformers, tokenizer_class(folder))
        tokenizer = chosen.from_pretrained(folder, local_files_only=True)
        vision = _vision(folder, settings)
    except (OSError, ValueError) as error:
        detail = f"{settings.path}: not a model folder: {str(error).splitlines()[0]}; {INSTEAD}"
        return unknown, CheckItem("model", False, detail, remedy)
    return _counted(settings.path, tokenizer, vision, folder)


def _counted(path: str, tokenizer: Any, vision: Vision, folder: Path) -> tuple[Planner, CheckItem]:
    """The planner with the best counter that its tokenizer allows."""
    if not tokenizer.chat_template:
        item = CheckItem("model", False, f"{path} has no chat template; {INSTEAD}", "choose an instruction-tuned model")
        return Planner(vision, Estimate(), folder), item
    if not tokenizer.is_fast:
        detail = f"{path}: a tokenizer in Python; text is estimated at {CHARACTERS} characters a token"
        return Planner(vision, Estimate(), folder), CheckItem("model", True, detail)
    side = vision.patch * vision.merge
    text_only = is_text_only(folder)
    images = "no images" if text_only else f"one for {side}x{side} pixels of an image"
    detail = f"{path}: {len(tokenizer)} tokens in its vocabulary, {images}"
    return Planner(vision, Tokenizer(tokenizer, text_only), folder), CheckItem("model", True, detail)


def model_folder(path: str) -> Path | None:
    """A model's folder: ``path`` itself, or the one in the Hugging Face cache that has this name."""
    if Path(resolve(path)).exists():
        return Path(resolve(path))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def is_text_only(folder: Path) -> bool:
    """Whether a model's configuration names no vision tower. False where there is none to read, as for an adapter."""
    try:
        return "vision_config" not in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def tokenizer_class(folder: Path) -> str:
    """The name of the class of transformers that reads the tokenizer in a model's folder.

    For a Qwen3-VL it is the one that ``AutoTokenizer`` would choose, which imports torch to find it; for any other
    folder, or one that cannot be read, it is ``AutoTokenizer``.
    """
    files = (("config.json", "model_type"), ("tokenizer_config.json", "tokenizer_class"))
    try:
        family, name = (json.loads((folder / file).read_text(encoding="utf-8"))[key] for file, key in files)
    except (OSError, ValueError, TypeError, KeyError):  # AutoTokenizer copes, or reports what is wrong
        return "AutoTokenizer"
    return str(name) if family in QWEN3_VL and name in QWEN3_VL_TOKENIZERS else "AutoTokenizer"


def _vision(folder: Path, settings: ModelSettings) -> Vision:
    """The patches of a folder's image processor, with the configured limits of size."""
    settings_of_images: dict[str, Any] = {}
    for file in ("preprocessor_config.json", "processor_config.json"):
        if (folder / file).exists():
            read = json.loads((folder / file).read_text(encoding="utf-8"))
            settings_of_images |= read.get("image_processor", read)
    names = (("patch", "patch_size"), ("merge", "merge_size"))
    known = {name: settings_of_images[key] for name, key in names if key in settings_of_images}
    return Vision(*settings.pixels, **known)
