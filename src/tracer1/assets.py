"""The configurations and the nano base that ship with the package, by the paths that they have in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent
# The wheel holds the two folders of the repository under shipped/ (pyproject.toml); a source tree has them at its root.
SHIPPED: Final = PACKAGE / "shipped" if (PACKAGE / "shipped").is_dir() else PACKAGE.parents[1]
FOLDERS: Final = ("configs", "models")


def resolve(path: Path | str) -> str:
    """Where ``path`` is: in the working directory, else among the files of the package, else ``path`` as it is.

    ``models/nano-base`` thus works in any folder, and a folder of that name in the working directory comes first. A
    hub name or a URL is returned unchanged.
    """
    given = Path(path)
    if given.exists() or given.is_absolute() or ".." in given.parts or given.parts[:1] not in [(f,) for f in FOLDERS]:
        return str(path)
    shipped = SHIPPED / given
    return str(shipped) if shipped.exists() else str(path)


def resolve_config(name: Path | str) -> str:
    """The file of a configuration given by its path, or by its plain name: ``nano`` for ``configs/nano.yaml``."""
    found = resolve(name)
    if Path(found).is_file() or Path(name).name != str(name):
        return found
    shipped = resolve(f"configs/{name}.yaml")
    return shipped if Path(shipped).is_file() else found


def shipped_configs() -> list[str]:
    """The names of the configurations in the package."""
    return sorted(path.stem for path in (SHIPPED / "configs").glob("*.yaml"))
