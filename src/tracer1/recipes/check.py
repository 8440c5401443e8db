"""Pre-flight, in seconds and without a GPU: what would stop or spoil a training run, found before it starts.

Every check is an item with its finding and a remedy; nothing here prints or changes anything.
"""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracer1.config import Config, ModelSettings, StageSettings
from tracer1.coordinates import smart_resize
from tracer1.data.inspect import image_size
from tracer1.data.store import EpisodeStore
from tracer1.data.windows_file import read_rows, row_to_window, windows_store
from tracer1.errors import DataError, FrameError, SetupError, UsageError
from tracer1.plan.text import render_plan
from tracer1.rewards.terms import repetitions
from tracer1.rewards.trajectory import score_trajectory
from tracer1.tools.agents import make_tool_agent
from tracer1.types import Plan, Size, Window

PATCH, MERGE = 16, 2  # Qwen3-VL: a patch of 16 pixels, 2 x 2 patches a token
NAMED = 5  # rows named in one finding
GIB = 2**30


@dataclass(frozen=True, slots=True)
class CheckItem:
    """One finding. ``remedy``: what to do where it is not ``ok``. ``optional``: only what ``detail`` names needs it."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    optional: bool = False


def run_check(config: Config) -> list[CheckItem]:
    """Check a configuration that ``load_config`` has read, and all that it names."""
    items = [CheckItem("config", True, f"every key is known; the run goes to {config.output_dir}")]
    tokenizer, model = _model(config.model)
    items.append(model)
    items += _data(config, tokenizer)
    items.append(_disk(config))
    items += _browser(config)
    items.append(_tool_agent(config))
    items += [probe("tool agent endpoint", url) for url in endpoints(config.tool_agent.options)]
    return items


def image_tokens(size: Size, model: ModelSettings) -> int:
    """Tokens that an image of ``size`` (width, height in pixels) takes in a Qwen3-VL prompt; FrameError: too narrow."""
    factor = PATCH * MERGE
    width, height = smart_resize(size, factor, model.min_pixels, model.max_pixels)
    return (width // factor) * (height // factor)


# ---- model and tokens ------------------------------------------------------------------------------------------------


def _model(settings: ModelSettings) -> tuple[Any, CheckItem]:
    """The tokenizer, or None, and what was found of the model; nothing is downloaded."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        remedy = "install it with: pip install 'tracer1[train]'"
        return None, CheckItem("model", False, "transformers is not installed: tokens are not counted", remedy)
    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.path, local_files_only=True)
    except (OSError, ValueError) as error:
        detail = f"{settings.path}: no such folder, and not in the Hugging Face cache"
        if Path(settings.path).exists():
            detail = f"{settings.path}: not a model folder: {str(error).splitlines()[0]}"
        remedy = f"fetch it with `hf download {settings.path}`, or make a base with `tracer1 train --stage warmup`"
        return None, CheckItem("model", False, detail, remedy)
    if not tokenizer.chat_template:
        return None, CheckItem(
            "model", False, f"{settings.path} has no chat template", "choose an instruction-tuned model"
        )
    return tokenizer, CheckItem("model", True, f"{settings.path}: {len(tokenizer)} tokens in its vocabulary")


@dataclass(slots=True)
class Lengths:
    """Token counts of one kind, and the rows above the limit."""

    limit: int
    counts: list[int] = field(default_factory=list)
    over: list[int] = field(default_factory=list)  # rows

    def add(self, row: int, tokens: int) -> None:
        self.counts.append(tokens)
        if tokens > self.limit:
            self.over.append(row)

    def item(self, name: str, remedy: str) -> CheckItem:
        """The finding: mean and largest count against the limit, and which rows overflow."""
        if not self.counts:
            return CheckItem(name, False, "not counted: no tokenizer or no rows", "see the items above")
        mean = sum(self.counts) / len(self.counts)
        detail = f"{mean:.0f} on average, {max(self.counts)} at most, {self.limit} allowed"
        if not self.over:
            return CheckItem(name, True, detail)
        return CheckItem(name, False, f"{detail}; too long: {_some([f'row {r}' for r in self.over])}", remedy)


# ---- data ------------------------------------------------------------------------------------------------------------


