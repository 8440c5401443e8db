"""The nano planner's tokenizer: Qwen's special tokens and chat template over a small vocabulary of its own.

There are three kinds of token, in the order in which text is split:

1. *Boilerplate* of the plan dialect (``", "action": {"action_type": "`` ...) as added tokens. The text is unchanged, a
   plan is 2.5 times shorter, and the model spends its capacity on the varying parts.
2. *Template words* ("the", "field", "Submit"), whole, with and without the space before them.
3. *Pieces* of one or two characters, by byte-pair merges that never include the space before a word, so that a string
   has the same tokens after a space, a quotation mark or a line break. To copy a name from the task is then to copy
   its tokens; with a GPT-2 vocabulary ``ada`` and `` ada`` differ, and a nano model never learns to copy.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Qwen3-VL's chat template without tools and video, which the nano planner does not use.
CHAT_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif 'text' in part %}{{- part.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
# Words with the space before them, single digits, runs of letters, every other character alone.
WORD = Regex(r" ?\p{L}+|\d| ?[^\s\p{L}\d]|\s")


def boilerplate() -> tuple[str, ...]:
    """The fixed text between the varying parts of a rendered plan.

    Two plans are rendered for it, so that the format is defined in one place.
    """
    from tracer1.plan.text import render_plan
    from tracer1.types import Plan, Step

    mark = "\u00a7"  # in place of each varying part; JSON does not escape it

    def step(status: str) -> Step:
        return Step(mark, mark, mark, status)  # type: ignore[arg-type]

    plans = [
        Plan((step("not done"), step(last)), mark, first_number=7) for last in ("not done", "done")
    ]  # truncated, and complete
    parts = {part for plan in plans for chunk in render_plan(plan).split(mark) for part in _split_numbers(chunk)}
    return tuple(sorted((p for p in parts if len(p) > 1), key=lambda p: (-len(p), p)))


def _split_numbers(chunk: str) -> Iterable[str]:
    """Split a piece of boilerplate at its step numbers, which vary."""
    start = 0
    for i, ch in enumerate(chunk):
        if ch.isdigit():
            yield chunk[start:i]
            start = i + 1
    yield chunk[start:]


def template_words(texts: Iterable[str], min_episodes: int) -> list[str]:
    """Words, with their leading space, that occur in at least ``min_episodes`` of the texts.

    They are the language of the tasks rather than the names in them.
    """
    split = pre_tokenizers.Split(WORD, "isolated")
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update({piece for piece, _ in split.pre_tokenize_str(text)})
    return sorted(word for word, n in seen.items() if n >= min_episodes and len(word) > 1)


def build_tokenizer(
    templates: Sequence[str], strings: Sequence[str], pieces: int, min_episodes: int
) -> PreTrainedTokenizerFast:
    """Build the tokenizer.

    Args:
        templates: one text per episode (its prompts and plans) with its copied strings removed; the source of template
            words.
        strings: copied strings; the source of the byte-pair pieces.
        pieces: how many merged pieces to learn.
        min_episodes: a word is a template word if so many texts contain it.
    """
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\p{L}+|\d|[^\p{L}\d]"), "isolated"), byte_level]
    )
    learner.train_from_iterator(
        strings,
        trainers.BpeTrainer(
            vocab_size=len(alphabet) + pieces,
            initial_alphabet=alphabet,
            max_token_length=3,  # exclusive
            show_progress=False,
        ),
    )
    learnt = json.loads(learner.to_str())["model"]
    vocab: dict[str, int] = dict(learnt["vocab"])
    for word in template_words(templates, min_episodes):
        vocab.setdefault("".join(t for t, _ in byte_level.pre_tokenize_str(word)), len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in learnt["merges"]], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(WORD, "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in boilerplate()])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
