#!/usr/bin/env python3
"""The package's tree, one line a file, from the first line of each docstring.

python scripts/tree.py            print it
python scripts/tree.py --write    put it into CONTRIBUTING.md, between its marks
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "tracer1"
OTHERS = {  # files that have no docstring
    ".js": "a script of a page",
    ".css": "a style sheet",
    ".html": "a template",
    ".json": "data",
    ".yaml": "a configuration that ships with the package",
    ".typed": "the package has type hints",
}


def layers() -> list[str]:
    """The names right below the package, in the order in which they may import each other."""
    code = (ROOT / "tests" / "test_layers.py").read_text(encoding="utf-8")
    return re.findall(r'"(\w+)"', code.partition("LAYERS = (")[2].partition(")")[0])


def purpose(path: Path) -> str:
    """The first line of a module's docstring; what its suffix says of any other file."""
    if path.suffix != ".py":
        return OTHERS.get(path.suffix, "data")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split()).rstrip(".")


def tree(folder: Path = PACKAGE, depth: int = 1) -> list[str]:
    """The lines below ``folder``; empty ``__init__.py`` files are left out."""
    order = layers() if folder == PACKAGE else []
    lines = []
    for path in sorted(
        folder.iterdir(), key=lambda p: (order.index(p.stem) if p.stem in order else -1, p.is_dir(), p.name)
    ):
        if path.is_dir() and path.name != "__pycache__":
            inside = tree(path, depth + 1)
            lines += [f"{'  ' * depth}{path.name}/", *inside] if inside else []
        elif path.is_file() and path.stat().st_size:
            lines.append(f"{'  ' * depth}{path.name:<24} {purpose(path)}"[:160])
    return lines


def document() -> str:
    """CONTRIBUTING.md with the layers and the tree as they are now."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = replaced(text, "layers", textwrap.fill(", ".join(layers()), 110))
    return replaced(text, "tree", "\n".join(["```", "src/tracer1/", *tree(), "```"]))


def replaced(text: str, mark: str, block: str) -> str:
    """``text`` with ``block`` between the two marks of that name."""
    marks = rf"(<!-- {mark}:begin -->\n).*?(\n?<!-- {mark}:end -->)"
    return re.sub(marks, lambda m: f"{m[1]}{block}\n{m[2].lstrip()}", text, flags=re.DOTALL)


if __name__ == "__main__":
    if "--write" in sys.argv:
        (ROOT / "CONTRIBUTING.md").write_text(document(), encoding="utf-8")
    else:
        print("src/tracer1/", *tree(), sep="\n")
