"""A nano Qwen3-VL: the real architecture with small dimensions, saved as a plain Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from tracer1.config.settings import NanoModelSettings
from tracer1.models.loading import save_processor
from tracer1.models.qwen3vl import make_processor


def build_model(
    settings: NanoModelSettings, tokenizer: PreTrainedTokenizerFast, seed: int
) -> Qwen3VLForConditionalGeneration:
    """A planner with random weights.

    Matrices have the standard deviation ``settings.init_std``: Hugging Face's 0.02 suits a width of thousands, not of
    128, where it delays the learning of copying heads.
    """
    torch.manual_seed(seed)
    head_dim = settings.hidden // settings.heads
    third = head_dim // 6
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),  # equal, so that engines have no padded tail to mask
            "hidden_size": settings.hidden,
            "intermediate_size": settings.hidden * 3,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "num_key_value_heads": settings.heads,
            "head_dim": head_dim,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [head_dim // 2 - 2 * third, third, third],
                "mrope_interleaved": True,
            },
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": settings.vision_layers,
            "hidden_size": settings.vision_hidden,
            "intermediate_size": settings.vision_hidden * 3,
            "num_heads": settings.vision_heads,
            "out_hidden_size": settings.hidden,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 1,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": list(range(settings.vision_layers)),
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    model = Qwen3VLForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0.0, settings.init_std)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def save_planner(
    model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, out: Path, processor: Any = None
) -> None:
    """Write weights, configuration, tokenizer and processor files: everything that ``from_pretrained`` needs.

    ``processor``: the model's own; the nano planner's if None.
    """
    model.save_pretrained(out)
    save_processor(processor or make_processor(tokenizer), out)
