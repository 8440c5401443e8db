"""Qwen3-VL from a Hugging Face folder: its processor (with or without torchvision) and batched generation."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
    Qwen3VLProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin

from tracer1.assets import resolve
from tracer1.errors import DataError, SetupError
from tracer1.models.drafting import DecodingCost, decode
from tracer1.types import Message


class PilQwen3VLProcessor(Qwen3VLProcessor):  # type: ignore[misc]
    """Qwen3-VL's processor for text and images alone.

    transformers' own asks for a video processor, and that for torchvision.
    """

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **kwargs: Any
    ) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.vision_start_token, self.vision_end_token = "<|vision_start|>", "<|vision_end|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        self.vision_start_token_id = tokenizer.convert_tokens_to_ids(self.vision_start_token)
        self.vision_end_token_id = tokenizer.convert_tokens_to_ids(self.vision_end_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "tokenizer"]


def make_processor(tokenizer: PreTrainedTokenizerFast) -> PilQwen3VLProcessor:
    """The nano planner's processor: patches of 16 merged by 2, one frame per patch, pictures kept at their own size."""
    images = Qwen2VLImageProcessorPil(
        patch_size=16,
        merge_size=2,
        temporal_patch_size=1,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        size={"shortest_edge": 32 * 32, "longest_edge": 4_194_304},
    )
    return PilQwen3VLProcessor(images, tokenizer, chat_template=tokenizer.chat_template)


def load_processor(path: str | Path, pixels: tuple[int, int] | None = None) -> Any:
    """transformers' own processor where torchvision is installed, else the same without its video half.

    ``pixels``: the least and the most that an image is scaled to; None keeps what the folder says.
    """
    path = resolve(path)
    with _loading(path):
        if importlib.util.find_spec("torchvision"):
            processor = AutoProcessor.from_pretrained(path)
        else:
            tokenizer = AutoTokenizer.from_pretrained(path)
            images = Qwen2VLImageProcessorPil.from_pretrained(path)
            processor = PilQwen3VLProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
    if pixels is not None:
        processor.image_processor.size = {"shortest_edge": pixels[0], "longest_edge": pixels[1]}
    return processor


def load_model(path: str | Path, dtype: torch.dtype = torch.float32) -> Any:
    """A vision-language model in evaluation mode, from a folder or a hub name; SetupError when none can be loaded."""
    path = resolve(path)
    with _loading(path):
        return AutoModelForImageTextToText.from_pretrained(path, dtype=dtype).eval()


@contextmanager
def _loading(path: str | Path) -> Iterator[None]:
    """Turn what transformers says of a folder that it cannot load into one line."""
    remedy = "name a Hugging Face model folder, such as models/nano-base or a run's checkpoints/stage2"
    if Path(path).exists() and not (Path(path) / "config.json").exists():
        raise SetupError(f"{path} holds no config.json; {remedy}")
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise SetupError(f"{path}: no planner can be loaded: {str(error).splitlines()[0]}; {remedy}") from error


def suppressed_tokens(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Special tokens a planner must never write.

    Vision placeholders in a completion break the position ids of every engine.
    """
    keep = {tokenizer.eos_token_id}
    return [i for i in tokenizer.all_special_ids + _vision_ids(tokenizer) if i not in keep]


def _vision_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    names = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
    return [i for i in tokenizer.convert_tokens_to_ids(list(names)) if i is not None]


def open_image(path: str) -> Image.Image:
    """A screenshot as RGB; DataError names the file when it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: not a readable image ({error}); record or convert this episode again") from error


def image_paths(prompt: Sequence[Message]) -> list[str]:
    """The images of a prompt, in order."""
    parts = (part for m in prompt if isinstance(m["content"], list) for part in m["content"])
    return [part["image"] for part in parts if part["type"] == "image"]


class LocalPlanner:
    """A planner in this process (the DraftingModel protocol), in batches: greedy, or sampled at a temperature."""

    def __init__(
        self,
        path: str | Path,
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        batch_size: int = 64,
        blank_images: bool = False,
        bf16: bool = True,
        pixels: tuple[int, int] | None = None,
    ) -> None:
        self.model = load_model(path)
        self.processor = load_processor(path, pixels)
        self.batch_size = batch_size
        self.blank_images = blank_images  # the ablation that asks whether the picture matters
        self.bf16 = bf16
        self.generator_seed = seed
        self.options: Mapping[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "do_sample": temperature > 0,
            "suppress_tokens": suppressed_tokens(self.processor.tokenizer),
            **({"temperature": temperature, "top_p": top_p, "top_k": 0} if temperature > 0 else {}),
        }
        self.spent = DecodingCost()
        torch.manual_seed(seed)

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        completions: list[str] = []
        for start in range(0, len(prompts), self.batch_size):
            completions += self._batch(prompts[start : start + self.batch_size])
        return completions

    def complete_drafted(self, prompts: Sequence[Sequence[Message]], drafts: Sequence[str]) -> list[str]:
        """What ``complete`` says, in fewer forward passes where the completions resemble the drafts ("": none)."""
        completions: list[str] = []
        for start in range(0, len(prompts), self.batch_size):
            part = slice(start, start + self.batch_size)
            completions += self._drafted(prompts[part], drafts[part])
        return completions

    def inputs(self, prompts: Sequence[Sequence[Message]]) -> Any:
        """What the model is given for a batch: ids and masks (B, L), padded on the left; pixels (patches, dim).

        Raises DataError for an image that cannot be read.
        """
        apply = self.processor.apply_chat_template
        text = [apply(list(prompt), add_generation_prompt=True, tokenize=False) for prompt in prompts]
        images = [[self._image(path) for path in image_paths(prompt)] for prompt in prompts]
        return self.processor(text=text, images=images if any(images) else None, padding=True, return_tensors="pt")

    def _batch(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        inputs = self.inputs(prompts)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            output = self.model.generate(**inputs, **self.options)
        new = output[:, inputs["input_ids"].shape[1] :]
        return list(self.processor.tokenizer.batch_decode(new, skip_special_tokens=True))

    def _drafted(self, prompts: Sequence[Sequence[Message]], drafts: Sequence[str]) -> list[str]:
        tokenizer = self.processor.tokenizer
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            decoded = decode(
                self.model,
                self.inputs(prompts),
                [tokenizer(draft, add_special_tokens=False)["input_ids"] for draft in drafts],
                max_new_tokens=self.options["max_new_tokens"],
                processors=self._processors(),
                sample=self.options["do_sample"],
            )
        self.spent.add(decoded)
        return list(tokenizer.batch_decode(decoded.tokens, skip_special_tokens=True))

    def _processors(self) -> LogitsProcessorList:
        """What ``generate`` makes of the options."""
        found = LogitsProcessorList([SuppressTokensLogitsProcessor(self.options["suppress_tokens"])])
        if self.options["do_sample"]:
            found.append(TemperatureLogitsWarper(self.options["temperature"]))
            if self.options["top_p"] < 1:
                found.append(TopPLogitsWarper(self.options["top_p"]))
        return found

    def _image(self, path: str) -> Image.Image:
        image = open_image(path)
        return Image.new("RGB", image.size, (255, 255, 255)) if self.blank_images else image
