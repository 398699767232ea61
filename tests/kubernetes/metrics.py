"""A stand-in for Prometheus, as far as a range of samples is asked for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Metrics:
    """A stand-in that gives the same answer to every query, and keeps what it was asked."""

    status: int = 200
    result: list[Any] = field(default_factory=list)
    kind: str = "matrix"
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def served() -> Iterator[Metrics]:
    """Answers until the block is left."""
    kept = Metrics()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            kept.asked.append(parse_qs(self.rfile.read(length).decode()))
            kept.tokens.append(self.headers.get("Authorization"))
            data = {"resultType": kept.kind, "result": kept.result}
            content = json.dumps({"status": "success", "data": data}).encode()
            self.send_response(kept.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()
