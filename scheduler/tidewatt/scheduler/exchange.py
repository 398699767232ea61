"""One question to a daemon and its answer: over its Unix socket, or to one elsewhere.

With the standard library alone: every command waits for this.
"""

import http.client
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidewatt.scheduler.errors import BadInput, Refused, SchedulerError
from tidewatt.scheduler.remote import Remote

Json = dict[str, Any]


class NoDaemon(SchedulerError):  # noqa: N818 - it reads as what it says
    """no daemon is running here: start it with `tidewatt up`"""  # noqa: D415 - the text is the message

    exit_code = 3

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence or str(type(self).__doc__))


class Broken(SchedulerError):  # noqa: N818 - it reads as what it says
    """the daemon ended while it answered: look with `tidewatt queue` before trying again"""  # noqa: D415

    def __init__(self) -> None:
        super().__init__(str(type(self).__doc__))


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
        size = struct.calcsize("3i")
        peer = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        if struct.unpack("3i", peer)[1] not in (os.getuid(), 0):
            # a job's environment would go there
            raise Refused(f"the socket {self._path} is served by another user: nothing was sent there")


@dataclass(frozen=True, slots=True)
class Exchange:
    """The way to one daemon: its socket, or a `Remote`."""

    path: Path | Remote
    timeout_s: float

    def asked(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> tuple[int, bytes]:
        """Status and content of the answer to one request.

        Raises:
            NoDaemon: Nobody listens there.
            Broken: It took the request and ended: whether it was carried out is open.
            Refused: The socket is another user's.
        """
        connection = self._connection()
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if content else {}
        headers |= {"Idempotency-Key": key} if key else {}
        prefix = ""
        if isinstance(self.path, Remote):
            headers["Authorization"], prefix = f"Bearer {self.path.token}", self.path.prefix
        try:
            self._open(connection)
            connection.request(method, f"{prefix}/api/v1/{path}", content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except PermissionError:
            raise Refused(f"the daemon's socket {self.path} belongs to another user") from None
        except TimeoutError:
            raise SchedulerError(
                f"the daemon did not answer within {self.timeout_s:g} s: try again, and look into"
                " log/daemon.log in its state folder"
            ) from None
        except (OSError, http.client.HTTPException):
            # It took the request and ended: whether it was carried out can only be seen once it is back.
            raise Broken from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if isinstance(self.path, Remote):
            return self.path.connection(self.timeout_s)
        return UnixConnection(self.path, self.timeout_s)

    def _open(self, connection: http.client.HTTPConnection) -> None:
        """Raises NoDaemon where nobody listens; elsewhere it says whom it asked and why that failed."""
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if isinstance(self.path, Path):
                raise NoDaemon from None
            raise NoDaemon(f"no daemon answers at {self.path.url}: {error.strerror}") from None
        except TimeoutError:
            raise
        except OSError as error:
            if isinstance(self.path, Path):
                raise
            raise NoDaemon(f"no daemon can be reached at {self.path.url}: {error}") from None


def answer(status: int, text: bytes) -> Json:
    """The JSON of an answer; what was refused is raised as the daemon meant it."""
    try:
        found: Json = json.loads(text)
    except ValueError:
        raise SchedulerError(
            f"the daemon answered {status} without JSON: it may be of another version, restart it"
        ) from None
    if status < 300:
        return found
    detail = str(found.get("detail") or found.get("title") or f"the daemon answered {status}")
    match found.get("exit_code"):
        case 2:
            raise BadInput(detail)
        case 1:
            raise Refused(detail)
        case _:
            raise SchedulerError(detail)
