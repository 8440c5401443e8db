"""The settings of a run: one YAML file, ``key=value`` overrides, and nothing hidden behind them.

The defaults are the paper's values (its Table 4; the learning rate and the image sizes are those of the first author's
prototype), counted in prompts, completions and updates: a *step* draws ``prompts_per_batch`` prompts, samples
``group_size`` completions of each and makes ``updates_per_batch`` optimiser updates. Paths are relative to the working
directory. An unknown key is an error that names the nearest known one. The comment after each setting is its
description in the reference (``config/reference.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
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
Files = str | Annotated[tuple[str, ...], Field(min_length=1)]


class Settings(BaseModel):
    """A section of the configuration: immutable, and without keys that are not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class ModelSettings(Settings):
    """The planner: a Hugging Face folder or name, where and in what precision it runs, and the size of its images.

    One section for the gate, the evaluation and the training. In training the precision of the arithmetic is the
    stage's ``precision``, and ``dtype`` is that of the weights: "auto" keeps trained weights in fp32, since steps of
    1e-6 are lost in bf16, and holds those frozen under an adapter in bf16 on a GPU.
    """

    path: str = "Qwen/Qwen3-VL-8B-Thinking"  # a model folder or a Hugging Face name
    min_pixels: Positive = 262_144  # smaller images are enlarged to so many pixels
    max_pixels: Positive = 4_194_304  # larger images are reduced to so many pixels
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
        """The least and the most pixels of a scaled image."""
        return self.min_pixels, self.max_pixels


class PeftSettings(Settings):
    """LoRA: a small adapter is trained, and the planner's own weights stay as they are. Needs the extra ``peft``."""

    rank: Positive = 16  # of the adapter's matrices
    alpha: Positive = 32  # the adapter's output is scaled by alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # before the adapter, in training
    targets: str | tuple[str, ...] = "all-linear"  # names of modules
    modules_to_save: tuple[str, ...] = ()  # modules that are trained whole
    export: Literal["adapter", "merged"] = "merged"  # what is published: the adapter alone, or a whole model


class NanoModelSettings(Settings):
    """Dimensions of a nano Qwen3-VL that the warm-up builds from nothing."""

    pieces: Count = 300  # tokens of one or two characters, which spell rare strings
    word_episodes: Positive = 40  # a word becomes a token of its own if so many episodes hold it
    hidden: Positive = 128  # width of the language model; a multiple of heads
    layers: Positive = 4  # layers of the language model
    heads: Positive = 4  # attention heads of the language model
    vision_hidden: Positive = 64  # width of the vision tower; a multiple of vision_heads
    vision_layers: Positive = 2  # layers of the vision tower
    vision_heads: Positive = 2  # attention heads of the vision tower
    init_std: AboveZero = 0.06  # standard deviation of the first weights; 0.02 suits a width of thousands

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden % self.heads or self.vision_hidden % self.vision_heads:
            raise ValueError("hidden must be a multiple of heads, and vision_hidden of vision_heads")
        return self


class RecordSettings(Settings):
    """Demonstrations that `tracer1 train` records in the live browser when its windows are missing."""

    tasks: tuple[str, ...]  # names of MiniWoB++ tasks
    episodes_per_task: Positive = 120  # training episodes of each task
    heldout_per_task: Count = 30  # held-out episodes of each task, on the seeds that follow the training ones
    first_seed: Count = 0  # the first training seed
    pages: Positive = 8  # browser pages that play at once
    scale: Positive = 1  # screenshot pixels per CSS pixel


