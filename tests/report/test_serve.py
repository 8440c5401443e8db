from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from synthetic_run import write_json

from tracer1.errors import DataError, SetupError, UsageError
from tracer1.report.serve import ReportServer, serve


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    (tmp_path / "config.yaml").write_text("seed: 0\n", "utf-8")
    with ReportServer(tmp_path) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def get(url: str) -> str:
    with urlopen(url, timeout=10) as reply:
        return reply.read().decode()  # type: ignore[no-any-return]


def test_the_page_follows_the_run(server: ReportServer) -> None:
    first, version = get(server.url), get(server.url + "version")
    assert version in first
    assert get(server.url + "version") == version
    write_json(server.run / "results.json", {"stages": [{"name": "base", "live_success": 0.123}]})
    assert get(server.url + "version") != version
    assert "12.3\u202f%" in get(server.url)


def test_its_scripts_are_its_own(server: ReportServer) -> None:
    page = get(server.url)
    version = get(server.url + "version")
    assert re.findall(r"<script[^>]*>", page) == [f'<script nonce="{version}">', "<script>"]
    assert re.search(f"script-src 'nonce-{version}' 'sha256-[^']+';", page.replace("&#39;", "'"))


def test_a_file_that_cannot_be_read_is_told_and_got_over(server: ReportServer) -> None:
    (server.run / "results.json").write_text("{", "utf-8")
    with pytest.raises(HTTPError) as caught:
        get(server.url)
    with caught.value as reply:
        assert reply.code == 500
        assert re.fullmatch(r".*results\.json: not JSON.*\n", reply.read().decode())
        assert reply.headers["Refresh"] == "3"
    (server.run / "results.json").write_text(json.dumps({}), "utf-8")
    assert "Nothing has been measured" in get(server.url)


def test_there_is_nothing_else(server: ReportServer) -> None:
    with pytest.raises(HTTPError) as caught:
        get(server.url + "config.yaml")
    with caught.value as reply:
        assert reply.code == 404


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"port {port}") as caught:
            serve(tmp_path, port)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no port 70000"):
        serve(tmp_path, 70000)


def test_what_is_no_run_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        serve(tmp_path, 0)


def test_it_serves_until_interrupted(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n", "utf-8")
    told: list[str] = []

    def ready(url: str) -> None:
        told.append(url)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(tmp_path, 0, ready)
    assert told[0].startswith("http://127.0.0.1:")
