"""The documents say what is: the tree, the commands, the paths, the settings and the equations."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tracer1.actions import ACTIONS, EXTRA_ACTIONS
from tracer1.cli.main import app
from tracer1.config.loading import config_keys, load_config
from tracer1.config.settings import StageSettings
from tracer1.data.conversion.corpus import ConvertSettings
from tracer1.data.corpora.registry import CORPORA
from tracer1.rewards import grounded, trajectory

ROOT = Path(__file__).parents[1]
README, METHOD, DEVIATIONS, DATA, LOG = (
    ROOT / name for name in ("README.md", "docs/METHOD.md", "docs/DEVIATIONS.md", "docs/DATA.md", "docs/LOG.md")
)
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = (README, *PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")
MADE_BY_RUNS = (
    "runs/",
    "data/",
    "build/",
    "dist/",
    "models/smollm2",
)  # outputs of the commands that the documents show
GENERATED = ("reference/cli.md", "reference/config.md")  # by docs/hooks.py
TOP = {p.name for p in ROOT.iterdir()}

WrongUsage = typer.BadParameter.__mro__[1]  # the base of every parsing error, from whichever click typer brings
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def quoted(document: Path) -> list[str]:
    """What stands between single backticks, outside of code blocks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text(document)))]


def commands(document: Path) -> list[str]:
    """Every line or quotation that calls ``tracer1``."""
    lines = [line for block in FENCE.findall(text(document)) for line in block.splitlines()]
    return [c.strip() for c in [*lines, *quoted(document)] if c.strip().startswith("tracer1 ")]


