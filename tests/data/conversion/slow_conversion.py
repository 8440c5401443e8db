"""A conversion whose workers never finish: ``python slow_conversion.py RAW OUT PIDS``. Each worker leaves a file."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tracer1.data.conversion.convert import convert
from tracer1.data.images import Image


class Forever:
    """Describes a screen for ever."""

    name = "forever"

    def __init__(self, pids: Path) -> None:
        self.pids = pids

    def __call__(self, image: Image) -> str:
        (self.pids / str(os.getpid())).touch()
        time.sleep(600)
        return ""


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell starts its jobs with it ignored
    convert("gui-odyssey", sys.argv[1], sys.argv[2], workers=2, describe=Forever(Path(sys.argv[3])))
