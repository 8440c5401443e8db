"""Models and processors from a Hugging Face folder or hub name: vision-language or text-only, whole or an adapter."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from tracer1.assets import resolve
from tracer1.errors import SetupError
from tracer1.models.qwen3vl import QWEN_VL, without_torchvision

ADAPTER_CONFIG = "adapter_config.json"
VISION_MODULES = {"visual", "vision_tower", "vision_model"}  # names of a vision tower in transformers
Source = str | Path  # a folder or a hub name


def load_model(
    path: Source, dtype: torch.dtype = torch.float32, *, attention: str = "sdpa", device: str = "cpu"
) -> Any:
    """A model in evaluation mode; an adapter comes merged into its base. SetupError when none can be loaded."""
    path = resolve(path)
    if base := adapter_base(path):
        from tracer1.models.adapters import merge_adapter

        return merge_adapter(load_model(base, dtype, attention=attention, device=device), path)
    with _one_line(path):
        config = AutoConfig.from_pretrained(path)
        auto = AutoModelForImageTextToText if is_vision_language(config) else AutoModelForCausalLM
        model = auto.from_pretrained(path, dtype=dtype, attn_implementation=attention)
    return model.to(device).eval()


def load_processor(path: Source, pixels: tuple[int, int] | None = None) -> Any:
    """The processor of a vision-language model, the tokenizer of a text-only one.

    ``pixels``: the least and the most that an image is scaled to; None keeps the folder's own.
    """
    path = resolve(path)
    path = resolve(adapter_base(path) or path)
    with _one_line(path):
        config = AutoConfig.from_pretrained(path)
        if not is_vision_language(config):
            return _with_padding(_with_template(AutoTokenizer.from_pretrained(path), path))
        processor = _vision_processor(path, config)
    if pixels is not None and config.model_type in QWEN_VL:  # the other families have sizes of their own
        processor.image_processor.size = {"shortest_edge": pixels[0], "longest_edge": pixels[1]}
    return _with_template(processor, path)


def _vision_processor(path: Source, config: Any) -> Any:
    if config.model_type in QWEN_VL and not importlib.util.find_spec("torchvision"):
        return without_torchvision(path, config.model_type, AutoTokenizer.from_pretrained(path))
    return AutoProcessor.from_pretrained(path)


def is_vision_language(config: Any) -> bool:
    """Whether transformers loads a model of this configuration as one that reads images and text."""
    return type(config) in AutoModelForImageTextToText._model_mapping


def read_config(path: Source) -> Any:
    """A model's configuration; that of its base for an adapter. SetupError when there is none."""
    path = resolve(path)
    with _one_line(path):
        return AutoConfig.from_pretrained(resolve(adapter_base(path) or path))


def save_processor(processor: Any, out: Path) -> None:
    """Write the files of a processor or tokenizer."""
    processor.save_pretrained(out)
    file = out / "processor_config.json"
    if file.exists():  # ours are transformers' classes without video; name those
        text = re.sub(r'"Pil(Qwen\w+)"', r'"\1"', file.read_text(encoding="utf-8"))
        file.write_text(text, encoding="utf-8")


def vision_parameters(model: Any) -> Iterator[torch.nn.Parameter]:
    """The parameters of a model's vision tower, an adapter's on it included; none of a text-only model."""
    for name, parameter in model.named_parameters():
        if any(part in VISION_MODULES for part in name.split(".")):
            yield parameter


def tokenizer_of(processor: Any) -> Any:
    """The tokenizer of a processor, or the processor itself where it is one."""
    return processor if isinstance(processor, PreTrainedTokenizerBase) else processor.tokenizer


def adapter_base(path: Source) -> str | None:
    """The base that an adapter's folder names; None for a whole model. SetupError when the file names none."""
    file = Path(path) / ADAPTER_CONFIG
    if not file.exists():
        return None
    try:
        base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError) as error:
        raise SetupError(f"{file}: cannot be read: {error}; publish the adapter again") from error
    if not base:
        raise SetupError(f"{file} names no base model; set its base_model_name_or_path")
    if Path(base).is_absolute() and not Path(base).exists():
        raise SetupError(f"{file} names the base {base}, which is not there; set its base_model_name_or_path")
    return str(base)


def _with_template(processor: Any, path: Source) -> Any:
    if not (getattr(processor, "chat_template", None) or tokenizer_of(processor).chat_template):
        raise SetupError(f"{path} has no chat template; use an instruction-tuned model")
    return processor


def _with_padding(tokenizer: Any) -> Any:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextmanager
def _one_line(path: Source) -> Iterator[None]:
    """Turn what transformers says of a folder that it cannot load into one line."""
    remedy = "name a Hugging Face model folder, such as models/nano-base or a run's checkpoints/stage2"
    folder = Path(path)
    if folder.exists() and not (folder / "config.json").exists() and not (folder / ADAPTER_CONFIG).exists():
        raise SetupError(f"{path} holds no config.json; {remedy}")
    try:
        yield
    except ImportError as error:
        raise SetupError(f"{path}: {str(error).strip().splitlines()[0]}") from error
    except (OSError, ValueError, SafetensorError) as error:
        raise SetupError(f"{path}: no planner can be loaded: {str(error).splitlines()[0]}; {remedy}") from error
