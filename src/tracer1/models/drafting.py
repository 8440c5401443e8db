"""Plan-tail drafting: the last plan without its executed step is the draft of the next plan.

A planner that plans again after every step mostly repeats itself. Speculative decoding turns the repetition into fewer
forward passes: drafted tokens are fed together, and those that the model itself would have written are accepted. The
rule of acceptance leaves the output as in plain decoding:

- *greedy*: a drafted token is accepted if it is the most likely one; at the first that is not, the most likely one is
  written instead. Token for token this is greedy decoding.
- *sampling*: with p the model's distribution after temperature and top-p, a drafted token x is accepted with
  probability p(x); otherwise a token is drawn from p without x, renormalised. So x is written with probability p(x),
  and any other y with (1 - p(x)) * p(y) / (1 - p(x)) = p(y): the output is distributed as p. This is speculative
  sampling (Leviathan et al. 2023) with a deterministic draft.

Each row of a batch advances at its own pace: rejected tokens remain in the cache, masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessorList

AGREEING: Final = 2  # tokens that must agree before what followed them is drafted
LONGEST_LOOKUP: Final = 8  # tokens drafted at a time from the prompt


@dataclass(slots=True)
class Draft:
    """The tokens to try next in one row: the expected completion where the output follows it, else a prompt lookup.

    ``cursor`` is the position in ``expected`` that the output has reached. A token that disagrees is first taken for a
    substitution; when the next disagrees too the position is lost, until the last ``AGREEING`` tokens of the output
    occur further on in ``expected``. While it is lost, the tokens that followed the same ones in the prompt or the
    output are tried ("prompt lookup"): names are copied from there.
    """

    expected: Sequence[int]
    prompt: Sequence[int]
    written: list[int] = field(default_factory=list)
    cursor: int | None = 0
    reached: int = 0

    def propose(self, room: int) -> list[int]:
        """At most ``room`` tokens to try next."""
        if self.cursor is None:
            self.cursor = self._resume()
        if self.cursor is not None and self.cursor < len(self.expected):
            return list(self.expected[self.cursor : self.cursor + room])
        self.cursor = None
        return self._prompt_lookup(min(room, LONGEST_LOOKUP))

    def wrote(self, accepted: Sequence[int], token: int) -> None:
        """Go on after ``accepted``, the first of the proposed tokens, and ``token``, which the model wrote next."""
        self.written += [*accepted, token]
        if self.cursor is not None:
            agreed = bool(accepted) or self.cursor == 0
            self.reached = self.cursor + len(accepted) + 1
            self.cursor = self.reached if agreed else None

    def _resume(self) -> int | None:
        last = self.written[-AGREEING:]
        for place in range(self.reached, len(self.expected) - AGREEING):
            if list(self.expected[place : place + AGREEING]) == last:
                return place + AGREEING
        return None

    def _prompt_lookup(self, room: int) -> list[int]:
        text = [*self.prompt, *self.written]
        last = text[-AGREEING:]
        for place in range(len(text) - AGREEING - 1, -1, -1):
            if text[place : place + AGREEING] == last:
                return text[place + AGREEING : place + AGREEING + room]
        return []


@dataclass(frozen=True, slots=True)
class Decoded:
    """Completions as token ids, with the end token where there is one, and their cost, by row.

    ``passes``: forward passes in which the row took part. ``drafted``, ``accepted``: tokens tried, and tokens right.
    """

    tokens: list[list[int]]
    passes: list[int]
    drafted: list[int]
    accepted: list[int]


@dataclass(slots=True)
class DecodingCost:
    """The cost of drafted decoding so far, over completions: passes and tokens as in :class:`Decoded`."""

    completions: int = 0
    tokens: int = 0  # written; plain decoding needs a forward pass for each
    passes: int = 0
    drafted: int = 0
    accepted: int = 0

    def add(self, decoded: Decoded) -> None:
        self.completions += len(decoded.tokens)
        self.tokens += sum(map(len, decoded.tokens))
        self.passes += sum(decoded.passes)
        self.drafted += sum(decoded.drafted)
        self.accepted += sum(decoded.accepted)


def why_not(model: Any) -> str | None:
    """Why drafting does not work with this model, or None: rejected tokens stay in the cache under a mask.

    So every layer must attend to the whole cache by a mask, and the positions must be known.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        return f"its layers are {', '.join(sorted(kinds))}"
    if config._attn_implementation not in ("sdpa", "eager", "sdpa_shared_prompt"):
        return f"its attention is {config._attn_implementation}"
    if hasattr(model.config, "vision_config") and not _has_image_positions(model):
        return f"the positions of images in a {model.config.model_type} are not known"
    return None


def _has_image_positions(model: Any) -> bool:
    """Whether positions are those of Qwen-VL: time, height and width."""
    return hasattr(getattr(model, "model", None), "get_rope_index")


