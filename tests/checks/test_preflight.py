from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from nano_planner import STAGE, Nano

from tracer1.checks.findings import CheckItem, some
from tracer1.checks.model import tokenizer_class
from tracer1.checks.preflight import Options, run_check
from tracer1.checks.tokens import SCREENS
from tracer1.checks.tokens import Tokenizer as RowTokenizer
from tracer1.config.loading import load_config
from tracer1.config.settings import Config
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import write_windows
from tracer1.plan.prompt import PROMPTS
from tracer1.plan.tokens import PromptSize, Vision
from tracer1.plan.windows import episode_windows
from tracer1.types import Action, Episode, Point, Window

CONFIGS = Path(__file__).parents[2] / "configs"
NANO = CONFIGS.parent / "models" / "nano-base"
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

    def check(
        *overrides: str, rows: list[Window] | None = None, trial: bool = False, allow_code: bool = False
    ) -> dict[str, CheckItem]:
        train = tmp_path / "train.parquet"
        write_windows(train, windows if rows is None else rows, store.directory)
        path = tmp_path / "config.yaml"
        stage = "{prompts_per_batch: 2, updates_per_batch: 1, micro_batch: 1}"
        lines = [
            f"output_dir: {tmp_path}/run",
            f"data: {{train: {train}}}",
            f"model: {{path: {tmp_path}/model, min_pixels: 1024}}",
            "executor: {name: dom}",
            f"stage1: {stage}",
            f"stage2: {stage}",
        ]
        path.write_text("\n".join(lines))
        return {item.name: item for item in run_check(load_config(path, overrides), Options(trial, allow_code))}

    return check


def test_a_sound_configuration_passes_every_check(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    items = checked()
    assert [item for item in items.values() if not item.ok] == []
    assert items["train data"].detail.endswith("train.parquet: 2 rows")
    assert items["train images"].detail == "1 files"
    assert items["train gold plans, stage 1"].detail == "2 recorded plans score 1.0"
    assert items["train gold plans, stage 2"].detail == "2 recorded plans score 1.0"
    constant = items["train constant plan"].detail
    assert re.fullmatch(r"best constant plan earns [01]\.\d{3} in stage 1: \w+(, \w+)*", constant)
    assert items["train executor"].detail == "2 of 2 recorded first steps hit their recorded target"
    assert items["stage1 batches"].detail.startswith("143 steps of 2 prompts x 5 rollouts = 10 completions")
    assert "143.00 times through 2 rows" in items["stage2 batches"].detail
    assert items["executor"].detail == "dom"


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
    assert over.detail.endswith(f"; too long: 1 of 2 rows: login-user/7 step {tokens.index(longest)}")
    assert not checked("stage1.max_completion_tokens=3")["train plan tokens"].ok


def test_what_would_make_the_rows_fit(
    model: Path, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    longest = max(len(w.prompt[0]["content"][1]["text"].split()) for w in windows) + 5 * 7
    over = checked(f"stage1.max_prompt_tokens={longest - 8}")["train prompt tokens"]
    # One column of 7 less: at most 4 tokens of 32 pixels wide, so less than 5 * 32 * 210 pixels.
    assert over.remedy.startswith("set model.max_pixels to 33599 (every row fits), ")
    assert f"raise max_prompt_tokens to {longest}" in over.remedy
    assert checked(f"stage1.max_prompt_tokens={longest - 8}", "model.max_pixels=33599")["train prompt tokens"].ok
    assert not checked(f"stage1.max_prompt_tokens={longest - 8}", "model.max_pixels=33600")["train prompt tokens"].ok
    item = checked(f"stage1.max_prompt_tokens={longest - 8}", "model.min_pixels=40000")["train prompt tokens"]
    assert item.remedy.startswith("set model.max_pixels to 33599 (every row fits), with model.min_pixels no larger, ")
    item = checked("stage1.max_prompt_tokens=1")["train prompt tokens"]
    assert item.remedy.startswith("no model.max_pixels is small enough, as the text alone is too long, raise ")


def test_one_row_in_a_thousand_may_be_spared(
    model: Path, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    case = windows[0].prompt[0]["content"][1]["text"]
    parts = [windows[0].prompt[0]["content"][0], {"type": "text", "text": f"{case} {'word ' * 20}"}]
    long = dataclasses.replace(windows[0], prompt=({"role": "user", "content": parts},), episode_id="long", step=3)
    limit = len(case.split()) + 20 + 35 - 8
    item = checked(f"stage1.max_prompt_tokens={limit}", rows=[windows[0]] * 999 + [long])["train prompt tokens"]
    assert not item.ok
    assert item.tokens is not None
    assert item.tokens.over == ("long step 3",)
    assert sum(bin.count for bin in item.tokens.histogram) == item.tokens.rows == 1000
    assert item.remedy.startswith(
        "set model.max_pixels to 33599 (every row fits) or 4194304 (99.9 % of the rows fit), "
    )


def test_a_tokenizer_that_looks_beyond_its_special_tokens_is_counted_in_whole() -> None:
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"?": 0, " a": 1, "a": 2}, unk_token="?"))
    words.add_special_tokens([AddedToken("<s>", rstrip=True, special=True)])  # takes the spaces that follow it
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, chat_template="{{ messages[0].content[0].text }}")
    assert RowTokenizer(tokenizer).texts(["<s>  ", "<s>"]) == [1, 1]
    chats = [[{"role": "user", "content": [{"type": "text", "text": text}]}] for text in ("<s>  ", "<s>  ")]
    assert RowTokenizer(tokenizer).prompts(chats) == [1, 1]


