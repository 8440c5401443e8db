"""Pre-flight, in seconds and without a GPU: what would stop or spoil a training run, found before it starts.

Every check is an item with its finding and a remedy; nothing here prints or changes anything. What stands in the rows
is looked at by ``check_rows``.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tracer1.assets import resolve
from tracer1.checks.findings import CheckItem, split_remedy
from tracer1.checks.rows import SCREENS, Estimate, Measure, TextCounter, Tokenizer, check_rows, made_up
from tracer1.config.settings import Config, ModelSettings, StageSettings
from tracer1.errors import SetupError, TraceR1Error, UsageError
from tracer1.executors.registry import make_executor
from tracer1.plan.tokens import CHARACTERS, Vision
from tracer1.types import Executor, Size

GIB = 2**30
QWEN3_VL = ("qwen3_vl", "qwen3_vl_moe")
QWEN3_VL_TOKENIZERS = ("Qwen2Tokenizer", "TokenizersBackend", "PreTrainedTokenizerFast")
TRIAL_STEPS = 2  # the first warms caches, the second is timed


def run_check(config: Config, trial: bool = False) -> list[CheckItem]:
    """Check a configuration that ``load_config`` has read, and all that it names.

    trial: also train each stage for two steps in a temporary folder and tell what the whole would take.
    """
    items = [CheckItem("config", True, f"every key is known; the run goes to {config.output_dir}")]
    planner, item = _planner(config.model)
    items.append(item)
    agent, item = _executor(config)
    items += _data(config, _measure(config, planner, agent))
    items.append(_disk(config, planner.folder))
    items += _browser(config)
    items.append(item)
    items += [probe("executor endpoint", url) for url in endpoints(config.executor.options)]
    if trial:
        items += _trials(config, planner.folder)
    return items


def _stages(config: Config) -> dict[str, StageSettings]:
    """The stages that a run has."""
    return {name: stage for name in ("stage1", "stage2") if (stage := getattr(config, name)).steps}


# ---- model -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planner:
    """What is known of a planner without loading it; without its files, Qwen3-VL's constants and an estimate."""

    vision: Vision
    text: TextCounter
    folder: Path | None = None


def _planner(settings: ModelSettings) -> tuple[Planner, CheckItem]:
    """The planner, and what was found of it; nothing is downloaded."""
    unknown = Planner(Vision(*settings.pixels), Estimate())
    instead = f"images are counted as Qwen3-VL's, text is estimated at {CHARACTERS} characters a token"
    try:
        import transformers
    except ImportError:
        remedy = "install it with: pip install 'tracer1[train]'"
        return unknown, CheckItem("model", False, f"transformers is not installed: {instead}", remedy)
    remedy = f"fetch it with `hf download {settings.path}`, or make a base with `tracer1 train --stage warmup`"
    folder = _folder(settings.path)
    if folder is None:
        detail = f"{settings.path}: no such folder, and not in the Hugging Face cache; {instead}"
        return unknown, CheckItem("model", False, detail, remedy)
    try:
        chosen = getattr(transformers, tokenizer_class(folder))
        tokenizer = chosen.from_pretrained(folder, local_files_only=True)
        vision = _vision(folder, settings)
    except (OSError, ValueError) as error:
        detail = f"{settings.path}: not a model folder: {str(error).splitlines()[0]}; {instead}"
        return unknown, CheckItem("model", False, detail, remedy)
    if not tokenizer.chat_template:
        remedy = "choose an instruction-tuned model"
        return unknown, CheckItem("model", False, f"{settings.path} has no chat template; {instead}", remedy)
    if not tokenizer.is_fast:
        detail = f"{settings.path}: a tokenizer in Python; text is estimated at {CHARACTERS} characters a token"
        return Planner(vision, Estimate(), folder), CheckItem("model", True, detail)
    side = vision.patch * vision.merge
    detail = f"{settings.path}: {len(tokenizer)} tokens in its vocabulary, one for {side}x{side} pixels of an image"
    return Planner(vision, Tokenizer(tokenizer), folder), CheckItem("model", True, detail)


