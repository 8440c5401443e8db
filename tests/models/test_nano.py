"""The planner's folder: transformers, our processor and the trainer agree on it to the token and the pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nano_planner import FP32, PROMPT, Nano
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer

from tracer1.data.windows_file import read_rows, read_windows, row_messages
from tracer1.errors import DataError, SetupError
from tracer1.models.encoding import image_paths, open_image, suppressed_tokens
from tracer1.models.loading import load_model, load_processor
from tracer1.models.local import LocalPlanner
from tracer1.models.nano import build_model, save_planner
from tracer1.training.warmup import Collator
from tracer1.training.warmup_data import Example
from tracer1.types import HistoryStep, Message

GRID = 4 * 3  # image tokens of the toy page: 128 x 96 pixels in squares of 32


@pytest.fixture(scope="module")
def planner(nano: Nano) -> LocalPlanner:
    return LocalPlanner(nano.folder, max_new_tokens=12, settings=FP32)


@pytest.fixture(scope="module")
def prompts(nano: Nano) -> list[tuple[Message, ...]]:
    """Prompts of several lengths, each with its screenshot."""
    made = []
    for episode in nano.episodes[3:8]:
        for t, step in enumerate(episode.steps[:3]):
            past = [HistoryStep(s.abstraction, s.action.action_type, s.instruction) for s in episode.steps[:t]]
            path = str(nano.store.path(step.screenshot or ""))
            made.append(PROMPT.messages(episode.goal, past, number=t + 1, horizon=3, images=path))
    return made


def test_transformers_loads_the_folder_by_itself(nano: Nano) -> None:
    model = AutoModelForImageTextToText.from_pretrained(nano.folder)
    tokenizer = AutoTokenizer.from_pretrained(nano.folder)
    assert type(model).__name__ == "Qwen3VLForConditionalGeneration"
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), 32)
    assert tokenizer.get_vocab() == nano.tokenizer.get_vocab()
    assert tokenizer.chat_template == nano.tokenizer.chat_template
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert model.config.image_token_id == tokenizer.convert_tokens_to_ids("<|image_pad|>")


def test_the_processor_is_named_as_transformers_knows_it(nano: Nano) -> None:
    named = json.loads((nano.folder / "processor_config.json").read_text())
    assert named["processor_class"] == "Qwen3VLProcessor"
    assert named["image_processor"]["patch_size"] == 16


def test_the_same_seed_builds_the_same_model(nano: Nano) -> None:
    one, two, other = (build_model(nano.settings, nano.tokenizer, seed) for seed in (0, 0, 1))
    name = "model.language_model.layers.1.mlp.up_proj.weight"
    assert torch.equal(one.state_dict()[name], two.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])
    assert one.state_dict()[name].std().item() == pytest.approx(nano.settings.init_std, rel=0.1)


@pytest.mark.parametrize("size", [(128, 96), (160, 210), (64, 64), (500, 300)])
def test_an_image_has_a_token_for_every_four_patches(nano: Nano, tmp_path: Path, size: tuple[int, int]) -> None:
    processor = load_processor(nano.folder)
    image = Image.new("RGB", size, "teal")
    message = {"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "Task"}]}
    text = processor.apply_chat_template([message], tokenize=False)
    out = processor(text=[text], images=[[image]], return_tensors="pt")
    tokens = int((out["input_ids"] == processor.image_token_id).sum())
    assert tokens == int(out["image_grid_thw"].prod()) // 4
    assert tokens == round(size[0] / 32) * round(size[1] / 32)
    assert out["pixel_values"].shape == (tokens * 4, 3 * 16 * 16)


def test_the_trainers_pixels_and_ids_are_the_planners(
    nano: Nano, planner: LocalPlanner, prompts: list[tuple[Message, ...]]
) -> None:
    collate = Collator(planner.processor)
    batch = collate([Example(prompt, "") for prompt in prompts])
    inputs = planner.inputs(prompts)
    assert torch.equal(batch["image_grid_thw"], inputs["image_grid_thw"])
    assert (batch["pixel_values"] - inputs["pixel_values"]).abs().max() < 1e-6
    end = nano.tokenizer.eos_token_id
    for row in range(len(prompts)):
        trained = batch["input_ids"][row][batch["attention_mask"][row].bool()].tolist()
        seen = inputs["input_ids"][row][inputs["attention_mask"][row].bool()].tolist()
        assert trained == [*seen, end]
        assert seen.count(planner.processor.image_token_id) == GRID
    kinds = batch["mm_token_type_ids"]
    assert torch.equal(kinds.bool(), batch["input_ids"] == planner.processor.image_token_id)


def test_a_row_of_the_windows_file_is_the_planners_prompt(nano: Nano, planner: LocalPlanner) -> None:
    """Parquet and back, TRL's own layout of images and text: the same tokens as live."""
    from trl.data_utils import prepare_multimodal_messages

    for row, window in zip(list(read_rows(nano.windows))[:6], read_windows(nano.windows), strict=False):
        images = [str(nano.store.path(path)) for path in row["images"]]
        live = row_messages({**row, "images": images})
        assert [m["role"] for m in window.prompt] == [m["role"] for m in live]
        trained = prepare_multimodal_messages(row["prompt"], images=images)
        assert planner.inputs([trained])["input_ids"].tolist() == planner.inputs([live])["input_ids"].tolist()


