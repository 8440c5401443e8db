"""GRPO on TRL: the one file that imports trl. Table 4 (METHOD section 4), row by row, and what TRL lacks:

- prompts whose group carries no signal (every reward equal) are replaced, before the update, by fresh ones;
- a group's prompt is encoded once (training/shared_prompt.py), and groups are shuffled whole;
- ``rollouts.jsonl`` with every term of every score, and ``metrics.jsonl`` with times and memory, both continued on
  resume;
- the guards of training/guards.py, which look at all of this and speak.
"""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import random
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import (
    RepeatSampler,
    split_pixel_values_by_grid,
    split_tensor_dict,
    unsplit_pixel_values_by_grid,
)

from tracer1.config.settings import StageSettings
from tracer1.errors import TrainingError, UsageError
from tracer1.models.encoding import suppressed_tokens
from tracer1.models.loading import tokenizer_of, vision_parameters
from tracer1.models.policy import restore_policy
from tracer1.plan.text import parse_plan
from tracer1.training import guards, probes, shared_prompt
from tracer1.training.checkpoints import newest_whole, rotate, seal
from tracer1.training.diagnosis import diagnose, plan_figures
from tracer1.training.records import append, forget_after, lines_of
from tracer1.training.scoring import RewardFunction, Scorer, recorded, text_of
from tracer1.training.signal import SignalMemory, kind_of

logger = logging.getLogger(__name__)
Row = dict[str, Any]
SIGNAL = "signal.json"  # in a checkpoint: which kinds of prompts carried a signal
UNFINISHED = "unfinished"  # where a checkpoint is written


def grpo_config(
    settings: StageSettings, out: Path, seed: int, suppress: Sequence[int], extra: Mapping[str, Any] | None = None
) -> GRPOConfig:
    """Table 4 as TRL's settings.

    The flags set here against TRL's defaults are those under which its loss is the paper's. The global batch is shared
    among ``WORLD_SIZE`` processes. ``extra``, the config's ``trainer`` section, has the last word.
    Raises UsageError when it names what TRL does not know.
    """
    updates = updates_per_step(settings)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    values: Row = dict(
        output_dir=str(out),
        seed=seed,
        max_steps=settings.steps * updates,
        per_device_train_batch_size=settings.micro_batch,
        gradient_accumulation_steps=max(1, settings.sequences_per_update // (settings.micro_batch * processes)),
        generation_batch_size=settings.prompts_per_batch * settings.group_size,
        num_generations=settings.group_size,
        num_iterations=settings.epochs_per_batch,
        learning_rate=settings.lr,
        optim="adamw_torch",
        lr_scheduler_type=settings.schedule,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        warmup_steps=settings.warmup_steps,
        max_grad_norm=settings.max_grad_norm,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_completion_length=settings.max_completion_tokens,
        beta=settings.beta,
        use_bias_correction_kl=False,
        epsilon=settings.epsilon_low,
        epsilon_high=settings.epsilon_high,
        delta=settings.delta,
        loss_type=settings.loss_type,
        scale_rewards=settings.scale_rewards,
        bf16=settings.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=settings.gradient_checkpointing,
        remove_unused_columns=False,
        generation_kwargs={"suppress_tokens": list(suppress)},
        **_vllm(settings),
        logging_steps=1,
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,
        save_steps=settings.save_every * updates,
        save_total_limit=settings.keep_checkpoints,
        dataloader_pin_memory=False,
    )
    try:
        return GRPOConfig(**{**values, **(extra or {})})
    except TypeError as error:
        raise UsageError(f"trainer: {error}; its keys are those of TRL's GRPOConfig") from error


def updates_per_step(settings: StageSettings) -> int:
    """Optimiser updates, which TRL calls steps, in one of our steps."""
    return settings.updates_per_batch * settings.epochs_per_batch


def _vllm(settings: StageSettings) -> Row:
    if not settings.vllm:
        return {}
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_tensor_parallel_size": settings.tensor_parallel,
        "vllm_max_model_length": settings.max_prompt_tokens + settings.max_completion_tokens,
        "vllm_importance_sampling_correction": False,  # parity with the paper's engine, which has none
    }


