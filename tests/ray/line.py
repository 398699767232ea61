"""The line to a Ray cluster."""

import json
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import requests

from tests.backends.line import Line


@dataclass
class RayLine(Line):
    """`posts` and `lists` count what was passed on."""

    forgets: bool = False  # as a head that was started anew
    posts: int = 0
    lists: int = 0

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Passes one request on, unless it is to fail."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        submits = handler.command == "POST" and handler.path == "/api/jobs/"
        if self.broken(handler, submits=submits):
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
            if self.muted(handler, json.loads(body)["submission_id"]):
                return
        status = said.status_code
        if handler.command == "GET" and handler.path == "/api/jobs/":
            self.lists += 1
            jobs = [job for job in said.json() if self.shown(job["submission_id"] or "")]
            content = json.dumps(jobs).encode()
        elif handler.path.startswith("/api/jobs/") and not self.shown(handler.path.split("/")[3]):
            status, content = 404, b"no such job"
        self._say(handler, status, content)

    def _say(self, handler: BaseHTTPRequestHandler, status: int, content: bytes) -> None:
        with suppress(OSError):
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
