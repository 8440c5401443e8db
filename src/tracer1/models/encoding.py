"""From chat messages to a model's input: the chat template, images, and the style of thought that a template sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image
from transformers import PreTrainedTokenizerBase

from tracer1.errors import DataError, UsageError
from tracer1.plan.prompt import PROMPTS, ThinkingStyle, plain_messages
from tracer1.plan.text import ANSWER, ANSWER_END, THINK, THINK_END
from tracer1.types import Message

VISION_TOKENS = (
    "<|im_start|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def reads_images(processor: Any) -> bool:
    """Whether the model behind this processor is a vision-language model."""
    return not isinstance(processor, PreTrainedTokenizerBase)


def chat_text(processor: Any, prompt: Sequence[Message]) -> str:
    """A prompt as the model's chat template writes it, up to where the completion begins.

    Templates of text-only models get plain strings. Raises UsageError for a prompt with images that such a model gets.
    """
    messages = list(prompt) if reads_images(processor) else text_messages(prompt)
    return str(processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def text_messages(prompt: Sequence[Message]) -> list[Message]:
    """The messages with plain strings as content. Raises UsageError for one with images."""
    if images := image_paths(prompt):
        raise UsageError(
            f"the model reads text only, but the prompt shows an image ({images[0]}); "
            "use a vision-language model, or observations as text"
        )
    return plain_messages(prompt)


def encode(processor: Any, prompts: Sequence[Sequence[Message]], images: Sequence[Sequence[Image.Image]]) -> Any:
    """The model's input for a batch of prompts.

    Ids and masks are (B, L), padded on the left; the images (one list for each prompt) become the pixels.
    """
    text = [chat_text(processor, prompt) for prompt in prompts]
    options: dict[str, Any] = {"padding": True, "padding_side": "left", "return_tensors": "pt"}
    if not reads_images(processor):
        # The template has written the special tokens that the model wants.
        return processor(text, add_special_tokens=False, return_token_type_ids=False, **options)
    return processor(text=text, images=[list(own) for own in images] if any(images) else None, **options)


def suppressed_tokens(tokenizer: Any) -> list[int]:
    """Special tokens that a planner must never write: all but the end of its turn and the tags of a plan.

    Vision placeholders in a completion break the position ids of every engine.
    """
    allowed = {tokenizer.eos_token_id, *_known(tokenizer, (THINK, THINK_END, ANSWER, ANSWER_END))}
    return [i for i in [*tokenizer.all_special_ids, *_known(tokenizer, VISION_TOKENS)] if i not in allowed]


def _known(tokenizer: Any, tokens: Sequence[str]) -> list[int]:
    """The ids of those tokens that the vocabulary holds."""
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    return [i for i in ids if i is not None and i != tokenizer.unk_token_id]


# ---- images ----------------------------------------------------------------------------------------------------------


def open_image(path: str) -> Image.Image:
    """A screenshot as RGB. Raises DataError, naming the file, when it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: not a readable image ({error}); record or convert this episode again") from error


def image_paths(prompt: Sequence[Message]) -> list[str]:
    """The images of a prompt, in order."""
    parts = (part for m in prompt if isinstance(m["content"], list) for part in m["content"])
    return [part["image"] for part in parts if part["type"] == "image"]


# ---- the style of thought --------------------------------------------------------------------------------------------


def thinking_style(processor: Any) -> ThinkingStyle:
    """Return "template" where the chat template itself opens ``<think>`` before the completion, else "ours"."""
    text = chat_text(processor, [{"role": "user", "content": [{"type": "text", "text": "Go on."}]}])
    return "template" if text.rstrip().endswith(THINK) else "ours"


def require_style(version: str, processor: Any, path: object) -> None:
    """Raise UsageError where a prompt shows ``<think>`` in another way than the model's chat template does."""
    fitting = PROMPTS[version].for_template(thinking_style(processor))
    if fitting != version:
        opens = "opens <think> itself" if thinking_style(processor) == "template" else "does not open <think>"
        raise UsageError(
            f"the chat template of {path} {opens}, and prompt {version} expects otherwise: plans would be malformed; "
            f"set plan.prompt_version={fitting} and make the windows with --prompt {fitting}"
        )
