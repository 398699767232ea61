"""The door to a host's meter: starts it where none runs and asks it for readings."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import durable, lock
from tidewatt.backends.clock import Clock
from tidewatt.backends.meters import door, registry

_TIMEOUT_S = 2.0
_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37  # prctl(2)


@dataclass(frozen=True, slots=True)
class MeterClient:
    """Talks to the meter that writes into `readings`. No call raises, none takes longer than about 2 s.

    `while_locked` are lock files (the daemon's): the meter lives on while anybody holds one of them. Without
    them and without registered attempts it ends after `linger_s`.
    """

    readings: Path
    interval_s: float
    clock: Clock
    while_locked: Sequence[Path] = ()
    linger_s: float = 30.0

    def ensure(self) -> bool:
        """Starts the meter unless it runs; True when it answers."""
        return self._ensure(time.monotonic() + _TIMEOUT_S)

    def alive(self) -> bool:
        """True where a meter holds the lock; a look that costs next to nothing."""
        try:
            return lock.held(door.lock(self.readings))
        except OSError:  # the folder is none of ours, or no folder
            return False

    def register(self, attempt_id: str, supervisor_pid: int, job_pid: int | None = None) -> bool:
        """Makes the attempt's CPU time part of every reading; durable, safe to repeat; False where it failed.

        `job_pid` is needed only where the job is not below the supervisor (an adopting one).
        """
        try:
            registry.write_entry(self.readings, attempt_id, supervisor_pid, job_pid)
        except OSError:
            return False
        return True

    def read(self, cause: str) -> bool:
        """Asks for a reading now; True when it is durable. A dead meter is started and asked once more."""
        deadline = time.monotonic() + _TIMEOUT_S
        question = {"ask": "read", "cause": cause}
        answer = door.ask(self.readings, question, _TIMEOUT_S)
        if answer is None and time.monotonic() < deadline and self._ensure(deadline):
            answer = door.ask(self.readings, question, max(0.05, deadline - time.monotonic()))
        return answer is not None and bool(answer.get("ok"))

    def unregister(self, attempt_id: str) -> None:
        """Ends what `register` began."""
        with suppress(OSError):
            registry.remove(self.readings, attempt_id)

    def _ensure(self, deadline: float) -> bool:
        started = False
        while not self._hello(deadline):
            if time.monotonic() >= deadline:
                return False
            if not started:
                with suppress(OSError, subprocess.SubprocessError):
                    self._start()
                started = True
            time.sleep(0.02)
        return True

    def _hello(self, deadline: float) -> bool:
        question = {
            "ask": "hello",
            "clock": self.clock.to_json(),
            "interval_s": self.interval_s,
            "while_locked": [str(path.absolute()) for path in self.while_locked],
        }
        answer = door.ask(self.readings, question, max(0.05, deadline - time.monotonic()))
        return answer is not None and bool(answer.get("ok"))

    def _start(self) -> None:
        """Starts a meter that is nobody's child: the shell between us and it ends at once.

        The log is its standard error. It inherits our environment, but no open file and no session.
        """
        self.readings.mkdir(mode=0o700, parents=True, exist_ok=True)
        meter = [sys.executable, "-P", "-m", "tidewatt.backends.meters.process"]
        meter += ["--readings", str(self.readings.absolute()), "--interval", repr(self.interval_s)]
        meter += ["--linger", repr(self.linger_s), "--clock", self.clock.to_json(), "--while-locked"]
        meter += [str(path.absolute()) for path in self.while_locked]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(self.readings / "meter.log", flags, durable.MODE)
        try:
            with _orphans_leave_us():
                subprocess.run(
                    ["/bin/sh", "-c", '"$@" &', "sh", *meter],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                    timeout=_TIMEOUT_S,
                    check=False,
                )
        finally:
            os.close(log)


@contextmanager
def _orphans_leave_us() -> Iterator[None]:
    """A supervisor adopts its orphans; the meter must not become one, or the job would seem to go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    adopting = ctypes.c_int()
    libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(adopting), 0, 0, 0)
    if not adopting.value:
        yield
        return
    libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
