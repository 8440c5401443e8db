"""Any chat model is a planner: text-only or vision-language, drafted or not, with plain strings where those are due."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_models import TEMPLATE, THINKING_TEMPLATE, write_llama, write_qwen2, write_qwen2_5_vl
from nano_planner import FP32, PROMPT, Nano, text_windows
from transformers import PreTrainedTokenizerBase

from tracer1.data.windows_file import absolute_rows, row_messages
from tracer1.errors import SetupError, UsageError
from tracer1.models.drafting import decode, why_not
from tracer1.models.encoding import (
    chat_text,
    encode,
    reads_images,
    require_style,
    suppressed_tokens,
    text_messages,
    thinking_style,
)
from tracer1.models.loading import load_model, load_processor, tokenizer_of
from tracer1.models.local import LocalPlanner
from tracer1.training.probes import batch_of, pictures_of
from tracer1.types import Message

WRITERS = {"llama": write_llama, "qwen2": write_qwen2, "qwen2_5_vl": write_qwen2_5_vl}


@pytest.fixture(scope="module")
def folders(nano: Nano, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {"qwen3_vl": nano.folder, **{name: write(root / name, nano.tokenizer) for name, write in WRITERS.items()}}


@pytest.fixture(scope="module")
def text_prompts(nano: Nano) -> list[tuple[Message, ...]]:
    """Of several lengths, in parts and as plain strings."""
    prompts = [PROMPT.messages(e.goal, [], 1, observation=f"{e.goal} " * n) for n, e in enumerate(nano.episodes[:6])]
    return [*prompts, ({"role": "user", "content": "Press Send."},)]


def prompts_of(nano: Nano) -> list[list[Message]]:
    return [row_messages(row) for row in list(absolute_rows(str(nano.windows)))[:6]]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen2_5_vl", "qwen3_vl"])
def test_every_family_completes_text_alone_as_in_a_batch(
    folders: dict[str, Path], text_prompts: list[tuple[Message, ...]], family: str
) -> None:
    planner = LocalPlanner(folders[family], max_new_tokens=10, settings=FP32)
    together = planner.complete(text_prompts)
    assert together == [planner.complete([prompt])[0] for prompt in text_prompts]
    assert len(set(together)) > 1
    assert reads_images(planner.processor) == family.endswith("vl")


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen2_5_vl"])
def test_every_family_can_be_drafted(
    folders: dict[str, Path], text_prompts: list[tuple[Message, ...]], family: str
) -> None:
    planner = LocalPlanner(folders[family], max_new_tokens=16, settings=FP32)
    assert planner.can_draft
    plain = planner.complete(text_prompts)
    for drafts in (plain, [""] * len(plain), plain[1:] + plain[:1]):
        assert planner.complete_drafted(text_prompts, drafts) == plain
    inputs = planner.inputs(text_prompts)
    options: dict[str, Any] = {"max_new_tokens": 16, "processors": planner._processors()}
    first = decode(planner.model, inputs, [[]] * len(plain), **options)
    assert decode(planner.model, inputs, first.tokens, **options).passes == [1] * len(plain)


def test_qwen2_5_vl_sees_its_images(nano: Nano, folders: dict[str, Path]) -> None:
    planner = LocalPlanner(folders["qwen2_5_vl"], max_new_tokens=12, settings=FP32)
    prompts = prompts_of(nano)
    plain = planner.complete(prompts)
    assert planner.complete_drafted(prompts, plain) == plain
    blank = LocalPlanner(folders["qwen2_5_vl"], settings=FP32, blank_images=True)
    seen, unseen = planner.inputs(prompts[:2]), blank.inputs(prompts[:2])
    assert torch.equal(seen["input_ids"], unseen["input_ids"])
    with torch.no_grad():
        assert not torch.allclose(planner.model(**seen).logits, planner.model(**unseen).logits, atol=1e-4)
    name = json.loads((folders["qwen2_5_vl"] / "processor_config.json").read_text())["processor_class"]
    assert name == "Qwen2_5_VLProcessor"


def test_a_text_template_gets_plain_strings(folders: dict[str, Path], text_prompts: list[tuple[Message, ...]]) -> None:
    processor = load_processor(folders["llama"])
    assert isinstance(processor, PreTrainedTokenizerBase)
    text = chat_text(processor, text_prompts[1])
    assert text.startswith("<|im_start|>user\nTask: ")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert text_messages([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])[
        0
    ] == {"role": "user", "content": "ab"}


def test_a_text_model_refuses_images_in_one_line(nano: Nano, folders: dict[str, Path]) -> None:
    planner = LocalPlanner(folders["llama"], settings=FP32)
    with pytest.raises(UsageError, match=r"reads text only, but the prompt shows an image \(.*\.png\)"):
        planner.complete(prompts_of(nano)[:1])


@pytest.mark.parametrize("family", ["llama", "qwen2_5_vl"])
def test_the_probes_make_a_batch_for_every_family(nano: Nano, folders: dict[str, Path], family: str) -> None:
    processor, model = load_processor(folders[family]), load_model(folders[family])
    rows = list(absolute_rows(str(nano.windows)))[:3] if family.endswith("vl") else list(text_windows(nano))[:3]
    ids = tokenizer_of(processor)(["one", "two words", "three"], add_special_tokens=False)["input_ids"]
    batch = batch_of(processor, rows, pictures_of(rows), ids)
    shape = batch["input_ids"].shape
    assert batch["attention_mask"].shape == shape
    alone = encode(processor, [row_messages(rows[0])], pictures_of(rows[:1]))["input_ids"][0].tolist()
    kept = batch["input_ids"][0][batch["attention_mask"][0].bool()].tolist()
    assert kept == [*alone, *ids[0]]
    skipped = ("logits_to_keep", "num_images")
    with torch.no_grad():
        assert model(**{k: v for k, v in batch.items() if k not in skipped}).logits.shape[:2] == shape


def test_a_tokenizer_without_padding_pads_with_its_end(nano: Nano, tmp_path: Path) -> None:
    folder = write_llama(tmp_path, nano.tokenizer)
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings.pop("pad_token")
    file.write_text(json.dumps(settings))
    assert load_processor(folder).pad_token == "<|im_end|>"


def test_a_model_without_a_chat_template_is_named(nano: Nano, tmp_path: Path) -> None:
    folder = write_llama(tmp_path, nano.tokenizer)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(SetupError, match="has no chat template; use an instruction-tuned model"):
        load_processor(folder)


def test_the_tags_of_a_plan_may_be_written_even_as_special_tokens(nano: Nano, tmp_path: Path) -> None:
    tokenizer = load_processor(write_llama(tmp_path, nano.tokenizer))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>", "<tool>"]})
    banned = tokenizer.convert_ids_to_tokens(suppressed_tokens(tokenizer))
    assert "<tool>" in banned
    assert not {"<think>", "</think>", tokenizer.eos_token} & set(banned)


def test_drafting_is_for_layers_that_attend_to_everything(folders: dict[str, Path]) -> None:
    model = load_model(folders["llama"])
    assert why_not(model) is None
    model.config.layer_types = ["sliding_attention", "full_attention"]
    assert why_not(model) == "its layers are full_attention, sliding_attention"
    planner = LocalPlanner(folders["llama"], max_new_tokens=4, settings=FP32)
    planner.can_draft = False
    prompt: list[Message] = [{"role": "user", "content": "Press Send."}]
    assert planner.complete_drafted([prompt], ["x"]) == planner.complete([prompt])
    assert planner.spent.completions == 0


# ---- the style of thought --------------------------------------------------------------------------------------------


def test_the_style_of_thought_is_read_off_the_template(nano: Nano, tmp_path: Path) -> None:
    """Defect 20: a template that opens <think> itself needs the prompt whose example begins inside the thought."""
    ours = load_processor(write_llama(tmp_path / "ours", nano.tokenizer, TEMPLATE))
    template = load_processor(write_llama(tmp_path / "template", nano.tokenizer, THINKING_TEMPLATE))
    assert [thinking_style(p) for p in (ours, template, load_processor(nano.folder))] == ["ours", "template", "ours"]
    for version in ("full-1", "full-2", "brief-1"):
        require_style(version, ours, "m")
    for version in ("full-2-thinking", "brief-1"):
        require_style(version, template, "m")
    with pytest.raises(UsageError, match=r"of m opens <think> itself.*set plan\.prompt_version=full-2-thinking"):
        require_style("full-1", template, "m")
    with pytest.raises(UsageError, match=r"of m does not open <think>.*set plan\.prompt_version=full-2 "):
        require_style("full-2-thinking", ours, "m")
