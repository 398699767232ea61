"""The processes of a job: its session, its group, and whatever they left behind."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidewatt.backends.identity import (
    GROUP,
    PARENT,
    PROC,
    SESSION,
    START,
    STATE,
    Identity,
    boot_id,
    stat_fields,
)

MARK = "TIDEWATT_ATTEMPT_FOLDER"  # in the environment of every process of a job


@dataclass(frozen=True, slots=True)
class Tree:
    """Where to look for a job's processes.

    `leader` is the job's first process, which leads a session and a group of its own. `root` is the
    supervisor that adopts its orphans (a child subreaper). Without a root its orphans are known by `folder`
    in their environment.
    """

    leader: Identity
    folder: Path
    root: Identity | None = None

    def members(self) -> list[Identity]:
        """All that live now; the supervisor is none of them."""
        if not self.leader.this_boot:
            return []
        table = dict(_table())
        # Once the leader is reaped and its session is over, its number may come to lead somebody else's
        # session.
        led = self.leader.fields() is not None
        below = _descendants(table, self.root.pid) if self.root is not None and self.root.alive() else set()
        mark = f"{MARK}={self.folder}".encode()
        return [
            process.identity
            for pid, process in table.items()
            if pid in below
            or (led and self.leader.pid in (process.group, process.session))
            or (self.root is None and _marked(pid, mark))
        ]

    def signal(self, number: signal.Signals) -> int:
        """Signals each of them; returns how many got it."""
        return sum(process.send(number) for process in self.members())


@dataclass(frozen=True, slots=True)
class _Process:
    identity: Identity
    parent: int
    group: int
    session: int


def _table() -> Iterator[tuple[int, _Process]]:
    boot = boot_id()
    for name in os.listdir(PROC):
        if not name.isdecimal():
            continue
        pid = int(name)
        fields = stat_fields(pid)
        if fields is None or fields[STATE] in "ZXx" or pid == os.getpid():
            continue
        identity = Identity(boot, pid, int(fields[START]))
        yield pid, _Process(identity, int(fields[PARENT]), int(fields[GROUP]), int(fields[SESSION]))


def _descendants(table: dict[int, _Process], root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    found: set[int] = set()
    ahead = list(children.get(root, ()))
    while ahead:
        pid = ahead.pop()
        found.add(pid)
        ahead.extend(children.get(pid, ()))
    return found


def _marked(pid: int, mark: bytes) -> bool:
    with suppress(OSError):  # gone, or another user's
        return mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return False
