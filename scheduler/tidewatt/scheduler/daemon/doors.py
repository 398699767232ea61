"""Where the daemon can be spoken to: a Unix socket of its user; TCP on loopback where it was asked for.

On a shared server the socket is the served group's, and whoever connects is known by what the kernel says.
"""

import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidewatt.scheduler.daemon import gate
from tidewatt.scheduler.daemon.access import Access
from tidewatt.scheduler.daemon.asgi import Asgi, Receive, Scope, Send
from tidewatt.scheduler.daemon.callers import Caller, Served, asking, peer
from tidewatt.scheduler.daemon.portions import Portioned, Portions

log = structlog.get_logger()
CLOSING_S = 5.0
MOST_HEAD = 65_536  # bytes of a request's head


class Doors:
    """Serves the routes, each door in a thread of its own; the main thread is left to signals."""

    def __init__(self, routes: Any, path: Path, served: Served | None = None) -> None:
        self._routes = routes
        self._path = path
        self._served = served
        self._open: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def open_unix(self) -> None:
        """Opens the Unix socket, 0600, a group's 0660; one that is there is a dead daemon's.

        We hold the folder's lock.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(self._path))
        if self._served is None:
            self._path.chmod(0o600)
        else:
            self._path.parent.chmod(0o755)
            os.chown(self._path, 0, self._served.gid)
            self._path.chmod(0o660)
        listening.listen(128)
        protocol = PeerCheckedProtocol if self._served is None else _naming(self._served)
        self._serve(listening, self._routes, http=protocol)

    def open_tcp(self, listening: socket.socket, access: Access, tls: tuple[Path, Path] | None) -> None:
        """Opens the same routes to whoever has a token; `tls` are a certificate and its key."""
        more: dict[str, Any] = {"proxy_headers": False, "loop": f"{gate.__name__}:{gate.Loop.__name__}"}
        if tls is not None:
            more |= {"ssl_certfile": str(tls[0]), "ssl_keyfile": str(tls[1])}
        # anybody can send what is no HTTP: our log must not fill with that
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        guarded = gate.Gate(listening, gate.places(), access.proxies)
        self._serve(guarded, access, http=gate.Impatient, **more)

    def keep(self) -> None:
        """Opens the Unix socket again where its folder went with the user's last session."""
        if self._path.exists():
            return
        try:
            self.open_unix()
            log.warning("socket.opened_again", path=str(self._path))
        except OSError as error:  # the folder comes back with the user's next session
            log.warning("socket.gone", path=str(self._path), error=str(error))

    def close(self) -> None:
        """Answers what was asked already, then ends."""
        for server, _, _ in self._open:
            server.should_exit = True
        for _, thread, listening in self._open:
            thread.join(CLOSING_S)
            listening.close()
        self._path.unlink(missing_ok=True)

    def _serve(self, listening: socket.socket, routes: Any, **more: Any) -> None:
        plain: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "ws": "none"}
        server = uvicorn.Server(
            uvicorn.Config(routes, timeout_graceful_shutdown=2, server_header=False, **plain, **more)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        self._open.append((server, thread, listening))


class QuickProtocol(HttpToolsProtocol):
    """HTTP, parsed by C; a request whose head is too long is hung up on."""

    _head, _in_head = 0, True

    def data_received(self, data: bytes) -> None:
        """Counts what has come of a head that is not whole yet."""
        super().data_received(data)
        self._head += len(data) if self._in_head else 0
        if self._head > MOST_HEAD:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It is whole."""
        self._head, self._in_head = 0, False
        super().on_headers_complete()


class PeerCheckedProtocol(QuickProtocol):
    """HTTP on a Unix socket, for processes of the daemon's own user and of root; others are hung up on."""

    def connection_made(self, transport: Any) -> None:
        """Reads the peer's uid from the kernel before the first byte."""
        _pid, uid, _gid = peer(transport.get_extra_info("socket"))
        super().connection_made(transport)
        if uid not in {os.getuid(), 0}:
            transport.abort()


class _Asked:
    """The routes, as they are asked by one caller."""

    def __init__(self, inner: Asgi, caller: Caller) -> None:
        self._inner = inner
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with asking(self._caller):
            await self._inner(scope, receive, send)


def _naming(served: Served) -> type[QuickProtocol]:
    """HTTP on a Unix socket for those who are served, each request with its caller; others are hung up on.

    So is who has too many connections already.
    """
    portions = Portions()

    class Named(QuickProtocol):
        counted: int | None = None

        def connection_made(self, transport: Any) -> None:
            try:
                caller = served.admitted(transport.get_extra_info("socket"))
            except OSError:  # it has gone again
                caller = None
            super().connection_made(transport)
            if caller is None or not portions.come(caller.uid):
                self.app: Any = _nobody
                transport.abort()
            else:
                self.counted = caller.uid
                self.app = Portioned(_Asked(self.app, caller), portions.turn(caller.uid))

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.counted is not None:
                portions.gone(self.counted)

    return Named


async def _nobody(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answers nothing to a connection that is hung up on."""
