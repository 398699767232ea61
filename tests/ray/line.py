"""The line to a Ray cluster: passes requests on, and breaks as a test tells it."""

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests


@dataclass
class Line:
    """Stands before the cluster at `target`. `posts` and `lists` count what was passed on."""

    target: str
    mutes: bool = False
    loses: bool = False
    hides_s: float = 0.0
    down: bool = False
    forgets: bool = False  # as a head that was started anew
    gone: set[str] = field(default_factory=set)
    posts: int = 0
    lists: int = 0
    _hidden: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Listens at once."""
        line = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                line.answer(self)

            def do_POST(self) -> None:
                line.answer(self)

            def do_PUT(self) -> None:
                line.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        """Listens no more."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Passes one request on, unless it is to fail."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        submits = handler.command == "POST" and handler.path == "/api/jobs/"
        if self.down or (submits and self.loses):
            self.loses = False
            handler.close_connection = True
            return
        if self.forgets:
            self._say(handler, 200, b"[]") if handler.path == "/api/jobs/" else self._say(handler, 404, b"")
            return
        try:
            said = requests.request(handler.command, self.target + handler.path, data=body, timeout=30)
        except requests.ConnectionError:
            handler.close_connection = True
            return
        content = said.content
        if submits:
            self.posts += 1
            if self.hides_s:
                self._hidden[json.loads(body)["submission_id"]] = time.monotonic() + self.hides_s
                self.hides_s = 0.0
            if self.mutes:
                self.mutes = False
                handler.close_connection = True
                return
        status = said.status_code
        if handler.command == "GET" and handler.path == "/api/jobs/":
            self.lists += 1
            content = json.dumps([job for job in said.json() if self._shown(job["submission_id"])]).encode()
        elif handler.path.startswith("/api/jobs/") and not self._shown(handler.path.split("/")[3] or None):
            status, content = 404, b"no such job"
        self._say(handler, status, content)

    def _say(self, handler: BaseHTTPRequestHandler, status: int, content: bytes) -> None:
        with suppress(OSError):
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

    def _shown(self, name: str | None) -> bool:
        return name not in self.gone and time.monotonic() >= self._hidden.get(name or "", 0.0)