def program(path: str) -> Any:
    """A Python file outside the package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- the tree --------------------------------------------------------------------------------------------------------


def test_the_tree_is_up_to_date() -> None:
    tree = program("scripts/tree.py")
    assert not [line for line in tree.tree() if not line.rstrip().endswith("/") and len(line.split()) < 2]
    assert text(ROOT / "CONTRIBUTING.md") == tree.document(), "run: python scripts/tree.py --write"


# ---- commands and paths ----------------------------------------------------------------------------------------------


def parse(command: str) -> None:
    """Let the command line read ``command`` as if it were typed, without running it."""
    words = shlex.split(command, comments=True)[1:]
    command_line = typer.main.get_command(app)
    context = command_line.context_class(command_line, info_name="tracer1")
    while hasattr(command_line, "resolve_command"):
        name, command_line, words = command_line.resolve_command(context, words)
        if not words:
            return  # a command named without arguments is a name
        parent, context = context, command_line.context_class(command_line, info_name=name, parent=context)
    command_line.make_context(name, words, parent=parent)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_command_parses(document: Path) -> None:
    for command in commands(document):
        try:
            parse(command)
        except WrongUsage as error:
            raise AssertionError(f"{document.name}: `{command}`: {error.format_message()}") from error


def test_the_command_check_can_fail() -> None:
    assert len(commands(ROOT / "docs/quickstart.md")) > 10
    wrong_kind = "tracer1 train nano --stage 7"
    for wrong in ("tracer1 fly", "tracer1 act --model", "tracer1 demo --fast", wrong_kind):
        with pytest.raises(WrongUsage):
            parse(wrong)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ([a-z-]+)", text(document), re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_path_exists(document: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text(document)) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists() and link not in GENERATED]
    words = {word.rstrip(":,") for code in quoted(document) for word in code.split()}
    paths = {word for word in words if "/" in word and word.split("/")[0] in TOP and not word.startswith(MADE_BY_RUNS)}
    assert not missing + sorted(path for path in paths if not (ROOT / path).exists())


def test_the_path_check_can_see() -> None:
    assert "src/tracer1/rewards/terms.py" in quoted(METHOD)
    assert "configs/tracer1-8b.yaml" in quoted(README)


# ---- the site --------------------------------------------------------------------------------------------------------


def test_every_page_is_in_the_navigation() -> None:
    site = yaml.safe_load(text(ROOT / "mkdocs.yml"))
    named = [page for entry in site["nav"] for part in entry.values() for page in pages_of(part)]
    assert sorted(named) == sorted([page.relative_to(ROOT / "docs").as_posix() for page in PAGES] + list(GENERATED))
    assert site["theme"]["font"] is False, "a build and a page must not fetch anything from outside"


def pages_of(part: Any) -> list[str]:
    return [part] if isinstance(part, str) else [page for entry in part for page in entry.values()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_included_file_exists(page: Path) -> None:
    marks = [line for line in text(page).splitlines() if re.match(r"\W*8\W+\W*examples", line)]
    included = re.findall(r'^--8<-- "(.+)"$', text(page), re.MULTILINE)
    assert len(included) == len(marks)
    assert all((ROOT / name).is_file() for name in included)


def test_the_references_hold_every_command_and_every_setting() -> None:
    hooks = program("docs/hooks.py")
    page = hooks.cli_page()
    for path, command in hooks.commands(typer.main.get_command(app)):
        assert f"\n## tracer1 {path}\n" in page
        assert all(f"| `{max(p.opts, key=len)}` |" in page for p in command.params if p.param_type_name == "option")
    settings = hooks.config_page()
    sections = {key for key in config_keys() if any(other.startswith(f"{key}.") for other in config_keys())}
    values = {key.rpartition(".")[2] for key in config_keys() if key not in sections}
    assert not {name for name in values if f"| `{name}` |" not in settings}
    assert re.search(r"\| `group_size` \| int[^|]* \| `5` \| .+ \|", settings)
    assert "| `train` |" in settings
    assert "\n## data.record\n" in settings


def test_every_page_of_the_api_reference_exists() -> None:
    named = re.findall(r"^::: (tracer1[\w.]*)$", text(ROOT / "docs/reference/api.md"), re.MULTILINE)
    assert len(named) > 10
    for name in named:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


# ---- the method ------------------------------------------------------------------------------------------------------


def rows(document: Path, heading: str) -> list[list[str]]:
    """The cells of the table whose first column is headed ``heading``."""
    _, _, table = text(document).partition(f"\n| {heading} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def test_every_equation_names_its_file_and_functions() -> None:
    found = rows(METHOD, "equation")
    assert [row[0] for row in found] == [f"Eq. {n}" for n in range(1, 11)]
    for equation, _, file, functions in found:
        tree = ast.parse(text(ROOT / file.strip("`")))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert {name.strip("` |") for name in functions.split(",")} <= defined, equation


def test_every_named_function_is_in_the_file_named_with_it() -> None:
    """Where a file and a name stand together, "`src/.../nano.py`, `build_model`", the file defines the name."""
    pairs = re.findall(r"`(src/[\w/]+\.py)`, `([\w.]+)`", " ".join(text(METHOD).split()))
    assert len(pairs) >= 8
    for file, name in pairs:
        assert re.search(rf"\b(?:def|class) {name.split('.')[-1]}\b", text(ROOT / file)), f"{name} is not in {file}"


def test_the_action_space_is_whole() -> None:
    listed = {row[0].strip("`"): row for row in rows(METHOD, "action")}
    assert list(listed) == list(ACTIONS)
    for name, spec in ACTIONS.items():
        assert listed[name][1] == ", ".join(spec.platforms)
        assert listed[name][2] == ", ".join([*spec.required, *(f"{optional}?" for optional in spec.optional)])


def test_every_constant_of_the_rewards_is_told() -> None:
    said = {"none": None, "no": False, "yes": True}
    listed = {row[0].strip("`"): row for row in rows(METHOD, "field")}
    for column, name in enumerate(("paper", "prototype"), 1):
        profile = trajectory.PROFILES[name]
        assert set(listed) == set(profile.__slots__)
        for field, row in listed.items():
            if row[column] == "unused":
                continue
            value = getattr(profile, field)
            shown = said[row[column]] if row[column] in said else row[column]
            assert shown == value if isinstance(value, str | None) else float(shown) == value, (name, field)
    stage_2 = text(METHOD).partition("## 5.")[2].partition("## 6.")[0]
    assert all(f"`{field}`" in stage_2 for field in grounded.PAPER.__slots__)


def test_every_setting_of_a_stage_is_told() -> None:
    section = text(METHOD).partition("## 4.")[2].partition("## 5.")[0]
    assert not [name for name in StageSettings.model_fields if f"`{name}`" not in section]


def test_table_4_names_settings_of_trl() -> None:
    adapter = text(ROOT / "src/tracer1/training/trl/arguments.py")
    for row in rows(METHOD, "Table 4"):
        for name in re.findall(r"`(\w+)`", row[3].partition("; `tracer1")[0]):
            assert re.search(rf"\b{name}\b", adapter), f"{name} is not set in training/trl/arguments.py"


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if d.name not in ("LOG.md", "CHANGELOG.md")], ids=lambda d: d.name
)
def test_every_setting_exists(document: Path) -> None:
    known = set(config_keys())
    sections = {key.partition(".")[0] for key in known if "." in key}
    named = {
        c for c in quoted(document) if re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", c) and c.partition(".")[0] in sections
    }
    assert named <= known


def test_every_setting_of_a_conversion_is_told() -> None:
    for name in ConvertSettings.__dataclass_fields__:
        assert f"{name}=" in text(DATA) or f"--{name}" in text(DATA), f"DATA.md does not tell of {name}"


def test_every_corpus_and_every_action_of_its_own_is_told() -> None:
    for name in CORPORA:
        assert f"`{name}`" in text(DATA)
        row = next(line for line in text(DATA).splitlines() if line.startswith("| **actions outside UI-TARS**"))
        assert all(action in row for action in EXTRA_ACTIONS.get(name, ()))


def test_every_deviation_has_a_setting_or_says_none() -> None:
    known = set(config_keys())
    cells = [line[1:-1].split("|")[-1].strip() for line in text(DEVIATIONS).splitlines() if line.startswith("| ")]
    settings = [cell for cell in cells if cell not in ("setting", "none")]
    assert len(settings) > 20
    assert {name.strip("` ") for cell in settings for name in cell.split(",")} <= known


def test_the_base_is_as_weak_as_is_told() -> None:
    warmup = load_config(ROOT / "configs/nano-base.yaml").warmup
    assert (warmup.vague, round(1 - warmup.continuation, 9)) == (0.65, 0.4), "README.md and DEVIATIONS.md say otherwise"
    for document in (README, DEVIATIONS):
        told = " ".join(text(document).split())
        assert "65 % of" in told
        assert "with probability 0.4 after every step" in told


def test_sections_that_docstrings_name_are_there() -> None:
    headings = set(re.findall(r"^## (\d+)\.", text(METHOD), re.MULTILINE))
    for path in (ROOT / "src").rglob("*.py"):
        named = re.findall(r"METHOD(?:\.md)? section (\d+)", text(path))
        assert set(named) <= headings, path.name


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("document", "name"), [(README, "results"), (LOG, "measured")], ids=["README", "LOG"])
def test_measured_numbers_have_one_place(document: Path, name: str) -> None:
    marks = re.findall(rf"<!-- {name}:(begin|end) -->", text(document))
    assert marks == ["begin", "end"]
