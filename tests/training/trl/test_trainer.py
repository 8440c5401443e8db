"""GRPO on TRL, run for real on a planner of a few thousand weights."""

from __future__ import annotations

import json
import resource
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from nano_planner import Nano, each

from tracer1.config.loading import load_config
from tracer1.config.settings import StageSettings
from tracer1.errors import SetupError, UsageError
from tracer1.models.encoding import suppressed_tokens
from tracer1.models.loading import load_model, load_processor
from tracer1.models.local import LocalPlanner
from tracer1.results.json_records import to_json
from tracer1.results.schema import MetricsRow
from tracer1.training.checkpoints import newest_intact
from tracer1.training.stages import training_rows
from tracer1.training.trl.arguments import grpo_config, updates_per_step
from tracer1.training.trl.session import make_trainer, train_grpo
from tracer1.training.trl.trainer import PlanTrainer, shuffle_groups
from tracer1.types import Score

CONFIGS = Path(__file__).parents[3] / "configs"
SETTINGS = StageSettings(
    steps=2,
    lr=1e-2,
    prompts_per_batch=4,
    group_size=3,
    updates_per_batch=1,
    micro_batch=12,
    max_completion_tokens=8,
    precision="fp32",
    gradient_checkpointing=False,
)
Scoring = Callable[[str, dict[str, Any]], Score]


class StopError(Exception):
    """What a test ends a run with."""


def variety(completion: str, row: dict[str, Any]) -> Score:
    """How many different characters: something that any planner can be better or worse at."""
    value = len(set(completion)) / 20
    return Score(value, 1.0, value, {"format": 1.0, "accuracy": value, "length": float(len(completion))})


@pytest.fixture(scope="module")
def rows(nano: Nano) -> Dataset:
    return training_rows(str(nano.windows)).select(range(16))


@pytest.fixture
def train(nano: Nano, rows: Dataset) -> Callable[..., Any]:
    """Train a fresh copy of the planner into a folder; returns the model."""

    def run(out: Path, scorer: Scoring = variety, on_step: Callable[[Any], None] = print, **changes: Any) -> Any:
        model = load_model(nano.folder)
        train_grpo(
            model=model,
            processor=load_processor(nano.folder),
            rows=rows,
            scorer=each(scorer),
            settings=SETTINGS.model_copy(update=changes),
            run=out,
            stage="stage1",
            seed=7,
            on_step=on_step,
        )
        return model

    return run