def test_trl_gives_the_model_what_the_planner_gives_it(nano: Nano, planner: LocalPlanner, tmp_path: Path) -> None:
    from tracer1.config.settings import StageSettings
    from tracer1.rewards.trajectory import PROFILES
    from tracer1.training.scoring import TrajectoryScorer
    from tracer1.training.stages import training_rows
    from tracer1.training.trl.session import make_trainer

    rows = training_rows(str(nano.windows))
    settings = StageSettings(steps=1, prompts_per_batch=2, group_size=2, updates_per_batch=1, micro_batch=4, beta=0.0)
    scorer = TrajectoryScorer(PROFILES["paper"])
    model = load_model(nano.folder)
    trainer = make_trainer(model, planner.processor, rows, scorer, settings, tmp_path, "stage1", 0)
    samples = [rows[i] for i in (0, 5, 11)]
    messages = [row_messages(row) for row in samples]
    theirs, _, fields = trainer._tokenize_prompts(messages)
    ours = planner.inputs(messages)
    masks = ours["attention_mask"].bool()
    assert [list(ids) for ids in theirs] == [
        ids[mask].tolist() for ids, mask in zip(ours["input_ids"], masks, strict=True)
    ]
    pixels = torch.as_tensor(fields["pixel_values"]).reshape(ours["pixel_values"].shape)
    assert (pixels - ours["pixel_values"]).abs().max() < 1e-6


def test_a_batch_says_what_each_says_alone(planner: LocalPlanner, prompts: list[tuple[Message, ...]]) -> None:
    together = planner.complete(prompts)
    assert together == [planner.complete([prompt])[0] for prompt in prompts]
    assert len(set(together)) > 1
    planner.batch_size, before = 4, planner.batch_size
    assert planner.complete(prompts) == together
    planner.batch_size = before


def test_nothing_asked_nothing_said(planner: LocalPlanner) -> None:
    assert planner.complete([]) == []


def test_a_prompt_without_images(planner: LocalPlanner) -> None:
    said = planner.complete(
        [PROMPT.messages("Press Send.", [], number=1), [{"role": "user", "content": "Press Send."}]]
    )
    assert len(said) == 2


def test_special_tokens_are_never_written(
    nano: Nano, planner: LocalPlanner, prompts: list[tuple[Message, ...]]
) -> None:
    banned = set(suppressed_tokens(nano.tokenizer))
    assert nano.tokenizer.convert_tokens_to_ids("<|image_pad|>") in banned
    assert nano.tokenizer.eos_token_id not in banned
    inputs = planner.inputs(prompts)
    hot = {**planner.options, "do_sample": True, "temperature": 50.0, "top_k": 0, "max_new_tokens": 60}
    written = planner.model.generate(**inputs, **hot)[:, inputs["input_ids"].shape[1] :]
    padding = {nano.tokenizer.pad_token_id}
    assert not (banned - padding) & set(written.flatten().tolist())