def test_padding_and_truncation_that_were_saved_with_a_tokenizer_count_for_nothing() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.enable_truncation(3)
    words.enable_padding(length=9)
    assert RowTokenizer(PreTrainedTokenizerFast(tokenizer_object=words)).texts(["a b c d e", "a"]) == [5, 1]


@pytest.mark.parametrize("family", ["qwen3_vl", "llava"])
@pytest.mark.parametrize("name", ["TokenizersBackend", "PreTrainedTokenizerFast", "Qwen2Tokenizer", "LlamaTokenizer"])
def test_a_tokenizer_is_read_as_autotokenizer_reads_it(tmp_path: Path, family: str, name: str) -> None:
    import transformers

    for file in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        shutil.copy(NANO / file, tmp_path)
    for file, key, value in (("config.json", "model_type", family), ("tokenizer_config.json", "tokenizer_class", name)):
        told = json.loads((tmp_path / file).read_text())
        (tmp_path / file).write_text(json.dumps({**told, key: value}))
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = getattr(transformers, tokenizer_class(tmp_path)).from_pretrained(tmp_path)
    assert type(ours) is type(auto)
    assert ours.backend_tokenizer.to_str() == auto.backend_tokenizer.to_str()


def test_a_folder_that_cannot_be_read_is_left_to_autotokenizer(tmp_path: Path) -> None:
    assert tokenizer_class(tmp_path) == "AutoTokenizer"
    for text in ("{", "[]", "{}"):
        (tmp_path / "config.json").write_text(text)
        assert tokenizer_class(tmp_path) == "AutoTokenizer"


