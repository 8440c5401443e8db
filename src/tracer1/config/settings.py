"""The settings of a run: one YAML file, ``key=value`` overrides, and nothing hidden behind them.

The defaults are the paper's values (its Table 4; the learning rate and the image sizes are those of the first author's
prototype), spoken in prompts, rollouts and updates: a *step* draws ``prompts_per_batch`` prompts, samples ``rollouts``
completions of each and makes ``updates_per_batch`` optimiser updates. Paths are relative to the working directory.
An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tracer1.actions import RADIUS
from tracer1.plan.prompt import PROMPTS
from tracer1.rewards import grounded, trajectory

P = TypeVar("P", trajectory.TrajectoryProfile, grounded.GroundedProfile)
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
AboveZero = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Settings(BaseModel):
    """A section of the configuration: immutable, and no key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class ModelSettings(Settings):
    """The planner: a Hugging Face folder or name, where and in what precision it runs, and the size of its images.

    One section for the gate, the evaluation and the training. In training the precision of the arithmetic is the
    stage's ``precision``, and ``dtype`` is that of the weights: "auto" keeps trained weights in fp32, since steps of
    1e-6 are lost in bf16, and holds those frozen under an adapter in bf16 on a GPU.
    """

    path: str = "Qwen/Qwen3-VL-8B-Thinking"
    min_pixels: Positive = 262_144
    max_pixels: Positive = 4_194_304
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")] = "auto"  # auto: cuda if there, else cpu
    dtype: Literal["auto", "bf16", "fp32"] = "auto"  # auto: bf16 on a GPU; on a CPU fp32 weights and bf16 arithmetic
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"  # auto: sdpa

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels ({self.min_pixels}) is above max_pixels ({self.max_pixels})")
        return self

    @property
    def pixels(self) -> tuple[int, int]:
        """The least and the most pixels that an image is scaled to."""
        return self.min_pixels, self.max_pixels


class PeftSettings(Settings):
    """LoRA: a small adapter is trained, and the planner's own weights stay as they are. Needs the extra ``peft``."""

    rank: Positive = 16
    alpha: Positive = 32  # the adapter's output is scaled by alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: str | tuple[str, ...] = "all-linear"  # names of modules
    modules_to_save: tuple[str, ...] = ()  # modules that are trained whole
    export: Literal["adapter", "merged"] = "merged"  # what is published: the adapter alone, or a whole model


class NanoModelSettings(Settings):
    """Dimensions of a nano Qwen3-VL that the warm-up builds from nothing."""

    pieces: Count = 300  # of one or two characters, that strings are spelt with
    word_episodes: Positive = 40  # a word is a token of its own if that many episodes hold it
    hidden: Positive = 128
    layers: Positive = 4
    heads: Positive = 4
    vision_hidden: Positive = 64
    vision_layers: Positive = 2
    vision_heads: Positive = 2
    init_std: AboveZero = 0.06  # 0.02 suits a width of thousands

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden % self.heads or self.vision_hidden % self.vision_heads:
            raise ValueError("hidden must be a multiple of heads, and vision_hidden of vision_heads")
        return self


class RecordSettings(Settings):
    """Demonstrations that a run records for itself in the live browser when its data is not there yet."""

    tasks: tuple[str, ...]
    episodes_per_task: Positive = 120
    heldout_per_task: Count = 30  # from the seeds that follow the training ones
    first_seed: Count = 0
    pages: Positive = 8
    scale: Positive = 1  # screenshot pixels per CSS pixel


class DataSettings(Settings):
    """Where the training instances are: Parquet files of ``tracer1 data windows``."""

    episodes: str | None = None  # the store of the recorded episodes; the warm-up re-tells them
    train: str = "data/train.parquet"
    heldout: str | None = None  # windows for the plan reward between the stages
    record: RecordSettings | None = None


class PlanSettings(Settings):
    """What the planner is shown and asked for."""

    horizon: Positive = 5  # T: steps forecast; 1 is the reactive agent
    history: Count = 5  # K: past steps told
    prompt_version: str = "full-2-thinking"  # a name in `plan.prompt.PROMPTS`

    @field_validator("prompt_version")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PROMPTS:
            raise ValueError(f"unknown prompt; known are {', '.join(PROMPTS)}")
        return name


