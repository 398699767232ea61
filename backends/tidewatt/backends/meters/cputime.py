"""CPU time of attempts, from outside: the process tree below each supervisor, and what it has waited for.

And our own: the daemon with its helpers, the supervisors, the meter.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tidewatt.backends.identity import Identity
from tidewatt.backends.meters import proc
from tidewatt.backends.meters.registry import Entry, Memory, entries, recall, remember, remove

OWN = "tidewatt"  # registered as an attempt whose job is the daemon; it outlives the daemon that it names


class AttemptTime:
    """Follows the CPU time of one attempt; it never goes back.

    The supervisor is a subreaper, so every descendant stays below it, and what ended is in its own children's
    time. When it has died, the job's processes are known by their groups, and the time of those that ended is
    kept here.
    """

    def __init__(self, entry: Entry, memory: Memory) -> None:
        self.entry = entry
        self.memory = memory
        self._known: dict[int, int] = {}  # pid -> start of the processes seen last
        self._total_ms = 0

    def read(self) -> int | None:
        """CPU milliseconds since the attempt's start; None when nothing of it lives any more."""
        seen = self._measure()
        if seen is not None and seen + self.memory.forgotten_ms < self._total_ms:
            seen = self._measure()  # a process may have ended in between: then its parent has its time now
        if seen is None:
            return None
        forgotten = max(self.memory.forgotten_ms, self._total_ms - seen)
        self.memory = Memory(self.memory.groups, forgotten)
        self._total_ms = seen + forgotten
        return self._total_ms

    def _measure(self) -> int | None:
        entry = self.entry
        supervisor = _alive(entry.supervisor.pid, entry.supervisor.start_ticks)
        roots = {pid for pid, start in self._known.items() if _alive(pid, start)}
        if entry.job and _alive(entry.job.pid, entry.job.start_ticks):
            roots.add(entry.job.pid)
        if supervisor is None or entry.job:
            roots |= self._strays()
        if supervisor is None and not roots:
            return None
        below = proc.children(supervisor.pid) if supervisor else []
        found = proc.tree([*below, *sorted(roots)])
        for pid in (os.getpid(), entry.supervisor.pid):
            found.pop(pid, None)
        self._known = {pid: seen.start_ticks for pid, seen in found.items() if not seen.zombie}
        self._note_groups({seen.group for seen in found.values()}, supervisor)
        waited_ms = supervisor.children_ms if supervisor else 0
        return waited_ms + sum(seen.own_ms + seen.children_ms for seen in found.values())

    def _note_groups(self, groups: set[int], supervisor: proc.Process | None) -> None:
        apart = groups - {supervisor.group if supervisor else 0} - {os.getpgrp()}
        if not apart <= set(self.memory.groups):
            self.memory = Memory(
                tuple(sorted(apart | set(self.memory.groups))[-64:]), self.memory.forgotten_ms
            )

    def _strays(self) -> set[int]:
        """Processes of the attempt's groups; older ones than its supervisor are others with the same id."""
        groups = set(self.memory.groups)
        if not groups:
            return set()
        born = self.entry.born_ticks
        return {other.pid for other in proc.everyone() if other.group in groups and other.start_ticks >= born}


def _alive(pid: int, start_ticks: int) -> proc.Process | None:
    seen = proc.process(pid) if pid else None
    return seen if seen and seen.start_ticks == start_ticks and not seen.zombie else None


class OwnTime(AttemptTime):
    """CPU time of the daemon's process tree, of `supervisors` without their jobs, and of this meter."""

    supervisors: Iterable[Identity] = ()

    def _measure(self) -> int | None:
        daemon = self.entry.job
        found = proc.tree([daemon.pid] if daemon and _alive(daemon.pid, daemon.start_ticks) else [])
        for each in (*self.supervisors, Identity.require(os.getpid())):
            found.pop(each.pid, None)
        apart = [seen for each in self.supervisors if (seen := _alive(each.pid, each.start_ticks))]
        meter = proc.process(os.getpid())
        spent_ms = sum(seen.own_ms + seen.children_ms for seen in found.values())
        return spent_ms + sum(seen.own_ms for seen in apart) + (meter.own_ms if meter else 0)


class CpuTimes:
    """CPU time of the host, of every registered attempt, and our own."""

    def __init__(self, readings: Path) -> None:
        self._readings = readings
        self._attempts: dict[str, AttemptTime] = {}

    @property
    def attempts(self) -> int:
        """How many attempts are registered, as of the last look."""
        return len(self._attempts.keys() - {OWN})

    def look(self) -> None:
        """Takes in new registrations and lets go of ended ones, without reading."""
        registered = {entry.attempt_id: entry for entry in entries(self._readings)}
        for attempt_id in set(self._attempts) - set(registered):
            del self._attempts[attempt_id]
        for attempt_id, entry in registered.items():
            known = self._attempts.get(attempt_id)
            if not entry.supervisor.this_boot:
                self._drop(attempt_id)
            elif known is None:
                kind = OwnTime if attempt_id == OWN else AttemptTime
                self._attempts[attempt_id] = kind(entry, recall(self._readings, attempt_id))
            else:
                known.entry = entry  # an adopting supervisor may have taken over

    def read(self) -> dict[str, int]:
        """Milliseconds by attempt id, and `host`; attempts of which nothing lives are dropped."""
        self.look()
        times = {"host": proc.host_busy_ms()}
        own = self._attempts.get(OWN)
        if isinstance(own, OwnTime):
            own.supervisors = [each.entry.supervisor for each in self._attempts.values() if each is not own]
        for attempt_id, attempt in list(self._attempts.items()):
            before = attempt.memory
            spent_ms = attempt.read()
            if spent_ms is None:
                self._drop(attempt_id)
                continue
            times[attempt_id] = spent_ms
            if attempt.memory != before:
                with suppress(OSError):  # a full disk: only a restart of the meter would miss it
                    remember(self._readings, attempt_id, attempt.memory)
        return times

    def _drop(self, attempt_id: str) -> None:
        self._attempts.pop(attempt_id, None)
        remove(self._readings, attempt_id)
