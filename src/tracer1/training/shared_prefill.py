"""A group's prompt once in generation: equal images are encoded once and equal prompts prefilled once a batch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from tracer1.training.shared_prompt import groups_of


def share_prefill(model: Any) -> None:
    """Let ``model.generate`` see equal images of a batch and read equal prompts once; each copy gets its part."""
    encode, prefill = model._prepare_multimodal_encoder_kwargs_for_generation, model._prefill

    def encode_once(model_kwargs: dict[str, Any]) -> dict[str, Any]:
        pixels, grid = model_kwargs.get("pixel_values"), model_kwargs.get("image_grid_thw")
        if pixels is None or grid is None:
            return dict(encode(model_kwargs))
        images = torch.split(pixels, grid.prod(-1).tolist())
        distinct = groups_of(grid.tolist(), [[image] for image in images])
        chosen = [members[0] for members in distinct]
        few = {"pixel_values": torch.cat([images[i] for i in chosen]), "image_grid_thw": grid[chosen]}
        encoded = dict(encode({**model_kwargs, **few}))
        features = encoded["mm_encoder_outputs"]["image"]
        encoded["mm_encoder_outputs"]["image"] = _pick(features, _copies(distinct, len(images)))
        return encoded

    def prefill_once(
        input_ids: Tensor, generation_config: Any, model_kwargs: dict[str, Any], is_first_iteration: bool = True
    ) -> Any:
        cache, mask = model_kwargs.get("past_key_values"), model_kwargs.get("attention_mask")
        features = model_kwargs.get("mm_encoder_outputs", {}).get("image")
        images = _image_places(model, input_ids, features)
        if not isinstance(cache, DynamicCache) or cache.get_seq_length() or mask is None:
            return prefill(input_ids, generation_config, model_kwargs, is_first_iteration)
        prompts = [row[keep].tolist() for row, keep in zip(input_ids, mask.bool(), strict=True)]
        distinct = groups_of(prompts, [[features.pooler_output[i] for i in places] for places in images])
        chosen = [members[0] for members in distinct]
        few = {
            name: value[..., chosen, :]  # (B, P), and (4, B, P) of the positions
            if isinstance(value, Tensor) and name in ("attention_mask", "mm_token_type_ids", "position_ids")
            else value
            for name, value in model_kwargs.items()
        }
        if features is not None:
            few["mm_encoder_outputs"] = {"image": _pick(features, [i for b in chosen for i in images[b]])}
        output = prefill(input_ids[chosen], generation_config, few, is_first_iteration)
        copies = torch.tensor(_copies(distinct, len(prompts)), device=input_ids.device)
        cache.batch_select_indices(copies)
        output.logits = output.logits[copies]
        return output

    model._prepare_multimodal_encoder_kwargs_for_generation, model._prefill = encode_once, prefill_once


def _copies(groups: Sequence[Sequence[int]], total: int) -> list[int]:
    """For each member the number of its group."""
    number = {member: g for g, members in enumerate(groups) for member in members}
    return [number[i] for i in range(total)]


def _pick(features: Any, images: Sequence[int]) -> Any:
    """The vision tower's output for some of the images."""
    picked = copy(features)
    picked.pooler_output = [features.pooler_output[i] for i in images]
    picked.deepstack_features = [[layer[i] for i in images] for layer in features.deepstack_features]
    return picked


def _image_places(model: Any, input_ids: Tensor, features: Any) -> list[list[int]]:
    """Which images each row's placeholders stand for."""
    if features is None:
        return [[] for _ in input_ids]
    sizes = [len(feature) for feature in features.pooler_output]
    places: list[list[int]] = []
    taken = 0
    for tokens in (input_ids == model.config.image_token_id).sum(-1).tolist():
        places.append([])
        while tokens > 0:
            tokens -= sizes[taken]
            places[-1].append(taken)
            taken += 1
    return places
