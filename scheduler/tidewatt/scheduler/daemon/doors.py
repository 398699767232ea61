"""Where the daemon can be spoken to: a Unix socket of its user; TCP on loopback where it was asked for."""

import socket
import threading
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from tidewatt.scheduler.daemon.api import PeerCheckedProtocol, TokenChecked
from tidewatt.scheduler.errors import BadInput

log = structlog.get_logger()
CLOSING_S = 5.0


class Doors:
    """Serves the routes, each door in a thread of its own; the main thread is left to signals."""

    def __init__(self, routes: Any, path: Path) -> None:
        self._routes = routes
        self._path = path
        self._open: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def open_unix(self) -> None:
        """Opens the Unix socket, 0600; one that is there is a dead daemon's: we hold the folder's lock."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(self._path))
        self._path.chmod(0o600)
        listening.listen(128)
        self._serve(listening, self._routes, http=PeerCheckedProtocol)

    def open_tcp(self, listening: socket.socket, token_sha256: str) -> None:
        """Opens the same routes to whoever has the token."""
        port = listening.getsockname()[1]
        self._serve(listening, TokenChecked(self._routes, token_sha256, port))

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


def tcp_socket(listen: str, token_sha256: str) -> socket.socket:
    """A socket on loopback; port 0 takes any that is free.

    Raises:
        BadInput: for any other address, a port in use, or no token.
    """
    host, _, port = listen.rpartition(":")
    if host not in {"127.0.0.1", "localhost"} or not port.isdigit() or not token_sha256:
        raise BadInput(f"--listen {listen}: write 127.0.0.1:PORT, other addresses are refused")
    try:
        return socket.create_server(("127.0.0.1", int(port)))
    except (OSError, OverflowError) as error:
        raise BadInput(f"--listen {listen} cannot be used: {error}") from error