def test_torch_is_not_imported(tmp_path: Path, store: EpisodeStore, windows: list[Window]) -> None:
    train = tmp_path / "train.parquet"
    write_windows(train, windows, store.directory)
    code = (
        "import sys\n"
        "from tracer1.config.loading import load_config\n"
        "from tracer1.checks.preflight import run_check\n"
        f"overrides = ['data.train={train}', 'data.heldout={train}']\n"
        "items = {item.name: item for item in run_check(load_config('configs/nano.yaml', overrides))}\n"
        "print(items['model'].ok, items['train prompt tokens'].tokens.exact, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CONFIGS.parent, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "True", "False"]  # its import alone takes seconds


def test_counts_are_those_of_the_real_processor(nano: Nano) -> None:
    from PIL import Image

    from tracer1.data.windows_file import read_windows, windows_stores
    from tracer1.models.loading import load_processor

    windows, store = list(read_windows(nano.windows))[:40], windows_stores(nano.windows)[0]
    processor = load_processor(nano.folder, (20_000, 50_000))
    texts = [processor.apply_chat_template(list(w.prompt), add_generation_prompt=True, tokenize=False) for w in windows]
    images = [[Image.open(store.path(path)) for path in w.images] for w in windows]
    real = [len(ids) for ids in processor(text=texts, images=images)["input_ids"]]
    counted = RowTokenizer(processor.tokenizer).prompts([w.prompt for w in windows])
    sizes = [tuple(image.size for image in row) for row in images]
    vision = Vision(20_000, 50_000)
    assert [PromptSize(*parts).tokens(vision) for parts in zip(counted, sizes, strict=True)] == real


def test_without_a_model_the_rest_is_still_checked(checked: Callable[..., dict[str, CheckItem]]) -> None:
    items = checked()
    assert not items["model"].ok
    assert "model: no such folder, and not in the Hugging Face cache" in items["model"].detail
    assert "hf download" in items["model"].remedy
    assert items["train prompt tokens"].ok
    assert items["train prompt tokens"].detail.startswith("about ")
    assert items["train prompt tokens"].detail.endswith("(text estimated at 3 characters a token)")
    assert items["train gold plans, stage 1"].ok


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
    episodes = f"data.episodes={tmp_path}/data"
    coming = checked(absent, episodes, "data.record={tasks: [login-user, enter-text], episodes_per_task: 3}")
    assert coming["train data"].ok
    assert "2 tasks x 3 episodes will be recorded first" in coming["train data"].detail
    assert "browser" in coming
    later = checked(f"data.heldout={tmp_path}/no.parquet", episodes, "data.record={tasks: [a], heldout_per_task: 9}")
    assert "1 tasks x 9 episodes will be recorded first" in later["heldout data"].detail
    (tmp_path / "data/train").mkdir(parents=True)
    (tmp_path / "data/train/episodes.jsonl").touch()
    cut = checked(absent, episodes, "data.record={tasks: [login-user]}")
    assert "it will be cut from the episodes in " in cut["train data"].detail
    assert "browser" not in cut


def test_data_that_are_there_need_no_browser(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    """`train` records only what is missing, and evaluates nothing."""
    items = checked("data.record={tasks: [login-user]}", "data.episodes=none", "evaluation.tasks=[login-user]")
    assert "browser" not in items


def test_rows_that_are_not_there_are_made_up(
    tmp_path: Path, model: Path, checked: Callable[..., dict[str, CheckItem]]
) -> None:
    absent = f"data.train={tmp_path}/absent.parquet"
    item = checked(absent, "plan.history=3")["made-up prompts"]
    assert item.ok
    assert "with 3 past steps" in item.detail
    for (width, height), tokens in zip(SCREENS, (2040, 4080, 2550), strict=True):
        assert f"{tokens} of a {width}x{height} screen" in item.detail
    item = checked(absent, "stage1.max_prompt_tokens=3000")["made-up prompts"]
    assert (item.ok, item.optional) == (False, True)
    assert item.detail.endswith(" at most, 3000 allowed")
    assert "(every row fits)" in item.remedy
    recorded = checked(absent, "data.episodes=none", "data.record={tasks: [login-user], scale: 2}")["made-up prompts"]
    assert "of a 320x420 screen" in recorded.detail
    assert "made-up prompts" not in checked()


def test_the_papers_configuration_is_checked_without_its_model(capsys: pytest.CaptureFixture[str]) -> None:
    items = {item.name: item for item in run_check(load_config(CONFIGS / "tracer1-8b.yaml"))}
    wrong = {name for name, item in items.items() if not (item.ok or item.optional)}
    assert wrong == {"model", "train data", "heldout data", "stage1 engine", "stage2 engine"}
    assert "about (at 3 characters a token) " in items["made-up prompts"].detail
    assert "2040 of a 1920x1080 screen" in items["made-up prompts"].detail
    assert "143 steps of 512 prompts x 5 rollouts" in items["stage1 batches"].detail
    assert capsys.readouterr().out == ""


def test_missing_and_corrupt_images_are_named_by_row(
    model: Path, store: EpisodeStore, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    (store.directory / windows[0].images[0]).write_bytes(b"no picture")
    item = checked()["train images"]
    assert not item.ok
    assert item.detail.startswith("1 files; unreadable: login-user/7 step 0: ")
    assert "tracer1 data inspect" in item.remedy


def test_gold_plans_below_one_are_named(
    model: Path, episode: Episode, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    nothing = dataclasses.replace(windows[0], reference=dataclasses.replace(windows[0].reference, steps=()))
    items = checked(rows=[windows[1], nothing])
    item = items["train gold plans, stage 1"]
    assert not item.ok
    assert item.detail == "1 of 2 recorded plans score less than they should: login-user/7 step 0 scores 0.000"
    item = items["train gold plans, stage 2"]
    assert (item.ok, item.optional) == (False, True)  # one of two can be scored
    assert item.detail.startswith("1 recorded plans score 1.0; 1 cannot be scored: login-user/7 step 0: the reference")
    item = checked(rows=[nothing])["train gold plans, stage 2"]
    assert (item.ok, item.optional) == (False, False)

    scroll = dataclasses.replace(episode.steps[0], action=Action("scroll", direction="down"))
    thrice = dataclasses.replace(episode, steps=(scroll, scroll, scroll, episode.steps[1]))
    repeating = list(episode_windows(thrice, PROMPTS["brief-1"]))
    item = checked(rows=repeating)["train gold plans, stage 1"]
    assert item.ok
    assert item.detail == "4 recorded plans score 1.0; 1 of them less, by the rules of the profile"
    item = checked("reward.repetition=excess", rows=repeating)["train gold plans, stage 1"]
    assert item.detail == "4 recorded plans score 1.0"


def test_stage_2_needs_a_recorded_point_within_its_box(
    model: Path, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    beside = dataclasses.replace(windows[1].reference, box=(0.8, 0.8, 0.9, 0.9))
    rows = [windows[0], dataclasses.replace(windows[1], reference=beside)]
    item = checked(rows=rows)["train gold plans, stage 2"]
    assert not item.ok
    assert item.detail == "1 of 2 recorded plans score less than they should: login-user/7 step 1 scores 0.100"
    assert "train gold plans, stage 2" not in checked("stage2.steps=0", rows=rows)


def test_invalid_actions_are_named(
    model: Path, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    """Both were accepted: a point in pixels, and an action that no platform has."""

    def with_action(action: Action) -> Window:
        step = dataclasses.replace(windows[1].reference.steps[0], action_type=action.action_type)
        reference = dataclasses.replace(windows[1].reference, steps=(step,), action=action, box=None)
        return dataclasses.replace(windows[1], reference=reference)

    rows = [windows[0], with_action(Action("click", Point(400, 300))), with_action(Action("swipe"))]
    item = checked(rows=rows)["train data"]
    assert not item.ok
    assert "3 rows; 2 invalid: row 1: reference[0].action: action 'click': 'point' is off the screen" in item.detail
    assert "row 2: reference[0].action: action 'swipe' is unknown on web: use one of click" in item.detail
    assert "tracer1 data inspect" in item.remedy


def test_a_tool_agent_that_misses_is_told(
    model: Path, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    step = dataclasses.replace(windows[1].reference.steps[0], instruction="click the 'Nowhere' button")
    lost = dataclasses.replace(windows[1], reference=dataclasses.replace(windows[1].reference, steps=(step,)))
    item = checked(rows=[windows[0], lost])["train executor"]
    assert (item.ok, item.optional) == (False, True)
    assert item.detail == (
        "1 of 2 recorded first steps hit their recorded target; not login-user/7 step 1: click the 'Nowhere' button"
    )
    assert not checked(rows=[lost])["train executor"].optional


def test_a_batch_larger_than_the_data(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    items = checked("stage1.prompts_per_batch=3", "stage2.steps=0")
    assert not items["stage1 batches"].ok
    assert items["stage1 batches"].remedy == "lower stage1.prompts_per_batch to at most 2, or record more"
    assert "stage2 batches" not in items


OWN = """
import pathlib
from tracer1.errors import InstructionError
ran = pathlib.Path(__file__).with_suffix(".ran")
ran.touch()

class Executor:
    name = "mine"
    async def act(self, step, observation):
        raise InstructionError("not today")
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An executor's module in the working directory, which leaves a file when it is imported."""
    name = f"own_executor_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def test_code_of_a_configuration_is_imported_only_when_allowed(
    model: Path, own_module: str, tmp_path: Path, checked: Callable[..., dict[str, CheckItem]]
) -> None:
    items = checked(f"executor.name={own_module}:Executor", trial=True)
    assert (items["executor"].ok, items["executor"].optional) == (False, True)
    assert "not imported" in items["executor"].detail
    assert "--allow-code" in items["executor"].remedy
    assert "train executor" not in items
    assert items["trial"].detail == "not run: training would import the configuration's code"
    assert not (tmp_path / f"{own_module}.ran").exists()
    allowed = checked(f"executor.name={own_module}:Executor", "stage2.steps=1", "stage1.steps=0", allow_code=True)
    assert allowed["executor"].detail == "mine"
    assert (tmp_path / f"{own_module}.ran").exists()


def test_a_function_of_python_is_refused_in_any_case(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    for allow_code in (False, True):
        item = checked("executor.name='os:system'", allow_code=allow_code)["executor"]
        assert (item.ok, item.optional) == (False, False)
        assert "a module of Python itself" in item.detail


def test_missing_loggers_and_engines_are_named(
    model: Path, checked: Callable[..., dict[str, CheckItem]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wandb", "vllm"):
        monkeypatch.setitem(sys.modules, name, None)  # Python then finds no such package, whatever is installed
    items = checked("stage1.report_to=[wandb]", "stage2.vllm=true")
    assert items["stage1 logger"].detail == "stage1.report_to: wandb is not installed"
    assert items["stage1 logger"].remedy == "pip install 'tracer1[wandb]', or take it out of stage1.report_to"
    assert items["stage2 engine"].detail == "stage2.vllm: vLLM is not installed"
    assert {"stage2 logger", "stage1 engine"}.isdisjoint(items)


def test_windows_of_another_plan_are_a_finding(
    tmp_path: Path,
    model: Path,
    store: EpisodeStore,
    windows: list[Window],
    checked: Callable[..., dict[str, CheckItem]],
) -> None:
    other = tmp_path / "other.parquet"
    write_windows(other, windows, store.directory, {"horizon": 5, "history": 5, "prompt": "brief-1"})
    item = checked(f"data.heldout={other}", "plan.horizon=2")["heldout windows"]
    assert not item.ok
    assert "horizon 5 where plan.horizon is 2, prompt brief-1 where plan.prompt_version is full-" in item.detail
    assert item.remedy.startswith("set plan.horizon=5 plan.history=5 plan.prompt_version=brief-1, or write ")
    assert "heldout windows" not in checked(f"data.heldout={other}", "plan.prompt_version=brief-1")


def test_the_prototypes_gold_plans_earn_what_the_profile_allows(
    model: Path, windows: list[Window], checked: Callable[..., dict[str, CheckItem]]
) -> None:
    """Its bonus, part of every maximum, is earned only by a plan that ends the episode."""
    first = windows[0].reference
    unfinished = dataclasses.replace(windows[0], reference=dataclasses.replace(first, steps=first.steps[:1]))
    item = checked("reward.profile=prototype", rows=[windows[1], unfinished])["train gold plans, stage 1"]
    assert item.ok
    assert item.detail == "2 recorded plans score 1.0; 1 of them less, by the rules of the profile"


def test_an_unknown_executor(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    item = checked("executor.name=nobody")["executor"]
    assert not item.ok
    assert "nobody" in item.detail


def test_a_full_disk(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    with (model / "model.safetensors").open("wb") as file:
        file.truncate(1 << 43)  # sparse: eight terabytes of holes
    item = checked()["disk"]
    assert not item.ok
    assert "GiB needed" in item.detail


def test_only_the_first_rows_are_named() -> None:
    assert some([f"row {i}" for i in range(9)]) == "row 0, row 1, row 2, row 3, row 4 and 4 more"


# ---- a trial ---------------------------------------------------------------------------------------------------------


def test_a_trial_tells_what_the_run_would_take(nano: Nano, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    values = {
        "output_dir": str(tmp_path / "run"),
        "model": {"path": str(nano.folder), "min_pixels": 1024, "max_pixels": 65536},
        "plan": {"horizon": 3, "history": 2, "prompt_version": "brief-1"},
        "data": {"train": str(nano.windows)},
        "executor": {"name": "dom"},
        "stage1": {**STAGE, "steps": 1000},
        "stage2": {**STAGE, "steps": 0},
    }
    path.write_text(yaml.safe_dump(values))
    items = {item.name: item for item in run_check(load_config(path), Options(trial=True))}
    assert items["stage1 trial"].ok, items["stage1 trial"]
    assert "; 1000 steps take about " in items["stage1 trial"].detail
    assert "stage2 trial" not in items
    assert not (tmp_path / "run").exists()


def test_a_trial_needs_data(tmp_path: Path, model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    item = checked(f"data.train={tmp_path}/absent.parquet", trial=True)["trial"]
    assert not item.ok
    assert item.detail == "not run: the model or the data is missing"


def test_a_trial_that_fails_is_a_finding(model: Path, checked: Callable[..., dict[str, CheckItem]]) -> None:
    item = checked(trial=True)["stage1 trial"]  # the model is a tokenizer without weights
    assert not item.ok
    assert item.detail.startswith("fails after 0 steps: ")


def test_the_config_type_is_enough() -> None:
    items = run_check(Config(output_dir="runs/none"))
    assert items[0].ok
    assert any(not item.ok for item in items)
