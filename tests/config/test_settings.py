from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer1.config.loading import config_keys, dump_config, load_config
from tracer1.config.settings import Config, StageSettings
from tracer1.errors import UsageError
from tracer1.rewards import grounded, trajectory

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("output_dir: runs/x\n")
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configurations_load_and_resolve(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    resolved = tmp_path / "config.yaml"
    resolved.write_text(dump_config(config))
    assert load_config(resolved) == config


def test_the_paper_configuration_is_table_4() -> None:
    stage = load_config(CONFIGS / "tracer1-8b.yaml").stage1
    assert (stage.steps, stage.prompts_per_batch, stage.updates_per_batch, stage.group_size) == (143, 512, 4, 5)
    assert stage.prompts_per_batch // stage.updates_per_batch == 128
    assert (stage.lr, stage.weight_decay, stage.warmup_steps, stage.max_grad_norm) == (1e-6, 0.01, 0, 1.0)
    assert (stage.temperature, stage.top_p, stage.max_completion_tokens, stage.max_prompt_tokens) == (
        1.0,
        0.99,
        2048,
        6144,
    )
    assert (stage.tensor_parallel, stage.max_batched_tokens) == (2, 8192)
    assert (stage.beta, stage.kl_control, stage.kl_estimator, stage.kl_target) == (0.01, "fixed", "k3", 0.1)
    assert (stage.epsilon_low, stage.epsilon_high, stage.delta) == (0.2, 0.3, 3.0)
    assert stage == StageSettings(vllm=True), "the defaults are the paper's"


def test_the_nano_stages_share_what_they_do_not_name() -> None:
    config = load_config(CONFIGS / "nano.yaml")
    first, second = config.stage1, config.stage2
    assert first.model_copy(update={"steps": second.steps, "lr": second.lr}) == second


def test_reward_settings_become_the_profiles_of_the_rewards(minimal: Path) -> None:
    for name in ("paper", "prototype"):
        reward = load_config(minimal, [f"reward.profile={name}"]).reward
        assert reward.trajectory_profile() == trajectory.PROFILES[name]
        assert reward.grounded_profile() == grounded.PROFILES[name]
    reward = load_config(minimal, ["reward.gamma=1", "reward.radius=0.04"]).reward
    assert reward.trajectory_profile().gamma == 1.0
    assert reward.grounded_profile().radius == 0.04


def test_overrides_are_yaml_and_go_in_order(minimal: Path) -> None:
    overrides = ["stage1.lr=3e-5", "stage1.betas=[0.9, 0.98]", "executor.options.side=480", "seed=1", "seed=2"]
    config = load_config(minimal, overrides)
    assert (config.stage1.lr, config.stage1.betas, config.seed) == (3e-5, (0.9, 0.98), 2)
    assert config.executor.options == {"side": 480}


def test_an_override_of_one_stage_leaves_the_other_that_shares_its_anchor() -> None:
    config = load_config(CONFIGS / "tracer1-8b.yaml", ["stage1.steps=7"])
    assert (config.stage1.steps, config.stage2.steps) == (7, 143)


def test_numbers_without_a_dot_are_numbers_in_free_sections_too(minimal: Path) -> None:
    minimal.write_text("output_dir: x\nexecutor:\n  options: {a: 3e-5, b: 1E3, c: 3e, d: '3e-5'}\n")
    assert load_config(minimal).executor.options == {"a": 3e-5, "b": 1000.0, "c": "3e", "d": "3e-5"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stage1.stpes=3", "unknown key 'stage1.stpes'; did you mean 'stage1.steps'?"),
        ("gama=1", "unknown key 'gama'; did you mean 'reward.gamma'?"),
        ("lr=1", "unknown key 'lr'; did you mean 'warmup.lr' or 'stage1.lr' or 'stage2.lr'?"),
        ("data.record.taks=[a]", "unknown key 'data.record.taks'; did you mean 'data.record.tasks'?"),
        ("plan.qqqq=1", "unknown key 'plan.qqqq'; known here are horizon, history, prompt_version"),
        ("stage1.steps=many", "stage1.steps: input should be a valid integer"),
        ("stage1.temperature=.inf", "stage1.temperature: input should be a finite number"),
        ("stage1.group_size=1", "stage1.group_size: input should be greater than or equal to 2 (found 1)"),
        ("reward.profile=papr", "reward.profile: input should be 'paper' or 'prototype' (found 'papr')"),
        ("reward.answer=fuzzy", "reward.answer: unknown rule; known are exact (found 'fuzzy')"),
        (
            "plan.prompt_version=v9",
            "plan.prompt_version: unknown prompt; known are full-2, full-2-thinking, full-1, brief-1 (found 'v9')",
        ),
        ("stage1.prompts_per_batch=6", "stage1: prompts_per_batch (6) is not a multiple of updates_per_batch (4)"),
        (
            "stage1.micro_batch=3",
            "stage1: micro_batch (3) does not divide an update's 640 sequences",
        ),
        ("model.min_pixels=99999999", "model: min_pixels (99999999) is above max_pixels (4194304)"),
        ("seed.low=3", "seed is a value, not a section"),
        ("seed", "override 'seed': expected key=value"),
        ("=3", "override '=3': expected key=value"),
        ("seed=[1", "override 'seed=[1': not YAML: line 1: expected"),
    ],
)
def test_each_mistake_is_one_line_that_names_the_key(minimal: Path, override: str, message: str) -> None:
    minimal.write_text("output_dir: x\nseed: 1\n")
    with pytest.raises(UsageError) as raised:
        load_config(minimal, [override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_mistakes_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(UsageError, match=r"config\.yaml: cannot be read: No such file"):
        load_config(path)
    path.write_text("seed: 1\n")
    with pytest.raises(UsageError, match=r"config\.yaml: output_dir is missing; add it"):
        load_config(path)
    path.write_text("a: [1\nb: 2\n")
    with pytest.raises(UsageError, match=r"config\.yaml: not YAML: line 2: expected"):
        load_config(path)
    path.write_text("- 1\n")
    with pytest.raises(UsageError, match="expected keys and values"):
        load_config(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        load_config(path)
    path.write_text("output_dir: x\nlr: 1\nsteps: 2\n")
    with pytest.raises(UsageError, match=r"unknown key 'lr'.* \(and 1 more\)"):
        load_config(path)


def test_a_settings_object_cannot_be_changed() -> None:
    config = Config(output_dir="x")
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


def test_every_key_is_listed() -> None:
    keys = config_keys()
    assert len(keys) == len(set(keys))
    assert {"stage2.epsilon_high", "nano.hidden", "data.record.tasks", "evaluation.max_steps"} <= set(keys)


@given(st.integers(1, 64), st.integers(2, 8), st.integers(1, 4))
def test_the_arithmetic_adds_up(prompts: int, rollouts: int, updates: int) -> None:
    drawn = prompts * updates
    stage = StageSettings(prompts_per_batch=drawn, group_size=rollouts, updates_per_batch=updates, micro_batch=1)
    assert stage.sequences_per_update == prompts * rollouts
    assert f"{drawn} prompts x {rollouts} rollouts = {drawn * rollouts} completions" in stage.arithmetic()
