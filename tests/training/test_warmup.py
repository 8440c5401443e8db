from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nano_planner import Nano

from tracer1.config.settings import NanoModelSettings, WarmupSettings
from tracer1.errors import DataError, UsageError
from tracer1.models.nano import build_model
from tracer1.models.qwen3vl import make_processor
from tracer1.training.warmup import (
    IGNORED,
    STATE,
    Collator,
    batches,
    completion_loss,
    learning_rate,
    run_warmup,
)
from tracer1.training.warmup_data import Example, Phrasing

SETTINGS = WarmupSettings(
    drill_steps=2,
    drill_batch=3,
    steps=4,
    batch=5,
    drill_share=0.4,
    lr=5e-3,
    lr_warmup_steps=2,
    horizon=3,
    history=2,
    bf16=False,
    save_every=3,
)


@pytest.fixture
def small(nano: Nano) -> NanoModelSettings:
    return nano.settings.model_copy(update={"init_std": 0.06})


def examples(nano: Nano, count: int, *, text_only: bool = False) -> list[Example]:
    rng = random.Random(0)
    return [nano.source.draw(rng, Phrasing(0.5, 0.5, 0.5, 3, 2), text_only=text_only) for _ in range(count)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


# ---- batches ---------------------------------------------------------------------------------------------------------


def test_only_the_completion_is_learnt(nano: Nano) -> None:
    batch = Collator(make_processor(nano.tokenizer))(examples(nano, 4))
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        learnt = labels != IGNORED
        text = nano.tokenizer.decode(ids[learnt])
        assert text.startswith("<think>")
        assert text.endswith("</answer><|im_end|>")
        assert torch.equal(ids[learnt], labels[learnt])
        assert not mask[learnt].eq(0).any()
        before = nano.tokenizer.decode(ids[: int(learnt.nonzero()[0])])
        assert before.endswith("<|im_start|>assistant\n")


def test_patches_come_out_of_the_cache_as_they_went_in(nano: Nano) -> None:
    processor = make_processor(nano.tokenizer)
    collate = Collator(processor)
    example = examples(nano, 1)
    first, again = collate(example), collate(example)  # the second comes from the cache
    assert torch.equal(first["pixel_values"], again["pixel_values"])


def test_text_only_examples_have_no_pixels(nano: Nano) -> None:
    batch = Collator(make_processor(nano.tokenizer))(examples(nano, 2, text_only=True))
    assert "pixel_values" not in batch
    assert batch["mm_token_type_ids"].sum() == 0


def test_a_corrupt_screenshot_is_named(nano: Nano, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    example = examples(nano, 1)[0]
    parts = [{"type": "image", "image": str(tmp_path / "bad.png")}, *example.messages[0]["content"][1:]]
    with pytest.raises(DataError, match=r"bad\.png"):
        Collator(make_processor(nano.tokenizer))([replace(example, messages=({"role": "user", "content": parts},))])


def test_padding_changes_no_loss(nano: Nano, small: NanoModelSettings) -> None:
    model = build_model(small, nano.tokenizer, 0).eval()
    collate = Collator(make_processor(nano.tokenizer))
    drawn = examples(nano, 3)
    with torch.no_grad():
        together = completion_loss(model, collate(drawn)).item()
        alone = [completion_loss(model, collate([example])).item() for example in drawn]
    weights = [int((collate([example])["labels"] != IGNORED).sum()) for example in drawn]
    assert together == pytest.approx(sum(a * w for a, w in zip(alone, weights, strict=True)) / sum(weights), rel=1e-4)


def test_a_step_is_the_drill_or_windows_with_a_share_of_it(nano: Nano) -> None:
    steps = list(batches(nano.source, SETTINGS, seed=0, first_step=0))
    assert [step for step, _ in steps] == list(range(6))
    assert [len(drawn) for _, drawn in steps] == [3, 3, 5, 5, 5, 5]
    images = [sum(part["type"] == "image" for e in drawn for part in e.messages[0]["content"]) for _, drawn in steps]
    assert images == [0, 0, 5, 5, 5, 5]


def test_examples_are_a_function_of_seed_and_step(nano: Nano) -> None:
    whole = dict(batches(nano.source, SETTINGS, seed=0, first_step=0))
    assert dict(batches(nano.source, SETTINGS, seed=0, first_step=4)) == {4: whole[4], 5: whole[5]}
    assert next(batches(nano.source, SETTINGS, seed=1, first_step=4))[1] != whole[4]
    assert whole[4] != whole[5]


def test_the_learning_rate_rises_and_falls_to_a_twentieth() -> None:
    settings = SETTINGS.model_copy(update={"steps": 998, "lr_warmup_steps": 10, "lr": 1.0})
    assert learning_rate(0, settings) == pytest.approx(0.1)
    assert learning_rate(9, settings) == pytest.approx(0.991)
    assert learning_rate(499, settings) == pytest.approx(0.501)
    assert learning_rate(999, settings) == pytest.approx(0.05)


# ---- training --------------------------------------------------------------------------------------------------------


def test_the_loss_falls(nano: Nano, small: NanoModelSettings, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"drill_steps": 0, "steps": 30, "batch": 6, "save_every": 100})
    told: list[dict[str, float]] = []
    model = build_model(small, nano.tokenizer, 0)
    run_warmup(model, nano.source, settings, make_processor(nano.tokenizer), tmp_path, 0, told.append)
    losses = [row["loss"] for row in told]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert [row["step"] for row in lines(tmp_path)] == list(range(1, 31))
    assert {row["stage"] for row in lines(tmp_path)} == {"warmup"}
    assert not model.training


class StopError(Exception):
    """What a test ends a run with."""


def warm_up(nano: Nano, small: NanoModelSettings, out: Path, stop_at: int | None = None) -> Any:
    model = build_model(small, nano.tokenizer, 0)

    def on_step(row: dict[str, float]) -> None:
        if row["step"] == stop_at:
            raise StopError

    run_warmup(model, nano.source, SETTINGS, make_processor(nano.tokenizer), out, 0, on_step)
    return model


def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(
    nano: Nano, small: NanoModelSettings, tmp_path: Path
) -> None:
    whole = warm_up(nano, small, tmp_path / "whole").state_dict()
    with pytest.raises(StopError):
        warm_up(nano, small, tmp_path / "cut", stop_at=5)  # after the state of step 4 was saved
    assert [row["step"] for row in lines(tmp_path / "cut")] == [1, 2, 3, 4]
    resumed = warm_up(nano, small, tmp_path / "cut").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [row["step"] for row in lines(tmp_path / "cut")] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in lines(tmp_path / "cut")] == [row["loss"] for row in lines(tmp_path / "whole")]


def test_a_finished_run_is_not_trained_on(nano: Nano, small: NanoModelSettings, tmp_path: Path) -> None:
    first = warm_up(nano, small, tmp_path).state_dict()
    again = warm_up(nano, small, tmp_path, stop_at=0).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_state_of_another_model_is_refused(nano: Nano, small: NanoModelSettings, tmp_path: Path) -> None:
    warm_up(nano, small, tmp_path)
    with pytest.raises(UsageError, match=rf"{STATE} is of another model"):
        warm_up(nano, small.model_copy(update={"layers": 1}), tmp_path)


def test_half_a_line_of_metrics_is_forgotten(nano: Nano, small: NanoModelSettings, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        warm_up(nano, small, tmp_path, stop_at=4)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "warmup", "step": 4, "lo')
    warm_up(nano, small, tmp_path)
    assert [row["step"] for row in lines(tmp_path)] == [1, 2, 3, 4, 5, 6]
