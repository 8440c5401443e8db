"""The supervised warm-up that makes the *base*, which stands in for the pretrained model that the paper starts from.

It has two phases. First a text-only *drill* of single steps that copy from the goal: a network learns to copy only
after a thousand or more optimiser steps, and these are the cheapest. Then windows with screenshots. The examples of a
step are a pure function of (seed, step), so a stopped run resumes exactly.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tracer1.config.settings import WarmupSettings
from tracer1.errors import UsageError
from tracer1.models.encoding import open_image
from tracer1.training.checkpoints import disk_errors
from tracer1.training.records import drop_steps_after
from tracer1.training.warmup_data import Example, Phrasing, WarmupSource

IGNORED = -100
STATE = "warmup_state.pt"


class Collator:
    """Examples to padded tensors.

    The patches of each image are cached as bytes, which is what their values are before normalisation.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self._patches: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """``input_ids``, ``labels``, ``attention_mask``, ``mm_token_type_ids`` (B, L), ``pixel_values`` (patches, dim).

        Raises DataError for an image that cannot be read.
        """
        ids_B, labels_B, images = [], [], []  # noqa: N806
        for example in examples:
            paths = [p["image"] for m in example.messages for p in m["content"] if p["type"] == "image"]
            patches = [self._image(path) for path in paths]
            images += patches
            text = self.processor.apply_chat_template(
                list(example.messages), add_generation_prompt=True, tokenize=False
            )
            for _, grid in patches:
                tokens = int(grid.prod()) // self.processor.image_processor.merge_size**2
                text = text.replace("<|image_pad|>", "<|placeholder|>" * tokens, 1)
            prompt = self.tokenizer(text.replace("<|placeholder|>", "<|image_pad|>"), add_special_tokens=False)[
                "input_ids"
            ]
            completion = self.tokenizer(example.completion + "<|im_end|>", add_special_tokens=False)["input_ids"]
            ids_B.append(prompt + completion)
            labels_B.append([IGNORED] * len(prompt) + completion)
        longest = max(map(len, ids_B))
        pad = self.tokenizer.pad_token_id
        input_ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids in ids_B])
        batch = {
            "input_ids": input_ids,
            "labels": torch.tensor([row + [IGNORED] * (longest - len(row)) for row in labels_B]),
            "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in ids_B]),
            "mm_token_type_ids": (input_ids == self.processor.image_token_id).long(),
        }
        if images:
            batch["pixel_values"] = torch.cat([p for p, _ in images]).float() / 127.5 - 1
            batch["image_grid_thw"] = torch.cat([g for _, g in images])
        return batch

    def _image(self, path: str) -> tuple[Tensor, Tensor]:
        if path not in self._patches:
            out = self.processor.image_processor(images=[open_image(path)], return_tensors="pt")
            self._patches[path] = ((out["pixel_values"] + 1).mul(127.5).round().to(torch.uint8), out["image_grid_thw"])
        return self._patches[path]


def completion_loss(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy over completion tokens; the head runs on their positions alone."""
    labels = batch["labels"]
    hidden = model.model(**{k: v for k, v in batch.items() if k != "labels"}).last_hidden_state
    target = labels[:, 1:]
    mask = target != IGNORED
    logits = model.lm_head(hidden[:, :-1][mask])
    return cross_entropy(logits.float(), target[mask])


def batches(
    source: WarmupSource, settings: WarmupSettings, seed: int, first_step: int
) -> Iterator[tuple[int, list[Example]]]:
    """(step, examples) from ``first_step`` on, which counts from 0: the drill, then windows and a share of drill."""
    far = Phrasing(settings.augment, settings.vague, settings.continuation, settings.horizon, settings.history)
    near = Phrasing(1.0, settings.vague, 0.0, 1, min(1, settings.history))
    for step in range(first_step, settings.drill_steps + settings.steps):
        rng = random.Random(f"{seed}/{step}")
        if step < settings.drill_steps:
            yield step, [source.draw(rng, near, copying=True, text_only=True) for _ in range(settings.drill_batch)]
        else:
            drill = round(settings.batch * settings.drill_share)
            yield (
                step,
                [source.draw(rng, near, copying=True) for _ in range(drill)]
                + [source.draw(rng, far) for _ in range(settings.batch - drill)],
            )


def learning_rate(step: int, settings: WarmupSettings) -> float:
    """Linear warm-up, then linear decay to a twentieth over both phases."""
    total = settings.drill_steps + settings.steps
    rise = min(1.0, (step + 1) / settings.lr_warmup_steps)
    return settings.lr * rise * max(0.05, 1 - step / total)


def run_warmup(
    model: Any,
    source: WarmupSource,
    settings: WarmupSettings,
    processor: Any,
    out: Path,
    seed: int,
    on_step: Callable[[dict[str, float]], None] = lambda _: None,
) -> None:
    """Train ``model`` in place; ``out/warmup_state.pt``, from which it resumes, is written every ``save_every`` steps.

    Raises UsageError when that file is of another model.
    """
    decay = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=settings.lr,
        betas=(0.9, 0.98),
    )
    state_file = out / STATE
    first_step = 0
    if state_file.exists():
        state = torch.load(state_file, map_location="cpu", weights_only=True)
        try:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"{state_file} is of another model or other data; remove it to start again") from error
        first_step = state["step"]
    drop_steps_after(out / "metrics.jsonl", "warmup", first_step)
    collate, device = Collator(processor), model.device
    model.train()
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with (out / "metrics.jsonl").open("a", encoding="utf-8") as metrics:
        for step, examples in batches(source, settings, seed, first_step):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, settings)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
                loss = completion_loss(model, {k: v.to(device) for k, v in collate(examples).items()})
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            row = {
                "step": step + 1,
                "loss": loss.item(),
                "grad_norm": norm.item(),
                "seconds": time.monotonic() - started,
            }
            on_step(row)
            metrics.write(json.dumps({"stage": "warmup", **row, "seconds": {"step": row["seconds"]}}) + "\n")
            metrics.flush()
            if (step + 1) % settings.save_every == 0:
                _save(state_file, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1})
    model.eval()


def _save(path: Path, state: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    with disk_errors(path):
        torch.save(state, temporary)
        os.replace(temporary, path)
