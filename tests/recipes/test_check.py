from __future__ import annotations

import dataclasses
import io
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tracer1.config import Config, ModelSettings, load_config
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import write_windows
from tracer1.errors import FrameError
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.windows import episode_windows
from tracer1.recipes.check import CheckItem, Lengths, image_tokens, probe, run_check
from tracer1.types import Action, Episode, Window

TEMPLATE = (
    "{% for m in messages %}{% for p in m.content %}"
    "{% if p.type == 'image' %}<|image_pad|> {% else %}{{ p.text }} {% endif %}{% endfor %}{% endfor %}"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tokenizer folder whose tokens are the words between spaces."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"?": 0, "<|image_pad|>": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def windows(episode: Episode) -> list[Window]:
    return list(episode_windows(episode, PROMPTS["brief-1"]))


@pytest.fixture
def checked(tmp_path: Path, store: EpisodeStore, windows: list[Window]) -> Callable[..., dict[str, CheckItem]]:
    """Write a configuration (and the given windows, if any) and check it; the items by name."""

    def check(*overrides: str, rows: list[Window] | None = None) -> dict[str, CheckItem]:
        train = tmp_path / "train.parquet"
        write_windows(train, windows if rows is None else rows, store.directory)
        path = tmp_path / "config.yaml"
        stage = "{prompts_per_batch: 2, updates_per_batch: 1, micro_batch: 1}"
        lines = [
            f"output_dir: {tmp_path}/run",
            f"data: {{train: {train}}}",
            f"model: {{path: {tmp_path}/model, min_pixels: 1024}}",
            "tool_agent: {name: dom}",
            f"stage1: {stage}",
            f"stage2: {stage}",
        ]
        path.write_text("\n".join(lines))
        return {item.name: item for item in run_check(load_config(path, overrides))}

    return check


def test_a_sound_configuration_passes_every_check(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    items = checked()
    assert [item for item in items.values() if not item.ok] == []
    assert items["train data"].detail.endswith("train.parquet: 2 rows")
    assert items["train images"].detail == "1 files"
    assert items["train gold plans"].detail == "2 recorded plans score 1.0"
    assert items["stage1 batches"].detail.startswith("143 steps of 2 prompts x 5 rollouts = 10 completions")
    assert "143.00 times through 2 rows" in items["stage2 batches"].detail
    assert items["tool agent"].detail == "dom"


def test_tokens_are_those_of_the_template_and_of_the_image(
    model: Path, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    words = [len(w.prompt[0]["content"][1]["text"].split()) for w in windows]
    tokens = [count + 5 * 7 for count in words]  # 160x210 is resized to 160x224: 5 x 7 tokens of 32 pixels
    longest = max(tokens)
    items = checked(f"stage1.max_prompt_tokens={longest}", "stage2.max_prompt_tokens=9999")
    assert items["train prompt tokens"].detail == (
        f"{sum(tokens) / 2:.0f} on average, {longest} at most, {longest} allowed"
    )
    over = checked(f"stage1.max_prompt_tokens={longest - 1}")["train prompt tokens"]
    assert not over.ok
    assert over.detail.endswith(f"; too long: row {tokens.index(longest)}")
    assert not checked("stage1.max_completion_tokens=3")["train plan tokens"].ok


def test_without_a_model_the_rest_is_still_checked(checked: Callable[..., dict[str, CheckItem]]) -> None:
    items = checked()
    assert not items["model"].ok
    assert items["model"].detail.endswith("model: no such folder, and not in the Hugging Face cache")
    assert "hf download" in items["model"].remedy
    assert not items["train prompt tokens"].ok
    assert items["train gold plans"].ok


def test_a_folder_without_a_model(tmp_path: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    (tmp_path / "model").mkdir()
    item = checked()["model"]
    assert not item.ok
    assert "model: not a model folder: " in item.detail


def test_missing_data_are_named_or_will_be_recorded(
    tmp_path: Path, model: Path, checked: Callable[..., dict[str, CheckItem]]
) -> None:
    absent = f"data.train={tmp_path}/absent.parquet"
    item = checked(absent)["train data"]
    assert not item.ok
    assert "no such file" in item.detail
    item = checked(absent, "data.record={tasks: [login-user, enter-text], episodes_per_task: 3}")["train data"]
    assert item.ok
    assert "2 tasks x 3 episodes will be recorded first" in item.detail
    later = checked(f"data.heldout={tmp_path}/no.parquet", "data.record={tasks: [a], heldout_per_task: 9}")
    assert "1 tasks x 9 episodes will be recorded first" in later["heldout data"].detail


def test_missing_and_corrupt_images_are_named_by_row(
    model: Path, store: EpisodeStore, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    (store.directory / windows[0].images[0]).write_bytes(b"no picture")
    item = checked()["train images"]
    assert not item.ok
    assert item.detail.startswith("1 files; unreadable: row 0: ")
    assert "tracer1 data inspect" in item.remedy


def test_gold_plans_below_one_are_named(
    model: Path, episode: Episode, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    nothing = dataclasses.replace(windows[0], reference=dataclasses.replace(windows[0].reference, steps=()))
    item = checked(rows=[windows[1], nothing])["train gold plans"]
    assert not item.ok
    assert item.detail == "1 of 2 recorded plans score less than 1.0: row 1 scores 0.000"

    scroll = dataclasses.replace(episode.steps[0], action=Action("scroll", direction="down"))
    thrice = dataclasses.replace(episode, steps=(scroll, scroll, scroll, episode.steps[1]))
    repeating = list(episode_windows(thrice, PROMPTS["brief-1"]))
    item = checked(rows=repeating)["train gold plans"]
    assert item.ok
    assert item.detail == "3 recorded plans score 1.0; 1 repeat an action thrice and earn less by the rule"
    assert (
        checked("reward.repetition=excess", rows=repeating)["train gold plans"].detail == "4 recorded plans score 1.0"
    )


def test_a_batch_larger_than_the_data(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    items = checked("stage1.prompts_per_batch=3", "stage2.steps=0")
    assert not items["stage1 batches"].ok
    assert items["stage1 batches"].remedy == "lower stage1.prompts_per_batch to at most 2, or record more"
    assert "stage2 batches" not in items


def test_an_unknown_tool_agent(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    item = checked("tool_agent.name=nobody")["tool agent"]
    assert not item.ok
    assert "nobody" in item.detail


def test_a_full_disk(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    with (model / "model.safetensors").open("wb") as file:
        file.truncate(1 << 43)  # sparse: eight terabytes of holes
    item = checked()["disk"]
    assert not item.ok
    assert "GiB needed" in item.detail


@pytest.mark.parametrize(
    ("size", "tokens"), [((160, 210), 35), ((1024, 1024), 1024), ((4000, 4000), 4096), ((8, 8), 1)]
)
def test_image_tokens_follow_the_resize(size: tuple[int, int], tokens: int) -> None:
    assert image_tokens(size, ModelSettings(min_pixels=1024, max_pixels=4_194_304)) == tokens


def test_an_image_too_narrow() -> None:
    with pytest.raises(FrameError):
        image_tokens((1, 1000), ModelSettings())


def test_only_the_first_rows_are_named() -> None:
    lengths = Lengths(10)
    for row in range(9):
        lengths.add(row, 11)
    detail = lengths.item("x", "y").detail
    assert detail == "11 on average, 11 at most, 10 allowed; too long: row 0, row 1, row 2, row 3, row 4 and 4 more"


class Reply(io.BytesIO):
    status = 200


@pytest.mark.parametrize(
    ("answer", "ok", "told"),
    [
        (Reply(), True, "http://host/v1/models answers 200"),
        (urllib.error.HTTPError("u", 401, "Unauthorized", Message(), None), False, "answers 401 Unauthorized"),
        (urllib.error.URLError("refused"), False, "http://host/v1/models does not answer: refused"),
        (TimeoutError("timed out"), False, "does not answer: timed out"),
    ],
)
def test_an_endpoint_is_asked(answer: Any, ok: bool, told: str) -> None:
    def opener(request: Any, timeout: float) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    item = probe("endpoint", "http://host/v1/", opener)
    assert item.ok is ok
    assert told in item.detail


def test_no_server_at_all() -> None:
    item = probe("endpoint", "http://127.0.0.1:1/v1")
    assert not item.ok
    assert "does not answer" in item.detail


def test_the_config_type_is_enough() -> None:
    items = run_check(Config(output_dir="runs/none"))
    assert items[0].ok
    assert any(not item.ok for item in items)
