"""A trained planner to the Hugging Face Hub, when the user asks for it and only then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tracer1.errors import SetupError, UsageError

Uploader = Callable[[Path, str], str]  # (folder, repository) to the address of what was uploaded


def require_upload(repository: str) -> None:
    """Raise UsageError before hours of training where an upload could not succeed: a wrong name, or no login."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UsageError(f"--push-to-hub {repository}: no repository's name: {error}; write owner/name") from error
    if get_token() is None:
        raise UsageError(f"--push-to-hub {repository}: not logged in; run: hf auth login")


def upload_planner(folder: Path, repository: str, upload: Uploader | None = None) -> str:
    """Upload a planner's folder; returns its address. A repository that is new is private.

    Raises SetupError, with the command to try again, when the Hub refuses. ``upload``: what sends the files.
    """
    try:
        return (upload or _to_hub)(folder, repository)
    except (OSError, ValueError) as error:  # requests' and the Hub's errors are both
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        again = f"the planner is in {folder}; upload it with: hf upload {repository} {folder}"
        raise SetupError(f"upload to {repository} failed: {reason}; {again}") from error


def _to_hub(folder: Path, repository: str) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    url = api.create_repo(repository, private=True, exist_ok=True)
    api.upload_folder(repo_id=repository, folder_path=folder, commit_message="A planner trained with tracer1")
    return str(url)
