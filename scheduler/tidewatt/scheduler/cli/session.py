"""What a command finds around it: the state folder, the daemon, the time."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tidewatt.scheduler.client import Client, Json
from tidewatt.scheduler.errors import BadInput
from tidewatt.scheduler.paths import Paths, paths


def own_paths() -> Paths:
    """The paths of this user's daemon."""
    return paths(os.environ)


def daemon() -> Client:
    """A client of this user's daemon, which may or may not be running."""
    return Client(own_paths().socket)


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