class DataSettings(Settings):
    """Where the training instances are: Parquet files of `tracer1 data windows`."""

    episodes: str | None = None  # folder of the recorded episodes; the warm-up reads them
    train: Files = "data/train.parquet"  # the windows to train on: a file, or a list of files
    heldout: str | None = None  # windows for the plan reward between the stages
    record: RecordSettings | None = None

    @property
    def train_files(self) -> tuple[str, ...]:
        """The files of training windows."""
        return (self.train,) if isinstance(self.train, str) else self.train

    @model_validator(mode="after")
    def _recorded_into_one(self) -> Self:
        if self.record is not None and len(self.train_files) > 1:
            raise ValueError("train is a list; where data.record makes the windows, name one file")
        return self

    @model_validator(mode="after")
    def _recorded_somewhere(self) -> Self:
        if self.record is not None and self.episodes is None:
            raise ValueError("record needs data.episodes, the folder for the recorded episodes")
        return self

    @property
    def files(self) -> Iterator[tuple[str, str]]:
        """Each windows file by its name in findings: train (train 1, train 2, ... of several), then heldout."""
        for number, file in enumerate(self.train_files, start=1):
            yield f"train {number}" if len(self.train_files) > 1 else "train", file
        if self.heldout is not None:
            yield "heldout", self.heldout


class PlanSettings(Settings):
    """What the planner is shown and asked for."""

    horizon: Positive = 5  # T: steps forecast; 1 is the reactive agent
    history: Count = 5  # K: past steps in the prompt
    prompt_version: str = "full-2-thinking"  # full-... explains the dialect, brief-1 states the case alone

    @field_validator("prompt_version")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PROMPTS:
            raise ValueError(f"unknown prompt; known are {', '.join(PROMPTS)}")
        return name


class RewardSettings(Settings):
    """The reward: a profile sets the rules; the constants are the same in both."""

    profile: Literal["paper", "prototype"] = "paper"  # the rules: the paper's, or the first author's prototype's
    lambda_fmt: Share = 0.1  # share of the format reward, in both stages
    lambda_align: AboveZero = 1.0  # weight of the matched steps
    lambda_rep: NonNegative = 0.1  # price of a repetition
    gamma: Share = 0.8  # discount by the index of the predicted step
    position_penalty: NonNegative = 0.1  # per place of distance between a predicted and a reference step
    threshold: NonNegative = 0.5  # a match must exceed it
    coverage_penalty: NonNegative = 0.15  # per unmatched step, on either side
    repetition: Literal["absolute", "excess"] = "absolute"  # excess counts only repetitions beyond the reference's own
    radius: NonNegative = RADIUS  # stage 2, where no box is known: normalised Euclidean distance
    function: str | None = None  # "module:name" of a reward of one's own, for both stages
    answer: str = "exact"  # stage 2, tool use: how answers are compared, by name

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

    name: str = "dom"  # dom, ocr, or package.module:Class
    options: dict[str, Any] = Field(default_factory=dict)  # keyword arguments of the executor's class
    concurrency: Positive = 8  # steps executed at once
    timeout: AboveZero = 120.0  # seconds for one step; a step that takes longer is unscored


class WarmupSettings(Settings):
    """The supervised warm-up that makes a base: a text-only copy drill, then windows with screenshots."""

    drill_steps: Count = 1500  # steps of the copy drill
    drill_batch: Positive = 16  # examples in a batch of the drill
    steps: Count = 3000  # steps on windows, after the drill
    batch: Positive = 24  # windows in a batch
    drill_share: Share = 0.2  # share of drill examples in each later batch
    lr: AboveZero = 3e-3  # learning rate
    lr_warmup_steps: Positive = 50  # steps in which the learning rate rises to lr
    weight_decay: NonNegative = 0.01  # AdamW's weight decay
    max_grad_norm: AboveZero = 1.0  # gradients are clipped to this norm
    augment: Share = 0.7  # probability that a window's strings are replaced by unseen ones
    vague: Share = 0.5  # probability that a step names only the kind of its target
    continuation: Share = 0.5  # probability that the plan goes on after each step
    horizon: Positive = 5  # T of the base, whatever plan.horizon the runs on it have
    history: Count = 5  # K of the base
    bf16: bool = True  # compute in bf16 rather than fp32
    save_every: Positive = 250  # steps between checkpoints


