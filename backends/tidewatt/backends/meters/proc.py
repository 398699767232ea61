"""What /proc tells of CPU time: the host's busy time, processes and their descendants (man 5 proc)."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from tidewatt.backends.identity import GROUP, PARENT, PROC, START, STATE, stat_fields

UTIME, STIME, CUTIME, CSTIME = 11, 12, 13, 14  # indices into `stat_fields`
TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `start_ticks` (since boot) tells it from a later one with the same pid.

    `own_ms` is its CPU time, `children_ms` that of the children it has waited for, in turn with theirs.
    """

    pid: int
    parent: int
    group: int
    start_ticks: int
    own_ms: int
    children_ms: int
    zombie: bool


def host_busy_ms() -> int:
    """Busy milliseconds of all CPUs since boot: not idle, waiting for disks, or taken by other guests."""
    with open(PROC / "stat", "rb") as file:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) * TICK_MS


def process(pid: int) -> Process | None:
    """The process with that pid; None when there is none (any more)."""
    fields = stat_fields(pid)
    if fields is None:
        return None
    own_ms = (int(fields[UTIME]) + int(fields[STIME])) * TICK_MS
    children_ms = (int(fields[CUTIME]) + int(fields[CSTIME])) * TICK_MS
    start_ticks, zombie = int(fields[START]), fields[STATE] in "ZXx"
    return Process(pid, int(fields[PARENT]), int(fields[GROUP]), start_ticks, own_ms, children_ms, zombie)


def children(pid: int) -> list[int]:
    """The pids of its children, zombies too."""
    found: list[int] = []
    try:
        threads = os.listdir(PROC / str(pid) / "task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"{PROC}/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except OSError:
            if not _lists_children():
                return [other.pid for other in everyone() if other.parent == pid]
    return found


@cache
def _lists_children() -> bool:
    """Whether the kernel has /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN)."""
    return (PROC / f"self/task/{os.getpid()}/children").exists()


def everyone() -> Iterator[Process]:
    """All processes that we can see; dear, so only where nothing else helps."""
    for name in os.listdir(PROC):
        if name.isdigit() and (found := process(int(name))):
            yield found


def tree(pids: Iterable[int]) -> dict[int, Process]:
    """These processes and their descendants, parents before children.

    A parent is read before its children: one that ends meanwhile is missed this time, never counted twice.
    """
    found: dict[int, Process] = {}
    queue = list(pids)
    while queue:
        pid = queue.pop(0)
        if pid not in found and (seen := process(pid)):
            found[pid] = seen
            queue += children(pid)
    return found


def process_tree(pids: Iterable[int]) -> frozenset[int]:
    """These processes and all their descendants that live now."""
    return frozenset(pid for pid, seen in tree(pids).items() if not seen.zombie)
