"""TRL's GRPOTrainer with what it lacks: resampling, a prompt encoded once a group, whole checkpoints, records, guards.

- zero-variance groups are replaced before the update (resampling.py);
- a group's prompt is encoded once (training/shared_prompt.py), and groups are shuffled whole;
- every step leaves its lines in ``rollouts.jsonl`` and ``metrics.jsonl`` (recording.py);
- a checkpoint appears whole or not at all (training/checkpoints.py);
- the guards of training/guards.py look at all of this and warn.
"""

from __future__ import annotations

import json
import logging
import random
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import (
    RepeatSampler,
    split_pixel_values_by_grid,
    split_tensor_dict,
    unsplit_pixel_values_by_grid,
)

from tracer1.config.settings import StageSettings
from tracer1.errors import TrainingError
from tracer1.results.schema import MetricsRow
from tracer1.training import guards, probes, shared_prompt
from tracer1.training.checkpoints import disk_errors, rotate, seal
from tracer1.training.scoring import RewardFunction, Scorer
from tracer1.training.shared_prefill import share_prefill
from tracer1.training.trl import vllm
from tracer1.training.trl.arguments import updates_per_step
from tracer1.training.trl.recording import MetricsCallback, StepRecord, rollout_lines, write_rollouts
from tracer1.training.trl.resampling import Resampler

logger = logging.getLogger(__name__)
Row = dict[str, Any]
SIGNAL = "signal.json"  # in a checkpoint: which kinds of prompts carried a signal
UNFINISHED = "unfinished"  # where a checkpoint is written
IMAGES = 6  # the place of the images in what TRL's generation returns


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage of training has beside TRL's own arguments; its files go to ``run``."""

    name: str
    settings: StageSettings
    scorer: Scorer
    run: Path
    on_step: Callable[[MetricsRow], None]  # called with each line of metrics


class EpochSampler(RepeatSampler):  # type: ignore[misc]
    """TRL's order of the prompts as a function of (seed, epoch): a resumed run draws what it would have drawn."""

    def set_epoch(self, epoch: int) -> None:
        if self.shuffle:
            self.generator.manual_seed(self.seed + epoch)


class PlanTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer that resamples zero-variance groups, encodes a group's prompt once and records rollouts."""

    def __init__(self, stage: Stage, model: Any, processor: Any, rows: Dataset, args: GRPOConfig) -> None:
        settings = stage.settings
        self.stage, self.updates = stage, updates_per_step(settings)
        self.watchdog = guards.Watchdog(settings.stall_seconds)
        self.reward_function = RewardFunction(guards.watched(stage.scorer, self.watchdog))
        with self._engine(args, processor):
            super().__init__(
                model=model,
                reward_funcs=[self.reward_function],
                args=args,
                train_dataset=rows,
                processing_class=processor,
            )
        self._buffered_inputs: list[Any] | None = None
        self.share_prompts = settings.shared_prompt and self._can_share_prompts()
        self.resampler = Resampler(
            rows, self.reward_function, self.num_generations, int(settings.resample_zero_variance), self._is_vlm
        )
        self.record = StepRecord()
        self._rows: list[Row] = []
        self._checkpoint_parent: Path | None = None  # where a checkpoint is being written
        self.remove_callback(PrinterCallback)  # the progress bar and metrics.jsonl say it better
        self.add_callback(
            MetricsCallback(
                stage.run / "metrics.jsonl",
                stage.name,
                self.updates,
                self.num_generations,
                self.record,
                self.watchdog,
                stage.on_step,
            )
        )

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's training under the watchdog. Raises TrainingError where the model does not see the images."""
        with self.watchdog:
            self.run_image_canary()
            return super().train(*args, **kwargs)

    def _engine(self, args: GRPOConfig, processor: Any) -> AbstractContextManager[None]:
        if not args.use_vllm or args.vllm_mode != "colocate":
            return nullcontext()
        return vllm.engine_with(vllm.engine_arguments(processor, self.stage.settings.max_batched_tokens))

    # ---- the image canary --------------------------------------------------------------------------------------------

    def run_image_canary(self) -> None:
        """Swap screenshots and compare the log-probabilities of the recorded plans.

        Raises TrainingError when nothing changes, so that the model does not see them, and the setting is "stop".
        """
        name, setting = self.stage.name, self.stage.settings.image_canary
        rows = probes.canary_rows(self.train_dataset) if setting != "off" else []
        pictures = probes.pictures_of(rows)
        swapped = probes.swap_pictures(pictures)
        if reason := probes.canary_skipped(setting, rows, pictures, swapped):
            logger.info("image canary, %s: skipped: %s", name, reason)
            return
        ids = self._tokenizer([probes.recorded_completion(row) for row in rows], add_special_tokens=False)["input_ids"]
        completions = [tokens[: self.max_completion_length] for tokens in ids]
        before, after = (self._logps_of(rows, shown, completions) for shown in (pictures, swapped))
        moved = (before - after).abs().max().item()
        message = guards.image_canary_warning(name, moved, len(rows))
        if message is None:
            logger.info("image canary, %s: swapped screenshots move log-probabilities by up to %.2g", name, moved)
        elif setting == "stop":
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

    # ---- the shared prompt -------------------------------------------------------------------------------------------

    def _can_share_prompts(self) -> bool:
        models = [self.model] if self.ref_model is None else [self.model, self.ref_model]
        bare = [self.accelerator.unwrap_model(model) for model in models]
        reason = next(filter(None, map(shared_prompt.unavailable, bare)), None)
        if reason is None and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            reason = "the weights are sharded"
        if reason is not None:
            logger.warning("each completion's prompt is encoded separately: %s", reason)
            return False
        for model in bare:
            shared_prompt.install(model)
        share_prefill(bare[0])
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

    # ---- a step ------------------------------------------------------------------------------------------------------

    @property
    def _step_number(self) -> int:
        """The number of the step that is under way, from 1."""
        return int(self.state.global_step) // self.updates + 1

    def _get_train_sampler(self, dataset: Dataset | None = None) -> EpochSampler:
        s = super()._get_train_sampler(dataset)
        return EpochSampler(s.data_source, s.mini_repeat_count, s.batch_size, s.repeat_count, s.shuffle, s.seed)

    def _generate_and_score_completions(self, inputs: list[Row]) -> dict[str, Any]:
        started = time.perf_counter()
        self._rows = inputs = [dict(row) for row in inputs]
        output = super()._generate_and_score_completions(inputs)
        self.record.seconds["rollout"] = time.perf_counter() - started
        self._write_rollouts(inputs)
        self.watchdog.now(f"the update of step {self._step_number}")
        return dict(output)

    def _generate(self, prompts: list[Any]) -> Any:
        """TRL's generation, and that of other prompts in place of zero-variance groups.

        Changes ``prompts`` and the rows behind them: the caller scores and encodes what stands there afterwards.
        """
        started = time.perf_counter()
        self.watchdog.now(f"the generation of {len(prompts)} completions, {self.stage.name} step {self._step_number}")
        with self._sampler_log_probs() as sampler:
            result = super()._generate(prompts)
        self.record.mismatch = self._mismatch(result, sampler)
        if self.model.training and self.resampler.rounds:
            rng = random.Random(f"{self.args.seed}/{self.state.global_step}")
            result, first, replaced = self.resampler.resample(rng, self._rows, prompts, result, self._generate_again)
            self.record.zero_variance_groups, self.record.resampled_groups = first, replaced
        self.record.seconds["generate"] = time.perf_counter() - started
        images = result[IMAGES]
        if images is not None:  # TRL's processor takes an empty list, and no None, for a prompt without images
            result = (*result[:IMAGES], [row or [] for row in images], *result[IMAGES + 1 :])
        return result

    def _generate_again(self, prompts: list[Any]) -> Any:
        self.watchdog.now(f"the generation of {len(prompts)} completions in place of zero-variance groups")
        return super()._generate(prompts)

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: int, *args: Any, **kwargs: Any
    ) -> Any:
        if self.use_vllm and self.vllm_mode == "colocate":
            prompt_ids = vllm.collapse_placeholders(prompt_ids, self._image_pad_token_id)
            images = vllm.open_pictures(images)
        return super()._generate_single_turn(prompt_ids, images, multimodal_fields, num_generations, *args, **kwargs)

    def _sampler_log_probs(self) -> AbstractContextManager[probes.SamplerLogProbs | None]:
        """What records the sampler's log-probabilities at every MISMATCH_EVERY-th step; vLLM returns its own."""
        if self.use_vllm or self.use_transformers_continuous_batching or not self._measures_mismatch:
            return nullcontext()
        model = self.accelerator.unwrap_model(self.model)
        return probes.SamplerLogProbs(model, self.num_generations, self.temperature)

    @property
    def _measures_mismatch(self) -> bool:
        return bool(self.model.training) and (self._step_number - 1) % guards.MISMATCH_EVERY == 0

    def _mismatch(self, result: Sequence[Any], sampler: probes.SamplerLogProbs | None) -> guards.Mismatch | None:
        """The first group's log-probabilities by the sampler and by the trainer, compared."""
        n = self.num_generations
        completions, returned = result[1][:n], result[4]
        if not self._measures_mismatch or (sampler is None and returned is None):
            return None
        theirs = returned[:n] if sampler is None else sampler.log_probabilities(completions)
        ours = self._logps_of(self._rows[:n], probes.pictures_of(self._rows[:n]), completions)
        return guards.mismatch_of(theirs, ours.tolist())

    def _write_rollouts(self, inputs: list[Row]) -> None:
        """This process' lines, from TRL's logs of all processes, and those of the others."""
        share, index = len(inputs), self.accelerator.process_index
        logged = [
            list(self._logs[name])[-share * self.accelerator.num_processes :] for name in ("completion", "advantages")
        ]
        completions, advantages = (values[index * share : (index + 1) * share] for values in logged)
        lines = rollout_lines(
            self.stage.name, self._step_number, inputs, completions, self.reward_function.last, advantages
        )
        write_rollouts(self.record, self.stage.run / "rollouts.jsonl", lines, inputs)

    # ---- checkpoints -------------------------------------------------------------------------------------------------

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._checkpoint_parent or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """TRL's checkpoint and our own state, written elsewhere and renamed once whole; the oldest goes after that.

        TRL would write it in its place, and remove the oldest before this one is whole.
        Raises SetupError when the disk refuses.
        """
        out = Path(self._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        with disk_errors(out / name):
            if self.args.should_save:
                shutil.rmtree(out / UNFINISHED, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            self._checkpoint_parent = out / UNFINISHED
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._checkpoint_parent = None
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                written = out / UNFINISHED / name
                (written / SIGNAL).write_text(json.dumps(self.resampler.memory.visits), encoding="utf-8")
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