class StageSettings(Settings):
    """One stage of GRPO: every row of Table 4."""

    steps: Count = 143  # training steps; 0 copies the planner that the stage starts from
    lr: AboveZero = 1e-6  # learning rate
    optimizer: Literal["adamw"] = "adamw"  # the optimiser
    betas: tuple[Share, Share] = (0.9, 0.999)  # AdamW's betas
    weight_decay: NonNegative = 0.01  # AdamW's weight decay
    warmup_steps: Count = 0  # optimiser updates in which the learning rate rises to lr
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # how the learning rate changes after its warm-up
    max_grad_norm: AboveZero = 1.0  # gradients are clipped to this norm

    prompts_per_batch: Positive = 512  # prompts drawn in one step
    group_size: Annotated[int, Field(ge=2)] = 5  # n: completions sampled of each prompt
    updates_per_batch: Positive = 4  # optimiser updates in one step; 512 / 4 is the global batch of 128 prompts
    epochs_per_batch: Positive = 1  # passes over the completions of one step
    micro_batch: Positive = 2  # sequences in one forward and backward pass on one device

    temperature: AboveZero = 1.0  # sampling temperature
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.99  # nucleus of the sampling
    max_prompt_tokens: Positive = 6144  # longest prompt, images included
    max_completion_tokens: Positive = 2048  # longest completion
    vllm: bool = False  # sample with vLLM rather than transformers
    tensor_parallel: Positive = 2  # vLLM only: devices that share one model
    max_batched_tokens: Positive = 8192  # vLLM only: tokens scheduled at once

    beta: NonNegative = 0.01  # KL coefficient in the loss
    kl_estimator: Literal["k3"] = "k3"  # the estimator that the paper calls low_var_kl
    kl_control: Literal["fixed"] = "fixed"  # the KL coefficient does not change
    kl_target: AboveZero = 0.1  # in Table 4; without effect while the coefficient is fixed
    epsilon_low: AboveZero = 0.2  # clip range below 1
    epsilon_high: AboveZero = 0.3  # clip range above 1
    delta: Annotated[float, Field(gt=1)] | None = 3.0  # dual clip: upper limit of the ratio at negative advantages
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"  # average of the tokens' losses
    scale_rewards: Literal["group", "batch", "none"] = "group"  # the standard deviation that divides the advantage

    resample_zero_variance: bool = False  # draw another prompt for each group without a signal
    precision: Literal["bf16", "fp32"] = "bf16"  # precision of training
    gradient_checkpointing: bool = True  # compute activations again in the backward pass, to save memory
    shared_prompt: bool = True  # encode a group's prompt once; same results in less time
    freeze_vision: bool = False  # leave the vision tower untrained
    image_canary: Literal["stop", "warn", "off"] = "stop"  # when swapped screenshots change no log-probability
    stall_seconds: AboveZero = 600.0  # without progress, before the run says what it waits for
    save_every: Positive = 20  # steps between checkpoints
    keep_checkpoints: Positive = 2  # newest checkpoints that are kept while the stage runs
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()  # loggers beside our own files

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
        """Completions in one optimiser update, over all devices."""
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

    environment: str = "miniwob"  # a name such as "toy", or module:Class of your own
    tasks: tuple[str, ...] = ()  # names of the environment's tasks
    visual_tasks: tuple[str, ...] = ()  # tasks decided by what the screen shows, run again with blank images
    seeds_per_task: Positive = 20  # episodes of each task
    first_seed: Count = 5000  # the first of their seeds, which no training episode may use
    max_steps: dict[str, Positive] = Field(default_factory=dict)  # step limit by task
    default_max_steps: Positive = 12  # step limit of every other task
    pages: Positive = 8  # environments that act at once
    episode_seconds: AboveZero = 120.0  # time limit of an episode
    steps_per_plan: Positive = 1  # most steps done of one plan while the screen shows nothing unexpected
    temperature: NonNegative = 0.0  # sampling temperature; 0 is greedy


class Config(Settings):
    """All settings of a run."""

    output_dir: str  # the run directory
    seed: Count = 0  # seed of the run
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
    trainer: dict[str, Any] = Field(default_factory=dict)  # the engine's own settings, passed through unchanged