def test_sampling_follows_the_seed(nano: Nano, prompts: list[tuple[Message, ...]]) -> None:
    def said(seed: int) -> list[str]:
        planner = LocalPlanner(nano.folder, max_new_tokens=8, temperature=1.0, seed=seed, settings=FP32)
        return planner.complete(prompts[:3])

    assert said(1) == said(1)
    assert said(1) != said(2)


def test_blank_images_change_what_is_seen(
    nano: Nano, planner: LocalPlanner, prompts: list[tuple[Message, ...]]
) -> None:
    blind = LocalPlanner(nano.folder, blank_images=True, settings=FP32)
    seen, unseen = planner.inputs(prompts[:2]), blind.inputs(prompts[:2])
    assert torch.equal(seen["input_ids"], unseen["input_ids"])
    assert unseen["pixel_values"].unique().tolist() == [1.0]
    with torch.no_grad():
        assert not torch.allclose(planner.model(**seen).logits, planner.model(**unseen).logits, atol=1e-4)


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "absent"])
def test_a_corrupt_image_is_named(planner: LocalPlanner, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "screen.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"screen\.png: not a readable image"):
        planner.complete([PROMPT.messages("Press Send.", [], number=1, images=str(path))])


def test_half_an_image_is_named(tmp_path: Path, png: Callable[..., bytes]) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(png((640, 480))[:-40])
    with pytest.raises(DataError, match=r"half\.png"):
        open_image(str(path))


def test_transparent_and_grey_images_are_read(tmp_path: Path) -> None:
    for mode in ("RGBA", "L", "P", "1"):
        Image.new(mode, (40, 40)).save(tmp_path / f"{mode}.png")
        assert open_image(str(tmp_path / f"{mode}.png")).mode == "RGB"


def test_images_of_a_prompt_come_in_order() -> None:
    parts = [{"type": "image", "image": "a"}, {"type": "text", "text": "b"}, {"type": "image", "image": "c"}]
    assert image_paths([{"role": "system", "content": "x"}, {"role": "user", "content": parts}]) == ["a", "c"]


def test_a_folder_without_a_model_is_named(tmp_path: Path, nano: Nano) -> None:
    with pytest.raises(SetupError, match=r"holds no config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SetupError, match="no planner can be loaded"):
        load_model(tmp_path)
    with pytest.raises(SetupError, match="no planner can be loaded"):
        load_processor(tmp_path)


def test_a_cut_off_checkpoint_is_named(tmp_path: Path, nano: Nano) -> None:
    for file in nano.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(SetupError, match="no planner can be loaded"):
        load_model(tmp_path)


def test_a_model_that_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SetupError, match="no planner can be loaded"):
        load_model("runs/nothing/checkpoints/stage2")


def test_images_are_scaled_between_the_given_pixels(nano: Nano, tmp_path: Path) -> None:
    Image.new("RGB", (320, 320)).save(tmp_path / "large.png")
    prompt = PROMPT.messages("Press Send.", [], number=1, images=str(tmp_path / "large.png"))

    def tokens(pixels: tuple[int, int] | None) -> int:
        grid = LocalPlanner(nano.folder, settings=FP32, pixels=pixels).inputs([prompt])["image_grid_thw"]
        return int(grid.prod()) // 4

    assert [tokens(None), tokens((1024, 65536)), tokens((409_600, 819_200))] == [100, 64, 400]


def test_a_models_own_processor_is_kept(nano: Nano, tmp_path: Path) -> None:
    processor = load_processor(nano.folder)
    processor.image_processor.merge_size = 1
    save_planner(load_model(nano.folder), nano.tokenizer, tmp_path, processor)
    assert load_processor(tmp_path).image_processor.merge_size == 1
    assert load_model(tmp_path).num_parameters() == load_model(nano.folder).num_parameters()
