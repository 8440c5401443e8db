"""The warm-up and the two stages as a user starts them, on a planner of a few thousand weights."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from nano_planner import STAGE, Nano

from tracer1.config.loading import load_config
from tracer1.config.planner import planner_settings, settings_of
from tracer1.config.settings import Config
from tracer1.data.store import write_episodes
from tracer1.data.windows import make_windows
from tracer1.data.windows_file import absolute_rows
from tracer1.errors import DataError, SetupError, TrainingError, UsageError
from tracer1.evaluation import gate
from tracer1.evaluation.gate import gate_manifest, pass_gate
from tracer1.evaluation.offline import window_id
from tracer1.evaluation.planners import folder_source, prediction_manifest
from tracer1.evaluation.run import HELDOUT, known_strings
from tracer1.models.loading import load_model, load_processor
from tracer1.plan.text import render_plan
from tracer1.plan.windows import reference_from_json
from tracer1.recipes.train import names_of, plan_of, stage_with_progress, train
from tracer1.results.files import append
from tracer1.results.manifest import claim, made_with
from tracer1.results.schema import Prediction
from tracer1.training.base import SEEN
from tracer1.training.scoring import GroundedScorer, TrajectoryScorer, make_scorer
from tracer1.training.stages import checkpoint_of, train_stage, training_rows
from tracer1.training.warmup import STATE
from tracer1.types import Plan

WARMUP = {"drill_steps": 1, "drill_batch": 2, "steps": 2, "batch": 3, "bf16": False, "horizon": 3, "save_every": 1}


@pytest.fixture
def config_file(nano: Nano, tmp_path: Path) -> Path:
    """Both stages from the toy planner, into ``tmp_path/run``."""
    values = {
        "output_dir": str(tmp_path / "run"),
        "model": {"path": str(nano.folder), "min_pixels": 1024, "max_pixels": 65536},
        "nano": nano.settings.model_dump(),
        "data": {"episodes": str(nano.store.directory), "train": str(nano.windows)},
        "plan": {"horizon": 3, "history": 2, "prompt_version": "brief-1"},
        "executor": {"name": "dom"},
        "warmup": WARMUP,
        "stage1": STAGE,
        "stage2": STAGE,
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def configured(config_file: Path) -> Callable[..., Config]:
    return lambda *overrides: load_config(config_file, overrides)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(folder).state_dict())


def steps_of(run: Path) -> list[tuple[str, int]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(line["stage"], line["step"]) for line in lines]


def quiet(_: Any) -> None:
    return None


# ---- both stages -----------------------------------------------------------------------------------------------------


def test_both_stages_leave_planners_and_a_record(
    configured: Callable[..., Config], nano: Nano, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured()
    made = train(config)
    run = tmp_path / "run"
    assert made == {"stage1": run / "checkpoints/stage1", "stage2": run / "checkpoints/stage2"}
    assert steps_of(run) == [("stage1", 1), ("stage1", 2), ("stage2", 1), ("stage2", 2)]
    assert load_config(run / "config.yaml") == config
    assert (run / "env.json").exists()
    assert not list((run / "trainer").glob("*"))  # the optimisers' states are of no more use
    rollouts = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    assert len(rollouts) == 2 * 2 * 6
    assert {"alignment", "coverage"} <= rollouts[0]["terms"].keys()
    assert "coordinate" in rollouts[-1]["terms"]
    assert "train stage2: 2/2" in capsys.readouterr().err
    processor = load_processor(made["stage2"])
    assert processor.image_processor.temporal_patch_size == 1
    assert processor.tokenizer.get_vocab() == nano.tokenizer.get_vocab()
    assert [made[name].joinpath("README.md").read_text().count("GRPO, ") for name in made] == [1, 2]

    again = train(config)  # nothing is left to do
    assert again == made
    assert len(steps_of(run)) == 4


def test_stage_2_goes_on_from_stage_1(configured: Callable[..., Config], nano: Nano, tmp_path: Path) -> None:
    made = train(configured("stage2.steps=0"))
    base, first, second = weights(nano.folder), weights(made["stage1"]), weights(made["stage2"])
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(base[name], first[name]) for name in base)  # by weight decay, if by nothing else


def test_stage_2_alone_starts_from_the_base(configured: Callable[..., Config], nano: Nano) -> None:
    made = train(configured("stage2.steps=0"), "2")
    assert made.keys() == {"stage2"}
    base, second = weights(nano.folder), weights(made["stage2"])
    assert all(torch.equal(base[name], second[name]) for name in base)


def test_stages_by_name() -> None:
    assert [names_of(stage) for stage in ("1", "2", "both")] == [["stage1"], ["stage2"], ["stage1", "stage2"]]


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(
    configured: Callable[..., Config], tmp_path: Path
) -> None:
    lines = plan_of(configured(), "both")
    assert [line.split(":")[0] for line in lines] == ["stage1", "stage2"]
    assert "2 steps of 3 prompts x 2 rollouts = 6 completions" in lines[0]
    assert lines[0].endswith(f"192 windows; into {tmp_path}/run/checkpoints/stage1")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_finds_what_would_stop_the_run(configured: Callable[..., Config], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no executor 'nobody'"):
        plan_of(configured("executor.name=nobody"), "2")
    with pytest.raises(UsageError, match=r"trainer: .*no_such"):
        plan_of(configured("trainer.no_such=1"), "1")
    with pytest.raises(SetupError, match=r"no planner can be loaded|holds no config"):
        plan_of(configured(f"model.path={tmp_path}"), "1")


@pytest.mark.parametrize("stage", ["1", "2", "both"])
def test_a_missing_part_stops_the_run_before_its_first_step(
    configured: Callable[..., Config], tmp_path: Path, nano: Nano, stage: Any
) -> None:
    """An executor, a logger, an engine or windows of another plan; nothing is written."""
    other = tmp_path / "other.parquet"
    make_windows(nano.store.directory, other, 3, 2, "full-1")
    faults = {
        "stage2.report_to=[wandb]": "stage2.report_to: wandb is not installed",
        "stage2.vllm=true": "stage2.vllm: vLLM is not installed",
        "executor.name=nobody": "no executor 'nobody'",
        "executor.options={colour: red}": "executor 'dom': options",
        "plan.history=7": "history 2 where plan.history is 7",
        f"data.train={other}": "prompt full-1 where plan.prompt_version is brief-1",
    }
    for override, says in faults.items():
        if stage == "1" and not override.startswith(("plan", "data")):
            continue  # of stage 2 alone
        for start in (train, plan_of):
            with pytest.raises((UsageError, SetupError), match=says):
                start(configured(override), stage)
    assert not (tmp_path / "run").exists()


def test_missing_windows_are_recorded_or_cut_first(
    configured: Callable[..., Config], nano: Nano, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train").symlink_to(nano.store.directory)
    absent = (f"data.episodes={data}", f"data.train={data}/train.parquet", "data.record={tasks: [login-user]}")
    lines = plan_of(configured(*absent), "1")
    assert lines[0] == f"data: {data}/train.parquet is missing; it would be cut from {data}/train"
    assert lines[1].startswith("stage1: 2 steps of 3 prompts")
    said: list[str] = []
    train(configured(*absent, "stage1.steps=1"), "1", say=said.append)
    assert said[-1] == f"192 windows in {data}/train.parquet."
    lines = plan_of(configured(*absent, f"data.episodes={tmp_path}/none", f"data.train={tmp_path}/none.parquet"), "1")
    assert lines[0].endswith("none.parquet is missing; it would be recorded, 120 episodes of each task")


def test_training_needs_no_browser(config_file: Path) -> None:
    code = (
        "import sys\n"
        "from tracer1.config.loading import load_config\n"
        "from tracer1.recipes.train import plan_of\n"
        f"lines = plan_of(load_config({str(config_file)!r}), 'both')\n"
        "print(len(lines), 'playwright' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["2", "False"]


def test_a_published_planner_says_how_it_was_trained(configured: Callable[..., Config]) -> None:
    made = train(configured("stage1.steps=0", "stage2.steps=0"), "1")
    own = planner_settings(made["stage1"])
    assert own is not None
    assert own == settings_of(configured())
    assert (own.prompt_version, own.horizon, own.history, own.max_completion_tokens) == ("brief-1", 3, 2, 6)
    assert own.pixels == (1024, 65536)


def test_a_stage_stopped_between_training_and_its_folder_is_finished(
    configured: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured("stage1.steps=1")
    run = tmp_path / "run"
    run.mkdir()

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("tracer1.training.stages.publish", kill)
        with pytest.raises(KeyboardInterrupt):
            train_stage(config, run, "stage1", quiet)
    assert not (run / "checkpoints").exists()
    out = train_stage(config, run, "stage1", quiet)
    assert steps_of(run) == [("stage1", 1)]
    alone = tmp_path / "alone"
    alone.mkdir()
    assert files_of(out) == files_of(train_stage(config, alone, "stage1", quiet))


def test_what_a_kill_after_the_last_folder_leaves_is_removed(configured: Callable[..., Config], tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints/stage1").mkdir(parents=True)
    (run / "trainer/stage1/checkpoint-2").mkdir(parents=True)
    (run / "trainer/stage2/checkpoint-4").mkdir(parents=True)
    assert train_stage(configured(), run, "stage1", quiet) == run / "checkpoints/stage1"
    assert [path.name for path in (run / "trainer").iterdir()] == ["stage2"]


# ---- the gate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def gated(configured: Callable[..., Config], nano: Nano, tmp_path: Path) -> Callable[..., Config]:
    """Held-out windows and a finished stage 1, a copy of the base, whose stored plan rewards are ``lift`` better."""

    def make(lift: float) -> Config:
        config = configured(f"data.heldout={nano.windows}", "stage2.steps=0")
        run = tmp_path / "run"
        shutil.copytree(nano.folder, run / "checkpoints/stage1")
        manifest = prediction_manifest(folder_source(nano.folder), config)
        ids = [window_id(row) for row in absolute_rows(str(nano.windows))]
        for name, more in (("base", 0.0), ("stage1", 1.0)):
            out = run / HELDOUT / f"{name}.jsonl"
            claim(out, manifest)
            rewards = [0.1 * (i % 5) + more * (lift + 0.01 * (i % 3)) for i in range(len(ids))]
            append(out, [Prediction(id, plan_reward=reward) for id, reward in zip(ids, rewards, strict=True)])
        return config

    return make


def test_stage_2_does_not_start_from_a_stage_1_that_is_no_better(gated: Callable[..., Config], tmp_path: Path) -> None:
    config, said = gated(-0.01), list[str]()
    with pytest.raises(
        TrainingError, match=r"gate: stage 1 is not better than the base on 192 held-out windows: "
    ) as e:
        train(config, "2", say=said.append)
    assert "stage 2 does not start: train stage 1 longer" in str(e.value)
    assert str(e.value).endswith(f"tracer1 train {tmp_path}/run/config.yaml --stage 2 --force")
    assert not (tmp_path / "run/checkpoints/stage2").exists()
    assert json.loads((tmp_path / "run/gate.json").read_text())["passed"] is False
    assert train(config, "2", force=True, say=said.append).keys() == {"stage2"}
    assert said[-1].endswith("stage 2 starts all the same")


def test_stage_2_starts_from_a_better_stage_1_and_says_so(gated: Callable[..., Config], tmp_path: Path) -> None:
    config, said = gated(0.1), list[str]()
    assert train(config, "2", say=said.append).keys() == {"stage2"}
    (line,) = said
    assert line.startswith("gate: stage 1 is better than the base on 192 held-out windows: plan reward 0.308 against ")
    assert line.endswith("; stage 2 starts")
    outcome = json.loads((tmp_path / "run/gate.json").read_text())
    assert outcome["passed"] is True
    assert outcome["difference"]["interval"][0] > 0


def test_the_gate_measures_what_nobody_has_and_only_once(
    gated: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run, said = gated(0.1), tmp_path / "run", list[str]()
    shutil.rmtree(run / HELDOUT)
    monkeypatch.setattr(gate, "WINDOWS", 6)
    with pytest.raises(TrainingError, match=r"on 6 held-out windows.*difference \+0\.000 "):  # the same planner twice
        pass_gate(config, run, force=False, say=said.append)
    (run / "checkpoints/stage1/config.json").unlink()  # it cannot be loaded and measured again
    with pytest.raises(TrainingError, match="on 6 held-out windows"):
        pass_gate(config, run, force=False, say=said.append)
    other = config.model_copy(update={"reward": config.reward.model_copy(update={"gamma": 0.5})})
    assert made_with(run / "gate.json", gate_manifest(config, run))
    assert not made_with(run / "gate.json", gate_manifest(other, run))
    assert said == []


def test_without_held_out_windows_or_stage_1_the_gate_says_that_it_is_skipped(
    configured: Callable[..., Config], nano: Nano, tmp_path: Path
) -> None:
    said: list[str] = []
    run = tmp_path / "run"
    pass_gate(configured(f"data.heldout={nano.windows}"), run, force=False, say=said.append)
    (run / "checkpoints/stage1").mkdir(parents=True)
    pass_gate(configured(), run, force=False, say=said.append)
    pass_gate(configured(f"data.heldout={tmp_path}/none.parquet"), run, force=False, say=said.append)
    assert [line.partition(";")[0] for line in said] == [
        f"gate: skipped: there is no stage 1 in {run}",
        "gate: skipped: no held-out windows (data.heldout is not set)",
        f"gate: skipped: no held-out windows ({tmp_path}/none.parquet)",
    ]


def test_a_new_stage_1_has_to_pass_anew(gated: Callable[..., Config], tmp_path: Path) -> None:
    config, run = gated(0.1), tmp_path / "run"
    train(config, "2")
    shutil.rmtree(run / "checkpoints")
    stage_with_progress(config.model_copy(update={"stage1": config.stage2}), run, "stage1")
    assert not (run / "gate.json").exists()
    assert sorted(path.name for path in (run / HELDOUT).iterdir()) == ["base.jsonl", "base.jsonl.manifest.json"]


# ---- parts -----------------------------------------------------------------------------------------------------------


def test_rows_name_images_that_can_be_opened_from_anywhere(
    nano: Nano, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = training_rows(os.path.relpath(nano.windows, tmp_path))
    assert len(rows) == 192
    for image in {image for row in rows for image in row["images"]}:
        assert Path(image).is_absolute()
        assert Path(image).is_file()
    assert list(absolute_rows(str(nano.windows)))[7] == rows[7]
    with pytest.raises(DataError, match="no such file"):
        training_rows("none.parquet")


def test_several_files_are_one_training_set(configured: Callable[..., Config], nano: Nano, tmp_path: Path) -> None:
    """Each row's images, elements and files are found in its own store."""
    moved = tmp_path / "other" / "episodes"
    shutil.copytree(nano.store.directory, moved)
    make_windows(moved, tmp_path / "w.parquet", 3, 2, "brief-1")
    config = configured(f"data.train=[{nano.windows}, {tmp_path / 'w.parquet'}]")
    rows = list(training_rows(config.data.train_files))
    half = len(rows) // 2
    assert {row["store"] for row in rows[:half]} == {str(nano.store.directory.resolve())}
    assert {row["store"] for row in rows[half:]} == {str(moved.resolve())}
    assert all(image.startswith(f"{row['store']}/images/") for row in rows for image in row["images"])
    shutil.rmtree(nano_elements := moved / "elements")
    scorer = make_scorer(config, "stage2")
    first = render_plan(Plan(reference_from_json(json.loads(rows[0]["reference"])).steps))
    assert scorer([first], rows[:1])[0].overall == pytest.approx(1.0)
    with pytest.raises(DataError, match=re.escape(str(nano_elements))):  # no other store is looked into
        scorer([first], rows[half : half + 1])
    assert known_strings(config) == known_strings(configured(f"data.train={nano.windows}"))


