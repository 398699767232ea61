"""The line to AWS."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import requests

from tests.backends.line import Line

_KEPT = (
    "authorization",
    "content-type",
    "x-amz-date",
    "x-amz-target",
    "if-none-match",
    "x-amz-content-sha256",
)


@dataclass
class AwsLine(Line):
    """`calls` counts what was passed on, by path."""

    overwrites: bool = False  # as a storage that knows no conditions
    calls: dict[str, int] = field(default_factory=dict)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Passes one request on, unless it is to fail."""
        if handler.headers.get("Expect"):
            handler.send_response_only(100)
            handler.end_headers()
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        submits = handler.path == "/v1/submitjob"
        if self.broken(handler, submits=submits):
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
        if submits and self.muted(handler, json.loads(body)["jobName"]):
            return
        for path, key in (("/v1/listjobs", "jobSummaryList"), ("/v1/describejobs", "jobs")):
            if handler.path == path and said.ok:
                found = json.loads(content)
                found[key] = [job for job in found[key] if self.shown(job["jobName"], job["jobId"])]
                content = json.dumps(found).encode()
        with suppress(OSError):
            handler.send_response(said.status_code)
            for name in ("Content-Type", "ETag"):
                if name in said.headers:
                    handler.send_header(name, said.headers[name])
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
