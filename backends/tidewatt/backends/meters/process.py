"""The meter: `python -m tidewatt.backends.meters.process --readings DIR ...`, one for each readings folder.

It reads all instruments every interval, and whenever a supervisor asks. It ends by itself when no attempt is
registered and nobody holds one of the lock files that it was told to watch.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidewatt.backends import lock
from tidewatt.backends.clock import Clock
from tidewatt.backends.meters import door, public_door
from tidewatt.backends.meters.bench import Bench
from tidewatt.backends.meters.cputime import CpuTimes
from tidewatt.backends.meters.instruments import others
from tidewatt.backends.meters.journal import LONGEST_INTERVAL_S, Journal
from tidewatt.backends.meters.public_door import Guests, PublicDoor

LINGER_S = 30.0
_CLIENT_S = 0.5  # a client that has connected and says nothing
_WATCH_S = 5.0


class Meter:
    """The one meter of a readings folder."""

    def __init__(
        self, readings: Path, interval_s: float, clock: Clock, watched: set[Path], linger_s: float
    ) -> None:
        self._readings = readings
        self._watched = watched
        self._linger_s = linger_s
        self._journal = Journal(readings)
        self._times = CpuTimes(readings)
        interval_s = min(interval_s, LONGEST_INTERVAL_S)
        self._bench = Bench(self._times, clock, interval_s, others=others(readings))
        self._door = door.listen(readings)
        self._place = door.socket_path(readings)
        self._public: PublicDoor | None = None
        self._guests = Guests(readings, lambda cause: self._read(cause, durable=True))
        self._needed_at = time.monotonic()
        self._synced_at = float("-inf")
        self._problem = ""
        self.ending = False

    def run(self) -> None:
        """Reads until nobody needs it any more, or `ending` is set; the last reading is durable."""
        due = time.monotonic()
        watch_at = due
        while not self.ending:
            now = time.monotonic()
            if now >= due:
                self._read("tick", durable=now - self._synced_at >= 1.0)
                due = max(due + self._bench.pause_s(), time.monotonic())
            if now >= watch_at:
                watch_at = now + min(_WATCH_S, self._linger_s / 4)
                self._watch()
            self._serve(max(0.0, min(due, watch_at) - time.monotonic()))
        self._read("tick", durable=True)
        self._journal.close()
        self._door.close()
        if self._public is not None:
            self._public.close()
        with suppress(OSError):
            self._place.unlink()

    def _read(self, cause: str, *, durable: bool) -> str:
        """Takes and keeps a reading; returns what went wrong, "" for nothing."""
        try:
            reading = self._bench.read(cause)
            self._journal.append(reading, self._bench.header(), durable=durable)
        except OSError as error:
            self._say(f"the reading could not be kept: {error}")
            return str(error)
        if durable:
            self._synced_at = time.monotonic()
        self._say("")
        return ""

    def _say(self, problem: str) -> None:
        """Into the log, at each change; what could not be told while the disk was full is told afterwards."""
        if problem != self._problem:
            event = problem or f"readings are kept again; before that, {self._problem}"
            with suppress(OSError):
                sys.stderr.write(json.dumps({"time_ms": time.time_ns() // 1_000_000, "event": event}) + "\n")
                sys.stderr.flush()
        self._problem = problem

    def _watch(self) -> None:
        """Ends when not needed or its folder is gone; opens the door again where a logout removed it."""
        self._times.look()
        self._open_public()
        now = time.monotonic()
        if self._times.attempts or any(_locked(path) for path in self._watched):
            self._needed_at = now
        if now - self._needed_at >= self._linger_s or not self._readings.is_dir():
            self.ending = True
        elif not self._place.exists():
            self._door.close()
            with suppress(OSError):
                self._door = door.listen(self._readings)
                self._place = door.socket_path(self._readings)

    def _open_public(self) -> None:
        """Opens the door for users, on a shared server; again where its socket was removed."""
        gid = public_door.group(self._readings) if os.geteuid() == 0 else None
        if gid is None or (self._public is not None and self._public.path.exists()):
            return
        if self._public is not None:
            self._public.close()
            self._public = None
        with suppress(OSError):
            self._public = PublicDoor(self._readings, gid)

    def _serve(self, wait_s: float) -> None:
        """Answers clients for that long at most; returns early after one."""
        own = [] if self._door.fileno() < 0 else [self._door]
        public = [] if self._public is None else self._public.sockets
        if not own and not public:
            time.sleep(min(wait_s, 0.2))
            return
        ready, _, _ = select.select([*own, *public], [], [], wait_s)
        if self._public is not None and ready:
            self._public.serve(self._asked_by)
        if self._door not in ready:
            return
        with suppress(OSError, ValueError):
            line, _ = self._door.accept()
            with line:
                line.settimeout(_CLIENT_S)
                answer = self._answer(json.loads(door.receive(line)))
                line.sendall(json.dumps(answer).encode() + b"\n")

    def _asked_by(self, uid: int, question: dict[str, Any]) -> dict[str, Any]:
        self._needed_at = time.monotonic()
        return self._guests.answer(uid, question)

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        self._needed_at = time.monotonic()
        match question.get("ask"):
            case "read":
                problem = self._read(str(question["cause"]), durable=True)
                return {"ok": not problem, "problem": problem}
            case "hello":
                self._watched |= {Path(path) for path in question.get("while_locked", [])}
                self._adopt(Clock.from_json(question["clock"]), float(question["interval_s"]))
                return {"ok": True, "pid": os.getpid()}
            case other:
                return {"ok": False, "problem": f"unknown question {other!r}"}

    def _adopt(self, clock: Clock, interval_s: float) -> None:
        """Takes over a new clock or interval, but not while an attempt runs: its readings belong together."""
        self._times.look()
        if not self._times.attempts:
            self._bench.clock = clock
            self._bench.interval_s = min(interval_s, LONGEST_INTERVAL_S)


def _locked(path: Path) -> bool:
    """Whether anybody has the file locked, by fcntl or flock; the look does not take it for a moment."""
    with suppress(OSError):
        if lock.held(path):
            return True
        inode = f":{path.stat().st_ino}"
        rows = (row.split() for row in Path("/proc/locks").read_text().splitlines())
        return any(row[-3].endswith(inode) for row in rows if len(row) >= 8)
    return False


def _take_lock(readings: Path, patience_s: float = 1.0) -> int | None:
    """The lock of the one meter; None where another keeps it (one that is just ending does not)."""
    fd = os.open(door.lock(readings), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_s
    while not lock.take(fd):
        if time.monotonic() > deadline:
            os.close(fd)
            return None
        time.sleep(0.02)
    return fd


def main(arguments: list[str] | None = None) -> int:
    """Runs the meter; 0 also where one runs already."""
    parser = argparse.ArgumentParser(prog="tidewatt-meter", description="Reads this host's energy meters.")
    parser.add_argument("--readings", type=Path, required=True)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between readings")
    parser.add_argument("--clock", default=Clock().to_json())
    parser.add_argument(
        "--while-locked", type=Path, nargs="*", default=[], help="live while one of these is locked"
    )
    parser.add_argument("--linger", type=float, default=LINGER_S, help="seconds to live on when not needed")
    given = parser.parse_args(arguments)
    os.umask(0o077)
    given.readings.mkdir(parents=True, exist_ok=True)
    held = _take_lock(given.readings)
    if held is None:
        return 0
    clock = Clock.from_json(given.clock)
    meter = Meter(given.readings, given.interval, clock, set(given.while_locked), given.linger)

    def end(_number: int, _frame: object) -> None:
        meter.ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    meter.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
