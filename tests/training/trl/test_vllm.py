"""What is passed to vLLM, which is not installed: its arguments, seen by a double of its two classes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset
from nano_planner import STAGE, Nano, each
from PIL import Image
from trl.generation import vllm_generation

from tracer1.config.settings import StageSettings
from tracer1.errors import SetupError, UsageError
from tracer1.models.encoding import suppressed_tokens
from tracer1.models.loading import load_model, load_processor
from tracer1.training.requirements import check_stages
from tracer1.training.stages import training_rows
from tracer1.training.trl import vllm
from tracer1.training.trl.arguments import grpo_config
from tracer1.training.trl.session import make_trainer
from tracer1.types import Score

SETTINGS = StageSettings.model_validate(
    {**STAGE, "beta": 0.0, "vllm": True, "tensor_parallel": 1, "max_batched_tokens": 777}
)


class Engine:
    """Stands in for ``vllm.LLM``: keeps what it was given, and answers each prompt with one token."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.prompts: list[dict[str, Any]] = []
        model = SimpleNamespace(load_weights=lambda weights: None)
        runner = SimpleNamespace(model_runner=SimpleNamespace(model=model))
        self.llm_engine = SimpleNamespace(model_executor=SimpleNamespace(driver_worker=runner))

    def reset_prefix_cache(self) -> None: ...

    def generate(self, prompts: list[dict[str, Any]], sampling_params: Any, use_tqdm: bool) -> list[Any]:
        self.prompts, self.sampling = prompts, sampling_params
        probability = {40: SimpleNamespace(rank=1, logprob=-1.0)}
        output = SimpleNamespace(token_ids=[40], logprobs=[probability])
        return [SimpleNamespace(prompt_token_ids=p["prompt_token_ids"], outputs=[output]) for p in prompts]


class Sampling:
    """Stands in for ``vllm.SamplingParams``: refuses what vLLM has no field for."""

    def __init__(
        self,
        *,
        n: int,
        temperature: float,
        top_p: float,
        top_k: int,
        min_p: float,
        repetition_penalty: float,
        max_tokens: int,
        logprobs: int,
        logit_bias: dict[int, float],
    ) -> None:
        self.logit_bias = logit_bias


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
    monkeypatch.setattr(vllm_generation, "LLM", Engine, raising=False)
    monkeypatch.setattr(vllm_generation, "SamplingParams", Sampling, raising=False)
    monkeypatch.setattr("tracer1.training.requirements.find_spec", lambda name: name)


def test_vllm_is_given_what_it_knows(nano: Nano, tmp_path: Path, engine: None) -> None:
    """One placeholder an image, opened pictures, the trainer's limits of size, banned tokens in vLLM's words."""
    rows = training_rows(str(nano.windows)).select(range(6))
    rows = Dataset.from_list([{**row, "images": row["images"] if k else []} for k, row in enumerate(rows)])
    processor = load_processor(nano.folder, (1024, 65536))
    scorer = each(lambda completion, row: Score(1.0, 1.0, 1.0))
    trainer = make_trainer(load_model(nano.folder), processor, rows, scorer, SETTINGS, tmp_path, "stage1", 7)
    trainer.model.train()
    output = trainer._generate_and_score_completions([dict(rows[i]) for i in (0, 1, 2) for _ in range(2)])
    llm = trainer.vllm_generation.llm
    assert llm.arguments["mm_processor_kwargs"] == {"min_pixels": 1024, "max_pixels": 65536}
    assert llm.arguments["max_num_batched_tokens"] == 777
    assert llm.arguments["model"] == str(nano.folder)
    assert llm.sampling.logit_bias == dict.fromkeys(suppressed_tokens(nano.tokenizer), -100.0)
    placeholder = trainer.model.config.image_token_id
    assert [p["prompt_token_ids"].count(placeholder) for p in llm.prompts] == [0, 0, 1, 1, 1, 1]
    assert [isinstance(p.get("multi_modal_data", {}).get("image"), Image.Image) for p in llm.prompts] == (
        [False] * 2 + [True] * 4
    )
    assert (output["prompt_ids"] == placeholder).sum() > 4  # the trainer's own prompts stay expanded
    assert output["completion_ids"].tolist() == [[40]] * 6


def test_runs_of_placeholders_become_one() -> None:
    assert vllm.collapse_placeholders([[1, 9, 9, 9, 2, 9, 9, 3, 3], [3, 3]], 9) == [[1, 9, 2, 9, 3, 3], [3, 3]]
    assert vllm.open_pictures(None) is None


def test_transformers_is_told_in_its_own_words(tmp_path: Path) -> None:
    config = grpo_config(SETTINGS.model_copy(update={"vllm": False}), tmp_path, 0, [5, 6])
    assert config.generation_kwargs == {"suppress_tokens": [5, 6]}


def test_without_vllm_or_enough_processes_no_stage_starts(monkeypatch: pytest.MonkeyPatch, engine: None) -> None:
    two = SETTINGS.model_copy(update={"tensor_parallel": 2})
    with pytest.raises(UsageError, match=r"stage2\.tensor_parallel \(2\) does not divide the number of processes"):
        check_stages({"stage1": SETTINGS, "stage2": two})
    monkeypatch.setattr("tracer1.training.requirements.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"stage1\.vllm: vLLM is not installed; pip install vllm, or sample with "):
        check_stages({"stage1": SETTINGS})
