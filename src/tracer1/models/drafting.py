"""Plan-tail drafting: the last plan, less the step that was executed, is the draft of the next plan.

A planner that plans again after every step mostly repeats itself. Speculative decoding turns the repetition into fewer
forward passes: drafted tokens are fed together, and as many of them stand as the model itself would have written. The
rule of keeping makes the output what plain decoding makes it:

- *greedy*: a drafted token stands if it is the most likely one; at the first that is not, the most likely one is
  written instead. Token for token this is greedy decoding.
- *sampling*: with p the model's distribution after temperature and top-p, a drafted token x stands with probability
  p(x); otherwise a token is drawn from p without x, renormalised. So x is written with probability p(x), and any other
  y with (1 - p(x)) * p(y) / (1 - p(x)) = p(y): the output is distributed as p. This is speculative sampling (Leviathan
  et al. 2023) with a draft that is certain.

The rows of a batch keep their own pace: what was fed and does not stand remains in the cache, masked.
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
    """What to try next in one row: the expected completion where the output follows it, else the prompt's own words.

    ``cursor`` is the place in ``expected`` that the output has come to. A token that disagrees is first taken to stand
    in another's place; when the next disagrees too the place is lost, and found again where the last ``AGREEING``
    tokens of the output stand further on in ``expected``. While it is lost, what followed the same tokens in the prompt
    or the output is tried ("prompt lookup"): names are copied from there.
    """

    expected: Sequence[int]
    prompt: Sequence[int]
    written: list[int] = field(default_factory=list)
    cursor: int | None = 0
    reached: int = 0

    def propose(self, room: int) -> list[int]:
        """At most ``room`` tokens to try next."""
        if self.cursor is None:
            self.cursor = self._found()
        if self.cursor is not None and self.cursor < len(self.expected):
            return list(self.expected[self.cursor : self.cursor + room])
        self.cursor = None
        return self._looked_up(min(room, LONGEST_LOOKUP))

    def wrote(self, kept: Sequence[int], token: int) -> None:
        """``kept`` of what was proposed stand, and ``token`` after them."""
        self.written += [*kept, token]
        if self.cursor is not None:
            agreed = bool(kept) or self.cursor == 0
            self.reached = self.cursor + len(kept) + 1
            self.cursor = self.reached if agreed else None

    def _found(self) -> int | None:
        last = self.written[-AGREEING:]
        for place in range(self.reached, len(self.expected) - AGREEING):
            if list(self.expected[place : place + AGREEING]) == last:
                return place + AGREEING
        return None

    def _looked_up(self, room: int) -> list[int]:
        text = [*self.prompt, *self.written]
        last = text[-AGREEING:]
        for place in range(len(text) - AGREEING - 1, -1, -1):
            if text[place : place + AGREEING] == last:
                return text[place + AGREEING : place + AGREEING + room]
        return []


@dataclass(frozen=True, slots=True)
class Decoded:
    """Completions as token ids, the end token included where there is one, and what they cost, by row.

    ``passes``: forward passes in which the row took part. ``drafted``, ``kept``: tokens tried, and those that stood.
    """

    tokens: list[list[int]]
    passes: list[int]
    drafted: list[int]
    kept: list[int]


@dataclass(slots=True)
class DecodingCost:
    """What drafted decoding has cost so far, over completions: passes and tokens as in :class:`Decoded`."""

    completions: int = 0
    tokens: int = 0  # written; plain decoding needs a forward pass for each
    passes: int = 0
    drafted: int = 0
    kept: int = 0

    def add(self, decoded: Decoded) -> None:
        self.completions += len(decoded.tokens)
        self.tokens += sum(map(len, decoded.tokens))
        self.passes += sum(decoded.passes)
        self.drafted += sum(decoded.drafted)
        self.kept += sum(decoded.kept)


class _Rows:
    """The rows under way: what of the cache each may see, (B, S), and the position of its next token, (B,)."""

    def __init__(self, model: Any, inputs: Any) -> None:
        ids, self.mask = inputs["input_ids"], inputs["attention_mask"]
        positions, deltas = model.model.get_rope_index(
            ids,
            mm_token_type_ids=inputs.get("mm_token_type_ids", torch.zeros_like(ids)),
            image_grid_thw=inputs.get("image_grid_thw"),
            attention_mask=self.mask,
        )
        self.model, self.cache = model, DynamicCache(config=model.config.text_config)
        self.place = self.mask.sum(-1) + deltas[:, 0]
        self.width = 0
        self.prompt: tuple[Tensor, Tensor] | None = (ids, positions)  # until it has been fed
        self.pixels = {k: inputs[k] for k in ("pixel_values", "image_grid_thw") if k in inputs}

    def feed(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Logits (B, k, vocabulary) after each fed token; at first the prompt goes before, and its last one counts."""
        device = self.mask.device
        self.width = max(map(len, tokens))
        ids = torch.tensor([[*row, *[0] * (self.width - len(row))] for row in tokens], dtype=torch.long, device=device)
        columns = torch.arange(self.width, device=device)
        lengths = torch.tensor([len(row) for row in tokens], device=device)
        positions = (self.place[:, None] + columns).expand(3, -1, -1)
        self.mask = torch.cat([self.mask, (columns < lengths[:, None]).to(self.mask.dtype)], dim=1)
        pixels, predicting = {}, self.width
        if self.prompt is not None:
            ids, positions = torch.cat([self.prompt[0], ids], dim=1), torch.cat([self.prompt[1], positions], dim=2)
            self.prompt, pixels, predicting = None, self.pixels, self.width + 1
        output = self.model.model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
            **pixels,
        )
        logits: Tensor = self.model.lm_head(output.last_hidden_state[:, -predicting:])
        return logits

    def keep(self, row: int, tokens: int) -> None:
        """Of what a row was fed last, only the first ``tokens`` stand."""
        self.mask[row, self.mask.shape[1] - self.width + tokens :] = 0
        self.place[row] += tokens

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
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
        model: a Qwen3-VL.
        inputs: its processor's output: ids and mask (B, P), padded on the left, and pixels.
        processors: applied to the scores (rows, vocabulary) of every position; they may not ask for the ids.
    """
    prompts = zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
    drafts = [Draft(e, ids[seen].tolist()) for e, (ids, seen) in zip(expected, prompts, strict=True)]
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    batch, n = _Rows(model, inputs), len(drafts)
    result = Decoded([[] for _ in range(n)], [0] * n, [0] * n, [0] * n)
    under_way = list(range(n))  # in the order of the batch
    while under_way:
        tried = [drafts[b].propose(max_new_tokens - len(drafts[b].written) - 1) for b in under_way]
        unfed = [drafts[b].written[-1:] for b in under_way]  # the token written last; none at first
        logits = batch.feed([last + draft for last, draft in zip(unfed, tried, strict=True)])
        scores = processors(None, logits.flatten(0, 1).float()).view(logits.shape)
        going = []
        for i, (b, draft) in enumerate(zip(under_way, tried, strict=True)):
            kept, token = _judge(scores[i], draft, sample)
            stand = draft[:kept]
            cut = next((k for k, t in enumerate(stand) if t in ends), None)
            if cut is not None:  # the end was drafted
                stand, token = stand[:cut], stand[cut]
            drafts[b].wrote(stand, token)
            batch.keep(i, len(unfed[i]) + len(stand))
            result.passes[b] += 1
            result.drafted[b] += len(draft)
            result.kept[b] += len(stand)
            result.tokens[b] = drafts[b].written
            if token not in ends and len(drafts[b].written) < max_new_tokens:
                going.append(i)
        if going and len(going) < len(under_way):
            batch.select(going)
        under_way = [under_way[i] for i in going]
    return result


def _judge(scores: Tensor, draft: Sequence[int], sample: bool) -> tuple[int, int]:
    """(how many of the drafted tokens stand, the token after them); ``scores`` (1 + drafted or more, vocabulary)."""
    if not sample:
        best = scores[: len(draft) + 1].argmax(-1).tolist()
        kept = next((k for k, token in enumerate(draft) if token != best[k]), len(draft))
        return kept, best[kept]
    p = scores[: len(draft) + 1].softmax(-1)
    for k, token in enumerate(draft):
        if torch.rand(()) >= p[k, token]:
            rest = p[k].clone()
            rest[token] = 0
            return k, int(torch.multinomial(rest, 1))
    return len(draft), int(torch.multinomial(p[len(draft)], 1))
