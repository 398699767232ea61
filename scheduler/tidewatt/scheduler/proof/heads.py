"""Signed heads of the chain: a store that was cut short or written anew does not fit them any more."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tidewatt.scheduler.proof import envelope
from tidewatt.scheduler.proof.chain import Tip
from tidewatt.scheduler.proof.envelope import Forged, Statement
from tidewatt.scheduler.proof.keys import SigningKey, VerifyingKey

_NAME = "ledger"
_TAIL_BYTES = 4096  # more than one head


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's tip as it was signed at `time_ms`; it has `seq` events."""

    seq: int
    hash: str
    time_ms: int

    @property
    def tip(self) -> Tip:
        """Where the chain stood."""
        return Tip(self.seq, self.hash)


def signed(head: Head, key: SigningKey) -> bytes:
    """The head in an envelope, one line."""
    predicate = {"seq": head.seq, "events": head.seq, "time_ms": head.time_ms}
    return envelope.sign(Statement(envelope.HEAD, {_NAME: head.hash}, predicate), key)


def opened(line: bytes, key: VerifyingKey) -> Head:
    """The head that this key signed.

    Raises:
        Forged: where it is none, or not signed by this key.
    """
    statement = envelope.opened(line, key)
    seq, time_ms = statement.predicate.get("seq"), statement.predicate.get("time_ms")
    digest = statement.subjects.get(_NAME)
    if statement.kind != envelope.HEAD or digest is None or type(seq) is not int or type(time_ms) is not int:
        raise Forged("it is no head of a ledger")
    return Head(seq, digest, time_ms)


def append(path: Path, line: bytes) -> None:
    """Adds a signed head to the file of heads, on the disk when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"  # a crash or a full disk cut the last one
        os.write(file, (b"\n" if torn else b"") + line + b"\n")
        os.fdatasync(file)
    finally:
        os.close(file)


def lines(path: Path) -> Iterator[bytes]:
    """The stored heads, oldest first; none where there is no file."""
    try:
        with path.open("rb") as file:
            yield from (line.rstrip(b"\n") for line in file if line.strip())
    except FileNotFoundError:
        return


def kept(path: Path, key: VerifyingKey) -> Iterator[tuple[Head, bytes]]:
    """The stored heads that this key signed, oldest first; torn lines are passed over."""
    return _opened(lines(path), key)


def _opened(stored: Iterable[bytes], key: VerifyingKey) -> Iterator[tuple[Head, bytes]]:
    for line in stored:
        try:
            yield opened(line, key), line
        except Forged:
            continue


def recent(path: Path, key: VerifyingKey, count: int) -> list[Head]:
    """The newest stored heads that this key signed, oldest first, at most so many."""
    return [head for head, _ in _opened(deque(lines(path), count), key)]


def last(path: Path, key: VerifyingKey) -> Head | None:
    """The newest stored head that this key signed."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            tail = file.read().splitlines()
    except FileNotFoundError:
        return None
    return next((head for head, _ in _opened(reversed(tail), key)), None)
