"""A loopback web server for a folder of static pages, in a thread of its own."""

from __future__ import annotations

import errno
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

from tracer1.errors import SetupError


class PageServer:
    """Serves ``root`` on 127.0.0.1 while its ``with`` block lasts. Port 0 takes a free one."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self._root = root
        self._port = port
        self._server: ThreadingHTTPServer | None = None
        self.url = ""  # "http://127.0.0.1:PORT/", once entered

    def __enter__(self) -> PageServer:
        """Start serving. Raises SetupError when the port is taken."""
        try:
            self._server = _Server(("127.0.0.1", self._port), partial(_Handler, directory=str(self._root)))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise SetupError(f"port {self._port} of 127.0.0.1 is not free ({error.strerror}); choose 0") from error
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="pages").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a browser keeps its connections open


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_head(self) -> Any:
        """Refuse what is asked of a proxy: the browser asks here for every other address, and reaches none."""
        if not self.path.startswith("/"):
            self.send_error(403, "only the pages of this server can be reached")
            return None
        return super().send_head()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=3600")  # a page is loaded anew for each episode
        super().end_headers()
