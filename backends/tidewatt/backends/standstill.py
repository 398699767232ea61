"""Lets all processes of a job stand still, and go on: by their cgroup where it has one, else by SIGSTOP.

What a GPU was given before goes on to its end; then it draws what it draws with a process that holds its
memory and does nothing.
"""

import signal
import time
from contextlib import suppress

from tidewatt.backends.cgroup import Cgroup
from tidewatt.backends.identity import PROC, STATE, Identity
from tidewatt.backends.processes import Tree

_STOPPED = "Tt"
_PATIENCE_S = 2.0
_POLL_S = 0.005


def halt(tree: Tree, cgroup: Cgroup | None) -> int:
    """Stops all processes of a job; returns how many could not be: those that have become another user's.

    Returns when they stand, or after two seconds: a process that waits for a disk stops when it has it.
    """
    if cgroup is not None and cgroup.freeze(True):
        return 0
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        # Again and again: a process may have forked another one just before it was stopped.
        walking = [process for process in tree.members() if not stands(process)]
        refused = [process for process in walking if not process.send(signal.SIGSTOP) and process.alive()]
        if len(refused) == len(walking) or time.monotonic() >= deadline:
            return len(refused)
        time.sleep(_POLL_S)


def release(tree: Tree, cgroup: Cgroup | None) -> None:
    """Lets them go on."""
    if cgroup is not None:
        cgroup.freeze(False)
    tree.signal(signal.SIGCONT)


def stands(process: Identity) -> bool:
    """Whether it is stopped, or has ended."""
    fields = process.fields()
    return fields is None or fields[STATE] in _STOPPED + "ZXx"


def hold(process: Identity) -> bool:
    """Stops one process and waits until it stands; False where it has ended instead.

    What is sent to a process that stands reaches it, unlike what is sent to one that is just ending.
    """
    deadline = time.monotonic() + _PATIENCE_S
    process.send(signal.SIGSTOP)
    while not stands(process) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return process.alive()


def listens(process: Identity, number: int) -> bool:
    """Whether it has a handler for the signal, or holds it back to take it when it likes (sigwait)."""
    with suppress(OSError, ValueError):
        for line in (PROC / str(process.pid) / "status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name in ("SigCgt", "SigBlk") and int(mask, 16) >> (number - 1) & 1:
                return process.alive()
    return False
