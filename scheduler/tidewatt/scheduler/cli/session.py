"""What a command finds around it: the state folder, the daemon, the time."""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths, paths, system_paths
from tidewatt.scheduler.remote import remote_of


def own_paths() -> Paths:
    """The paths of this user's daemon."""
    return paths(os.environ)


def state_paths() -> Paths:
    """The state folder to work on itself: this user's, or with TIDEWATT_SYSTEM=1 the shared daemon's."""
    return system_paths(os.environ) if os.environ.get("TIDEWATT_SYSTEM") == "1" else own_paths()


def daemon_paths() -> Paths:
    """The paths of the daemon to speak to: this user's own or, where none runs, the host's shared one.

    TIDEWATT_SYSTEM=1 (`tidewatt --system ...`) names the shared one, TIDEWATT_SYSTEM=0 and TIDEWATT_HOME
    the user's own.
    """
    own, shared, asked = own_paths(), system_paths(os.environ), os.environ.get("TIDEWATT_SYSTEM", "")
    if asked not in ("", "0", "1"):
        raise BadInput(f"TIDEWATT_SYSTEM={asked} is neither 1 (the shared daemon) nor 0 (your own)")
    if asked == "1":
        return shared
    if asked == "0" or os.environ.get("TIDEWATT_HOME") or not shared.socket.exists():
        return own
    return own if listens(own.socket) else shared


def daemon() -> Client:
    """A client of the daemon to speak to, which may or may not run; one elsewhere where it is named."""
    return Client(remote_of(os.environ) or daemon_paths().socket)


def listens(path: Path) -> bool:
    """Whether somebody answers at a socket."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1.0)
        try:
            line.connect(str(path))
        except OSError:
            return False
        return True


def clock() -> datetime:
    """Real time, aware UTC."""
    return datetime.now(UTC)


def now_of(status: Json) -> datetime:
    """The daemon's time, which is another one in a replay."""
    return datetime.fromisoformat(status["now"])


class DaemonTime:
    """The daemon's time, which a replay makes another than ours; asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._now: datetime | None = None

    def __call__(self) -> datetime:
        if self._now is None:
            self._now = now_of(self._client.status())
        return self._now


def working_folder() -> Path:
    """The current folder.

    Raises:
        BadInput: where it has been removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise BadInput("the current folder does not exist any more: change to another one") from None


@dataclass(frozen=True, slots=True)
class Setting:
    """What a command was told about the place and time to plan for, as it was typed."""

    grid: Path | None = None
    now: str | None = None
    zone: str | None = None
    signal: str | None = None
    hindsight: bool = False
    config: str | None = None
