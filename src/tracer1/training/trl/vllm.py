"""What TRL 1.16 leaves out when it samples with vLLM in the training process: prompts, pictures and pixel limits.

TRL hands vLLM prompts whose image placeholders are already expanded, and pictures as it found them (paths); vLLM
expands placeholders itself, and takes pictures. TRL passes no limits of size to vLLM, which then scales images as the
model's folder says, and not as the trainer does. Tested on the arguments alone: vLLM is not among the installed
packages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

from trl.generation import vllm_generation

from tracer1.models.encoding import open_image


def collapse_placeholders(prompts: Sequence[Sequence[int]], placeholder: int | None) -> list[list[int]]:
    """Token ids with one placeholder an image, as vLLM wants them, from ids with one for each patch."""
    return [
        [token for value, run in groupby(ids) for token in ([value] if value == placeholder else run)]
        for ids in prompts
    ]


def open_pictures(images: Sequence[Sequence[Any] | None] | None) -> list[list[Any] | None] | None:
    """The images of each prompt, opened where they are paths."""
    if images is None:
        return None
    return [
        [open_image(image) if isinstance(image, str) else image for image in row] if row else None for row in images
    ]


def engine_arguments(processor: Any, max_batched_tokens: int) -> dict[str, Any]:
    """Arguments of vLLM's ``LLM``: the limits of size that the trainer's own image processor has, and the batch."""
    arguments: dict[str, Any] = {"max_num_batched_tokens": max_batched_tokens}
    size = getattr(getattr(processor, "image_processor", None), "size", None)
    if size:
        arguments["mm_processor_kwargs"] = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    return arguments


@contextmanager
def engine_with(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Inside the block, the engine that TRL starts gets these arguments too: TRL offers no way to pass them."""
    engine = vllm_generation.LLM

    def start(**given: Any) -> Any:
        return engine(**{**given, **arguments})

    vllm_generation.LLM = partial(start)
    try:
        yield
    finally:
        vllm_generation.LLM = engine
