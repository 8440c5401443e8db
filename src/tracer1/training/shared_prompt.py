"""A group's prompt once: log-probabilities of n completions of one prompt without encoding it n times.

The distinct prompts of a batch and all their completions are laid out in one row,

    prompt 1 but its last token | last token, completion 1 | last token, completion 2 | ... | prompt 2 ...

and the unchanged model runs over that row. Only attention depends on the layout: a prompt attends causally to itself,
a completion to its prompt and to itself. Each segment begins with a copy of the prompt's last token, whose output
predicts the completion's first token. All other parts of a transformer act on each token by itself, so the results
equal those of the plain batch, and so do the gradients, which flow into the prompt from all its completions. The
vision tower runs once a prompt. Instead of n (p + c) tokens there are p + n (c + 1).

The attention is registered with transformers under a name of its own; without a layout it is ``sdpa``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tracer1.errors import UsageError

ATTENTION = "sdpa_shared_prompt"
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Group:
    """Where a prompt and its ``n`` completions lie in the row: tokens ``start`` to ``start + prompt + n * width``."""

    start: int
    prompt: int  # tokens of the prompt without its last
    n: int
    width: int  # of a segment: the prompt's last token and the longest completion but its last token

    @property
    def end(self) -> int:
        return self.start + self.prompt + self.n * self.width


@dataclass(frozen=True, slots=True)
class Layout:
    """The groups of a row, in order and without gaps."""

    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """One row for the model, and how to read its output.

    N positions of the row predict a token; those of sample b are the ``width[b]`` from ``first[b]`` on.
    """

    inputs: dict[str, Any]
    scored: Tensor  # (N,): places in the row
    labels: Tensor  # (1, N): the token that each predicts
    first: Tensor  # (B,)
    width: Tensor  # (B,)

    def score(self, model: Any) -> Any:
        """The output of TRL's fused head, (1, N): run where it is needed only."""
        core = getattr(model, "module", model).base_model

        def keep(module: Any, args: Any, output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[:, self.scored]
            return output

        hook = core.register_forward_hook(keep)
        try:
            return model(**self.inputs, shift_labels=self.labels, fused_lm_head=True)
        finally:
            hook.remove()

    def unpack(self, values: Tensor, length: int) -> Tensor:
        """(1, N) figures to (B, length), zero past a completion's end."""
        columns = torch.arange(length, device=values.device)
        places = (self.first[:, None] + columns).clamp(max=values.shape[1] - 1)
        return values[0][places] * (columns < self.width[:, None])


def unavailable(model: Any) -> str | None:
    """Why this model's prompts cannot be shared, or None."""
    model = getattr(model, "module", model)
    if hasattr(model, "get_base_model"):
        return "the model has adapters"
    if getattr(model.config, "model_type", None) != "qwen3_vl":
        return f"the model is a {getattr(model.config, 'model_type', type(model).__name__)}, not a qwen3_vl"
    implementation = model.config.text_config._attn_implementation
    if implementation not in ("sdpa", ATTENTION):
        return f"its attention is {implementation}; load it with attn_implementation='sdpa'"
    return None


def install(model: Any) -> None:
    """Let the model's language part attend by layout; without one its results are unchanged.

    Raises UsageError with ``unavailable``'s reason.
    """
    if reason := unavailable(model):
        raise UsageError(f"prompts cannot be shared: {reason}")
    AttentionInterface.register(ATTENTION, shared_prompt_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.config.text_config._attn_implementation = ATTENTION


def shared_prompt_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention over a row of groups; ``query`` (1, heads, L, d), ``key`` and ``value`` (1, kv heads, L, d)."""
    if layout is None:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return output, None
    outputs = []
    for group in layout.groups:
        split = group.start + group.prompt
        prompt = [x[:, :, group.start : split] for x in (query, key, value)]
        if group.prompt:
            outputs.append(sdpa_attention_forward(module, *prompt, None, **kwargs)[0])

        def segments(x: Tensor, split: int = split, group: Group = group) -> Tensor:  # (n, heads, width, d)
            return x[0, :, split : group.end].reshape(x.shape[1], group.n, group.width, -1).transpose(0, 1)

        own = [segments(x) for x in (query, key, value)]
        if group.prompt and query.device.type == "cpu" and not kwargs.get("dropout"):
            heads = module.num_key_value_groups
            kv = [repeat_kv(x, heads) for x in (*prompt[1:], *own[1:])]
            parts = _as_autocast(own[0], *kv)
            output = PrefixAttention.apply(*parts, kwargs["scaling"]).transpose(1, 2)  # type: ignore[no-untyped-call]
        else:
            output = _masked(module, prompt, own, group, kwargs)
        outputs.append(output.flatten(0, 1)[None])
    return torch.cat(outputs, dim=1), None


def _as_autocast(*tensors: Tensor) -> list[Tensor]:
    """In the type that autocast gives to attention; it does not know the kernels that are called by name."""
    kind = tensors[0].device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensors[0].dtype
    return [x.to(dtype) for x in tensors]


def _masked(
    module: Any, prompt: Sequence[Tensor], own: Sequence[Tensor], group: Group, kwargs: dict[str, Any]
) -> Tensor:
    """(n, width, heads, d): each completion with a copy of the prompt's keys and values, under a mask."""
    keys, values = (
        torch.cat([before.expand(group.n, -1, -1, -1), x], dim=2) for before, x in zip(prompt[1:], own[1:], strict=True)
    )
    mask = torch.ones(group.width, keys.shape[2], dtype=torch.bool, device=keys.device).tril(group.prompt)
    output: Tensor = sdpa_attention_forward(module, own[0], keys, values, mask[None, None], **kwargs)[0]
    return output


class PrefixAttention(torch.autograd.Function):
    """Completions attend to their common prompt and causally to themselves, with no copy of the prompt and no mask.

    Both parts are computed by the flash kernel and put together by their log-sum-exps: with ``l = logaddexp(l1, l2)``,
    ``o = exp(l1 - l) o1 + exp(l2 - l) o2``. Given ``o`` and ``l`` of the whole, the kernel's backward pass gives each
    part's share of the gradients. Of CPU tensors; q, k, v (n, heads, c, d), the prompt's (1, heads, p, d).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k0: Tensor, v0: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        n, _, c, _ = q.shape
        o1, l1 = _flash(_as_one(q), k0, v0, 0.0, False, scale=scale)
        o2, l2 = _flash(q, k, v, 0.0, True, scale=scale)
        l1 = l1.unflatten(2, (n, c))[0].transpose(0, 1)
        whole = torch.logaddexp(l1, l2)
        o1 = o1[0].unflatten(1, (n, c)).transpose(0, 1)
        parts = ((l1 - whole).exp().unsqueeze(-1) * o1, (l2 - whole).exp().unsqueeze(-1) * o2)
        o: Tensor = (parts[0] + parts[1]).to(q.dtype)
        ctx.save_for_backward(q, k0, v0, k, v, o, whole)
        ctx.scale = scale
        return o

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        q, k0, v0, k, v, o, whole = ctx.saved_tensors
        n, _, c, _ = q.shape
        lse = whole.transpose(0, 1).flatten(1, 2)[None]
        gq1, gk0, gv0 = _flash_backward(_as_one(grad), _as_one(q), k0, v0, _as_one(o), lse, 0.0, False, scale=ctx.scale)
        gq2, gk, gv = _flash_backward(grad.contiguous(), q, k, v, o, whole, 0.0, True, scale=ctx.scale)
        return gq1[0].unflatten(1, (n, c)).transpose(0, 1) + gq2, gk0, gv0, gk, gv, None


def _as_one(x: Tensor) -> Tensor:
    """(n, heads, c, d) to (1, heads, n c, d)."""
    return x.transpose(0, 1).flatten(1, 2)[None]


_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def groups_of(prompts: Sequence[Sequence[int]], images: Sequence[Sequence[Tensor]]) -> list[list[int]]:
    """Samples that have the same prompt, by what is in it: equal ids and equal pixels; in order of appearance."""
    found: dict[tuple[int, ...], list[list[int]]] = {}
    order: list[list[int]] = []
    for b, ids in enumerate(prompts):
        candidates = found.setdefault(tuple(ids), [])
        for group in candidates:
            if len(images[group[0]]) == len(images[b]) and all(map(torch.equal, images[group[0]], images[b])):
                group.append(b)
                break
        else:
            candidates.append([b])
            order.append(candidates[-1])
    return order


def pack(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    completion: int,
    images: Sequence[Sequence[Tensor]],
    grids: Sequence[Sequence[Tensor]],
    mm_token_type_ids: Tensor | None = None,
) -> Packed:
    """A batch as TRL lays it out, in one row.

    Args:
        model: the Qwen3-VL itself, in no wrapper: its 3-D positions are asked for.
        input_ids, attention_mask: (B, P + C), prompts padded on the left and completions on the right.
        completion: C.
        images, grids: each sample's images (patches, dim), and the grid of each in patches (1, 3).
        mm_token_type_ids: (B, P + C), 1 at image tokens; None for text.
    """
    device = input_ids.device
    ids, mask = input_ids.cpu(), attention_mask.bool().cpu()
    types = torch.zeros_like(ids) if mm_token_type_ids is None else mm_token_type_ids.cpu()
    prompts = _kept(ids[:, :-completion], mask[:, :-completion])
    tails = _kept(ids[:, -completion:], mask[:, -completion:])

    row: list[Tensor] = []
    positions: list[Tensor] = []
    groups: list[Group] = []
    places: dict[int, range] = {}  # of each sample, those that predict its tokens
    start = 0
    together = groups_of([prompt.tolist() for prompt in prompts], images)
    for members in together:
        b = members[0]
        prompt, before = prompts[b], len(prompts[b]) - 1
        width = max(1, max(len(tails[m]) for m in members))
        where, delta = model.model.get_rope_index(
            prompt[None],
            mm_token_type_ids=types[b, :-completion][mask[b, :-completion]][None],
            image_grid_thw=torch.cat(list(grids[b])).cpu() if grids[b] else None,
        )
        row.append(prompt[:-1])
        positions.append(where[:, 0, :-1])
        after = before + int(delta) + torch.arange(width)
        for k, m in enumerate(members):
            first = start + before + k * width
            places[m] = range(first, first + len(tails[m]))
            row.append(_segment(prompt[-1], tails[m], width))
            positions.append(after.expand(3, -1))
        groups.append(Group(start, before, len(members), width))
        start = groups[-1].end
    inputs: dict[str, Any] = {
        "input_ids": torch.cat(row)[None].to(device),
        "position_ids": torch.cat(positions, dim=1)[:, None].to(device),
        "layout": Layout(tuple(groups)),
    }
    chosen = [members[0] for members in together]
    if any(images[b] for b in chosen):
        inputs["pixel_values"] = torch.cat([image for b in chosen for image in images[b]])
        inputs["image_grid_thw"] = torch.cat([grid for b in chosen for grid in grids[b]])
    return _readable(inputs, tails, places, device)


def _kept(ids: Tensor, mask: Tensor) -> list[Tensor]:
    """Each row without its padding."""
    return [row[keep] for row, keep in zip(ids, mask, strict=True)]


def _segment(last: Tensor, tail: Tensor, width: int) -> Tensor:
    """(width,): the prompt's last token, then a completion without its last token; what follows is never read."""
    segment = last.repeat(width)
    segment[1 : len(tail)] = tail[:-1]
    return segment


def _readable(inputs: dict[str, Any], tails: Sequence[Tensor], places: dict[int, range], device: Any) -> Packed:
    """The row and the places of each sample's figures, samples one after the other."""
    width = torch.tensor([len(tail) for tail in tails])
    scored = [place for b in range(len(tails)) for place in places[b]]
    return Packed(
        inputs,
        torch.tensor(scored or [0], device=device),
        (torch.cat(list(tails)) if scored else torch.tensor([IGNORED]))[None].to(device),
        (width.cumsum(0) - width).to(device),
        width.to(device),
    )


def images_by_sample(
    pixel_values: Tensor | None, grid: Tensor | None, num_images: Sequence[int] | None, samples: int
) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Each sample's images, and the grid of each as (1, 3)."""
    if pixel_values is None or grid is None or num_images is None:
        return [[] for _ in range(samples)], [[] for _ in range(samples)]
    pictures = iter(torch.split(pixel_values, grid.prod(-1).tolist()))
    grids = iter(torch.split(grid, 1))
    return (
        [[next(pictures) for _ in range(n)] for n in num_images],
        [[next(grids) for _ in range(n)] for n in num_images],
    )
