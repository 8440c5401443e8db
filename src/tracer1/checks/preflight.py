"""Pre-flight, in seconds and without a GPU: what would stop or spoil a training run.

Every check is an item with its finding and a remedy; nothing here prints or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracer1.checks.endpoints import endpoints, probe
from tracer1.checks.findings import CheckItem, split_remedy
from tracer1.checks.machine import browser_item, disk_item
from tracer1.checks.model import Planner, inspect_planner
from tracer1.checks.requirements import STAGES, own_code, requirements, reward_function, stage_of
from tracer1.checks.rows import Measure, check_rows
from tracer1.checks.tokens import SCREENS, made_up_item
from tracer1.checks.trial import trial_items
from tracer1.config.settings import Config, StageSettings
from tracer1.data.recordings import Recording, missing_data
from tracer1.errors import SetupError, TraceR1Error, UsageError
from tracer1.executors.registry import executor_class, make_executor
from tracer1.executors.running import TimeLimited
from tracer1.extensions import EXECUTOR, REWARD, is_dotted, require_path
from tracer1.types import Executor, Size

ALLOW = "add --allow-code to import and check it, if you trust its author"


@dataclass(frozen=True, slots=True)
class Options:
    """trial: also train each stage for two steps in a temporary folder. allow_code: import code that the configuration
    names by a dotted path."""

    trial: bool = False
    allow_code: bool = False


def run_check(config: Config, options: Options | None = None) -> list[CheckItem]:
    """Check a configuration that ``load_config`` has read, and all that it names."""
    options = options or Options()
    allowed = options.allow_code or not own_code(config)
    stages = [name for name in STAGES if stage_of(config, name).steps]
    recordings = missing_data(config)
    planner, model = inspect_planner(config.model)
    executor, executor_item = _executor(config, options.allow_code)
    items = [CheckItem("config", True, f"every key is known; the run goes to {config.output_dir}"), model]
    items += _data(config, _measure(config, stages, planner, executor), recordings)
    items.append(disk_item(config, planner.folder))
    items += [browser_item()] if any(each.must_record for each in recordings) else []
    items.append(executor_item)
    items += _requirements(config, options.allow_code)
    items += [probe("executor endpoint", url) for url in endpoints(config.executor.options)]
    if options.trial and allowed:
        items += trial_items(config, stages, planner.folder)
    elif options.trial:
        items.append(CheckItem("trial", False, "not run: training would import the configuration's code", ALLOW))
    return items


# ---- data ------------------------------------------------------------------------------------------------------------


def _measure(config: Config, stages: Sequence[str], planner: Planner, executor: Executor | None) -> Measure:
    limits = [stage_of(config, name) for name in stages] or [config.stage1]
    return Measure(
        text=planner.text,
        vision=planner.vision,
        prompt_limit=min(stage.max_prompt_tokens for stage in limits),
        plan_limit=min(stage.max_completion_tokens for stage in limits),
        trajectory=config.reward.trajectory_profile(),
        grounded=config.reward.grounded_profile() if config.stage2.steps else None,
        executor=None if endpoints(config.executor.options) else executor,  # a check spends no server's time
    )


def _data(config: Config, measure: Measure, recordings: Sequence[Recording]) -> Iterator[CheckItem]:
    training = 0  # rows
    coming = {each.windows: each for each in recordings}
    for name, file in config.data.files:
        if Path(file) in coming:
            yield CheckItem(f"{name} data", True, _coming(config, coming[Path(file)]))
            continue
        rows, items = check_rows(name, file, measure)
        yield from items
        training += rows if name != "heldout" else 0
    if not training:
        yield made_up_item(config.plan, _screens(config), measure.prompt_limit, measure.vision, measure.text)
    for name in STAGES:
        if stage_of(config, name).steps:
            yield _batches(name, stage_of(config, name), training)


def _coming(config: Config, recording: Recording) -> str:
    """How `train` will make a split that is missing."""
    assert config.data.record is not None
    if not recording.must_record:
        return f"{recording.windows} is missing: it will be cut from the episodes in {recording.store} first"
    tasks = len(config.data.record.tasks)
    return f"{recording.windows} is missing: {tasks} tasks x {recording.episodes} episodes will be recorded first"


def _screens(config: Config) -> Sequence[Size]:
    """The screens of rows that are not there yet: the browser's, if they will be recorded, or usual ones."""
    if config.data.record is not None:
        try:
            from tracer1.envs.miniwob.tasks import VIEWPORT

            return [(VIEWPORT[0] * config.data.record.scale, VIEWPORT[1] * config.data.record.scale)]
        except ImportError:  # reported by the browser's item
            pass
    return SCREENS


def _batches(name: str, stage: StageSettings, rows: int) -> CheckItem:
    """The arithmetic, and whether a batch can be drawn; ``rows`` is 0 where they are not there yet."""
    through = f"; {stage.steps * stage.prompts_per_batch / rows:.2f} times through {rows} rows" if rows else ""
    remedy = f"lower {name}.prompts_per_batch to at most {rows}, or record more"
    fits = not rows or stage.prompts_per_batch <= rows
    return CheckItem(f"{name} batches", fits, stage.arithmetic() + through, remedy)


# ---- what the run needs ----------------------------------------------------------------------------------------------


def _executor(config: Config, allow_code: bool) -> tuple[Executor | None, CheckItem]:
    name = config.executor.name
    try:
        if is_dotted(name) and not allow_code:
            require_path(name, EXECUTOR)
            return None, CheckItem("executor", False, f"{name}: not imported and not checked", ALLOW, optional=True)
        if not config.stage2.steps and not config.evaluation.tasks:
            executor_class(name, config.executor.options)
            return None, CheckItem("executor", True, f"{name}; not tried, as no step of stage 2 uses it")
        executor = TimeLimited(make_executor(name, **config.executor.options), config.executor.timeout)
    except (UsageError, SetupError) as error:
        return None, CheckItem("executor", False, *split_remedy(error))
    return executor, CheckItem("executor", True, executor.name)


def _requirements(config: Config, allow_code: bool) -> Iterator[CheckItem]:
    """What else is missing."""
    for name, met in requirements(config):
        if name == "executor":
            continue  # it has an item of its own
        try:
            if name == "reward function" and not allow_code:
                require_path(reward_function(config) or "", REWARD)
                yield CheckItem(name, False, "not imported and not checked", ALLOW, optional=True)
            else:
                met()
        except TraceR1Error as error:
            yield CheckItem(name, False, *split_remedy(error))
