"""Pages that mkdocs makes from the code: every command with its options, and every setting with its default."""

from __future__ import annotations

import ast
import inspect
import re
import tokenize
import types
from collections.abc import Iterator
from io import StringIO
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tracer1.cli.main import app
from tracer1.config.settings import Config

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
    return ["| | | default |", "|---|---|---|", *rows] if rows else []


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


def config_page() -> str:
    """Every section and key of the configuration, with its type, default and purpose."""
    lines = ["# Configuration", "", _ABOUT, "", "## Top level", "", *setting_table(Config)]
    for name, model in sections(Config):
        lines += ["", f"## {name}", "", inspect.cleandoc(model.__doc__ or ""), "", *setting_table(model)]
    return "\n".join(lines) + "\n"


_ABOUT = """\
One YAML file, and `key=value` overrides on the command line. Paths are relative to the working directory. An unknown
key is an error. `tracer1 check CONFIG` names what would stop a run."""


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted name, class) of every section; sections of one class are shown once, under all their names."""
    named: dict[type[BaseModel], list[str]] = {}
    for name, field in model.model_fields.items():
        inner = section_of(field)
        if inner is not None:
            named.setdefault(inner, []).append(f"{prefix}{name}")
    for inner, names in named.items():
        yield ", ".join(names), inner
        yield from sections(inner, f"{names[0]}.")


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The class of a field that is itself a section."""
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def setting_table(model: type[BaseModel]) -> list[str]:
    """The keys of one section that are values."""
    comments = field_comments(model)
    rows = []
    for name, field in model.model_fields.items():
        if section_of(field) is None:
            purpose = field.description or comments.get(name, "")
            rows.append(f"| `{name}` | {cell(kind(field.annotation))} | {shown(field)} | {cell(purpose)} |")
    return ["| key | type | default | |", "|---|---|---|---|", *rows]


def shown(field: FieldInfo) -> str:
    """A field's default in YAML's words."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    words = {None: "null", True: "true", False: "false"}
    if isinstance(value, bool) or value is None:
        return f"`{words[value]}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`".replace("''", '""')


def kind(annotation: Any) -> str:
    """A type in plain words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(kind(part) for part in inner if part is not type(None)) + (
            ", or null" if type(None) in inner else ""
        )
    if origin is tuple:
        return f"list of {kind(inner[0])}"
    if origin is list:
        return f"list of {kind(inner[0])}"
    if origin is dict:
        return f"names to {kind(inner[1])}" if inner else "names to values"
    if hasattr(annotation, "__metadata__"):
        return kind(inner[0])
    words = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "any value"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def field_comments(model: type[BaseModel]) -> dict[str, str]:
    """The comment behind each field in the source, by the field's name."""
    source = inspect.cleandoc("\n" + inspect.getsource(model))
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    by_line = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    (definition,) = ast.parse(source).body
    fields = [node for node in definition.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    return {node.target.id: by_line[node.end_lineno] for node in fields if node.end_lineno in by_line}
