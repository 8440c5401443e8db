"""What is installed and works on this machine: each part is tried, and has a remedy where it fails."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from tracer1.checks.endpoints import probe
from tracer1.checks.findings import CheckItem, split_remedy
from tracer1.checks.machine import GIB, free_bytes
from tracer1.errors import SetupError

BROWSER_TIMEOUT = 20_000  # milliseconds
DISK_NEEDED = 5 * GIB  # the installation with a CPU build of torch, and a demo
MEMORY_NEEDED = 6 * GIB
WORD = "Submit"
ENDPOINTS = ("OPENAI_BASE_URL", "TRACER1_MODEL_URL", "TRACER1_TOOL_AGENT_URL")


def run_doctor() -> list[CheckItem]:
    """Try everything, in a few seconds."""
    items = [check() for check in CHECKS]
    return items + [probe(name, os.environ[name]) for name in ENDPOINTS if os.environ.get(name)]


def torch_works() -> CheckItem:
    """torch multiplies two matrices."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        return CheckItem("torch", False, str(error), "pip install 'tracer1[train]'")
    ones = torch.ones(8, 8)
    right = bool(((ones @ ones) == 8).all())
    return CheckItem("torch", right, f"{torch.__version__}, {torch.get_num_threads()} threads", "install torch again")


def _imports(package: str, extra: str) -> Callable[[], CheckItem]:
    def check() -> CheckItem:
        try:
            importlib.import_module(package)
            return CheckItem(package, True, version(package))
        except (ImportError, PackageNotFoundError) as error:
            return CheckItem(package, False, str(error), f"pip install 'tracer1[{extra}]'")

    return check


def converters_work() -> CheckItem:
    """Whether the corpora's file formats can be read: a record is written with its checksum and read back."""
    try:
        from tracer1.data.readers.tfexample import decode_example, encode_example
        from tracer1.data.readers.tfrecord import read_tfrecord, write_tfrecord
        from tracer1.data.windows_file import SCHEMA
    except ImportError as error:
        return CheckItem("converters", False, str(error), "pip install 'tracer1[data]'")
    with TemporaryDirectory() as folder:
        write_tfrecord(Path(folder) / "one", [encode_example({"goal": [WORD.encode()]})])
        read = [decode_example(data) for _, data in read_tfrecord(Path(folder) / "one") if isinstance(data, bytes)]
    whole = read == [{"goal": [WORD.encode()]}]
    detail = f"a TFRecord was written and read; windows have {len(SCHEMA)} columns"
    return CheckItem("converters", whole, detail, "pip install --force-reinstall protobuf google-crc32c pyarrow")


def browser_works() -> CheckItem:
    """Chromium starts and photographs an empty page."""
    try:
        from playwright.sync_api import Error as PlaywrightError
        from playwright.sync_api import sync_playwright

        from tracer1.envs.miniwob.browser import FLAGS, find_browser
        from tracer1.envs.miniwob.tasks import task_names
    except ImportError as error:
        return CheckItem("browser", False, str(error), "pip install 'tracer1[web]'")
    try:
        path, tasks = find_browser(), len(task_names())
    except SetupError as error:
        return CheckItem("browser", False, *split_remedy(error))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), timeout=BROWSER_TIMEOUT)
            page = browser.new_page()
            page.goto("about:blank", timeout=BROWSER_TIMEOUT)
            picture = page.screenshot(timeout=BROWSER_TIMEOUT)
            detail = f"{path} {browser.version} drew a page; {tasks} task pages"
            browser.close()
    except PlaywrightError as error:
        return CheckItem("browser", False, f"{path} fails: {str(error).splitlines()[0]}", f"try: {path} --version")
    return CheckItem("browser", picture.startswith(b"\x89PNG"), detail, "try another browser")


def ocr_works() -> CheckItem:
    """The OCR reads a word that was drawn a moment ago."""
    try:
        import numpy as np
        from PIL import Image, ImageDraw, ImageFont

        from tracer1.executors.ocr import read_lines
    except ImportError as error:
        return CheckItem("ocr", False, str(error), "pip install 'tracer1[ocr]'")
    picture = Image.new("RGB", (160, 60), "white")
    ImageDraw.Draw(picture).text((20, 15), WORD, "black", ImageFont.load_default(24))
    text = " ".join(line.text for line in read_lines(np.asarray(picture)))
    return CheckItem("ocr", WORD in text, f"drew {WORD!r}, read {text!r}", "pip install --force-reinstall rapidocr")


def sandbox_works() -> CheckItem:
    """bubblewrap runs a program without network, as tools that execute code will be run."""
    program = shutil.which("bwrap")
    needed = "needed only for tools that run code"
    if program is None:
        return CheckItem("sandbox", False, f"no bwrap; {needed}", "apt-get install -y bubblewrap", optional=True)
    command = [program, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return CheckItem("sandbox", False, f"{program} hangs; {needed}", "allow user namespaces", optional=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        remedy = "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or run outside a container"
        return CheckItem("sandbox", False, f"{program} fails: {reason}; {needed}", remedy, optional=True)
    return CheckItem("sandbox", True, f"{program} works")


def gpus() -> CheckItem:
    """The GPUs that torch can use; having none is no failure."""
    try:
        import torch
    except (ImportError, OSError):
        return CheckItem("gpu", False, "unknown without torch", "pip install 'tracer1[train]'", optional=True)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        return CheckItem("gpu", True, "none: nano models train on the CPU, larger ones need a GPU")
    properties = [torch.cuda.get_device_properties(i) for i in range(count)]
    return CheckItem("gpu", True, ", ".join(f"{p.name} ({p.total_memory / GIB:.0f} GiB)" for p in properties))


def disk() -> CheckItem:
    """Free space in the working directory."""
    free = free_bytes(Path.cwd())
    detail = f"{free / GIB:.1f} GiB free here, {DISK_NEEDED / GIB:.0f} needed for an installation and a demo"
    return CheckItem("disk", free >= DISK_NEEDED, detail, "free some space, or work in another directory")


def memory() -> CheckItem:
    """Memory that is available to a new program."""
    available = _available_memory()
    detail = (
        f"{available / GIB:.1f} GiB available on {os.cpu_count()} cores, the demo takes up to {MEMORY_NEEDED / GIB:.0f}"
    )
    return CheckItem("memory", available >= MEMORY_NEEDED, detail, "end other programs, or set evaluation.pages lower")


def _available_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    table = {name: amount.split()[0] for name, _, amount in (line.partition(":") for line in lines)}
    return int(table["MemAvailable"]) * 1024


CHECKS: tuple[Callable[[], CheckItem], ...] = (
    torch_works,
    _imports("transformers", "train"),
    _imports("trl", "train"),
    converters_work,
    browser_works,
    ocr_works,
    sandbox_works,
    _imports("openai", "models"),
    gpus,
    disk,
    memory,
)
