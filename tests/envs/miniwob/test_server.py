"""The page server."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from tracer1.envs.miniwob.server import PageServer


def test_serves_its_folder_while_it_lasts(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("hello")
    with PageServer(tmp_path) as server:
        assert server.url.startswith("http://127.0.0.1:")
        with urlopen(f"{server.url}a.html", timeout=5) as reply:
            assert reply.read() == b"hello"
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{server.url}b.html", timeout=5)
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{server.url}../../etc/passwd", timeout=5)
    with pytest.raises(URLError):
        urlopen(f"{server.url}a.html", timeout=5)
