"""A server on loopback that sends exactly the bytes it is told to, whether or not they are HTTP."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Act = Callable[[socket.socket, threading.Event], None]


@dataclass
class RawServer:
    """Answers each connection's request by the next of `acts`, the last one again and again.

    `heads` are the requests as they came. `over` is set when the server stops: what waits, waits for it.
    """

    acts: list[Act]
    heads: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, listening: socket.socket) -> None:
        """Takes connections until the server is over."""
        while not self.over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        """Reads one request and acts on it."""
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(65_536)
                if not more:
                    return
                head += more
            self.heads.append(head.decode("latin-1"))
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            act(connection, self.over)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)  # until the client has closed, so that what was sent arrives


@contextmanager
def serving(*acts: Act) -> Iterator[RawServer]:
    """A server that acts so."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = RawServer(list(acts), port=listening.getsockname()[1])
        thread = threading.Thread(target=server.serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def reply(status: int, body: bytes = b"", **headers: str) -> Act:
    """Sends a whole answer; `_` in the names of headers stands for `-`."""
    lines = {"Content-Length": str(len(body)), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return send(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)


def send(content: bytes) -> Act:
    """Sends these bytes and ends."""
    return lambda connection, over: connection.sendall(content)


def drip(head: bytes, drop: bytes, every_s: float) -> Act:
    """Sends `head`, then one drop after the other until the client goes away or the server is over."""

    def act(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(every_s):
            connection.sendall(drop)

    return act


def hold(connection: socket.socket, over: threading.Event) -> None:
    """Says nothing until the server is over."""
    over.wait()
