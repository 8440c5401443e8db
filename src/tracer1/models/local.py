"""A planner in this process, in batches: greedy or sampled, plain or drafted, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    LogitsProcessorList,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from tracer1.config.settings import ModelSettings
from tracer1.models.drafting import DecodingCost, decode, why_not
from tracer1.models.encoding import encode, image_paths, open_image, suppressed_tokens
from tracer1.models.loading import load_model, load_processor, tokenizer_of
from tracer1.models.placement import placement_of
from tracer1.types import Message


class LocalPlanner:
    """A Hugging Face chat model as a planner (the DraftingModel protocol).

    ``settings`` gives device, dtype and attention (its path and pixels are not read); ``pixels`` the least and the most
    that an image is scaled to, None keeps the folder's own. ``blank_images`` shows every screenshot as a white one: the
    ablation that asks whether the picture matters.
    """

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
        settings: ModelSettings | None = None,
        pixels: tuple[int, int] | None = None,
    ) -> None:
        self.placement = placement_of(settings)
        self.model = load_model(
            path, self.placement.dtype, attention=self.placement.attention, device=self.placement.device
        )
        self.processor = load_processor(path, pixels)
        self.tokenizer = tokenizer_of(self.processor)
        self.batch_size, self.blank_images = batch_size, blank_images
        self.options: Mapping[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "do_sample": temperature > 0,
            "suppress_tokens": suppressed_tokens(self.tokenizer),
            "pad_token_id": self.tokenizer.pad_token_id,
            **({"temperature": temperature, "top_p": top_p, "top_k": 0} if temperature > 0 else {}),
        }
        self.spent = DecodingCost()
        self.can_draft = why_not(self.model) is None
        torch.manual_seed(seed)

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """A completion of each prompt, in order. Raises UsageError for images that a text-only model is given."""
        completions: list[str] = []
        for start in range(0, len(prompts), self.batch_size):
            completions += self._plain(prompts[start : start + self.batch_size])
        return completions

    def complete_drafted(self, prompts: Sequence[Sequence[Message]], drafts: Sequence[str]) -> list[str]:
        """The same completions in fewer forward passes where they resemble the drafts ("": none)."""
        if not self.can_draft:
            return self.complete(prompts)
        completions: list[str] = []
        for start in range(0, len(prompts), self.batch_size):
            part = slice(start, start + self.batch_size)
            completions += self._drafted(prompts[part], drafts[part])
        return completions

    def inputs(self, prompts: Sequence[Sequence[Message]]) -> Any:
        """The model's input for a batch, on its device: ids and masks (B, L), padded on the left; pixels.

        Raises DataError for an image that cannot be read.
        """
        images = [[self._image(path) for path in image_paths(prompt)] for prompt in prompts]
        return encode(self.processor, prompts, images).to(self.placement.device)

    def _plain(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        inputs = self.inputs(prompts)
        with torch.no_grad(), self.placement.arithmetic():
            output = self.model.generate(**inputs, **self.options)
        new = output[:, inputs["input_ids"].shape[1] :]
        return list(self.tokenizer.batch_decode(new, skip_special_tokens=True))

    def _drafted(self, prompts: Sequence[Sequence[Message]], drafts: Sequence[str]) -> list[str]:
        with self.placement.arithmetic():
            decoded = decode(
                self.model,
                self.inputs(prompts),
                [self.tokenizer(draft, add_special_tokens=False)["input_ids"] for draft in drafts],
                max_new_tokens=self.options["max_new_tokens"],
                processors=self._processors(),
                sample=self.options["do_sample"],
            )
        self.spent.add(decoded)
        return list(self.tokenizer.batch_decode(decoded.tokens, skip_special_tokens=True))

    def _processors(self) -> LogitsProcessorList:
        """The options as the logits processors that ``generate`` makes of them."""
        suppress = SuppressTokensLogitsProcessor(self.options["suppress_tokens"], device=self.placement.device)
        processors = LogitsProcessorList([suppress])
        if self.options["do_sample"]:
            processors.append(TemperatureLogitsWarper(self.options["temperature"]))
            if self.options["top_p"] < 1:
                processors.append(TopPLogitsWarper(self.options["top_p"]))
        return processors

    def _image(self, path: str) -> Image.Image:
        image = open_image(path)
        return Image.new("RGB", image.size, (255, 255, 255)) if self.blank_images else image