def _data(config: Config, tokenizer: Any) -> Iterator[CheckItem]:
    stages = {f"stage{i}": stage for i, stage in enumerate((config.stage1, config.stage2), 1) if stage.steps}
    for name, file in (("train", config.data.train), ("heldout", config.data.heldout)):
        if file is None:
            continue
        if not Path(file).exists() and config.data.record is not None:
            record = config.data.record
            episodes = record.episodes_per_task if name == "train" else record.heldout_per_task
            told = f"{len(record.tasks)} tasks x {episodes} episodes will be recorded first"
            yield CheckItem(f"{name} data", True, f"{file} is not there: {told}")
            continue
        rows = _Rows(config, tokenizer)
        yield from rows.check(name, file)
        if name == "train" and rows.count:
            yield from (_batches(stage_name, stage, rows.count) for stage_name, stage in stages.items())


class _Rows:
    """One pass over a windows file: what can be read, what the gold plans earn, how long the rows are."""

    def __init__(self, config: Config, tokenizer: Any) -> None:
        stages = [stage for stage in (config.stage1, config.stage2) if stage.steps] or [config.stage1]
        self.model = config.model
        self.profile = config.reward.trajectory_profile()
        self.tokenizer = tokenizer
        self.count = 0
        self.images: dict[str, Size | None] = {}
        self.unread: list[str] = []
        self.bad_images: list[str] = []
        self.gold: dict[int, float] = {}  # rows whose recorded plan earns less than 1
        self.repeating = 0
        self.prompts = Lengths(min(stage.max_prompt_tokens for stage in stages))
        self.completions = Lengths(min(stage.max_completion_tokens for stage in stages))

    def check(self, name: str, file: str) -> Iterator[CheckItem]:
        """The findings on ``file``."""
        try:
            store = windows_store(file)
            for number, row in enumerate(read_rows(file)):
                self._row(number, row, store)
        except DataError as error:
            yield CheckItem(f"{name} data", False, str(error), "write it with `tracer1 data windows`")
            return
        remedy = f"look at them with `tracer1 data inspect {file}`, then record or convert those episodes again"
        found = f"{file}: {self.count} rows" + (f"; unreadable: {_some(self.unread)}" if self.unread else "")
        yield CheckItem(f"{name} data", bool(self.count) and not self.unread, found, remedy)
        found = f"{len(self.images)} files" + (f"; unreadable: {_some(self.bad_images)}" if self.bad_images else "")
        yield CheckItem(f"{name} images", not self.bad_images, found, remedy)
        yield self._gold_item(name)
        shorter = "raise max_{}_tokens, or write windows with a smaller {}"
        yield self.prompts.item(f"{name} prompt tokens", shorter.format("prompt", "history, or lower model.max_pixels"))
        yield self.completions.item(f"{name} plan tokens", shorter.format("completion", "horizon"))

    def _row(self, number: int, row: dict[str, Any], store: EpisodeStore) -> None:
        self.count += 1
        try:
            window = row_to_window(row, f"row {number}")
        except DataError as error:
            self.unread.append(str(error))
            return
        gold = render_plan(Plan(window.reference.steps, first_number=window.step + 1))
        score = score_trajectory(gold, window.reference.steps, self.profile).overall
        if score is None or abs(score - 1.0) > 1e-9:
            self._below_one(number, window, score or 0.0)
        sizes = [self._image(path, f"row {number}", store) for path in window.images]
        if self.tokenizer is not None:
            self._measure(number, window, gold, [size for size in sizes if size is not None])

    def _below_one(self, number: int, window: Window, score: float) -> None:
        if self.profile.repetition == "absolute" and repetitions([s.action_type for s in window.reference.steps]):
            self.repeating += 1
        else:
            self.gold[number] = score

    def _image(self, path: str, where: str, store: EpisodeStore) -> Size | None:
        if path not in self.images:
            try:
                size = image_size(store.path(path))
                image_tokens(size, self.model)
                self.images[path] = size
            except (DataError, FrameError) as error:
                self.images[path] = None
                self.bad_images.append(f"{where}: {error}")
        return self.images[path]

    def _measure(self, number: int, window: Window, gold: str, sizes: Sequence[Size]) -> None:
        text = self.tokenizer.apply_chat_template(list(window.prompt), add_generation_prompt=True, tokenize=False)
        text_tokens = self._tokens(text) - len(sizes)  # the template writes one placeholder for each image
        self.prompts.add(number, text_tokens + sum(image_tokens(size, self.model) for size in sizes))
        self.completions.add(number, self._tokens(gold) + 1)  # and the token that ends it

    def _tokens(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _gold_item(self, name: str) -> CheckItem:
        repeated = f"; {self.repeating} repeat an action thrice and earn less by the rule" if self.repeating else ""
        scored = self.count - len(self.unread) - self.repeating
        if not self.gold:
            return CheckItem(f"{name} gold plans", True, f"{scored} recorded plans score 1.0{repeated}")
        rows = _some([f"row {row} scores {score:.3f}" for row, score in self.gold.items()])
        return CheckItem(
            f"{name} gold plans",
            False,
            f"{len(self.gold)} of {scored} recorded plans score less than 1.0: {rows}{repeated}",
            "the recorded steps lack what the plan format asks for; see `tracer1 data inspect`",
        )


def _batches(name: str, stage: StageSettings, rows: int) -> CheckItem:
    detail = f"{stage.arithmetic()}; {stage.steps * stage.prompts_per_batch / rows:.2f} times through {rows} rows"
    remedy = f"lower {name}.prompts_per_batch to at most {rows}, or record more"
    return CheckItem(f"{name} batches", stage.prompts_per_batch <= rows, detail, remedy)


def _some(findings: Sequence[str]) -> str:
    more = len(findings) - NAMED
    return ", ".join(findings[:NAMED]) + (f" and {more} more" if more > 0 else "")


# ---- the machine -----------------------------------------------------------------------------------------------------


def _disk(config: Config) -> CheckItem:
    """Room for the run: a checkpoint while training holds the weights and two moments, a finished stage its weights."""
    folder = Path(config.model.path)
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0
    kept = max(config.stage1.keep_checkpoints, config.stage2.keep_checkpoints) + 1  # one more while it is written
    need = GIB + weights * (3 * kept + 2)
    free = free_bytes(Path(config.output_dir))
    detail = f"{free / GIB:.1f} GiB free at {config.output_dir}, about {need / GIB:.1f} GiB needed"
    return CheckItem(
        "disk", free >= need, detail, "free some space, lower keep_checkpoints or choose another output_dir"
    )


def free_bytes(path: Path) -> int:
    """Free space where ``path`` is or would be made."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _browser(config: Config) -> list[CheckItem]:
    if not config.evaluation.tasks and config.data.record is None:
        return []
    try:
        from tracer1.envs.miniwob import find_browser
    except ImportError as error:
        return [CheckItem("browser", False, f"{error.name} is not installed", "pip install 'tracer1[web]'")]
    try:
        return [CheckItem("browser", True, find_browser())]
    except SetupError as error:
        return [CheckItem("browser", False, *split_remedy(error))]


def _tool_agent(config: Config) -> CheckItem:
    try:
        agent = make_tool_agent(config.tool_agent.name, **config.tool_agent.options)
    except (UsageError, SetupError) as error:
        return CheckItem("tool agent", False, *split_remedy(error))
    return CheckItem("tool agent", True, agent.name)


def split_remedy(error: Exception) -> tuple[str, str]:
    """Our errors say what is wrong, a semicolon, and what to change."""
    what, _, remedy = str(error).partition("; ")
    return what, remedy


# ---- endpoints -------------------------------------------------------------------------------------------------------

TIMEOUT = 3.0  # seconds


def endpoints(options: dict[str, Any]) -> list[str]:
    """The URLs among a tool agent's options."""
    return [value for value in options.values() if isinstance(value, str) and value.startswith(("http://", "https://"))]


def probe(name: str, url: str, opener: Callable[..., Any] = urllib.request.urlopen) -> CheckItem:
    """Whether an OpenAI-compatible server answers at ``url``; a refusal for want of a key is an answer too."""
    asked = url.rstrip("/") + "/models"
    key = os.environ.get("OPENAI_API_KEY")
    request = urllib.request.Request(asked, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with opener(request, timeout=TIMEOUT) as reply:
            return CheckItem(name, True, f"{asked} answers {reply.status}")
    except urllib.error.HTTPError as error:
        remedy = "set OPENAI_API_KEY" if error.code in (401, 403) else "the address should end where /models begins"
        return CheckItem(name, False, f"{asked} answers {error.code} {error.reason}", remedy)
    except (urllib.error.URLError, TimeoutError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return CheckItem(name, False, f"{asked} does not answer: {reason}", "start the server, or correct the address")