def trainer_for(nano: Nano, rows: Dataset, out: Path, scorer: Scoring, **changes: Any) -> PlanTrainer:
    settings = SETTINGS.model_copy(update={"beta": 0.0, **changes})
    model, processor = load_model(nano.folder), load_processor(nano.folder)
    trainer = make_trainer(model, processor, rows, each(scorer), settings, out, "stage1", 7)
    trainer.model.train()
    return trainer


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def figures(path: Path) -> list[dict[str, Any]]:
    """Metrics without what a clock or a memory meter says."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "rss_mb")} for row in lines(path)]


# ---- Table 4 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_every_row_of_table_4(stage: str, tmp_path: Path) -> None:
    settings = getattr(load_config(CONFIGS / "tracer1-8b.yaml"), stage)
    config = grpo_config(settings, tmp_path, 42, [5, 6])
    assert (config.optim, config.bf16) == ("adamw_torch", True)
    assert (config.learning_rate, config.weight_decay, config.warmup_steps) == (1e-6, 0.01, 0)
    assert (config.adam_beta1, config.adam_beta2, config.max_grad_norm) == (0.9, 0.999, 1.0)
    assert config.lr_scheduler_type == "constant"
    assert config.max_steps == 143 * 4 == 572  # optimiser updates
    assert config.generation_batch_size == 512 * 5 == 2560  # completions
    assert config.num_generations == 5
    assert config.per_device_train_batch_size * config.gradient_accumulation_steps == 128 * 5
    assert config.steps_per_generation == 4 * config.gradient_accumulation_steps
    assert config.num_iterations == 1
    assert (config.temperature, config.top_p, config.max_completion_length) == (1.0, 0.99, 2048)
    assert (config.use_vllm, config.vllm_mode, config.vllm_tensor_parallel_size) == (True, "colocate", 2)
    assert config.vllm_max_model_length == 6144 + 2048
    assert config.beta == 0.01
    assert not config.use_bias_correction_kl  # k3 as it stands, "low_var_kl"
    assert (config.epsilon, config.epsilon_high, config.delta) == (0.2, 0.3, 3.0)
    assert (config.loss_type, config.scale_rewards) == ("dapo", "group")
    assert config.gradient_checkpointing
    assert config.seed == 42
    assert config.generation_kwargs == {"logit_bias": {5: -100.0, 6: -100.0}}  # vLLM knows no suppress_tokens
    assert config.report_to == []


def test_checkpoints_fall_between_batches(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"updates_per_batch": 2, "epochs_per_batch": 3, "micro_batch": 6, "save_every": 5}
    )
    config = grpo_config(settings, tmp_path, 0, [])
    assert updates_per_step(settings) == 6
    assert config.max_steps == 2 * 6
    assert config.save_steps == 5 * 6


def test_the_engines_own_settings_have_the_last_word(tmp_path: Path) -> None:
    assert grpo_config(SETTINGS, tmp_path, 0, [], {"top_k": 7, "learning_rate": 0.5}).top_k == 7
    with pytest.raises(UsageError, match=r"trainer: .*no_such_setting"):
        grpo_config(SETTINGS, tmp_path, 0, [], {"no_such_setting": 1})


# ---- a run -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16"])  # tests are in the one, the shipped configurations in the other
def test_two_steps_leave_metrics_and_rollouts(
    nano: Nano, train: Callable[..., Any], tmp_path: Path, precision: str
) -> None:
    told: list[Any] = []
    model = train(tmp_path, on_step=told.append, precision=precision, gradient_checkpointing=precision == "bf16")
    metrics, rollouts = lines(tmp_path / "metrics.jsonl"), lines(tmp_path / "rollouts.jsonl")
    assert [(row["stage"], row["step"]) for row in metrics] == [("stage1", 1), ("stage1", 2)]
    assert [to_json(row) for row in told] == metrics
    for step, row in enumerate(metrics, start=1):
        mine = [line for line in rollouts if line["step"] == step]
        assert len(mine) == 12
        assert row["reward"] == pytest.approx(statistics.mean(line["overall"] for line in mine), abs=1e-6)
        assert row["terms"]["length"] == pytest.approx(statistics.mean(len(line["completion"]) for line in mine))
        assert row["unscored"] == 0
        assert 4 < row["completion_tokens"] <= 8
        assert 0.5 < row["truncated_share"] <= 1
        assert row["learning_rate"] == 1e-2
        assert row["rss_mb"] > 10
        assert {"rollout", "generate", "step"} <= row["seconds"].keys()
        assert all(row[name] is not None for name in ("kl", "entropy", "clip_share", "grad_norm", "reward_std"))
    prompts = {f"{row['episode_id']}#{row['step']}" for row in training_rows(str(nano.windows))}
    for line in rollouts:
        assert line["prompt"] in prompts
        assert line["overall"] == pytest.approx(variety(line["completion"], {}).overall)
        assert line["terms"] == {"format": 1.0, "accuracy": line["accuracy"], "length": float(len(line["completion"]))}
        assert line["unscored"] is None
    before = load_model(nano.folder).state_dict()
    after = model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(before[name], after[name]) for name in before if "visual" in name)


def test_advantages_are_those_of_the_group(train: Callable[..., Any], tmp_path: Path) -> None:
    train(tmp_path, steps=1)
    rollouts = lines(tmp_path / "rollouts.jsonl")
    for start in range(0, len(rollouts), 3):
        group = rollouts[start : start + 3]
        assert len({line["prompt"] for line in group}) == 1
        rewards = [line["overall"] for line in group]
        spread = statistics.stdev(rewards)
        for line in group:
            expected = (line["overall"] - statistics.mean(rewards)) / (spread + 1e-4)
            assert line["advantage"] == pytest.approx(expected, abs=1e-3)


def test_the_vision_tower_can_be_frozen(nano: Nano, train: Callable[..., Any], tmp_path: Path) -> None:
    model = train(tmp_path, steps=1, freeze_vision=True)
    before = load_model(nano.folder).state_dict()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not [name for name in changed if "visual" in name]


def test_the_same_seed_makes_the_same_run(train: Callable[..., Any], tmp_path: Path) -> None:
    one, two = train(tmp_path / "one"), train(tmp_path / "two")
    assert figures(tmp_path / "one/metrics.jsonl") == figures(tmp_path / "two/metrics.jsonl")
    assert lines(tmp_path / "one/rollouts.jsonl") == lines(tmp_path / "two/rollouts.jsonl")
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_line_of_metrics_is_of_all_updates_on_a_batch(train: Callable[..., Any], tmp_path: Path) -> None:
    train(tmp_path, updates_per_batch=2, epochs_per_batch=2, micro_batch=6, lr=0.05)
    metrics = lines(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2]
    assert metrics[0]["clip_share"] > 0  # the first update clips nothing; the later ones do
    assert [line["step"] for line in lines(tmp_path / "rollouts.jsonl")] == [1] * 12 + [2] * 12


# ---- zero variance ---------------------------------------------------------------------------------------------------


def test_silent_groups_are_replaced(nano: Nano, rows: Dataset, tmp_path: Path) -> None:
    zero_variance = rows[0]["reference"]

    def scorer(completion: str, row: dict[str, Any]) -> Score:
        return Score(1.0, 1.0, 1.0) if row["reference"] == zero_variance else variety(completion, row)

    trainer = trainer_for(nano, rows, tmp_path, scorer, resample_zero_variance=True)
    batch = [dict(rows[i]) for i in (1, 0, 2, 0) for _ in range(3)]
    output = trainer._generate_and_score_completions(batch)
    assert (trainer.record.zero_variance_groups, trainer.record.resampled_groups) == (2, 2)
    drawn = trainer._rows
    assert zero_variance not in [row["reference"] for row in drawn]
    assert drawn[:3] == batch[:3]
    assert drawn[6:9] == batch[6:9]
    assert drawn[3:6] == [drawn[3]] * 3
    # What the update is made from is the new prompts' text and pixels, and their own completions.
    planner = LocalPlanner(nano.folder)
    messages = [
        [{"role": "user", "content": [{"type": "image", "image": row["images"][0]}, {"type": "text", "text": text}]}]
        for row in drawn
        for text in [row["prompt"][0]["content"]]
    ]
    inputs = planner.inputs(messages)
    assert torch.equal(output["prompt_ids"], inputs["input_ids"])
    assert torch.equal(output["prompt_mask"], inputs["attention_mask"])
    assert (output["pixel_values"] - inputs["pixel_values"]).abs().max() < 1e-6
    written = lines(tmp_path / "rollouts.jsonl")
    assert [line["prompt"] for line in written] == [f"{row['episode_id']}#{row['step']}" for row in drawn]
    said = nano.tokenizer.batch_decode(output["completion_ids"], skip_special_tokens=True)
    assert [line["completion"] for line in written] == said
    for line, row, advantage in zip(written, drawn, output["advantages"].tolist(), strict=True):
        assert line["overall"] == pytest.approx(scorer(line["completion"], row).overall)
        assert line["advantage"] == pytest.approx(advantage)


def test_silent_groups_are_kept_where_the_setting_says_so(nano: Nano, rows: Dataset, tmp_path: Path) -> None:
    trainer = trainer_for(
        nano, rows, tmp_path, lambda completion, row: Score(1.0, 1.0, 1.0), resample_zero_variance=False
    )
    batch = [dict(rows[i]) for i in (0, 1, 2, 3) for _ in range(3)]
    output = trainer._generate_and_score_completions(batch)
    assert (trainer.record.zero_variance_groups, trainer.record.resampled_groups) == (0, 0)
    assert trainer._rows == batch
    assert output["advantages"].abs().max() == 0.0


def test_the_share_of_silent_groups_is_told(train: Callable[..., Any], tmp_path: Path) -> None:
    train(tmp_path, lambda completion, row: Score(0.5, 1.0, 0.5), steps=1, resample_zero_variance=True)
    row = lines(tmp_path / "metrics.jsonl")[0]
    assert (row["zero_variance_groups"], row["zero_variance_first"], row["resampled_groups"]) == (1.0, 4, 4)


def test_an_unscored_sample_has_no_advantage_and_is_no_zero(train: Callable[..., Any], tmp_path: Path) -> None:
    def scorer(completion: str, row: dict[str, Any]) -> Score:
        if sum(map(ord, completion)) % 3 == 0:
            return Score(None, 1.0, None, {"format": 1.0}, unscored="the executor crashed")
        return variety(completion, row)

    train(tmp_path, scorer, steps=2)
    rollouts = lines(tmp_path / "rollouts.jsonl")
    unscored = [line for line in rollouts if line["overall"] is None]
    assert unscored
    assert len(unscored) < len(rollouts)
    for line in unscored:
        assert (line["advantage"], line["accuracy"], line["unscored"]) == (0.0, None, "the executor crashed")
    for start in range(0, len(rollouts), 3):
        scored = [line for line in rollouts[start : start + 3] if line["overall"] is not None]
        mean = statistics.mean(line["overall"] for line in scored) if scored else 0.0
        for line in scored:  # the mean is that of the scored alone
            assert (line["advantage"] > 1e-3) == (line["overall"] > mean + 1e-6)
    metrics = lines(tmp_path / "metrics.jsonl")
    assert sum(row["unscored"] for row in metrics) == len(unscored)
    scored_means = [
        statistics.mean(line["overall"] for line in rollouts if line["step"] == step and line["overall"] is not None)
        for step in (1, 2)
    ]
    assert [row["reward"] for row in metrics] == pytest.approx(scored_means)


def test_a_run_in_which_nothing_can_be_scored_goes_on(train: Callable[..., Any], tmp_path: Path) -> None:
    train(
        tmp_path, lambda completion, row: Score(None, 0.0, None, unscored="down"), steps=1, resample_zero_variance=True
    )
    row = lines(tmp_path / "metrics.jsonl")[0]
    assert (row["reward"], row["unscored"]) == (None, 12)
    assert {line["advantage"] for line in lines(tmp_path / "rollouts.jsonl")} == {0.0}


def test_special_tokens_are_never_sampled(nano: Nano, rows: Dataset, tmp_path: Path) -> None:
    trainer = trainer_for(nano, rows, tmp_path, variety, temperature=20.0, top_p=1.0, max_completion_tokens=40)
    output = trainer._generate_and_score_completions([dict(rows[i]) for i in (0, 1, 2, 3) for _ in range(3)])
    written = set(output["completion_ids"][output["completion_mask"].bool()].tolist())
    assert not written & set(suppressed_tokens(nano.tokenizer))


# ---- resuming --------------------------------------------------------------------------------------------------------


def stop_at(step: int) -> Callable[[MetricsRow], None]:
    def on_step(row: MetricsRow) -> None:
        if row.step == step:
            raise StopError

    return on_step


@pytest.mark.parametrize(("updates", "saved"), [(1, 4), (2, 2), (1, 5)], ids=["epoch-end", "updates", "epoch-two"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    train: Callable[..., Any], tmp_path: Path, updates: int, saved: int
) -> None:
    def scorer(completion: str, row: dict[str, Any]) -> Score:
        return Score(1.0, 1.0, 1.0) if "'Send'" in row["reference"] else variety(completion, row)

    steps = saved + 2  # four of them use every row once
    changes: dict[str, Any] = {
        "steps": steps,
        "save_every": saved,
        "updates_per_batch": updates,
        "micro_batch": 12 // updates,
    }
    changes |= {"scorer": scorer, "resample_zero_variance": True}
    whole = train(tmp_path / "whole", **changes)
    assert sum(row["resampled_groups"] for row in lines(tmp_path / "whole/metrics.jsonl")) > 0
    with pytest.raises(StopError):
        train(tmp_path / "cut", on_step=stop_at(saved + 1), **changes)
    assert [row["step"] for row in lines(tmp_path / "cut/metrics.jsonl")] == list(range(1, saved + 2))
    with (tmp_path / "cut/rollouts.jsonl").open("a") as file:
        file.write('{"stage": "stage1", "st')  # as a kill leaves it
    resumed = train(tmp_path / "cut", **changes)
    assert [row["step"] for row in lines(tmp_path / "cut/metrics.jsonl")] == list(range(1, steps + 1))
    counted = [line["step"] for line in lines(tmp_path / "cut/rollouts.jsonl")]
    assert counted == [step for step in range(1, steps + 1) for _ in range(12)]
    assert lines(tmp_path / "cut/rollouts.jsonl") == lines(tmp_path / "whole/rollouts.jsonl")
    assert figures(tmp_path / "cut/metrics.jsonl") == figures(tmp_path / "whole/metrics.jsonl")
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_run_that_is_done_is_not_run_again(train: Callable[..., Any], tmp_path: Path) -> None:
    first = train(tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text(), (tmp_path / "rollouts.jsonl").read_text()
    again = train(tmp_path, on_step=stop_at(1))
    assert ((tmp_path / "metrics.jsonl").read_text(), (tmp_path / "rollouts.jsonl").read_text()) == before
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_run_stopped_before_its_first_checkpoint_begins_anew(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(tmp_path, on_step=stop_at(1))
    train(tmp_path)
    assert [row["step"] for row in lines(tmp_path / "metrics.jsonl")] == [1, 2]
    assert len(lines(tmp_path / "rollouts.jsonl")) == 24


def test_lines_of_other_stages_stay(train: Callable[..., Any], tmp_path: Path) -> None:
    tmp_path.joinpath("metrics.jsonl").write_text('{"stage": "warmup", "step": 5}\n{"stage": "stage2", "step": 9}\n')
    train(tmp_path, steps=1)
    assert [row["stage"] for row in lines(tmp_path / "metrics.jsonl")] == ["warmup", "stage2", "stage1"]


def damage_optimizer(folder: Path) -> None:
    file = folder / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def cut_weights(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(1000)


def lose_random_states(folder: Path) -> None:
    (folder / "rng_state.pth").unlink()


@pytest.mark.parametrize("damage", [damage_optimizer, cut_weights, lose_random_states])
def test_a_damaged_checkpoint_is_passed_over_and_the_run_ends_the_same(
    train: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    whole = train(tmp_path / "whole", steps=4, save_every=1)
    cut = tmp_path / "cut"
    with pytest.raises(StopError):
        train(cut, on_step=stop_at(4), steps=4, save_every=1)
    assert sorted(path.name for path in (cut / "trainer/stage1").glob("checkpoint-*")) == [
        "checkpoint-2",
        "checkpoint-3",
    ]
    damage(cut / "trainer/stage1/checkpoint-3")
    resumed = train(cut, steps=4, save_every=1)
    assert f"{cut}/trainer/stage1/checkpoint-3 is damaged and skipped" in caplog.text
    assert lines(cut / "rollouts.jsonl") == lines(tmp_path / "whole/rollouts.jsonl")
    assert figures(cut / "metrics.jsonl") == figures(tmp_path / "whole/metrics.jsonl")
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_checkpoint_is_never_half_there(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill while the second checkpoint is written, with no other but the first to go on from."""
    changes = {"save_every": 1, "keep_checkpoints": 1, "steps": 3}
    whole = train(tmp_path / "whole", **changes)
    save, saved = PlanTrainer._save_rng_state, []

    def killed(self: PlanTrainer, folder: str) -> None:
        saved.append(folder)
        if len(saved) == 2:
            raise StopError
        save(self, folder)

    with monkeypatch.context() as context:
        context.setattr(PlanTrainer, "_save_rng_state", killed)
        with pytest.raises(StopError):
            train(tmp_path / "cut", **changes)
    assert [path.name for path in (tmp_path / "cut/trainer/stage1").glob("checkpoint-*")] == ["checkpoint-1"]
    assert newest_intact(tmp_path / "cut/trainer/stage1") == tmp_path / "cut/trainer/stage1/checkpoint-1"
    told: list[Any] = []
    resumed = train(tmp_path / "cut", on_step=told.append, **changes)
    assert [row.step for row in told] == [2, 3]
    assert [path.name for path in (tmp_path / "cut/trainer/stage1").glob("checkpoint-*")] == ["checkpoint-3"]
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_disk_that_is_full_at_a_checkpoint_ends_in_one_line_and_the_run_resumes(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    changes = {"save_every": 1, "steps": 2}
    whole = train(tmp_path / "whole", **changes)
    weights = tmp_path / "whole/trainer/stage1/checkpoint-1/model.safetensors"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (weights.stat().st_size // 2, before[1]))  # as on a disk that is full
    try:
        with pytest.raises(SetupError, match=r"trainer/stage1/checkpoint-1: the disk is full; free some space and run"):
            train(tmp_path / "cut", **changes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resumed = train(tmp_path / "cut", **changes)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


# ---- the shared prompt -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{}, {"updates_per_batch": 2, "micro_batch": 3, "lr": 1e-12}], ids=["whole", "parts"]
)
def test_sharing_prompts_changes_no_figure(
    train: Callable[..., Any], tmp_path: Path, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path / "shared", steps=1, **changes)
    assert "encoded separately" not in caplog.text
    train(tmp_path / "plain", steps=1, shared_prompt=False, **changes)
    one, two = lines(tmp_path / "shared/rollouts.jsonl"), lines(tmp_path / "plain/rollouts.jsonl")
    assert one == two  # what was sampled is the same
    (a,), (b,) = figures(tmp_path / "shared/metrics.jsonl"), figures(tmp_path / "plain/metrics.jsonl")
    if changes:  # means over parts, and which samples a part holds differs: groups are shuffled whole
        assert a["entropy"] == pytest.approx(b["entropy"], rel=1e-2)
    else:
        assert a["entropy"] == pytest.approx(b["entropy"], rel=1e-4)
        assert a["kl"] == pytest.approx(b["kl"], abs=1e-4)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)


def test_groups_stay_together_when_shuffled() -> None:
    torch.manual_seed(0)
    batch = {"prompt_ids": torch.arange(12).unsqueeze(1), "scale": torch.tensor(3.0), "num_images": list(range(12))}
    shuffled = shuffle_groups({**batch, "nothing": None}, 3)
    order = shuffled["prompt_ids"].flatten().tolist()
    assert order == shuffled["num_images"] != list(range(12))
    assert sorted(order) == list(range(12))
    assert all(order[i : i + 3] == [order[i], order[i] + 1, order[i] + 2] for i in range(0, 12, 3))
    assert shuffled["scale"] == 3.0


def test_where_prompts_cannot_be_shared_the_reason_is_told(
    nano: Nano, rows: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(nano.folder)
    model.config.text_config._attn_implementation = "eager"
    settings = SETTINGS.model_copy(update={"beta": 0.0, "steps": 1})
    trainer = make_trainer(model, load_processor(nano.folder), rows, each(variety), settings, tmp_path, "stage1", 7)
    assert not trainer.share_prompts
    assert "each completion's prompt is encoded separately: its attention is eager" in caplog.text
    trainer.train()
    assert [row["step"] for row in lines(tmp_path / "metrics.jsonl")] == [1]
