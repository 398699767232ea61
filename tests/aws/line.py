"""The line to AWS: passes requests on, and breaks as a test tells it."""

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

_KEPT = (
    "authorization",
    "content-type",
    "x-amz-date",
    "x-amz-target",
    "if-none-match",
    "x-amz-content-sha256",
)


@dataclass
class Line:
    """Stands before the server at `target`. `calls` counts what was passed on, by path."""

    target: str
    mutes: bool = False
    loses: bool = False
    hides_s: float = 0.0
    down: bool = False
    overwrites: bool = False  # as a storage that knows no conditions
    gone: set[str] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    _hidden: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Listens at once."""
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

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
        if handler.headers.get("Expect"):
            handler.send_response_only(100)
            handler.end_headers()
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        submits = handler.path == "/v1/submitjob"
        if self.down or (submits and self.loses):
            self.loses = False
            handler.close_connection = True
            return
        headers = {name: value for name, value in handler.headers.items() if name.lower() in _KEPT}
        if self.overwrites:
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        host = handler.headers.get("Host", "")
        said = requests.request(
            handler.command,
            self.target + handler.path,
            data=body,
            timeout=30,
            headers={**headers, "Host": host},
        )
        self.calls[handler.path] = self.calls.get(handler.path, 0) + 1
        content = said.content
        if submits and self.hides_s:
            self._hidden[json.loads(body)["jobName"]] = time.monotonic() + self.hides_s
            self.hides_s = 0.0
        if submits and self.mutes:
            self.mutes = False
            handler.close_connection = True
            return
        for path, key in (("/v1/listjobs", "jobSummaryList"), ("/v1/describejobs", "jobs")):
            if handler.path == path and said.ok:
                found = json.loads(content)
                found[key] = [job for job in found[key] if self._shown(job)]
                content = json.dumps(found).encode()
        with suppress(OSError):
            handler.send_response(said.status_code)
            for name in ("Content-Type", "ETag"):
                if name in said.headers:
                    handler.send_header(name, said.headers[name])
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

    def _shown(self, job: dict[str, Any]) -> bool:
        names = {job["jobId"], job["jobName"]}
        return not names & self.gone and time.monotonic() >= self._hidden.get(job["jobName"], 0.0)
