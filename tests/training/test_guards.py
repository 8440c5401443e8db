"""Each guard is shown a planted fault and has to say so; and is zero_variance where nothing is wrong."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from nano_planner import STAGE, Nano, each

from tracer1.config.settings import StageSettings
from tracer1.errors import TrainingError
from tracer1.models.loading import load_model, load_processor
from tracer1.results.schema import MetricsRow, PlanFigures
from tracer1.training import probes
from tracer1.training.guards import (
    MEMORY_STEPS,
    QUIET_STEPS,
    Mismatch,
    RateLimitedWarnings,
    Watchdog,
    free_memory_mb,
    memory_warning,
    mismatch_of,
    plan_drift_warning,
    watched,
)
from tracer1.training.stages import training_rows
from tracer1.training.trl.session import make_trainer
from tracer1.training.trl.trainer import PlanTrainer
from tracer1.types import Score

SETTINGS = StageSettings.model_validate({**STAGE, "beta": 0.0, "steps": 1})


class Stuck:
    """An executor with a name, behind a scorer that takes its time."""

    name = "slow-agent"

    def __init__(self, seconds: float) -> None:
        self.seconds, self.executor = seconds, self

    def __call__(self, completions: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Score]:
        time.sleep(self.seconds)
        return [variety(completion, row) for completion, row in zip(completions, rows, strict=True)]


def variety(completion: str, row: dict[str, Any]) -> Score:
    value = len(set(completion)) / 20
    return Score(value, 1.0, value, {"format": 1.0, "accuracy": value})


@pytest.fixture(scope="module")
def rows(nano: Nano) -> Dataset:
    return training_rows(str(nano.windows))


@pytest.fixture
def trainer(nano: Nano, rows: Dataset, tmp_path: Path) -> Callable[..., PlanTrainer]:
    def make(scorer: Any = variety, *, spoil: Callable[[Any], None] = lambda _: None, **changes: Any) -> PlanTrainer:
        model = load_model(nano.folder)
        spoil(model)
        settings = SETTINGS.model_copy(update=changes)
        made = make_trainer(
            model,
            load_processor(nano.folder),
            rows,
            scorer if isinstance(scorer, Stuck) else each(scorer),
            settings,
            tmp_path,
            "stage1",
            7,
        )
        made.model.train()
        return made

    return make


def blindfold(model: Any) -> None:
    """As where pixel_values never reach the update: every picture is the same to the model."""
    inner = model.model.get_image_features

    def grey(pixel_values: Any, *args: Any, **kwargs: Any) -> Any:
        return inner(torch.zeros_like(pixel_values), *args, **kwargs)

    model.model.get_image_features = grey


# ---- the image canary ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_a_model_that_does_not_see_is_not_trained(
    trainer: Callable[..., PlanTrainer], tmp_path: Path, shared: bool
) -> None:
    with pytest.raises(
        TrainingError, match=r"image canary, stage1: .* trains without seeing the image; check"
    ) as error:
        trainer(spoil=blindfold, shared_prompt=shared).train()
    assert "stage1.image_canary=warn" in str(error.value)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_the_canary_may_only_warn_or_be_off(
    trainer: Callable[..., PlanTrainer], caplog: pytest.LogCaptureFixture
) -> None:
    trainer(spoil=blindfold, image_canary="off").run_image_canary()
    assert "without seeing" not in caplog.text
    trainer(spoil=blindfold, image_canary="warn").run_image_canary()
    assert "trains without seeing the image" in caplog.text


def test_a_model_that_sees_is_trained(trainer: Callable[..., PlanTrainer], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tracer1")
    made = trainer()
    state = torch.get_rng_state()
    made.run_image_canary()
    assert "swapped screenshots move log-probabilities" in caplog.text
    assert torch.equal(torch.get_rng_state(), state)  # a resumed run draws what it would have drawn


def test_the_canary_has_nothing_to_say_of_equal_or_no_images(rows: Dataset) -> None:
    one = rows[0]
    assert len(probes.canary_rows([one, one])) == 1
    assert probes.canary_rows([{**one, "images": []}] * 3) == []
    assert len({tuple(row["images"]) for row in probes.canary_rows(rows)}) == 4


def test_the_canary_is_skipped_where_all_screenshots_are_alike(
    nano: Nano, rows: Dataset, png: Callable[..., bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tracer1")
    for name in "ab":
        (tmp_path / name).write_bytes(png((64, 64)))
    alike = [{**rows[i], "images": [str(tmp_path / "ab"[i % 2])]} for i in range(6)]
    model, processor = load_model(nano.folder), load_processor(nano.folder)
    blindfold(model)
    made = make_trainer(model, processor, Dataset.from_list(alike), variety, SETTINGS, tmp_path, "stage1", 7)
    made.run_image_canary()
    assert "image canary, stage1: skipped" in caplog.text


def test_screenshots_are_swapped_at_their_own_size(png: Callable[..., bytes], tmp_path: Path) -> None:
    for name, size, colour in (("a", (40, 20), "red"), ("b", (10, 30), "blue")):
        (tmp_path / name).write_bytes(png(size, colour))
    pictures = probes.pictures_of([{"images": [str(tmp_path / "a")]}, {"images": [str(tmp_path / "b")]}])
    (first,), (second,) = probes.swap_pictures(pictures)
    assert (first.size, first.getpixel((0, 0))) == ((40, 20), (0, 0, 255))
    assert (second.size, second.getpixel((0, 0))) == ((10, 30), (255, 0, 0))


# ---- sampler and trainer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_the_sampler_is_overheard_and_agrees_with_the_trainer(
    trainer: Callable[..., PlanTrainer], tmp_path: Path, shared: bool
) -> None:
    trainer(shared_prompt=shared, temperature=0.7).train()
    found = json.loads((tmp_path / "metrics.jsonl").read_text())["mismatch"]
    assert found["verdict"] == "fine"
    assert found["max"] < 1e-4
    assert found["tokens"] >= SETTINGS.group_size * (SETTINGS.max_completion_tokens - 1) // 2


def test_a_sampler_that_is_off_is_told(
    trainer: Callable[..., PlanTrainer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = trainer()
    made.temperature = 3.0  # of what is overheard; the trainer's log-probabilities are at 1
    made.train()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["mismatch"]["verdict"] == "off"
    assert "sampler and trainer are off, stage1 step 1: log-probabilities of the same" in caplog.text


def test_a_mismatch_and_its_verdict() -> None:
    assert mismatch_of([[-1.0, None, -3.0], []], [[-1.5, -9.0, -3.0, -7.0], [-2.0]]) == Mismatch(0.25, 0.5, 2)
    assert mismatch_of([[]], [[-1.0]]) is None
    assert Mismatch(0.01, 0.4, 9).warning("step 1") is None
    assert Mismatch(0.01, 4.0, 9).warning("step 1") is not None


# ---- zero variance ---------------------------------------------------------------------------------------------------


def test_silent_groups_are_told_with_their_reason(
    trainer: Callable[..., PlanTrainer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer(lambda completion, row: Score(0.0, 0.0, 0.0, {"alignment": 0.0})).train()
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert row["signal"]["groups"] == row["signal"]["zero_variance"] == SETTINGS.prompts_per_batch
    assert "stage1: 100 % of 3 groups have zero variance: " in caplog.text
    assert "; first bad sample: step 1, toy/" in caplog.text


def test_one_kind_of_warning_is_not_repeated_at_every_step() -> None:
    said: list[str] = []
    voice = RateLimitedWarnings(said.append)
    for step in range(1, QUIET_STEPS + 2):
        voice("signal", step, f"at {step}")
        voice("memory", step, None)
    assert said == ["at 1", f"at {QUIET_STEPS + 1}"]


# ---- drift -----------------------------------------------------------------------------------------------------------


def metrics(*figures: tuple[float, float]) -> list[MetricsRow]:
    """Five steps of each (mean length, share of loops), beside recordings of 4 steps of which 5 % loop."""
    plans = [PlanFigures(s, p, 4.0, 0.05) for s, p in figures]
    return [MetricsRow(step=i + 1, plans=plans[i // 5]) for i in range(5 * len(plans))]


def test_plans_that_come_to_loop_are_told() -> None:
    said = plan_drift_warning("stage1", metrics((4.0, 0.1), (4.0, 0.62)))
    assert said is not None
    assert said.startswith("plans loop, stage1 steps 6 to 10: 62 % repeat a step at once (recordings 5 %, at the ")
    assert "raise reward.lambda_rep" in said
    assert plan_drift_warning("stage1", metrics((4.0, 0.6), (4.0, 0.62))) is None  # it began so
    assert plan_drift_warning("stage1", metrics((4.0, 0.1))) is None  # too early to tell


def test_plans_that_drift_in_length_are_told() -> None:
    longer, shorter = (
        plan_drift_warning("stage2", metrics((4.0, 0.0), (7.0, 0.0))),
        plan_drift_warning("stage2", metrics((4.0, 0.0), (1.2, 0.0))),
    )
    assert longer is not None
    assert longer.startswith("plans grow too long, stage2 steps 6 to 10: 7.0 steps on average (recordings 4.0")
    assert shorter is not None
    assert shorter.startswith("plans grow too short")
    assert plan_drift_warning("stage2", metrics((1.2, 0.0), (4.0, 0.0))) is None  # a base that was short learns


def test_steps_without_plans_are_no_drift() -> None:
    nothing = PlanFigures(None, None, 4.0, 0.0)
    assert plan_drift_warning("stage1", [MetricsRow(step=i, plans=nothing) for i in range(10)]) is None
    assert plan_drift_warning("stage1", [MetricsRow(step=i) for i in range(10)]) is None


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_memory_that_will_not_last_is_told() -> None:
    leak = [1000.0 + 30 * i for i in range(MEMORY_STEPS)]
    said = memory_warning("stage1", leak, steps_left=100, free_mb=600)
    assert said is not None
    assert said.startswith(
        "memory, stage1: the process holds 1570 MB and grew by 30 MB a step; the 600 MB that are free "
    )
    assert "last for 20 more steps of 100" in said
    assert memory_warning("stage1", leak, steps_left=10, free_mb=600) is None
    assert memory_warning("stage1", leak[1:], steps_left=100, free_mb=600) is None  # too early to tell


def test_a_spike_is_no_leak() -> None:
    rss = [1000.0] * MEMORY_STEPS
    rss[-3] = 5000.0
    assert memory_warning("stage1", rss, steps_left=10**6, free_mb=1) is None
    assert free_memory_mb() > 1


# ---- a stall ---------------------------------------------------------------------------------------------------------


def test_a_stall_is_named_again_and_again_and_less_often() -> None:
    said: list[str] = []
    with Watchdog(0.05, said.append) as watchdog:
        watchdog.now("the saving of a checkpoint")
        deadline = time.monotonic() + 10
        while len(said) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(said) >= 2
    assert all("the run waits for the saving of a checkpoint; if that is too long" in line for line in said)
    assert said[0].startswith("no progress for 0 s")


def test_a_run_that_goes_on_is_left_in_peace() -> None:
    said: list[str] = []
    with Watchdog(5.0, said.append) as watchdog:
        for k in range(10):
            watchdog.now(f"the score of sample {k}")
            time.sleep(0.01)
    assert said == []


def test_a_slow_tool_agent_is_named_with_its_sample() -> None:
    said: list[str] = []
    with Watchdog(0.05, said.append) as watchdog:
        watched(Stuck(0.5), watchdog)(["abc"], [{"episode_id": "login/7", "step": 2}])
    assert said
    assert "the run waits for the scores of 1 samples of login/7#2 with executor 'slow-agent'" in said[0]


def test_a_training_names_what_it_waits_for(
    trainer: Callable[..., PlanTrainer], caplog: pytest.LogCaptureFixture
) -> None:
    made = trainer(Stuck(0.3), stall_seconds=0.1)
    made.train()
    assert "the run waits for the scores of" in caplog.text
    assert "with executor 'slow-agent'" in caplog.text
