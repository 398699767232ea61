"""The line to an engine that is asked by HTTP: passes requests on, and breaks as a test tells it."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Line:
    """Stands before the engine at `target`; each engine's line knows what a submit is, and what to hide."""

    target: str
    mutes: bool = False  # the next submit gets through, its answer does not
    loses: bool = False  # the next submit does not get through
    hides_s: float = 0.0  # so long nobody sees what the next submit brings
    down: bool = False
    gone: set[str] = field(default_factory=set)  # ids and names that are not shown any more
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
        raise NotImplementedError

    def broken(self, handler: BaseHTTPRequestHandler, *, submits: bool) -> bool:
        """Whether this request does not get through."""
        if self.down or (submits and self.loses):
            self.loses = False
            handler.close_connection = True
            return True
        return False

    def muted(self, handler: BaseHTTPRequestHandler, name: str) -> bool:
        """Whether the answer to the submit of `name`, which got through, is lost; hides what it brought."""
        if self.hides_s:
            self._hidden[name] = time.monotonic() + self.hides_s
            self.hides_s = 0.0
        if self.mutes:
            self.mutes = False
            handler.close_connection = True
            return True
        return False

    def shown(self, name: str, *others: str) -> bool:
        """Whether a job can be seen by now, of this name and of other ids."""
        return not {name, *others} & self.gone and time.monotonic() >= self._hidden.get(name, 0.0)


@dataclass
class OnTheLine:
    """What of a troupe fails where its line does."""

    line: Line

    def mute(self) -> None:
        self.line.mutes = True

    def lose(self) -> None:
        self.line.loses = True

    def hide(self) -> None:
        self.line.hides_s = 1.0

    def down(self, *, yes: bool) -> None:
        self.line.down = yes
