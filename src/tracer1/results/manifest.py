"""The manifest beside every results file: what made it. A file made otherwise is refused, with both values named.

``FILE.manifest.json`` stands beside ``FILE``. Tasks and the number of seeds are no part of it: more may be added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tracer1.errors import DataError, UsageError
from tracer1.results.files import read_json, write_json
from tracer1.results.json_records import to_json

WHOLE = 64 * 2**20  # bytes up to which a weights file is hashed whole
SAMPLES, SAMPLE = 64, 4096  # of a larger one: this many places, this many bytes at each


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that a results file depends on."""

    kind: str = ""  # "live episodes", "predictions", "results" or "gate"
    model: str = ""  # a folder, a server's URL with the model's name, or a baseline
    weights: str = ""  # of the folder's safetensors (weights_hash); "" where there is no folder
    prompt: str = ""  # the prompt version
    horizon: int = 0
    history: int = 0
    executor: str = ""
    executor_options: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = ""  # what counts as success
    first_seed: int | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)  # temperature, max_tokens, top_p, seed, images
    limits: Mapping[str, Any] = field(default_factory=dict)  # of an episode
    steps_per_plan: int = 1
    data: str = ""  # of predictions: the hash of the windows file
    reward: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""  # the package's version


@dataclass(frozen=True, slots=True)
class Difference:
    """The first field in which two manifests differ, with both values."""

    name: str
    before: Any
    now: Any


def code_version() -> str:
    """The installed package's version."""
    try:
        return version("tracer1")
    except PackageNotFoundError:
        return "unknown"


# ---- a file and its manifest -----------------------------------------------------------------------------------------


def manifest_path(file: Path) -> Path:
    """The manifest of a results file."""
    return file.with_name(f"{file.name}.manifest.json")


def claim(file: Path, manifest: Manifest) -> None:
    """Write the manifest of a file that is to be made; of one that is there, require that it was made the same way.

    Raises UsageError with both values of the first differing field.
    """
    if not _has_content(file):
        write_json(manifest_path(file), manifest)
        return
    difference = difference_from(file, manifest)
    if difference is not None:
        raise UsageError(
            f"{file} was made with {difference.name} {_short(difference.before)}, not {_short(difference.now)}; "
            "choose another output directory (--out), or move the file away"
        )


def made_with(file: Path, manifest: Manifest) -> bool:
    """Whether the file is there and was made the same way; False also where its manifest is missing or damaged."""
    try:
        return _has_content(file) and difference_from(file, manifest) is None
    except (DataError, UsageError):
        return False


def discard(file: Path) -> None:
    """Remove a results file and its manifest."""
    for path in (file, manifest_path(file)):
        path.unlink(missing_ok=True)


def difference_from(file: Path, manifest: Manifest) -> Difference | None:
    """How the file's own manifest differs from ``manifest``. Raises UsageError for none, DataError for a broken one."""
    beside = manifest_path(file)
    if not beside.exists():
        raise UsageError(f"{file}: {beside.name} is missing, so it is unknown what made the file; move it away")
    return first_difference(read_json(beside, Manifest), manifest)


def first_difference(before: Manifest, now: Manifest) -> Difference | None:
    """The first differing field. A model's path does not matter where the weights of both are known."""
    by_weights = bool(before.weights and now.weights)
    for name in (f.name for f in fields(Manifest)):
        a, b = (_without_null(to_json(getattr(side, name))) for side in (before, now))
        if a == b or (name == "model" and by_weights):
            continue
        if name == "weights":
            a, b = (f"{side.model} (weights {side.weights[:12] or 'unknown'})" for side in (before, now))
            return Difference("model", a, b)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            key = next(k for k in [*a, *b] if a.get(k) != b.get(k))
            return Difference(f"{name}.{key}", a.get(key), b.get(key))
        return Difference(name, a, b)
    return None


def _without_null(value: Any) -> Any:
    """A JSON value without keys that are null: a reader takes them for absent."""
    if isinstance(value, Mapping):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return value


def _has_content(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


# ---- hashes ----------------------------------------------------------------------------------------------------------


def weights_hash(folder: str | Path) -> str:
    """SHA-256 of a folder's ``*.safetensors``; "" where there is none.

    A file up to 64 MB is hashed whole. Of a larger one the name, the size, the header (every tensor's name, type, shape
    and place) and 64 evenly spaced samples of 4 KB are hashed, which tells checkpoints of one architecture apart in
    well under a second.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    digest = hashlib.sha256()
    for file in files:
        _hash_weights(file, digest)
    return digest.hexdigest() if files else ""


def _hash_weights(file: Path, digest: Any) -> None:
    size = file.stat().st_size
    digest.update(f"{file.name} {size}\n".encode())
    if size <= WHOLE:
        digest.update(file.read_bytes())
        return
    with file.open("rb") as weights:
        prefix = weights.read(8)
        header = int.from_bytes(prefix, "little")
        digest.update(prefix + weights.read(min(header, size)))
        for i in range(SAMPLES):
            weights.seek(i * (size - SAMPLE) // (SAMPLES - 1))
            digest.update(weights.read(SAMPLE))


def file_hash(file: str | Path) -> str:
    """SHA-256 of a file's content; "" where there is none."""
    try:
        with Path(file).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
