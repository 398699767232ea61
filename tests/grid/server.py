"""A small HTTP server on loopback that stand-ins for services are made of, with scripted faults and a log.

Nothing sleeps: a slow answer waits for an event that the test sets, and time is what the test says it is.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Alteration = Callable[["Response"], "Response"]


@dataclass(frozen=True)
class Request:
    """One request; header names in lower case, a parameter given twice has both values."""

    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    at: datetime

    def values(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for key, value in self.query if key == name]

    def value(self, name: str, default: str = "") -> str:
        """The last value of a parameter."""
        return [default, *self.values(name)][-1]


@dataclass(frozen=True)
class Response:
    """An answer; `body` is sent as it is where it is bytes, else as JSON."""

    status: int
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The bytes of the body."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Fault:
    """What goes wrong with one request, before or while it is answered; the first that fits a path is used.

    `response` stands in for the answer, `alter` changes it. `hold`: the answer waits until the event is set.
    `drop`: the connection ends without an answer; with `after_bytes` in the middle of it.
    """

    path: str = ""  # part of the path; "" fits all
    response: Response | None = None
    alter: Alteration | None = None
    hold: threading.Event | None = None
    drop: bool = False
    after_bytes: int = 0
    times: int = 1


class GridServer:
    """Serves on a free port of 127.0.0.1 while in its `with`; subclasses answer by `answer`.

    `now` is the time that the service believes in; `requests` are those that came, in order. With `etags` an
    answer that the client has is not sent again.
    """

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.etags = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> Response:
        """The answer to a request that no fault befell; one at a time."""
        raise NotImplementedError

    def fail(self, fault: Fault) -> None:
        """The next requests that fit meet this fault, after those that were told before."""
        with self._lock:
            self.faults.append(fault)

    def asked(self, path: str) -> list[Request]:
        """The requests whose path holds this."""
        return [each for each in self.requests if path in each.path]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Logs a request and answers it, or not."""
        parts = urlsplit(handler.path)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            request = Request(parts.path, query, headers, self.now)
            self.requests.append(request)
            fault = self._due(request.path)
            response = (fault and fault.response) or self._answered(request)
            if fault and fault.alter:
                response = fault.alter(response)
        if fault and fault.hold:
            while not (fault.hold.wait(0.02) or self._ended.is_set()):
                pass
        if fault and fault.drop and not fault.after_bytes:
            handler.close_connection = True
            return
        if self.etags and response.status == 200:
            response = _conditional(request, response)
        self._send(handler, response, fault.after_bytes if fault and fault.drop else None)

    def _answered(self, request: Request) -> Response:
        try:
            return self.answer(request)
        except BadRequest as refused:
            return refused.response

    def _due(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.path in path and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _send(self, handler: BaseHTTPRequestHandler, response: Response, only: int | None) -> None:
        content = response.content()
        try:
            handler.send_response(response.status)
            for name, value in response.headers.items():
                handler.send_header(name, value)
            if "Content-Type" not in response.headers:
                handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[:only])
        except OSError:
            pass  # the client has gone: this is its good right

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.handle(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def _conditional(request: Request, response: Response) -> Response:
    etag = f'"{hashlib.sha256(response.content()).hexdigest()[:16]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(304, headers={"ETag": etag})
    return Response(200, response.body, {**response.headers, "ETag": etag})


class BadRequest(Exception):  # noqa: N818 - it is an answer, not a failure of the server
    """Raised by a stand-in where the real service would refuse; carries the answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def altered(change: Callable[[dict[str, object]], object]) -> Alteration:
    """An alteration of a JSON body: `change` gets a copy, and what it returns (or has changed) is sent."""

    def alter(response: Response) -> Response:
        body = json.loads(response.content())
        changed = change(body)
        return Response(response.status, body if changed is None else changed, response.headers)

    return alter


def aware(text: str) -> datetime | None:
    """The time that a parameter says; None where it is no time or has no zone."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else None
