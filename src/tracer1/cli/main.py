"""The command line: argument parsing only, one file a group of commands.

Exit codes: 0 success, 1 failure, 2 wrong usage; one line on stderr says what and what to do.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from tracer1 import __version__
from tracer1.cli import acting, reports, training
from tracer1.cli.common import say
from tracer1.cli.data import data
from tracer1.cli.models import models
from tracer1.errors import TraceR1Error, UsageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
for group in (training, acting, reports):
    app.add_typer(group.app)
app.add_typer(data, name="data")
app.add_typer(models, name="models")


EXTRAS = {
    "accelerate": "train",
    "datasets": "train",
    "psutil": "train",
    "torch": "train",
    "transformers": "train",
    "trl": "train",
    "miniwob": "web",
    "playwright": "web",
    "cv2": "ocr",
    "diskcache": "models",
    "openai": "models",
    "google": "data",
    "google_crc32c": "data",
    "numpy": "data",
    "PIL": "data",
    "pyarrow": "data",
    "jinja2": "report",
}
"""Optional packages by the name under which they are imported, and the extra of tracer1 that installs each."""


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tracer1 {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """TraceR1: planners that look ahead.

    Train a vision-language planner to forecast its next T steps before it acts, and let it act.

    Example: tracer1 demo --quick
    """


def quieten() -> None:
    """Silence the engines' own bars and notices of renamed arguments, unless the environment asks for them."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to report of a group that tasks side by side raised: the first with a message for users, if any."""
    ours = group.subgroup((TraceR1Error, OSError))
    error: BaseException = ours or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> None:
    """Run the command line. A failure that this library foresees becomes one line and an exit code."""
    quieten()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path or an id may hold bytes that are no text
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    debug = "--debug" in sys.argv
    run: Callable[..., Any] = app
    try:
        try:
            run()
        except BaseExceptionGroup as group:
            raise first_of(group) from group
    except TraceR1Error as error:
        if debug:
            raise
        say(f"tracer1: {error}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if debug or package not in EXTRAS:
            raise
        say(f"tracer1: this command needs {package}; run: pip install 'tracer1[{EXTRAS[package]}]'")
        sys.exit(1)
    except SystemExit as error:  # typer turns ctrl-c into exit code 130 and prints nothing
        if error.code == 130:
            say("tracer1: interrupted; run the same command again to resume")
        raise
    except OSError as error:  # a full disk, a port in use, a file that may not be read
        if debug:
            raise
        say(f"tracer1: {': '.join(str(part) for part in (error.filename, error.strerror or error) if part)}")
        sys.exit(1)
