"""The steps of an attempt on this host into pausing, suspended, resuming and running again, kept durably."""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends import durable
from tidewatt.backends.backend import Move, Phase
from tidewatt.backends.clock import Clock

NAME = "moves.jsonl"
MOST_BYTES = 1_000_000  # some thousand pauses; it is read at every look


@dataclass(frozen=True, slots=True)
class Step:
    """A move, and when it was on the monotonic clock of its boot, in seconds."""

    move: Move
    mono_s: float


def append(folder: Path, phase: Phase, clock: Clock, reason: str = "") -> Step:
    """Adds a move of now; it is later than the one before, whatever was done to the clock.

    Raises:
        OSError: It could not be made durable.
    """
    before = read(folder)
    at_ms = max(clock.now_ms(), before[-1].move.at_ms + 1 if before else 0)
    step = Step(Move(phase, at_ms, reason), time.monotonic())
    line = json.dumps({"phase": phase, "at_ms": at_ms, "mono_s": step.mono_s, "reason": reason})
    path = folder / NAME
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, durable.MODE)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"  # its writer was killed
        os.write(fd, ("\n" * torn + line + "\n").encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    if not before:
        durable.sync_folder(folder)
    return step


def read(folder: Path) -> list[Step]:
    """All of them in their order; a line that was cut off is none.

    Raises:
        durable.CorruptError: It is no plain file.
        OSError: It cannot be read.
    """
    text = (durable.read_bytes(folder / NAME, MOST_BYTES) or b"").decode(errors="replace")
    steps = []
    for line in text.splitlines():
        with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            form = json.loads(line)
            move = Move(Phase(form["phase"]), int(form["at_ms"]), str(form["reason"]))
            steps.append(Step(move, float(form["mono_s"])))
    return steps


def stood_s(steps: list[Step], now_s: float) -> float:
    """Real seconds that it stood still by now, as the monotonic clock of this boot has it."""
    total, since = 0.0, None
    for step in steps:
        standing = step.move.phase is Phase.SUSPENDED
        if standing and since is None:
            since = step.mono_s
        elif not standing and since is not None:
            total, since = total + max(0.0, step.mono_s - since), None
    return total + (max(0.0, now_s - since) if since is not None else 0.0)