def _folder(path: str) -> Path | None:
    """A model's folder: ``path`` itself, or where the Hugging Face cache keeps the model of that name."""
    if Path(resolve(path)).exists():
        return Path(resolve(path))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def tokenizer_class(folder: Path) -> str:
    """The name of the class of transformers that reads the tokenizer in a model's folder.

    For a Qwen3-VL it is the one that ``AutoTokenizer`` would choose, which imports torch to find it; for any other
    folder, or one that cannot be read, it is ``AutoTokenizer``.
    """
    files = (("config.json", "model_type"), ("tokenizer_config.json", "tokenizer_class"))
    try:
        family, name = (json.loads((folder / file).read_text(encoding="utf-8"))[key] for file, key in files)
    except (OSError, ValueError, TypeError, KeyError):  # AutoTokenizer copes, or says what is wrong
        return "AutoTokenizer"
    return str(name) if family in QWEN3_VL and name in QWEN3_VL_TOKENIZERS else "AutoTokenizer"


def _vision(folder: Path, settings: ModelSettings) -> Vision:
    """The patches that a folder's image processor says, with the configured limits of size."""
    told: dict[str, Any] = {}
    for file in ("preprocessor_config.json", "processor_config.json"):
        if (folder / file).exists():
            read = json.loads((folder / file).read_text(encoding="utf-8"))
            told |= read.get("image_processor", read)
    known = {name: told[key] for name, key in (("patch", "patch_size"), ("merge", "merge_size")) if key in told}
    return Vision(*settings.pixels, **known)


# ---- data ------------------------------------------------------------------------------------------------------------


def _measure(config: Config, planner: Planner, agent: Executor | None) -> Measure:
    stages = list(_stages(config).values()) or [config.stage1]
    return Measure(
        text=planner.text,
        vision=planner.vision,
        prompt_limit=min(stage.max_prompt_tokens for stage in stages),
        plan_limit=min(stage.max_completion_tokens for stage in stages),
        trajectory=config.reward.trajectory_profile(),
        grounded=config.reward.grounded_profile() if config.stage2.steps else None,
        agent=None if endpoints(config.executor.options) else agent,  # a server's time is not ours to spend
    )


def _data(config: Config, measure: Measure) -> Iterator[CheckItem]:
    counted = 0
    for name, file in (("train", config.data.train), ("heldout", config.data.heldout)):
        if file is None:
            continue
        if not Path(file).exists() and config.data.record is not None:
            record = config.data.record
            episodes = record.episodes_per_task if name == "train" else record.heldout_per_task
            told = f"{len(record.tasks)} tasks x {episodes} episodes will be recorded first"
            yield CheckItem(f"{name} data", True, f"{file} is not there: {told}")
            continue
        rows, items = check_rows(name, file, measure)
        yield from items
        counted = rows if name == "train" else counted
    if not counted:
        yield made_up(config.plan, _screens(config), measure)
    yield from (_batches(name, stage, counted) for name, stage in _stages(config).items())


def _screens(config: Config) -> Sequence[Size]:
    """What rows that are not there yet will show: the browser that they are recorded in, or usual screens."""
    if config.data.record is not None:
        try:
            from tracer1.envs.miniwob.tasks import VIEWPORT

            return [(VIEWPORT[0] * config.data.record.scale, VIEWPORT[1] * config.data.record.scale)]
        except ImportError:  # told as the browser's
            pass
    return SCREENS


def _batches(name: str, stage: StageSettings, rows: int) -> CheckItem:
    """The arithmetic, and whether a batch can be drawn; ``rows`` is 0 where they are not there yet."""
    through = f"; {stage.steps * stage.prompts_per_batch / rows:.2f} times through {rows} rows" if rows else ""
    remedy = f"lower {name}.prompts_per_batch to at most {rows}, or record more"
    fits = not rows or stage.prompts_per_batch <= rows
    return CheckItem(f"{name} batches", fits, stage.arithmetic() + through, remedy)


