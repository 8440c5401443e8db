"""A small corpus in its published format, with every quirk that its converter knows: ``python -m corpora NAME DIR``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

NAMES = ("agentnet", "androidcontrol", "gui-odyssey", "mind2web", "agenttrek", "mm-traj")

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in NAMES:
        sys.exit(f"python -m corpora {{{','.join(NAMES)}}} DIR")
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    import_module(f"corpora.{sys.argv[1].replace('-', '_')}").make(folder)
