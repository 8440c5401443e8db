"""LoRA adapters: added, continued, merged and saved. The one file that imports peft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracer1.config.settings import PeftSettings
from tracer1.errors import SetupError

try:
    from peft import LoraConfig, PeftModel, get_peft_model
except ImportError as error:
    raise SetupError("adapters need the package peft; install it with: pip install 'tracer1[peft]'") from error

ADAPTER = "default"  # its name; TRL adds a frozen copy, "ref", as the reference


def add_adapter(model: Any, settings: PeftSettings) -> Any:
    """The model, frozen, with a new adapter that changes nothing yet. Raises SetupError for unknown targets."""
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        modules_to_save=list(settings.modules_to_save) or None,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise SetupError(f"peft: {str(error).splitlines()[0]}; correct peft.targets or peft.modules_to_save") from error


def continue_adapter(model: Any, folder: Path | str) -> Any:
    """The base with a saved adapter that goes on learning."""
    return PeftModel.from_pretrained(model, str(folder), is_trainable=True)


def merge_adapter(model: Any, folder: Path | str) -> Any:
    """The base with a saved adapter's weights added to its own."""
    return PeftModel.from_pretrained(model, str(folder)).merge_and_unload().eval()


def merged(model: Any) -> Any:
    """The plain model with its adapter's weights added to its own; it is changed in place."""
    return model.merge_and_unload(adapter_names=[ADAPTER])


def save_adapter(model: Any, out: Path) -> None:
    """Write the adapter alone; a base that is a folder is named by its absolute path."""
    config = model.peft_config[ADAPTER]
    base = Path(str(config.base_model_name_or_path))
    if base.exists():
        config.base_model_name_or_path = str(base.resolve())
    model.save_pretrained(str(out), selected_adapters=[ADAPTER])


def restore_adapter(model: Any, checkpoint: Path | str) -> None:
    """Give the model's adapter the weights of a checkpoint."""
    model.load_adapter(str(checkpoint), ADAPTER, is_trainable=True)


def is_adapted(model: Any) -> bool:
    """Whether the model carries an adapter."""
    return isinstance(model, PeftModel)
