"""What one process of a job tells of its work, in two small files of its own.

`MOMENT-PID.jsonl` gets a line for each mark: a phase begins, a checkpoint was saved, the job goes on from
one. `MOMENT-PID.counts` is one line that is written over, at most once a second: what was counted so far and
the last checkpoint. So the files stay small, and whatever kills the process takes a second of counts at most.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import RLock
from operator import index

TYPE_CHECKING = False  # importing `typing` for it would take longer than all of the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, SupportsIndex

FLUSH_S = 1.0
MOST_SAID = 4096  # words that wait to be counted
MARKS = 20_000  # a process that says more is not describing phases any more
PADDED = 1024  # bytes of the counts, written over in one piece
LABEL = 64  # characters
KINDS = ("steps", "samples", "tokens", "epochs", "flops", "parameters")
_UNSAID = 65_536  # bytes of marks that wait for room on the disk
_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Diary:
    """The files of this process in `folder`, which the first mark makes.

    Nothing is raised for a file that cannot be written: the first time is logged, and later writes try again.
    `each_time` is called after each write of the counts, with the rank of the process.
    """

    def __init__(self, folder: str, each_time: Callable[[int], None] = lambda rank: None) -> None:
        self.folder = folder
        self._each_time = each_time
        self.label = ""
        self.counts: dict[str, int] = {}
        self.said: list[tuple[SupportsIndex | float, ...]] = []  # steps, samples, tokens: not yet counted
        self._guard = RLock()  # a signal handler may come in the middle
        self.due = 0.0
        self._path = ""
        self._rank = launched_as()  # torch's stays when its processes have parted
        self._marks = -1
        self._counts = -1
        self._said = dict.fromkeys(("phase", "checkpoint", "resumed"), 0)
        self._unsaid = b""
        self._checkpoint: dict[str, Any] | None = None
        self._warned = False

    def begin(self, label: str) -> None:
        """Begins a phase; "" ends the one before without another."""
        label = clean(label)
        if label == self.label:
            return
        self.label = label
        if self._said["phase"] == MARKS:
            label = ""  # what follows has no name rather than a wrong one
            self.warn(f"more than {MARKS} phases: the rest of them stay without a name")
        self._mark("phase", label)

    def take(self) -> None:
        """Counts what was said since the last time."""
        with self._guard:
            while self.said:
                steps, samples, tokens = self.said.pop()  # while others append
                self._add("steps", steps)
                if samples:
                    self._add("samples", samples)
                if tokens:
                    self._add("tokens", tokens)

    def count(self, kind: str, number: SupportsIndex | float) -> None:
        """Adds to a count."""
        with self._guard:
            self._add(kind, number)
        if time.monotonic() >= self.due:
            self.flush()

    def hold(self, kind: str, number: SupportsIndex | float) -> None:
        """Sets a count that is no sum."""
        with self._guard:
            self.counts.pop(kind, None)
            self._add(kind, number)
        if time.monotonic() >= self.due:
            self.flush()

    def _add(self, kind: str, number: SupportsIndex | float) -> None:
        try:
            whole = round(number) if isinstance(number, float) else index(number)
            if whole < 0:
                raise ValueError("less than none")
        except (TypeError, ValueError, OverflowError) as error:
            self.warn(f"{number!r} {kind} cannot be counted: {error}")
            return
        self.counts[kind] = self.counts.get(kind, 0) + whole

    def checkpoint(self, step: int | None) -> None:
        """A checkpoint was saved: the work up to now is kept."""
        at = now()
        with self._guard:
            self.take()
            self._checkpoint = {"at": at, "step": step, "counts": dict(self.counts)}
        self._mark("checkpoint", step, at)
        self.flush()

    def resume(self, step: int | None) -> None:
        """The work goes on from a checkpoint of an earlier attempt."""
        self._mark("resumed", step)
        self.flush()

    def flush(self) -> None:
        """Writes the counts, and the marks that are still to be written; nothing where nothing was said."""
        with self._guard:
            self.take()
            if not (self.counts or any(self._said.values())):
                return
            self.due = time.monotonic() + FLUSH_S
            found = torch_rank()
            number = self._rank = self._rank if found is None else found
            record = {"at": now(), "rank": number, "counts": self.counts, "checkpoint": self._checkpoint}
            line = _line(record)
            try:
                self._open()
                self._write()
                if len(line) < PADDED:
                    os.pwrite(self._counts, line[:-1].ljust(PADDED - 1) + b"\n", 0)
            except OSError as error:
                self._cannot(error)
        self._each_time(number)

    def warn(self, sentence: str) -> None:
        """Logs the first trouble; the others are left untold."""
        if not self._warned:
            self._warned = True
            import logging  # only here: most scripts have it, and a start should not pay for it

            logging.getLogger("tidewatt.hooks").warning(sentence)

    def _mark(self, kind: str, value: str | int | None, at: list[int] | None = None) -> None:
        with self._guard:
            if self._said[kind] > MARKS:
                return
            self._said[kind] += 1
            line = _line({"at": at or now(), kind: value})
            if len(self._unsaid) + len(line) <= _UNSAID:
                self._unsaid += line
            try:
                self._open()
                self._write()
            except OSError as error:
                self._cannot(error)

    def _cannot(self, error: OSError) -> None:
        self.warn(f"what the script tells cannot be kept in {self.folder}: {error.strerror}")

    def _open(self) -> None:
        """Opens both files, the name of neither of which anybody has used."""
        if self._counts >= 0:
            return
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if not self._path:
            self._path = os.path.join(self.folder, f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        if self._marks < 0:
            self._marks = os.open(self._path + ".jsonl", flags, 0o600)
        self._counts = os.open(self._path + ".counts", flags & ~os.O_APPEND, 0o600)

    def _write(self) -> None:
        """Writes what is unsaid; what a full disk cut off goes on later where it stopped."""
        while self._unsaid:
            self._unsaid = self._unsaid[os.write(self._marks, self._unsaid) :]


def now() -> list[int]:
    """Real Unix milliseconds, and those of the clock that nobody sets."""
    return [time.time_ns() // 1_000_000, time.clock_gettime_ns(_CLOCK) // 1_000_000]


def torch_rank() -> int | None:
    """This process's number as torch has it; None where torch is not in use by several processes now."""
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return int(distributed.get_rank())
    except Exception:  # whatever it is, it is no reason to stop a training
        return None
    return None


def launched_as() -> int:
    """The rank that a launcher gave this process; 0 where none did."""
    for name in _RANKS:
        if (value := os.environ.get(name, "")).isdecimal():
            return int(value)
    return 0


def clean(label: object) -> str:
    """At most 64 printable characters."""
    return "".join(letter if letter.isprintable() else " " for letter in str(label)[:LABEL]).strip()


def _line(form: dict[str, Any]) -> bytes:
    global _encode
    if _encode is None:
        import json  # only here: a job that tells nothing does not wait for it

        _encode = json.JSONEncoder(separators=(",", ":")).encode
    return _encode(form).encode() + b"\n"


_encode: Callable[[Any], str] | None = None