def _positions(model: Any, inputs: Any) -> tuple[Tensor, Tensor]:
    """(positions of the prompt (B, P), or (3, B, P) for Qwen-VL; the position of each row's next token (B,))."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    lengths = mask.sum(-1)
    if not _has_image_positions(model):
        return (mask.cumsum(-1) - 1).clamp(min=0), lengths
    positions, deltas = model.model.get_rope_index(
        ids,
        mm_token_type_ids=inputs.get("mm_token_type_ids", torch.zeros_like(ids)),
        image_grid_thw=inputs.get("image_grid_thw"),
        attention_mask=mask,
    )
    return positions, lengths + deltas[:, 0]


class _Rows:
    """The unfinished rows: the mask of their cache (B, S), and the position of each one's next token (B,)."""

    def __init__(self, model: Any, inputs: Any) -> None:
        self.model, self.mask = model, inputs["attention_mask"]
        self.cache = DynamicCache(config=model.config.get_text_config())
        positions, self.place = _positions(model, inputs)
        self.width = 0
        self.prompt: tuple[Tensor, Tensor] | None = (inputs["input_ids"], positions)  # until it has been fed
        self.pixels = {k: inputs[k] for k in ("pixel_values", "image_grid_thw") if k in inputs}

    def feed(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Logits (B, k, vocabulary) after each token; the first time the prompt goes before, and its last counts."""
        device = self.mask.device
        self.width = max(map(len, tokens))
        ids = torch.tensor([[*row, *[0] * (self.width - len(row))] for row in tokens], dtype=torch.long, device=device)
        columns = torch.arange(self.width, device=device)
        lengths = torch.tensor([len(row) for row in tokens], device=device)
        positions = self.place[:, None] + columns
        self.mask = torch.cat([self.mask, (columns < lengths[:, None]).to(self.mask.dtype)], dim=1)
        pixels, predicting = {}, self.width
        if _has_image_positions(self.model):
            positions = positions.expand(3, -1, -1)
        if self.prompt is not None:
            ids = torch.cat([self.prompt[0], ids], dim=1)
            positions = torch.cat([self.prompt[1], positions], dim=-1)
            self.prompt, pixels, predicting = None, self.pixels, self.width + 1
        output = self.model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=predicting,
            **pixels,
        )
        logits: Tensor = output.logits
        return logits

    def keep(self, row: int, tokens: int) -> None:
        """Mask all but the first ``tokens`` of the tokens that the row was fed last."""
        self.mask[row, self.mask.shape[1] - self.width + tokens :] = 0
        self.place[row] += tokens

    def select(self, rows: Sequence[int]) -> None:
        """Drop all other rows."""
        chosen = torch.tensor(rows, device=self.mask.device)
        self.cache.batch_select_indices(chosen)
        self.mask, self.place = self.mask[chosen], self.place[chosen]


@torch.no_grad()
def decode(
    model: Any,
    inputs: Any,
    expected: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    processors: LogitsProcessorList,
    sample: bool = False,
) -> Decoded:
    """Complete a batch of prompts with a draft each (empty: none).

    Args:
        model: one for which ``why_not`` gives None.
        inputs: its processor's output: ids and mask (B, P), padded on the left, and pixels.
        processors: applied to the scores (rows, vocabulary) of every position; they get no ids.
    """
    prompts = zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
    drafts = [Draft(e, ids[seen].tolist()) for e, (ids, seen) in zip(expected, prompts, strict=True)]
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    batch, n = _Rows(model, inputs), len(drafts)
    result = Decoded([[] for _ in range(n)], [0] * n, [0] * n, [0] * n)
    unfinished = list(range(n))  # in the order of the batch
    while unfinished:
        tried = [drafts[b].propose(max_new_tokens - len(drafts[b].written) - 1) for b in unfinished]
        unfed = [drafts[b].written[-1:] for b in unfinished]  # the last token written; none at first
        logits = batch.feed([last + draft for last, draft in zip(unfed, tried, strict=True)])
        scores = processors(None, logits.flatten(0, 1).float()).view(logits.shape)
        going = []
        for i, (b, draft) in enumerate(zip(unfinished, tried, strict=True)):
            count, token = _judge(scores[i], draft, sample)
            accepted = draft[:count]
            cut = next((k for k, t in enumerate(accepted) if t in ends), None)
            if cut is not None:  # the end was drafted
                accepted, token = accepted[:cut], accepted[cut]
            drafts[b].wrote(accepted, token)
            batch.keep(i, len(unfed[i]) + len(accepted))
            result.passes[b] += 1
            result.drafted[b] += len(draft)
            result.accepted[b] += len(accepted)
            result.tokens[b] = drafts[b].written
            if token not in ends and len(drafts[b].written) < max_new_tokens:
                going.append(i)
        if going and len(going) < len(unfinished):
            batch.select(going)
        unfinished = [unfinished[i] for i in going]
    return result


def _judge(scores: Tensor, draft: Sequence[int], sample: bool) -> tuple[int, int]:
    """(how many drafted tokens are accepted, the token after them); ``scores`` (1 + drafted or more, vocabulary)."""
    if not sample:
        best = scores[: len(draft) + 1].argmax(-1).tolist()
        count = next((k for k, token in enumerate(draft) if token != best[k]), len(draft))
        return count, best[count]
    p = scores[: len(draft) + 1].softmax(-1)
    for k, token in enumerate(draft):
        if torch.rand((), device=p.device) >= p[k, token]:
            rest = p[k].clone()
            rest[token] = 0
            return k, int(torch.multinomial(rest, 1))
    return len(draft), int(torch.multinomial(p[len(draft)], 1))