def test_the_scorer_is_the_configured_one(configured: Callable[..., Config]) -> None:
    config = configured("reward.profile=prototype", "reward.gamma=0.5", "reward.lambda_fmt=0.3", "reward.radius=0.01")
    first = make_scorer(config, "stage1")
    assert isinstance(first, TrajectoryScorer)
    assert (first.profile.gamma, first.profile.lambda_fmt) == (0.5, 0.3)
    assert first.profile.completion_bonus > 0
    second = make_scorer(config, "stage2")
    assert isinstance(second, GroundedScorer)
    assert (second.profile.radius, second.executor.name) == (0.01, "dom")


def test_the_last_checkpoint_is_found(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no finished checkpoint"):
        checkpoint_of(tmp_path)
    (tmp_path / "checkpoints/stage1").mkdir(parents=True)
    assert checkpoint_of(tmp_path).name == "stage1"
    (tmp_path / "checkpoints/stage2").mkdir()
    assert checkpoint_of(tmp_path).name == "stage2"


# ---- the base --------------------------------------------------------------------------------------------------------


def test_a_base_is_made_and_remembers_its_strings(
    configured: Callable[..., Config], nano: Nano, tmp_path: Path
) -> None:
    config = configured(f"model.path={tmp_path}/base")
    made = train(config, "warmup")
    assert made == {"base": tmp_path / "base"}
    strings = json.loads((made["base"] / SEEN).read_text())
    assert strings == sorted(nano.source.quoted())
    assert load_processor(made["base"]).tokenizer.get_vocab() == nano.tokenizer.get_vocab()
    assert load_model(made["base"]).config.text_config.hidden_size == 32
    assert steps_of(tmp_path / "run") == [("warmup", 1), ("warmup", 2), ("warmup", 3)]
    assert not (tmp_path / "run" / STATE).exists()
    with pytest.raises(UsageError, match="base exists; name another"):
        train(config, "warmup")


def test_a_stopped_base_is_the_same_base(configured: Callable[..., Config], tmp_path: Path) -> None:
    whole = train(configured(f"model.path={tmp_path}/whole", f"output_dir={tmp_path}/one"), "warmup")
    cut = configured(f"model.path={tmp_path}/cut", f"output_dir={tmp_path}/two")

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == 2:
            raise KeyboardInterrupt

    from tracer1.results.run import prepare
    from tracer1.training.base import train_base

    with pytest.raises(KeyboardInterrupt):
        train_base(cut, prepare(cut), stop)
    assert not (tmp_path / "cut").exists()
    resumed = train(cut, "warmup")
    one, two = weights(whole["base"]), weights(resumed["base"])
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_base_needs_episodes(configured: Callable[..., Config], tmp_path: Path) -> None:
    write_episodes(tmp_path / "empty", [])
    with pytest.raises(SetupError, match="holds no episodes"):
        train(configured(f"model.path={tmp_path}/base", f"data.episodes={tmp_path}/empty"), "warmup")
    with pytest.raises(DataError, match="no such file or directory"):
        train(configured(f"model.path={tmp_path}/base", f"data.episodes={tmp_path}/none"), "warmup")
    with pytest.raises(UsageError, match="'nano' section"):
        train(configured(f"model.path={tmp_path}/base", "nano=null"), "warmup")
    assert not (tmp_path / "base").exists()


# ---- a real kill -----------------------------------------------------------------------------------------------------

KILLS = 10
KILLED_RUN = (
    *("stage1.steps=9", "stage1.save_every=2", "stage1.keep_checkpoints=1"),
    *("stage1.schedule=cosine", "stage1.warmup_steps=2", "stage1.resample_zero_variance=true"),
    *("stage2.steps=6", "stage2.save_every=2", "stage2.updates_per_batch=3", "stage2.micro_batch=2"),
)


class Training:
    """``tracer1 train`` of both stages into ``run``, in a process of one thread."""

    def __init__(self, config_file: Path, run: Path) -> None:
        self.metrics = run / "metrics.jsonl"
        self.before = self._file()
        words = ["train", str(config_file), f"output_dir={run}", *KILLED_RUN]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from tracer1.cli.main import main; main()", *words],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _file(self) -> tuple[int, int]:
        """What changes as soon as a process has taken the file over."""
        return (self.metrics.stat().st_ino, self.metrics.stat().st_size) if self.metrics.exists() else (0, 0)

    def reaches(self, lines: int) -> bool:
        """Wait for so many lines of metrics after it took them over; False when it ended before."""
        touched = lines == 0
        while not (touched and self._lines() >= lines):
            if self.process.poll() is not None:
                assert self.process.returncode == 0
                return False
            touched = touched or self._file() != self.before
            time.sleep(0.005)
        return True

    def _lines(self) -> int:
        return self.metrics.read_bytes().count(b"\n") if self.metrics.exists() else 0

    def killed_after(self, seconds: float) -> bool:
        """SIGKILL it in so many seconds; False when it ended before."""
        try:
            assert self.process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            return self.process.wait() == -signal.SIGKILL
        return False


@pytest.mark.slow
def test_a_training_killed_ten_times_ends_as_one_left_alone(config_file: Path, tmp_path: Path) -> None:
    """SIGKILL at random moments from a run's start to its end, ten times, then once to the end: the same bits."""
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    steps = [("stage1", step) for step in range(1, 10)] + [("stage2", step) for step in range(1, 7)]
    moments = [time.monotonic()]
    undisturbed = Training(config_file, alone)
    moments += [time.monotonic() for line in range(1, len(steps) + 1) if undisturbed.reaches(line)]
    assert undisturbed.process.wait() == 0
    moments.append(time.monotonic())
    seconds = [after - before for before, after in pairwise(moments)]  # to the first line, the next, ... the end

    rng = random.Random(0)
    moments_of_kills = [(line, rng.uniform(0, seconds[line])) for line in sorted(rng.sample(range(16), KILLS))]
    kills = []
    while len(kills) < KILLS:  # one that came too late is made up for at a start
        line, later = moments_of_kills.pop(0) if moments_of_kills else (0, rng.random())
        training = Training(config_file, killed)
        if training.reaches(line) and training.killed_after(later):
            kills.append((line, round(later, 2)))
    assert Training(config_file, killed).process.wait() == 0
    print(f"killed (lines of metrics, seconds later): {kills}; left alone it took {moments[-1] - moments[0]:.1f} s")

    assert steps_of(alone) == steps
    assert all(line["kl"] > 0 for line in metrics_of(alone)[3:])  # what was sampled moves the weights
    assert metrics_of(killed) == metrics_of(alone)
    assert (killed / "rollouts.jsonl").read_bytes() == (alone / "rollouts.jsonl").read_bytes()
    assert files_of(killed / "checkpoints") == files_of(alone / "checkpoints")
    assert (alone / "checkpoints/stage2/model.safetensors").exists()
    assert not list((killed / "trainer").iterdir())


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """Lines of metrics without what a clock or a memory meter says."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in ("seconds", "rss_mb")} for line in lines]


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file but the model cards, which name the folder of their run."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
