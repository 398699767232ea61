"""The daemon as a process: started apart from the terminal, watched until it answers or says why not."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from tidewatt.scheduler.client import Client, Json, NoDaemon
from tidewatt.scheduler.errors import BadInput, Refused, SchedulerError
from tidewatt.scheduler.paths import Paths

STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 30.0
_POLL_S = 0.05
Found = TypeVar("Found")


def arguments(place: Paths, given: Sequence[str]) -> list[str]:
    """The daemon's command line; -P, so that no file of a current folder is taken for a module."""
    where = ["--system"] if place.system else ["--home", str(place.home)]
    return [sys.executable, "-P", "-m", "tidewatt.scheduler.daemon", *where, *given]


def start(place: Paths, given: Sequence[str]) -> Json:
    """Starts the daemon in a session of its own; its status once it answers.

    Raises:
        SchedulerError: where it ended instead, in its own words and with its exit code, or did not answer
            in time.
    """
    place.make()
    said = place.log_folder / "start.log"
    with said.open("wb") as errors:
        process = subprocess.Popen(
            arguments(place, given),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd="/",
            start_new_session=True,
        )
    client = Client(place.socket)

    def answers() -> Json | None:
        code = process.poll()
        if code is not None:
            raise _failure(said, place, code)
        try:
            return client.status()
        except SchedulerError:  # it does not listen yet, or has just found out that it cannot start
            return None

    found = _poll(answers, STARTS_WITHIN_S)
    if found is None:
        raise SchedulerError(
            f"the daemon (pid {process.pid}) has not answered within {STARTS_WITHIN_S:g} s: see {place.log}"
        )
    process.returncode = 0  # it is left to itself: Python need not wait for it
    return found


def status_of(client: Client) -> Json | None:
    """The daemon's status; None where none answers."""
    try:
        return client.status()
    except NoDaemon:
        return None


def end(client: Client, status: Json) -> bool:
    """Asks the daemon to end; True once it has."""
    client.shutdown()
    pid = int(status["pid"])
    return _poll(lambda: None if _lives(pid) else True, ENDS_WITHIN_S) is not None


def _poll(look: Callable[[], Found | None], within_s: float) -> Found | None:
    """What `look` finds, as soon as it does; None where it does not in time (real, monotonic)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(_POLL_S)
    return None


def _lives(pid: int) -> bool:
    """True while that process is a Tidewatt daemon: its number may be given away once it has ended."""
    try:
        return b"tidewatt.scheduler.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def given_to(pid: int) -> dict[str, str]:
    """The `--config` and `--zone` that the daemon of that number was started with; {} where that is not told.

    Its command line tells them, since `up` writes it whole, with absolute paths.
    """
    try:
        words = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    except OSError:
        return {}
    return {flag: value for flag, value in pairwise(words) if flag in ("--config", "--zone")}


def _failure(said: Path, place: Paths, code: int) -> SchedulerError:
    """The last thing that a daemon said, as the error it was."""
    lines = [line for line in said.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else f"it ended with code {code}"
    if last.startswith("tidewatt: "):
        return (BadInput if code == 2 else Refused)(last.removeprefix("tidewatt: "))
    return SchedulerError(f"the daemon could not start: {last.strip()}; see {said} and {place.log}")


def replace(place: Paths, given: Sequence[str]) -> None:
    """Becomes the daemon, for a service manager; does not return."""
    place.make()
    line = arguments(place, given)
    os.execv(line[0], line)  # noqa: S606 - no shell is wanted
