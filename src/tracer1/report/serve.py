"""``tracer1 view``: the report of a run on a loopback address, made anew when the run's files have changed.

The page asks every few seconds whether it is still the newest and loads its successor if not.
"""

from __future__ import annotations

import errno
import hashlib
import secrets
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from tracer1.errors import DataError, SetupError, UsageError
from tracer1.report.html import render
from tracer1.results.reading import CONSTANT_PLAN, FILES


class ReportServer(ThreadingHTTPServer):
    """Serves the report of ``run`` on 127.0.0.1 at ``/``; what it is now called stands at ``/version``.

    Raises DataError for a directory that is no run, SetupError when the port is taken, UsageError for one that is none.
    Port 0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, run: Path, port: int = 0) -> None:
        self.run = run
        self._secret = secrets.token_hex(8)  # the version is also the nonce of the page's script
        self._lock = Lock()
        self._page: tuple[str, bytes] = ("", b"")
        self.page()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OverflowError as error:
            raise UsageError(f"there is no port {port}; choose one from 1 to 65535, or 0 for a free one") from error
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise SetupError(
                f"port {port} of 127.0.0.1 is not to be had ({error.strerror}); choose another, or 0 for a free one"
            ) from error

    @property
    def url(self) -> str:
        """Where the report is."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def version(self) -> str:
        """A name for the present state of the run's files."""
        files = [self.run / name for name in (*FILES, CONSTANT_PLAN)]
        files += sorted((self.run / "live").glob("*.jsonl"))
        stats = [(file.name, s.st_mtime_ns, s.st_size) for file in files if file.is_file() and (s := file.stat())]
        return hashlib.sha256(f"{self._secret} {stats}".encode()).hexdigest()[:16]

    def page(self) -> bytes:
        """The report of the present state; made once for each. Raises DataError when a file cannot be read."""
        with self._lock:
            version = self.version()
            if version != self._page[0]:
                self._page = (version, render([self.run], live=version).encode("utf-8", "replace"))
            return self._page[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes its connection is not an error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(run: Path, port: int, on_ready: Callable[[str], object] = print) -> None:
    """Serve the report of ``run`` until interrupted (Ctrl-C). ``on_ready`` gets the address.

    Raises as :class:`ReportServer`.
    """
    with ReportServer(run, port) as server:
        on_ready(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer

    def do_GET(self) -> None:
        if self.path == "/version":
            self._send(200, "text/plain", self.server.version().encode())
        elif self.path != "/":
            self._send(404, "text/plain", b"there is only /\n")
        else:
            try:
                self._send(200, "text/html", self.server.page())
            except DataError as error:  # perhaps a file that is just being replaced: look again soon
                self._send(500, "text/plain", f"{error}\n".encode("utf-8", "replace"), refresh=True)

    def _send(self, status: int, kind: str, body: bytes, refresh: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if refresh:
            self.send_header("Refresh", "3")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