# ---- the machine -----------------------------------------------------------------------------------------------------


def _disk(config: Config, folder: Path | None) -> CheckItem:
    """Room for the run: a checkpoint while training holds the weights and two moments, a finished stage its weights."""
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0
    kept = max(config.stage1.keep_checkpoints, config.stage2.keep_checkpoints) + 1  # one more while it is written
    need = GIB + weights * (3 * kept + 2) + sum(map(_rollouts_bytes, _stages(config).values()))
    free = free_bytes(Path(config.output_dir))
    beside = "" if weights else " beside the checkpoints, whose size is that of a model that is not here"
    detail = f"{free / GIB:.1f} GiB free at {config.output_dir}, about {need / GIB:.1f} GiB needed{beside}"
    remedy = "free some space, lower keep_checkpoints or choose another output_dir"
    return CheckItem("disk", free >= need, detail, remedy)


def _rollouts_bytes(stage: StageSettings) -> int:
    """About the most that ``rollouts.jsonl`` grows to: every completion, as long as it may be, with its terms."""
    return stage.steps * stage.prompts_per_batch * stage.group_size * (4 * stage.max_completion_tokens + 500)


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
        from tracer1.envs.miniwob.browser import find_browser
    except ImportError as error:
        return [CheckItem("browser", False, f"{error.name} is not installed", "pip install 'tracer1[web]'")]
    try:
        return [CheckItem("browser", True, find_browser())]
    except SetupError as error:
        return [CheckItem("browser", False, *split_remedy(error))]


def _executor(config: Config) -> tuple[Executor | None, CheckItem]:
    if not config.stage2.steps and not config.evaluation.tasks:
        return None, CheckItem("executor", True, "none is used: no stage 2 and no evaluation")
    try:
        agent = make_executor(config.executor.name, **config.executor.options)
    except (UsageError, SetupError) as error:
        return None, CheckItem("executor", False, *split_remedy(error))
    return agent, CheckItem("executor", True, agent.name)


# ---- endpoints -------------------------------------------------------------------------------------------------------

TIMEOUT = 3.0  # seconds


def endpoints(options: dict[str, Any]) -> list[str]:
    """The URLs among an executor's options."""
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


# ---- a trial ---------------------------------------------------------------------------------------------------------


def _trials(config: Config, folder: Path | None) -> Iterator[CheckItem]:
    if folder is None or not Path(config.data.train).exists():
        yield CheckItem("trial", False, "not run: the model or the data is missing", "see the items above")
        return
    for name, stage in _stages(config).items():
        yield _trial(config, name, stage)


def _trial(config: Config, name: str, stage: StageSettings) -> CheckItem:
    """Two real steps of one stage, from the base, and its checkpoint, in a folder that is then removed."""
    from tracer1.training.stages import train_stage

    short = config.model_copy(update={name: stage.model_copy(update={"steps": TRIAL_STEPS, "report_to": ()})})
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="tracer1-trial-") as folder:
        try:
            train_stage(short, Path(folder), name, rows.append)
        except (TraceR1Error, OSError, ValueError, RuntimeError) as error:  # RuntimeError: also memory that is used up
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            remedy = f"`tracer1 --debug train CONFIG --stage {name[-1]}` shows where"
            return CheckItem(f"{name} trial", False, f"fails after {len(rows)} steps: {reason}", remedy)
    first, last = (row["seconds"]["step"] for row in (rows[0], rows[-1]))
    total = first + last * (stage.steps - 1)
    detail = (
        f"{last:.1f} s a step ({rows[-1]['seconds']['generate']:.1f} s of them to sample), {first:.1f} s the first; "
        f"{stage.steps} steps take about {total / 60:.0f} minutes and {rows[-1]['rss_mb']:.0f} MB, checkpoints apart"
    )
    return CheckItem(f"{name} trial", True, detail)