class RewardSettings(Settings):
    """The reward: a profile, which sets the rules, and the constants, which both profiles share."""

    profile: Literal["paper", "prototype"] = "paper"
    lambda_fmt: Share = 0.1  # the share of the format reward, in both stages
    lambda_align: AboveZero = 1.0
    lambda_rep: NonNegative = 0.1
    gamma: Share = 0.8
    position_penalty: NonNegative = 0.1  # per place of distance between a predicted and a reference step
    threshold: NonNegative = 0.5  # what a match must exceed
    coverage_penalty: NonNegative = 0.15  # per unmatched step, on either side
    repetition: Literal["absolute", "excess"] = "absolute"
    radius: NonNegative = RADIUS  # stage 2, where no box is known: normalised Euclidean distance
    answer: str = "exact"  # stage 2, tool use: a name in `rewards.grounded.ANSWER_MATCHES`

    @field_validator("answer")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in grounded.ANSWER_MATCHES:
            raise ValueError(f"unknown rule; known are {', '.join(grounded.ANSWER_MATCHES)}")
        return name

    def trajectory_profile(self) -> trajectory.TrajectoryProfile:
        """Stage 1's rules with these constants."""
        return self._with_constants(trajectory.PROFILES[self.profile])

    def grounded_profile(self) -> grounded.GroundedProfile:
        """Stage 2's rules with these constants."""
        return self._with_constants(grounded.PROFILES[self.profile])

    def _with_constants(self, profile: P) -> P:
        own = self.model_dump(exclude={"profile"})
        return replace(profile, **{field.name: own[field.name] for field in fields(profile) if field.name in own})


class ExecutorSettings(Settings):
    """The frozen executor that executes the first predicted step."""

    name: str = "ui-tars"
    options: dict[str, Any] = Field(default_factory=dict)  # handed to the executor untouched
    concurrency: Positive = 8  # steps executed at once
    timeout: AboveZero = 120.0  # seconds for one step; a step that takes longer is unscored


class WarmupSettings(Settings):
    """The supervised warm-up that makes a base: a text-only copy drill, then windows with screenshots."""

    drill_steps: Count = 1500
    drill_batch: Positive = 16
    steps: Count = 3000
    batch: Positive = 24
    drill_share: Share = 0.2  # of each later batch
    lr: AboveZero = 3e-3
    lr_warmup_steps: Positive = 50
    weight_decay: NonNegative = 0.01
    max_grad_norm: AboveZero = 1.0
    augment: Share = 0.7  # probability that a window's strings are replaced by unseen ones
    vague: Share = 0.5  # probability that a step names only the kind of its target
    continuation: Share = 0.5  # probability that the plan goes on after each step
    horizon: Positive = 5  # the base's own: it outlives the run that trains on it
    history: Count = 5
    bf16: bool = True
    save_every: Positive = 250


