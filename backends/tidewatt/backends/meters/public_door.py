"""The meter's door for the users of a shared server.

Whoever comes is known by what the kernel says of the connection. A user may register and unregister own
attempts with own processes, and ask for a reading around one of these; nobody is told any readings here.
"""

import json
import os
import re
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidewatt.backends import durable
from tidewatt.backends.identity import PROC, Identity
from tidewatt.backends.meters import registry

NOTE = "system.json"  # in the state folder, root's own: which group may come
NAME = "meter.sock"  # beside it
LONGEST = 4096  # bytes of a question
_PATIENCE_S = 2.0  # with a client that has not said all
_CLIENTS, _OF_ONE = 128, 16  # at a time
_ATTEMPT = re.compile(r"([1-9][0-9]{0,11})\.[1-9][0-9]{0,5}")
_CAUSE = re.compile(r"(?:start|phase|end) (\S{1,24})")
_BURST, _PER_S = 64.0, 8.0  # readings that one user may ask for
_MOST_ATTEMPTS = 1000  # of one user at a time
Answer = dict[str, Any]


def place(readings: Path) -> Path:
    """Where the door of these readings is, if they have one."""
    return readings.parent / NAME


def group(readings: Path) -> int | None:
    """The group whose members may come; None where the readings are one user's own."""
    try:
        content = durable.read(readings.parent / NOTE)
        return None if content is None else int(content["gid"])
    except (OSError, KeyError, TypeError, ValueError, durable.CorruptError):
        return None


@dataclass(slots=True)
class _Client:
    uid: int
    until: float
    said: bytes = b""


class PublicDoor:
    """The listening socket and those who have come in and not yet said all."""

    def __init__(self, readings: Path, gid: int) -> None:
        self.path = place(readings)
        self.path.unlink(missing_ok=True)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._door.bind(str(self.path))
        os.chown(self.path, 0, gid)
        self.path.chmod(0o660)
        self._door.listen(64)
        self._clients: dict[socket.socket, _Client] = {}

    @property
    def sockets(self) -> list[socket.socket]:
        """What to wait for."""
        return [self._door, *self._clients]

    def serve(self, answer: Callable[[int, Answer], Answer]) -> None:
        """Answers those who have said all; never waits for anybody."""
        now = time.monotonic()
        for line in [line for line, client in self._clients.items() if client.until < now]:
            self._hang_up(line)
        self._let_in()
        ready = select.select(list(self._clients), [], [], 0)[0] if self._clients else []
        for line in ready:
            self._hear(line, answer)

    def close(self) -> None:
        """Nobody comes any more."""
        for line in list(self._clients):
            self._hang_up(line)
        self._door.close()
        with suppress(OSError):
            self.path.unlink()

    def _let_in(self) -> None:
        with suppress(BlockingIOError):
            while True:
                line, _ = self._door.accept()
                line.setblocking(False)
                uid = _uid(line)
                theirs = sum(client.uid == uid for client in self._clients.values())
                if len(self._clients) >= _CLIENTS or theirs >= _OF_ONE:
                    line.close()
                else:
                    self._clients[line] = _Client(uid, time.monotonic() + _PATIENCE_S)

    def _hear(self, line: socket.socket, answer: Callable[[int, Answer], Answer]) -> None:
        client = self._clients[line]
        try:
            part = line.recv(LONGEST)
        except OSError:
            part = b""
        client.said += part
        if part and not client.said.endswith(b"\n") and len(client.said) < LONGEST:
            return
        with suppress(OSError, ValueError, RecursionError):
            question = json.loads(client.said)
            if isinstance(question, dict):
                line.send(json.dumps(answer(client.uid, question)).encode() + b"\n")
        self._hang_up(line)

    def _hang_up(self, line: socket.socket) -> None:
        self._clients.pop(line, None)
        line.close()


@dataclass(slots=True)
class Guests:
    """What users may do at the meter of a shared server; `read` takes a reading and says what went wrong."""

    readings: Path
    read: Callable[[str], str]
    _left: dict[int, tuple[float, float]] = field(default_factory=dict)  # uid: readings left, as of
    _registered: dict[int, set[str]] = field(default_factory=dict)

    def answer(self, uid: int, question: Answer) -> Answer:
        """What is answered to a user; everything in the question may be a lie but who asks it."""
        match question.get("ask"):
            case "hello":
                return {"ok": True, "pid": os.getpid()}
            case "register":
                return _said(self._register(uid, question))
            case "unregister":
                return _said(self._unregister(uid, str(question.get("attempt_id"))))
            case "read":
                return _said(self._read(uid, str(question.get("cause"))))
            case _:
                return _said("unknown question")

    def _register(self, uid: int, question: Answer) -> str:
        attempt_id = str(question.get("attempt_id"))
        pids = [question.get("supervisor_pid"), question.get("job_pid")]
        if not self._theirs(uid, attempt_id):
            return "that is no attempt of yours"
        theirs = self._registered.setdefault(uid, set())
        if len(theirs) >= _MOST_ATTEMPTS and attempt_id not in theirs:
            return f"{_MOST_ATTEMPTS} attempts of yours are registered already"
        if not isinstance(pids[0], int) or not all(each is None or _runs_as(each, uid) for each in pids):
            return "that is no process of yours"
        registry.write_entry(self.readings, attempt_id, pids[0], pids[1])
        if not all(each is None or _runs_as(each, uid) for each in pids):  # its number was given away
            registry.remove(self.readings, attempt_id)
            return "that process has ended"
        theirs.add(attempt_id)
        return ""

    def _unregister(self, uid: int, attempt_id: str) -> str:
        if not self._theirs(uid, attempt_id):
            return "that is no attempt of yours"
        registry.remove(self.readings, attempt_id)
        self._registered.get(uid, set()).discard(attempt_id)
        return ""

    def _read(self, uid: int, cause: str) -> str:
        found = _CAUSE.fullmatch(cause)
        if found is None or not self._theirs(uid, found[1]):
            return "that is no attempt of yours"
        now = time.monotonic()
        left, at = self._left.get(uid, (_BURST, now))
        left = min(_BURST, left + (now - at) * _PER_S)
        if left < 1:
            return "that was asked too often"
        self._left[uid] = (left - 1, now)
        return self.read(cause)

    def _theirs(self, uid: int, attempt_id: str) -> bool:
        """Whether the attempt is of a job of that user's: its folder lies in one of root's."""
        found = _ATTEMPT.fullmatch(attempt_id)
        if found is None or uid == 0:
            return False
        with suppress(OSError):
            return (self.readings.parent / "jobs" / found[1]).lstat().st_uid == uid
        return False


def questions(attempt_id: str, pids: Sequence[int | None]) -> Answer:
    """The question that registers an attempt."""
    return {"ask": "register", "attempt_id": attempt_id, "supervisor_pid": pids[0], "job_pid": pids[1]}


def _said(problem: str) -> Answer:
    return {"ok": not problem, "problem": problem}


def _uid(line: socket.socket) -> int:
    size = struct.calcsize("3i")
    uid: int = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]
    return uid


def _runs_as(pid: Any, uid: int) -> bool:
    """Whether a process is that user's in every respect, and nobody else's."""
    if type(pid) is not int or pid <= 1:
        return False
    before = Identity.of(pid)
    with suppress(OSError, StopIteration):
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        uids = next(line for line in lines if line.startswith("Uid:")).split()[1:]
        return set(uids) == {str(uid)} and before is not None and before == Identity.of(pid)
    return False
