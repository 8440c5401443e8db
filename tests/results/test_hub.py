"""Uploading a planner: never by itself, refused early, and a failure leaves the planner and says how to go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tracer1.cli.main import app
from tracer1.errors import SetupError, UsageError
from tracer1.results.hub import require_upload, upload_planner


def test_the_folder_goes_to_the_repository(tmp_path: Path) -> None:
    sent: list[tuple[Path, str]] = []

    def upload(folder: Path, repository: str) -> str:
        sent.append((folder, repository))
        return f"https://huggingface.co/{repository}"

    assert upload_planner(tmp_path, "me/planner", upload) == "https://huggingface.co/me/planner"
    assert sent == [(tmp_path, "me/planner")]


def test_a_refusal_is_one_line_with_the_command_to_try_again(tmp_path: Path) -> None:
    def refuse(folder: Path, repository: str) -> str:
        raise OSError("403 Forbidden\nrequest id 7")

    with pytest.raises(SetupError, match=r"^upload to me/planner failed: 403 Forbidden; .*hf upload me/planner \S+$"):
        upload_planner(tmp_path, "me/planner", refuse)


@pytest.mark.parametrize("name", ["a/b/c", "no spaces", "-", "https://huggingface.co/me/planner"])
def test_a_wrong_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "token")
    with pytest.raises(UsageError, match="no repository's name"):
        require_upload(name)


def test_a_missing_login_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="not logged in; run: hf auth login"):
        require_upload("me/planner")
    monkeypatch.setenv("HF_TOKEN", "token")
    require_upload("me/planner")


def test_train_refuses_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "nano", "--push-to-hub", "no spaces"])
    assert isinstance(result.exception, UsageError)
    assert not list(tmp_path.iterdir())
