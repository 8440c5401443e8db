"""Log-probabilities and gradients of the shared prompt against the plain batch, on text and on images."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nano_planner import Nano
from PIL import Image
from trl.trainer.utils import add_fused_lm_head

from tracer1.errors import UsageError
from tracer1.models.loading import load_model, load_processor
from tracer1.training.shared_prefill import share_prefill
from tracer1.training.shared_prompt import (
    ATTENTION,
    Group,
    Layout,
    PrefixAttention,
    _masked,
    groups_of,
    images_by_sample,
    install,
    pack,
    unavailable,
)

Batch = dict[str, Any]
# Groups of unequal sizes and unequal prompts; the second and the last differ in the image alone.
GROUPS = ((3, "log in as ada", 0), (2, "press the third button", 1), (1, "x", 2), (4, "press the third button", 2))
COMPLETION = 9


def picture(seed: int) -> Image.Image:
    rng = random.Random(seed)
    width, height = 64 + 32 * (seed % 2), 96
    return Image.frombytes("RGB", (width, height), rng.randbytes(3 * width * height))


@pytest.fixture(params=["text", "images"])
def batch(request: pytest.FixtureRequest, nano: Nano) -> Batch:
    """As TRL has it: prompts padded on the left, completions of 1 to 9 tokens padded on the right."""
    with_images = request.param == "images"
    processor = load_processor(nano.folder)
    texts, images = [], []
    for n, text, seed in GROUPS:
        content: list[dict[str, str]] = [{"type": "image"}] * with_images + [{"type": "text", "text": text}]
        message = [{"role": "user", "content": content}]
        texts += [processor.apply_chat_template(message, add_generation_prompt=True, tokenize=False)] * n
        images += [[picture(seed)]] * n
    prompts = processor(text=texts, images=images if with_images else None, padding=True, return_tensors="pt")
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(20, 200, (len(texts), COMPLETION), generator=generator)
    lengths = torch.randint(1, COMPLETION + 1, (len(texts), 1), generator=generator)
    kept = (torch.arange(COMPLETION) < lengths).long()
    types = prompts.get("mm_token_type_ids", torch.zeros_like(prompts["input_ids"]))
    return {
        "input_ids": torch.cat([prompts["input_ids"], tokens * kept], dim=1),
        "attention_mask": torch.cat([prompts["attention_mask"], kept], dim=1),
        "mm_token_type_ids": torch.cat([types, torch.zeros_like(tokens)], dim=1),
        "prompts": prompts,
        "kept": kept,
    }


def model_of(nano: Nano, *, checkpointing: bool = False) -> Any:
    model = load_model(nano.folder)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    model.train()
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model


def plain(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    labels[:, :-COMPLETION] = -100
    pixels = {k: batch["prompts"][k] for k in ("pixel_values", "image_grid_thw") if k in batch["prompts"]}
    fields = {k: batch[k] for k in ("input_ids", "attention_mask", "mm_token_type_ids")}
    output = model(**fields, **pixels, labels=labels, fused_lm_head=True)
    return output.log_probs[:, -COMPLETION:], output.entropy[:, -COMPLETION:]


def shared(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, grid = batch["prompts"].get("pixel_values"), batch["prompts"].get("image_grid_thw")
    samples = len(batch["input_ids"])
    images, grids = images_by_sample(pixels, grid, [1] * samples if grid is not None else None, samples)
    packed = pack(
        model,
        batch["input_ids"],
        batch["attention_mask"],
        COMPLETION,
        images,
        grids,
        batch["mm_token_type_ids"],
    )
    output = packed.score(model)
    return packed.unpack(output.log_probs, COMPLETION), packed.unpack(output.entropy, COMPLETION)


def gradients(model: Any, logps: torch.Tensor) -> dict[str, torch.Tensor]:
    weights = torch.randn(logps.shape, generator=torch.Generator().manual_seed(2))
    (logps * weights).sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
def test_the_figures_are_those_of_the_plain_batch(nano: Nano, batch: Batch, checkpointing: bool) -> None:
    one = model_of(nano, checkpointing=checkpointing)
    two = model_of(nano, checkpointing=checkpointing)
    install(two)
    expected, got = plain(one, batch), shared(two, batch)
    for e, g in zip(expected, got, strict=True):
        assert torch.allclose(e * batch["kept"], g, atol=1e-5, rtol=0)
        assert g.abs().sum() > 1  # and not both nothing
    wanted, found = gradients(one, expected[0] * batch["kept"]), gradients(two, got[0])
    assert wanted.keys() == found.keys()
    assert any("visual" in name for name in found) == ("pixel_values" in batch["prompts"])
    for name, gradient in wanted.items():
        assert (gradient - found[name]).norm() <= 1e-4 * gradient.norm() + 1e-7, name


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
def test_under_autocast_rounding_takes_them_no_farther_from_the_truth(
    nano: Nano, batch: Batch, checkpointing: bool
) -> None:
    def figures(rows: Callable[..., Any], precision: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        model = model_of(nano, checkpointing=checkpointing)
        if rows is shared:
            install(model)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            logps = rows(model, batch)[0] * batch["kept"]
        return logps.detach(), torch.cat([g.flatten() for g in gradients(model, logps).values()])

    truth = figures(plain, torch.float32)
    low = figures(plain, torch.bfloat16), figures(shared, torch.bfloat16)
    for right, rounded, ours in zip(truth, *low, strict=True):
        assert (rounded - right).norm() > 0
        assert (ours - right).norm() < 1.5 * (rounded - right).norm()


@pytest.mark.parametrize(("n", "prompt", "width"), [(1, 1, 1), (3, 7, 4), (5, 40, 17)])
def test_attention_by_parts_is_attention_under_a_mask(n: int, prompt: int, width: int) -> None:
    generator = torch.Generator().manual_seed(n)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, requires_grad=True)

    q, k, v = (random(n, 2, width, 8) for _ in range(3))
    k0, v0 = (random(1, 2, prompt, 8) for _ in range(2))
    module = SimpleNamespace(num_key_value_groups=1, is_causal=True)
    group = Group(0, prompt, n, width)
    masked = _masked(module, [q, k0, v0], [q, k, v], group, {"scaling": 0.3}).transpose(1, 2)
    parts = PrefixAttention.apply(q, k0, v0, k, v, 0.3)
    assert torch.allclose(masked, parts, atol=1e-6)
    weights = torch.randn(parts.shape, generator=generator)
    inputs = (q, k0, v0, k, v)
    expected, found = (torch.autograd.grad((o * weights).sum(), inputs) for o in (masked, parts))
    for e, f in zip(expected, found, strict=True):
        assert torch.allclose(e, f, atol=2e-5)


def test_without_a_layout_the_model_is_what_it_was(nano: Nano, batch: Batch) -> None:
    one, two = model_of(nano), model_of(nano)
    install(two)
    assert torch.equal(plain(one, batch)[0], plain(two, batch)[0])


def test_a_prompt_is_in_the_row_once(nano: Nano, batch: Batch) -> None:
    model = model_of(nano)
    samples = len(batch["input_ids"])
    images, grids = images_by_sample(
        batch["prompts"].get("pixel_values"), batch["prompts"].get("image_grid_thw"), [1] * samples, samples
    )
    packed = pack(model, batch["input_ids"], batch["attention_mask"], COMPLETION, images, grids)
    layout: Layout = packed.inputs["layout"]
    # of text, "press the third button" is one prompt; with its two images it is two
    assert [group.n for group in layout.groups] == ([3, 2, 1, 4] if "pixel_values" in batch["prompts"] else [3, 6, 1])
    length = packed.inputs["input_ids"].shape[1]
    assert layout.groups[-1].end == packed.inputs["position_ids"].shape[2] == length
    assert packed.labels.shape[1] == len(packed.scored) == int(batch["kept"].sum()) < length
    if "pixel_values" in batch["prompts"]:
        assert len(packed.inputs["image_grid_thw"]) == 4 < samples


def test_a_completion_without_a_token_is_nothing(nano: Nano, batch: Batch) -> None:
    model = model_of(nano)
    install(model)
    batch["attention_mask"][0, -COMPLETION:] = 0
    logps, _ = shared(model, batch)
    assert torch.equal(logps[0], torch.zeros(COMPLETION))
    assert torch.isfinite(logps).all()


@pytest.mark.parametrize(
    ("ids", "pixels", "groups"),
    [
        ([[1, 2], [1, 2], [1], [1, 2]], [0, 0, 0, 0], [[0, 1, 3], [2]]),
        ([[1], [1], [1]], [0, 1, 0], [[0, 2], [1]]),
        ([], [], []),
    ],
)
def test_groups_are_equal_ids_and_equal_pixels(
    ids: list[list[int]], pixels: Sequence[float], groups: list[list[int]]
) -> None:
    assert groups_of(ids, [[torch.full((2, 3), float(p))] for p in pixels]) == groups


def test_more_images_make_another_prompt() -> None:
    image = torch.zeros(2, 3)
    assert groups_of([[1], [1]], [[image], [image, image]]) == [[0], [1]]


def test_sampling_draws_what_it_drew(nano: Nano, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(nano.folder)
    options = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.0, "top_k": 0}
    torch.manual_seed(5)
    expected = model.generate(**batch["prompts"], **options)
    seen: list[int] = []
    encode = model.model.get_image_features
    monkeypatch.setattr(
        model.model,
        "get_image_features",
        lambda pixel_values, image_grid_thw, **kwargs: (
            seen.append(len(image_grid_thw)) or encode(pixel_values, image_grid_thw, **kwargs)
        ),
    )
    share_prefill(model)
    torch.manual_seed(5)
    assert torch.equal(model.generate(**batch["prompts"], **options), expected)
    assert seen == ([3] if "pixel_values" in batch["prompts"] else [])  # three different pictures


def test_a_model_that_cannot_says_why(nano: Nano) -> None:
    model = load_model(nano.folder)
    assert unavailable(model) is None
    model.config.text_config._attn_implementation = "eager"
    with pytest.raises(UsageError, match="its attention is eager; load it with attn_implementation='sdpa'"):
        install(model)
    model.config.text_config._attn_implementation = ATTENTION
    assert unavailable(model) is None
    model.config.model_type = "llama"
    assert unavailable(model) == "the model is a llama, not a qwen3_vl"