class EpochSampler(RepeatSampler):  # type: ignore[misc]
    """TRL's order of the prompts as a function of (seed, epoch): a resumed run draws what it would have drawn."""

    def set_epoch(self, epoch: int) -> None:
        if self.shuffle:
            self.generator.manual_seed(self.seed + epoch)


class PlanTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer that resamples zero-variance groups, encodes a group's prompt once and records rollouts."""

    def __init__(
        self,
        *args: Any,
        scorer: Scorer,
        stage: str,
        updates: int,
        rollouts: Path,
        resample_rounds: int,
        share_prompts: bool,
        image_canary: str,
        watchdog: guards.Watchdog,
        **kwargs: Any,
    ) -> None:
        scorer = guards.watched(scorer, watchdog)
        self.reward_function = RewardFunction(scorer)
        super().__init__(*args, reward_funcs=[self.reward_function], **kwargs)
        self._buffered_inputs: list[Any] | None = None
        self.share_prompts = share_prompts and self._can_share_prompts()
        self.scorer, self.stage, self.updates = scorer, stage, updates
        self.rollouts_file, self.resample_rounds = rollouts, resample_rounds
        self.signal = SignalMemory([kind_of(row) for row in self.train_dataset])
        self.seconds: dict[str, float] = {}
        self.resample_counts = (0, 0)
        self.image_canary, self.watchdog = image_canary, watchdog
        self.mismatch: guards.Mismatch | None = None  # of this step, where it was looked for
        self.written: list[Row] = []  # this step's lines of rollouts.jsonl
        self.plans: Row = {}
        self._rows: list[Row] = []
        self._aside: Path | None = None  # where a checkpoint is being written

    def look_at_images(self) -> None:
        """The image canary: swap screenshots, compare log-probabilities of the recorded plans.

        Raises TrainingError when the model does not see them and the setting is "stop".
        """
        rows = probes.rows_to_look_at(self.train_dataset) if self.image_canary != "off" else []
        right = probes.pictures_of(rows)
        swapped = probes.swapped(right)
        if probes.equal(right, swapped):
            logger.info("image canary, %s: skipped: off, or no two rows with different screenshots", self.stage)
            return
        ids = self._tokenizer([probes.gold(row) for row in rows], add_special_tokens=False)["input_ids"]
        completions = [tokens[: self.max_completion_length] for tokens in ids]
        before, after = (self._logps_of(rows, pictures, completions) for pictures in (right, swapped))
        moved = (before - after).abs().max().item()
        message = guards.image_canary_warning(self.stage, moved, len(rows))
        if message is None:
            logger.info("image canary, %s: swapped screenshots move log-probabilities by up to %.2g", self.stage, moved)
        elif self.image_canary == "stop":
            raise TrainingError(message)
        else:
            logger.warning(message)

    @torch.no_grad()
    def _logps_of(self, rows: Sequence[Row], pictures: probes.Pictures, completions: Sequence[Sequence[int]]) -> Any:
        """(B, C) log-probabilities of completions as the update would compute them, zero past their ends."""
        batch = probes.batch_of(self.processing_class, rows, pictures, completions)
        device = self.accelerator.device
        batch = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        size = self.args.per_device_train_batch_size
        logps = self._get_per_token_logps_and_entropies(self.model, **batch, batch_size=size)[0]
        return logps * batch["attention_mask"][:, -logps.shape[1] :]

    def _can_share_prompts(self) -> bool:
        models = [self.model] if self.ref_model is None else [self.model, self.ref_model]
        bare = [self.accelerator.unwrap_model(model) for model in models]
        reason = next(filter(None, map(shared_prompt.why_not, bare)), None)
        if reason is None and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            reason = "the weights are sharded"
        if reason is not None:
            logger.warning("every completion's prompt is encoded anew: %s", reason)
            return False
        for model in bare:
            shared_prompt.install(model)
        shared_prompt.share_prefill(bare[0])
        return True

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """TRL's buffer of a generation batch, with groups shuffled whole so that an update finds them together."""
        if not (self.share_prompts and self.model.training):
            return super()._prepare_inputs(generation_batch)
        parts = self.args.steps_per_generation
        if self._step % (parts * self.num_iterations) == 0 or self._buffered_inputs is None:
            batch = split_pixel_values_by_grid(self._generate_and_score_completions(generation_batch))
            batch = shuffle_groups(batch, self.num_generations)
            self._buffered_inputs = [unsplit_pixel_values_by_grid(part) for part in split_tensor_dict(batch, parts)]
        return self._buffered_inputs[self._step % parts]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Any,
        attention_mask: Any,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **fields: Any,
    ) -> Any:
        """(B, C) log-probabilities and, if asked for, entropies, with the prompts of each batch encoded once."""
        if not self.share_prompts:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **fields
            )
        images, grids = shared_prompt.images_by_sample(
            fields.get("pixel_values"), fields.get("image_grid_thw"), fields.get("num_images"), len(input_ids)
        )
        types = fields.get("mm_token_type_ids")
        logps, entropies = [], []
        for start in range(0, len(input_ids), batch_size or len(input_ids)):
            part = slice(start, start + (batch_size or len(input_ids)))
            packed = shared_prompt.pack(
                self.accelerator.unwrap_model(model),
                input_ids[part],
                attention_mask[part],
                logits_to_keep,
                images[part],
                grids[part],
                None if types is None else types[part],
            )
            with self.accelerator.autocast():
                output = packed.score(model)
            logps.append(packed.unpack(output.log_probs, logits_to_keep))
            if compute_entropy:
                entropies.append(packed.unpack(output.entropy, logits_to_keep))
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    def _get_train_sampler(self, dataset: Dataset | None = None) -> EpochSampler:
        s = super()._get_train_sampler(dataset)
        return EpochSampler(s.data_source, s.mini_repeat_count, s.batch_size, s.repeat_count, s.shuffle, s.seed)

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        started = time.perf_counter()
        self._rows = inputs = [dict(row) for row in inputs]
        output = super()._generate_and_score_completions(inputs)
        self.seconds["rollout"] = time.perf_counter() - started
        self._record(inputs)
        self.watchdog.now(f"the update of step {self._done + 1}")
        return dict(output)

    def _generate(self, prompts: list[Any]) -> Any:
        """TRL's generation, then up to ``resample_rounds`` more for the groups that carry no signal.

        Mutates ``prompts`` and the rows behind them: the caller scores and encodes what stands there afterwards.
        """
        started = time.perf_counter()
        n = self.num_generations
        self.watchdog.now(f"the generation of {len(prompts)} completions, {self.stage} step {self._done + 1}")
        with self._sampler_log_probs() as ear:
            result = super()._generate(prompts)
        self.mismatch = self._mismatch(result, ear)
        rounds = self.resample_rounds if self.model.training else 0
        zero_variance = self._zero_variance_groups(result[3], range(len(prompts) // n)) if rounds else []
        at_first, refilled = len(zero_variance), 0
        rng = random.Random(f"{self.args.seed}/{self.state.global_step}")
        while zero_variance and rounds:
            rounds -= 1
            places = [g * n + k for g in zero_variance for k in range(n)]
            for g in zero_variance:
                row = self.train_dataset[self.signal.draw(rng)]
                for k in range(n):
                    self._rows[g * n + k].clear()
                    self._rows[g * n + k].update(row)
            fresh_prompts = [_with_images(self._rows[p]) for p in places]
            self.watchdog.now(f"the generation of {len(places)} completions in place of groups without signal")
            fresh = super()._generate(fresh_prompts)
            for source, target in enumerate(places):
                prompts[target] = fresh_prompts[source]
                for field, new in zip(result, fresh, strict=True):
                    if isinstance(field, list) and field:
                        field[target] = new[source]
            refilled += len(zero_variance)
            zero_variance = self._zero_variance_groups(result[3], zero_variance)
        self.resample_counts = (at_first, refilled)
        self.seconds["generate"] = time.perf_counter() - started
        return result

    @property
    def _done(self) -> int:
        """Steps done before this one."""
        return int(self.state.global_step) // self.updates

    def _sampler_log_probs(self) -> Any:
        """What overhears the sampler at every MISMATCH_EVERY-th step; vLLM says itself what it thought."""
        deaf = self.use_vllm or self.use_transformers_continuous_batching or not self.model.training
        if deaf or self._done % guards.MISMATCH_EVERY:
            return nullcontext()
        model = self.accelerator.unwrap_model(self.model)
        return probes.SamplerLogProbs(model, self.num_generations, self.temperature)

    def _mismatch(self, result: Sequence[Any], ear: probes.SamplerLogProbs | None) -> guards.Mismatch | None:
        """The first group's log-probabilities by the sampler and by the trainer, compared."""
        n = self.num_generations
        completions, told = result[1][:n], result[4]
        if not self.model.training or self._done % guards.MISMATCH_EVERY or (ear is None and told is None):
            return None
        sampler = told[:n] if ear is None else ear.log_probabilities(completions)
        trainer = self._logps_of(self._rows[:n], probes.pictures_of(self._rows[:n]), completions)
        return guards.mismatch_of(sampler, trainer.tolist())

    def _zero_variance_groups(self, completions: Sequence[Any], groups: Sequence[int]) -> list[int]:
        """Those of the groups whose rewards are all equal; what was seen is remembered."""
        n, zero_variance = self.num_generations, []
        asked = [i for group in groups for i in range(group * n, group * n + n)]
        scores = self.reward_function.score([text_of(completions[i]) for i in asked], [self._rows[i] for i in asked])
        for k, group in enumerate(groups):
            places = range(group * n, group * n + n)
            rewards = [score.overall for score in scores[k * n : k * n + n] if score.overall is not None]
            has_signal = bool(rewards) and max(rewards) - min(rewards) > 1e-6
            self.signal.saw(kind_of(self._rows[places[0]]), has_signal)
            if not has_signal:
                zero_variance.append(group)
        return zero_variance

    def _record(self, inputs: list[Row]) -> None:
        advantages = list(self._logs["advantages"])[-len(inputs) :]
        completions = list(self._logs["completion"])[-len(inputs) :]
        self.written = [
            {
                "stage": self.stage,
                "step": self._done,
                "prompt": f"{row['episode_id']}#{row['step']}",
                "completion": text_of(completion),
                "overall": score.overall,
                "format": score.format,
                "accuracy": score.accuracy,
                "terms": dict(score.terms),
                "unscored": score.unscored,
                "advantage": advantage,
            }
            for row, completion, score, advantage in zip(
                inputs, completions, self.reward_function.last, advantages, strict=True
            )
        ]
        append(self.rollouts_file, self.written)
        plans = [parse_plan(line["completion"]).plan for line in self.written]
        self.plans = plan_figures(plans, [recorded(row).steps for row in inputs])

    def _get_output_dir(self, trial: Any) -> str:
        return str(super()._get_output_dir(trial) if self._aside is None else self._aside)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """TRL's checkpoint and our own state, written aside and renamed once whole; the oldest goes after that.

        TRL would write it in its place, and remove the oldest before this one is whole.
        """
        out = Path(self._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._aside = out / UNFINISHED
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._aside = None
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            written = out / UNFINISHED / name
            (written / SIGNAL).write_text(json.dumps(self.signal.visits), encoding="utf-8")
            seal(written, out / name)
            rotate(out, self.args.save_total_limit)
        self.accelerator.wait_for_everyone()


def shuffle_groups(batch: Row, n: int) -> Row:
    """The samples of a batch in a random order in which the ``n`` of a group stay together."""
    samples = len(batch["prompt_ids"])
    order = [g * n + k for g in torch.randperm(samples // n).tolist() for k in range(n)]

    def permute(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value[order] if value.ndim else value
        return None if value is None else [value[i] for i in order]

    return {name: permute(value) for name, value in batch.items()}


def _with_images(row: Row) -> list[Row]:
    """The prompt as TRL has prepared it by the time it generates: images before the first user message's text."""
    from trl.data_utils import prepare_multimodal_messages

    return list(prepare_multimodal_messages(row["prompt"], images=row["images"]))


class Recorder(TrainerCallback):  # type: ignore[misc]
    """One line of metrics a step, over its ``updates``, and what the guards say of it."""

    def __init__(self, metrics: Path, stage: str, updates: int, on_step: Callable[[Row], None]) -> None:
        self.metrics, self.stage, self.updates, self.on_step = metrics, stage, updates, on_step
        self.voice = guards.RateLimitedWarnings()
        self.rows: list[Row] = []  # of this stage, those before a resume too
        self.rss: list[float] = []  # MB, of this process
        self.recent: deque[list[Row]] = deque(maxlen=guards.LATELY)  # rollouts of the last steps
        self.trainer: PlanTrainer | None = None
        self.process = psutil.Process()
        self.began = time.perf_counter()
        self.logs: list[Row] = []  # of the updates of this step

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.rows = lines_of(self.metrics, self.stage)
        if self.trainer is not None:
            self.trainer.look_at_images()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        _release_memory()
        if self.trainer is not None:
            self.trainer.watchdog.now("a checkpoint to be saved" if control.should_save else "the next batch")

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.updates == 0:
            self.began, self.logs = time.perf_counter(), []

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: Row | None = None, **kwargs: Any
    ) -> None:
        if not logs or "loss" not in logs or self.trainer is None:  # the summary at the end is no update
            return
        self.logs.append(dict(logs))
        if state.global_step % self.updates:
            return
        logs = _means(self.logs)
        scores = self.trainer.reward_function.last
        zero_variance, refilled = self.trainer.resample_counts
        written, mismatch = self.trainer.written, self.trainer.mismatch
        row = {
            "stage": self.stage,
            "step": state.global_step // self.updates,
            "reward": logs.get("reward"),
            "reward_std": logs.get("reward_std"),
            "terms": _mean_terms([s.terms for s in scores]),
            "unscored": sum(s.overall is None for s in scores),
            "zero_variance_groups": logs.get("frac_reward_zero_std"),
            "zero_variance_first": zero_variance,
            "resampled_groups": refilled,
            "signal": diagnose(written, self.trainer.num_generations).to_json(),
            "plans": self.trainer.plans,
            "mismatch": None if mismatch is None else mismatch.to_json(),
            "kl": logs.get("kl"),
            "entropy": logs.get("entropy"),
            "clip_share": logs.get("clip_ratio/region_mean"),
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "completion_tokens": logs.get("completions/mean_length"),
            "truncated_share": logs.get("completions/clipped_ratio"),
            "seconds": {**self.trainer.seconds, "step": time.perf_counter() - self.began},
            "rss_mb": self.process.memory_info().rss / 2**20,
        }
        append(self.metrics, [row])
        self.speak(row, state.max_steps // self.updates)
        self.on_step(row)

    def speak(self, row: Row, steps: int) -> None:
        """What the guards have to say after a step, of ``steps`` in all."""
        assert self.trainer is not None
        step, n, mismatch = row["step"], self.trainer.num_generations, self.trainer.mismatch
        self.rows.append(row)
        self.rss.append(row["rss_mb"])
        self.recent.append(self.trainer.written)
        found = diagnose([line for lines in self.recent for line in lines], n)
        self.voice("signal", step, f"{self.stage}: {found}" if 2 * found.zero_variance > found.groups else None)
        self.voice("mismatch", step, None if mismatch is None else mismatch.told(f"{self.stage} step {step}"))
        self.voice("plans", step, guards.drift(self.stage, self.rows))
        ahead = guards.memory_ahead(self.stage, self.rss, steps - step, guards.free_memory_mb())
        self.voice("memory", step, ahead)


def _means(logs: Sequence[Row]) -> dict[str, float]:
    """The mean of each figure over the updates that have it: rewards come once a step, losses with every update."""
    names = sorted({name for log in logs for name in log})
    values = {n: [v for log in logs if isinstance(v := log.get(n), int | float) and math.isfinite(v)] for n in names}
    return {name: sum(found) / len(found) for name, found in values.items() if found}


def _release_memory() -> None:
    """Give freed memory back: batches of ever new shapes fragment glibc's heap, by some 30 MB a step on a CPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def _mean_terms(terms: Sequence[Any]) -> dict[str, float]:
    names = sorted({name for t in terms for name in t})
    return {name: sum(float(t[name]) for t in terms if name in t) / sum(name in t for t in terms) for name in names}


def train_grpo(
    *,
    model: Any,
    processor: Any,
    rows: Dataset,
    scorer: Scorer,
    settings: StageSettings,
    run: Path,
    stage: str,
    seed: int,
    on_step: Callable[[Row], None] = lambda _: None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Train ``model`` in place for one stage, from the newest whole checkpoint under ``run/trainer/<stage>`` on."""
    out = run / "trainer" / stage
    metrics, rollouts = run / "metrics.jsonl", run / "rollouts.jsonl"
    checkpoint = newest_whole(out)
    done = int(checkpoint.name.split("-")[1]) // updates_per_step(settings) if checkpoint else 0
    forget_after(metrics, stage, done, offset=0)
    forget_after(rollouts, stage, done, offset=1)
    if done >= settings.steps:  # TRL would train one step more
        if checkpoint:
            restore_policy(model, checkpoint)
        return
    trainer = make_trainer(model, processor, rows, scorer, settings, run, stage, seed, on_step, extra)
    if checkpoint:
        trainer.signal.visits = json.loads((checkpoint / SIGNAL).read_text(encoding="utf-8"))
    with trainer.watchdog:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def make_trainer(
    model: Any,
    processor: Any,
    rows: Dataset,
    scorer: Scorer,
    settings: StageSettings,
    run: Path,
    stage: str,
    seed: int,
    on_step: Callable[[Row], None] = lambda _: None,
    extra: Mapping[str, Any] | None = None,
) -> PlanTrainer:
    """Everything up to the first step."""
    if settings.freeze_vision:
        for parameter in vision_parameters(model):
            parameter.requires_grad_(False)
    updates = updates_per_step(settings)
    recorder = Recorder(run / "metrics.jsonl", stage, updates, on_step)
    trainer = PlanTrainer(
        model=model,
        processing_class=processor,
        args=grpo_config(settings, run / "trainer" / stage, seed, suppressed_tokens(tokenizer_of(processor)), extra),
        train_dataset=rows,
        callbacks=[recorder],
        scorer=scorer,
        stage=stage,
        updates=updates,
        rollouts=run / "rollouts.jsonl",
        resample_rounds=int(settings.resample_zero_variance),
        share_prompts=settings.shared_prompt,
        image_canary=settings.image_canary,
        watchdog=guards.Watchdog(settings.stall_seconds),
    )
    trainer.remove_callback(PrinterCallback)  # the progress bar and metrics.jsonl say it better
    recorder.trainer = trainer
    return trainer


# ---- for `tracer1 bench grpo-step` -----------------------------------------------------------------------------------


def stock_trainer(model: Any, processor: Any, rows: Dataset, settings: StageSettings, run: Path) -> GRPOTrainer:
    """TRL's own trainer with the same settings: what one would use instead."""
    return GRPOTrainer(
        model=model,
        processing_class=processor,
        args=grpo_config(settings, run, 0, suppressed_tokens(tokenizer_of(processor))),
        train_dataset=rows,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
    )


def one_update(trainer: GRPOTrainer, batch: Row) -> torch.Tensor:
    """Old and reference log-probabilities, the loss and its gradients for a batch as TRL hands it to its loss.

    Returns the policy's log-probabilities (B, C); the gradients are left in the model.
    """
    trainer.model.train()
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    fields = {k: batch[k] for k in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids") if k in batch}
    length = batch["completion_ids"].shape[1]
    with torch.no_grad():
        old: torch.Tensor
        old, ref = (
            trainer._get_per_token_logps_and_entropies(model, ids, mask, length, batch_size=len(ids), **fields)[0]
            for model in (trainer.model, trainer.ref_model)
        )
    inputs = {**batch, "old_per_token_logps": old, "ref_per_token_logps": ref}
    trainer._compute_loss(trainer.model, inputs).backward()
    return old
