"""What a state folder allows one daemon only: its lock, and the clock that its records are kept in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidewatt.backends.clock import Clock, moment
from tidewatt.backends.durable import sync_folder
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.paths import Paths


class AnotherDaemon(Refused):
    """A daemon serves this state folder already."""


@contextmanager
def lifelong(place: Paths) -> Iterator[None]:
    """Holds the state folder's lock while the daemon lives; the kernel lets it go, however the daemon ends.

    Raises:
        AnotherDaemon: where another one holds it.
    """
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode(errors="replace") or "unknown"
        os.close(descriptor)
        raise AnotherDaemon(
            f"a daemon (pid {holder}) serves {place.home} already: `tidewatt submit` hands it jobs,"
            " `tidewatt down` ends it"
        ) from None
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def remembered(place: Paths, asked: Clock) -> Clock:
    """The clock of the state folder: a replay goes on where it was, and is never mixed with real time.

    Raises:
        BadInput: where another replay, or real time, was recorded here before.
    """
    file = place.home / "clock.json"
    if file.exists():
        kept = Clock.from_json(file.read_text(encoding="utf-8"))
        if asked.replaying and (asked.replay_ms, asked.factor) != (kept.replay_ms, kept.factor):
            raise BadInput(
                f"{place.home} holds a replay from {moment(kept.replay_ms):%Y-%m-%dT%H:%MZ}"
                f" with factor {kept.factor:g}:"
                " choose another folder with TIDEWATT_HOME for another replay"
            )
        return kept
    if asked.replaying:
        if place.database.exists():
            raise BadInput(
                f"{place.home} holds jobs of real time: choose another folder with TIDEWATT_HOME for a replay"
            )
        _keep(file, asked)
    return asked


def _keep(file: Path, clock: Clock) -> None:
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8") as handle:
        handle.write(clock.to_json())
        handle.flush()
        os.fsync(handle.fileno())
    new.rename(file)
    sync_folder(file.parent)
