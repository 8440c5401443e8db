"""The processors of Qwen's vision-language models without torchvision: text and images, no video."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerFast, Qwen2_5_VLProcessor, Qwen2VLProcessor, Qwen3VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin


class _WithoutVideo:
    """What replaces the video processor's half of a Qwen-VL processor: the one in transformers needs torchvision."""

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


class PilQwen3VLProcessor(_WithoutVideo, Qwen3VLProcessor):  # type: ignore[misc]
    """Qwen3-VL's processor for text and images alone."""


class PilQwen2_5_VLProcessor(_WithoutVideo, Qwen2_5_VLProcessor):  # type: ignore[misc]  # noqa: N801
    """Qwen2.5-VL's processor for text and images alone."""


class PilQwen2VLProcessor(_WithoutVideo, Qwen2VLProcessor):  # type: ignore[misc]
    """Qwen2-VL's processor for text and images alone."""


QWEN_VL: dict[str, type[Any]] = {
    "qwen2_vl": PilQwen2VLProcessor,
    "qwen2_5_vl": PilQwen2_5_VLProcessor,
    "qwen3_vl": PilQwen3VLProcessor,
    "qwen3_vl_moe": PilQwen3VLProcessor,
}
"""By config.model_type."""


def make_processor(tokenizer: PreTrainedTokenizerFast) -> PilQwen3VLProcessor:
    """The nano planner's processor: patches of 16 merged by 2, one frame per patch, images kept at their own size."""
    images = Qwen2VLImageProcessorPil(
        patch_size=16,
        merge_size=2,
        temporal_patch_size=1,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        size={"shortest_edge": 32 * 32, "longest_edge": 4_194_304},
    )
    return PilQwen3VLProcessor(images, tokenizer, chat_template=tokenizer.chat_template)


def without_torchvision(path: Any, model_type: str, tokenizer: Any) -> Any:
    """The processor of a Qwen-VL folder or hub name, with its own image settings and chat template."""
    images = Qwen2VLImageProcessorPil.from_pretrained(path)
    return QWEN_VL[model_type](images, tokenizer, chat_template=tokenizer.chat_template)
