"""What every page is made of: a template that escapes what it is given, and a script known by its hash."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def template(name: str) -> Template:
    """The template ``name``; what it is not given is an error, and all that it is given is text."""
    environment = Environment(
        loader=PackageLoader("tracer1.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def script(name: str) -> tuple[str, str]:
    """(the script, its SHA-256 in base64 as a Content-Security-Policy names it)."""
    text = (files("tracer1.report") / "templates" / name).read_text("utf-8")
    return text, base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