class StageSettings(Settings):
    """One stage of GRPO: every row of Table 4."""

    steps: Count = 143
    lr: AboveZero = 1e-6
    optimizer: Literal["adamw"] = "adamw"
    betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: NonNegative = 0.01
    warmup_steps: Count = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    max_grad_norm: AboveZero = 1.0

    prompts_per_batch: Positive = 512
    group_size: Annotated[int, Field(ge=2)] = 5  # n: one group
    updates_per_batch: Positive = 4  # 512 / 4 = the global batch of 128 prompts
    epochs_per_batch: Positive = 1
    micro_batch: Positive = 2  # sequences in one forward and backward pass on one device

    temperature: AboveZero = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.99
    max_prompt_tokens: Positive = 6144
    max_completion_tokens: Positive = 2048
    vllm: bool = False  # sample with vLLM; otherwise with transformers
    tensor_parallel: Positive = 2  # vLLM only
    max_batched_tokens: Positive = 8192  # vLLM only

    beta: NonNegative = 0.01  # KL coefficient in the loss
    kl_estimator: Literal["k3"] = "k3"  # "low_var_kl"
    kl_control: Literal["fixed"] = "fixed"
    kl_target: AboveZero = 0.1  # in Table 4, without effect while the coefficient is fixed
    epsilon_low: AboveZero = 0.2
    epsilon_high: AboveZero = 0.3
    delta: Annotated[float, Field(gt=1)] | None = 3.0  # dual clip
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"  # what the advantage is divided by

    resample_zero_variance: bool = False  # draw another prompt for one whose group carries no signal
    precision: Literal["bf16", "fp32"] = "bf16"
    gradient_checkpointing: bool = True
    shared_prompt: bool = True  # encode a group's prompt once (training/shared_prompt.py); the same figures, sooner
    freeze_vision: bool = False
    image_canary: Literal["stop", "warn", "off"] = "stop"  # when swapped screenshots move no log-probability
    stall_seconds: AboveZero = 600.0  # without progress, before the run says what it waits for
    save_every: Positive = 20  # steps
    keep_checkpoints: Positive = 2
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.prompts_per_batch % self.updates_per_batch:
            raise ValueError(
                f"prompts_per_batch ({self.prompts_per_batch}) is not a multiple of updates_per_batch "
                f"({self.updates_per_batch})"
            )
        if self.sequences_per_update % self.micro_batch:
            fits = [k for k in range(1, self.micro_batch) if self.sequences_per_update % k == 0]
            raise ValueError(
                f"micro_batch ({self.micro_batch}) does not divide an update's {self.sequences_per_update} sequences "
                f"(prompts x rollouts); use {fits[-1]}"
            )
        return self

    @property
    def sequences_per_update(self) -> int:
        """Completions that one optimiser update sees, over all devices."""
        return self.prompts_per_batch // self.updates_per_batch * self.group_size

    def arithmetic(self) -> str:
        """The batch arithmetic in one sentence: prompts, rollouts, samples and updates."""
        updates = self.updates_per_batch * self.epochs_per_batch
        return (
            f"{self.steps} steps of {self.prompts_per_batch} prompts x {self.group_size} rollouts = "
            f"{self.prompts_per_batch * self.group_size} completions, {updates} update{'s' * (updates > 1)} a step on "
            f"{self.prompts_per_batch // self.updates_per_batch} prompts ({self.sequences_per_update} sequences, "
            f"{self.micro_batch} at a time); in all {self.steps * self.prompts_per_batch} prompts, "
            f"{self.steps * self.prompts_per_batch * self.group_size} samples and {self.steps * updates} updates"
        )


class EvaluationSettings(Settings):
    """Live evaluation on seeds that no training step has seen."""

    tasks: tuple[str, ...] = ()
    visual_tasks: tuple[str, ...] = ()  # those whose screen decides what to do: run again with blank images
    seeds_per_task: Positive = 20
    first_seed: Count = 5000
    max_steps: dict[str, Positive] = Field(default_factory=dict)  # by task
    default_max_steps: Positive = 12
    pages: Positive = 8
    episode_seconds: AboveZero = 120.0
    steps_per_plan: Positive = 1  # more: act on the plan while nothing surprises (agent/loop.py, surprise)
    temperature: NonNegative = 0.0


class Config(Settings):
    """Everything a run is made of."""

    output_dir: str
    seed: Count = 0
    model: ModelSettings = ModelSettings()
    peft: PeftSettings | None = None  # set where an adapter is trained instead of the whole planner
    nano: NanoModelSettings | None = None  # set where the warm-up builds the model
    data: DataSettings = DataSettings()
    plan: PlanSettings = PlanSettings()
    reward: RewardSettings = RewardSettings()
    executor: ExecutorSettings = ExecutorSettings()
    warmup: WarmupSettings = WarmupSettings()
    stage1: StageSettings = StageSettings()
    stage2: StageSettings = StageSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    trainer: dict[str, Any] = Field(default_factory=dict)  # the engine's own settings, passed through untouched
