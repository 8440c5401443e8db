"""Tiny random models of other families than the nano planner's, in folders of their own."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Of a text-only model: it fails on content in parts, as the templates of real ones do."""
THINKING_TEMPLATE = TEMPLATE.replace("assistant\n", "assistant\n<think>\n")
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def write_llama(folder: Path, tokenizer: Any, template: str = TEMPLATE) -> Path:
    """A text-only Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=1, **SIZES)
    return _write(folder, LlamaForCausalLM, config, _tokenizer(tokenizer, template))


def write_qwen2(folder: Path, tokenizer: Any, template: str = TEMPLATE) -> Path:
    """A text-only Qwen2."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=2, **SIZES)
    return _write(folder, Qwen2ForCausalLM, config, _tokenizer(tokenizer, template))


def write_qwen2_5_vl(folder: Path, tokenizer: Any) -> Path:
    """A Qwen2.5-VL: patches of 14, windowed attention in its vision tower."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from tracer1.models.qwen3vl import PilQwen2_5_VLProcessor

    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
            **SIZES,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        **{f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in names.items()},
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 64})
    processor = PilQwen2_5_VLProcessor(images, deepcopy(tokenizer), chat_template=tokenizer.chat_template)
    return _write(folder, Qwen2_5_VLForConditionalGeneration, config, processor)


def _tokenizer(tokenizer: Any, template: str) -> Any:
    own = deepcopy(tokenizer)
    own.chat_template = template
    return own


def _write(folder: Path, make: Callable[[Any], Any], config: Any, processor: Any) -> Path:
    """Random weights, so large that the model says different things of different prompts."""
    from tracer1.models.loading import save_processor, tokenizer_of

    torch.manual_seed(0)
    model = make(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0.0, 0.3)
    model.generation_config.eos_token_id = tokenizer_of(processor).eos_token_id
    model.generation_config.pad_token_id = tokenizer_of(processor).pad_token_id
    model.save_pretrained(folder)
    save_processor(processor, folder)
    return folder
