"""The gate before the TCP door: how many may come in, and how long they may be silent there.

Whoever connects costs a file descriptor, of which the daemon needs some for its jobs and its store; this is
counted where a connection is accepted, before TLS and before the first byte.
"""

import asyncio
import resource
import socket
import struct
from collections import Counter
from collections.abc import Collection
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 2_000  # connections, event streams included
KEPT_BACK = 256  # descriptors that are not for guests
HANDSHAKE_S = 10.0
LOOK_S = 2.5
SILENT_S = 20.0  # without a whole request's head
STUCK_S = 60.0  # in which nothing of an answer is taken


def places() -> int:
    """How many connections there is room for."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(32, min(MOST, soft - KEPT_BACK)) if soft != resource.RLIM_INFINITY else MOST


class Gate(socket.socket):
    """A listening socket that takes over another one; from one address it lets in half of all at most.

    A proxy's address stands for many people, and is let in as often as there is room.
    """

    def __init__(self, listening: socket.socket, most: int, many: Collection[str] = ()) -> None:
        super().__init__(fileno=listening.detach())
        self.setblocking(False)
        self._most, self._many = most, many
        self._inside: Counter[str] = Counter()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; one that is too much is closed at once.

        Raises:
            BlockingIOError: There is none, or it was closed.
        """
        number, address = self._accept()  # type: ignore[attr-defined]
        host = address[0]
        full = self.inside >= self._most
        if full or (host not in self._many and self._inside[host] >= self._most // 2):
            socket.close(number)
            raise BlockingIOError
        self._inside[host] += 1
        return _Guest(self, host, number), address

    def left(self, host: str) -> None:
        """One of them is closed."""
        self._inside[host] -= 1
        if self._inside[host] <= 0:
            del self._inside[host]

    @property
    def inside(self) -> int:
        """How many are open."""
        return self._inside.total()


class _Guest(socket.socket):
    """A connection that is counted until it is closed."""

    def __init__(self, gate: Gate, host: str, number: int) -> None:
        super().__init__(gate.family, gate.type, gate.proto, fileno=number)
        self._gate: Gate | None = gate
        self._host = host

    def close(self) -> None:
        """Closes it and makes room."""
        super().close()
        if self._gate is not None:
            self._gate.left(self._host)
            self._gate = None


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers do not wait long for TLS to begin."""

    async def create_server(self, *args: Any, **named: Any) -> Any:
        """As any loop's."""
        if named.get("ssl") is not None:
            named.setdefault("ssl_handshake_timeout", HANDSHAKE_S)
        return await super().create_server(*args, **named)


class Impatient(H11Protocol):
    """HTTP over TCP; who is slow to ask, or does not take the answer, is hung up on."""

    _since = 0.0
    _state: tuple[object, bool] = (None, False)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look()

    def _look(self) -> None:
        """Uvicorn's own patience begins anew with each byte; this one with each whole request."""
        if self.transport.is_closing():
            return
        now, busy = self.loop.time(), self.cycle is not None and not self.cycle.response_complete
        going = busy and not self.flow.write_paused
        if going or self._state != (self.cycle, busy):
            self._state, self._since = (self.cycle, busy), now
        if now - self._since > (STUCK_S if busy else SILENT_S):
            self._hang_up()
            return
        self.loop.call_later(LOOK_S, self._look)

    def _hang_up(self) -> None:
        """At once: what was not taken yet is not kept for them by the kernel either."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
