"""A line to a server that can be cut in the middle of what is said: all of it on loopback."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
_BYTES = 65536
_GOODBYE = b"X\0\0\0\4"  # PostgreSQL's message Terminate


@dataclass(slots=True, eq=False)
class _Line:
    client: socket.socket
    server: socket.socket
    marked: bool = False
    silent: bool = False

    def broken(self) -> None:
        for end in (self.client, self.server):
            _reset(end)


class Relay:
    """Listens at `port`, and passes on what comes to another port."""

    def __init__(self, target: int) -> None:
        self.deaf = False  # takes connections, and says nothing on new ones
        self.mark = b""  # once this was said on a line, the answer to its next COMMIT is lost
        self.lost = threading.Event()
        self._target = target
        self._lines: list[_Line] = []
        self._unheard: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self) -> int:
        """Breaks all connections, as a firewall does that has forgotten them; how many there were."""
        lines, self._lines = self._lines, []
        for line in lines:
            line.broken()
        return len(lines)

    def close(self) -> None:
        """Takes no more, and ends what there is."""
        _reset(self._listener)
        self.reset()
        for each in self._unheard:
            _reset(each)

    def _serve(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                if self.deaf:
                    self._unheard.append(client)
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                except OSError:
                    _reset(client)
                    continue
                server.settimeout(None)
                line = _Line(client, server)
                self._lines.append(line)
                threading.Thread(target=self._ask, args=[line], daemon=True).start()
                threading.Thread(target=self._answer, args=[line], daemon=True).start()

    def _ask(self, line: _Line) -> None:
        with suppress(OSError):
            while data := line.client.recv(_BYTES):
                line.marked |= bool(self.mark) and self.mark in data
                if line.marked and b"COMMIT" in data:
                    self.mark, line.silent = b"", True
                    data += _GOODBYE
                line.server.sendall(data)
        if not line.silent:
            line.broken()

    def _answer(self, line: _Line) -> None:
        with suppress(OSError):
            while data := line.server.recv(_BYTES):
                if not line.silent:
                    line.client.sendall(data)
        line.broken()
        if line.silent:  # the server has done it, and has ended the session
            self.lost.set()


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()
