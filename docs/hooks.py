"""Pages that mkdocs makes from the code: every command with its options, and every setting with its default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from tracer1.cli.main import app
from tracer1.config.reference import config_reference

# ---- mkdocs ----------------------------------------------------------------------------------------------------------


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages; mkdocs calls this before it reads the navigation."""
    from mkdocs.structure.files import File

    for path, text in (("reference/cli.md", cli_page()), ("reference/config.md", config_page())):
        files.append(File.generated(config, path, content=text))
    return files


# ---- commands --------------------------------------------------------------------------------------------------------


def cli_page() -> str:
    """Every command: what it does, an example, its arguments and options."""
    codes = "Exit codes: 0 success, 1 failure, 2 wrong usage. `--debug` shows the traceback of a failure."
    lines = ["# Commands", "", codes, ""]
    for path, command in commands(typer.main.get_command(app)):
        lines += [f"## tracer1 {path}", "", *help_lines(command.help or ""), "", *parameter_table(command), ""]
    return "\n".join(lines)


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(name in full, command) of every command, in the order of ``--help``."""
    for name, command in group.commands.items():
        full = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, full)
        else:
            yield full, command


def help_lines(text: str) -> list[str]:
    """A command's help with its example as a code block."""
    text, _, example = inspect.cleandoc(text).partition("Example: ")
    return [text.strip(), "", "```", " ".join(example.split()), "```"] if example else [text.strip()]


def parameter_table(command: Any) -> list[str]:
    """The arguments and options of a command as a table."""
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    rows = [f"| `{spelling(p)}` | {cell(plain(getattr(p, 'help', '') or ''))} | {default(p)} |" for p in shown]
    return ["| option | meaning | default |", "|---|---|---|", *rows] if rows else []


def spelling(parameter: Any) -> str:
    """How a parameter is written on the command line."""
    return parameter.name.upper() if parameter.param_type_name == "argument" else max(parameter.opts, key=len)


def default(parameter: Any) -> str:
    """The default of a parameter, or that it is required."""
    if parameter.required:
        return "required"
    value = parameter.default
    return "" if value in (None, False, ()) or callable(value) else f"`{value}`"


def plain(text: str) -> str:
    """Help without rich's marks."""
    return re.sub(r"\[/?b\]", "`", text)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ---- settings --------------------------------------------------------------------------------------------------------

_ABOUT = """\
One YAML file, and `key=value` overrides on the command line. Paths are relative to the working directory. An unknown
key is an error. `tracer1 check CONFIG` names what would stop a run."""
TWINS = {"stage1": "stage2"}  # sections with the same settings are shown once


def config_page() -> str:
    """Every section and key of the configuration, with its type, default and purpose."""
    lines = ["# Configuration", "", _ABOUT, "", "## Top level", "", *setting_table("")]
    for section in (setting for setting in config_reference() if setting.type == "section"):
        if section.key not in TWINS.values():
            title = ", ".join(filter(None, (section.key, TWINS.get(section.key))))
            lines += ["", f"## {title}", "", section.description, "", *setting_table(f"{section.key}.")]
    return "\n".join(lines) + "\n"


def setting_table(prefix: str) -> list[str]:
    """The values of one section as a table."""
    rows = []
    for setting in config_reference():
        name = setting.key.removeprefix(prefix)
        if setting.key.startswith(prefix) and "." not in name and setting.type != "section":
            cells = (f"`{name}`", cell(setting.type), quoted(setting.default), cell(setting.description))
            rows.append(f"| {' | '.join(cells)} |")
    return ["| key | type | default | meaning |", "|---|---|---|---|", *rows]


def quoted(default: str) -> str:
    return default if default == "required" else f"`{default}`"
