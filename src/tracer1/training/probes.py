"""What the guards measure on the model: whether screenshots matter to it, and its sampler's log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from tracer1.data.windows_file import row_messages
from tracer1.models.encoding import encode, open_image
from tracer1.models.loading import tokenizer_of
from tracer1.plan.text import render_plan
from tracer1.training.guards import CANARY_ROWS
from tracer1.training.scoring import recorded
from tracer1.types import Plan

Row = dict[str, Any]
Pictures = list[list[Image.Image]]  # of each row


def canary_rows(rows: Sequence[Row]) -> list[Row]:
    """Up to CANARY_ROWS rows, evenly spaced, of which no two show the same screenshots."""
    chosen: dict[tuple[str, ...], Row] = {}
    for index in range(0, len(rows), max(1, len(rows) // (8 * CANARY_ROWS))):
        row = rows[index]
        if row["images"] and len(chosen) < CANARY_ROWS:
            chosen.setdefault(tuple(row["images"]), row)
    return list(chosen.values())


def pictures_of(rows: Sequence[Row]) -> Pictures:
    """The screenshots of each row. Raises DataError for one that cannot be read."""
    return [[open_image(path) for path in row["images"]] for row in rows]


def swap_pictures(pictures: Pictures) -> Pictures:
    """Each row with the next one's screenshots, scaled to its own, so that the prompt's tokens stay the same."""
    others = [*pictures[1:], *pictures[:1]]
    return [
        [other[k % len(other)].resize(picture.size) for k, picture in enumerate(own)]
        for own, other in zip(pictures, others, strict=True)
    ]


def canary_skipped(setting: str, rows: Sequence[Row], pictures: Pictures, swapped: Pictures) -> str | None:
    """Why the image canary cannot look, or None."""
    if setting == "off":
        return "it is off"
    if not rows:
        return "no row has an image"
    return "no two rows have different screenshots" if _equal(pictures, swapped) else None


def _equal(one: Pictures, other: Pictures) -> bool:
    """Whether they are equal pixel for pixel."""
    return all(a.tobytes() == b.tobytes() for p, q in zip(one, other, strict=True) for a, b in zip(p, q, strict=True))


def recorded_completion(row: Row) -> str:
    """The recorded continuation as a completion."""
    return render_plan(Plan(recorded(row).steps, "", row["step"] + 1))


def batch_of(
    processor: Any, rows: Sequence[Row], pictures: Pictures, completions: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """The rows' prompts with these pictures, and completions (tokens), as a trainer's batch.

    ``input_ids`` and ``attention_mask`` (B, P + C), prompts padded on the left and completions on the right;
    ``logits_to_keep`` C; what the images became, and how many each row has.
    """
    inputs = encode(processor, [row_messages(row) for row in rows], pictures)
    length = max(map(len, completions))
    pad = tokenizer_of(processor).pad_token_id
    tails = torch.tensor([[*ids, *[pad] * (length - len(ids))] for ids in completions])
    mask = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids in completions])
    batch = {
        **inputs,
        "input_ids": torch.cat([inputs["input_ids"], tails], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], mask], dim=1),
        "logits_to_keep": length,
    }
    if any(pictures):
        batch["num_images"] = [len(own) for own in pictures]
    for name in ("mm_token_type_ids", "token_type_ids"):
        if name in inputs:
            batch[name] = torch.cat([inputs[name], torch.zeros_like(tails)], dim=1)
    return batch


class SamplerLogProbs:
    """Records the sampler's log-probabilities of the tokens it samples, at the model's own passes while it generates.

    Of the first ``n`` samples, which are one group; at the temperature, and before top-p and suppressed tokens, which
    the trainer does not apply either. One step's logits are held at a time. A completion's very last token is missing
    when it is the batch's last.
    """

    def __init__(self, model: Any, n: int, temperature: float) -> None:
        self.model = model.get_base_model() if hasattr(model, "get_base_model") else model  # below an adapter
        self.n, self.temperature = n, temperature
        self._before: Tensor | None = None  # (n, vocabulary), of the token that comes next
        self._recorded: list[Tensor] = []  # (n,) each

    def __enter__(self) -> Self:
        self._handle = self.model.register_forward_hook(self._record, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.remove()
        self._before = None

    def _record(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        logits = output.logits[:, -1].detach()
        if self._before is None:  # the prompt, which may have been encoded once for the group
            self._before = (logits[:1].float() / self.temperature).log_softmax(-1).expand(self.n, -1)
            return
        chosen = kwargs["input_ids"][: self.n, -1:]
        self._recorded.append(self._before.gather(1, chosen)[:, 0].cpu())
        self._before = (logits[: self.n].float() / self.temperature).log_softmax(-1)

    def log_probabilities(self, completions: Sequence[Sequence[int]]) -> list[list[float]]:
        """Of each of the ``n`` completions, as far as they were recorded."""
        seen = torch.stack(self._recorded, dim=1).tolist() if self._recorded else [[] for _ in completions]
        return [row[: len(ids)] for row, ids in zip(seen, completions, strict=True)]
