"""What a store remembers of its jobs: those that have not ended, and how many there are by state.

Only what transactions changed is read again. Another process that wrote is noticed by the events that it
appended; then everything is.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tidewatt.scheduler.jobs import ENDED, JobState
from tidewatt.scheduler.store.records import JobRecord

OPEN = tuple(state for state in JobState if state not in ENDED)
Counts = Mapping[tuple[int | None, str], int]  # jobs by user and state


@dataclass(slots=True)
class Changes:
    """What one transaction did to jobs; `seq` is its last event, 0 where it appended none."""

    jobs: set[int] = field(default_factory=set)
    counts: Counter[tuple[int | None, str]] = field(default_factory=Counter)
    ended: bool = False  # whether it touched a job, or an account, that others learn from
    seq: int = 0

    def add(self, other: "Changes") -> None:
        """Takes in what a later part did."""
        self.jobs |= other.jobs
        self.counts.update(other.counts)
        self.ended |= other.ended
        self.seq = max(self.seq, other.seq)


class Known:
    """The memory of one store. Commits happen under `lock`: what is read after one shows it."""

    def __init__(
        self,
        newest: Callable[[], int],
        read: Callable[[], Iterable[JobRecord]],
        again: Callable[[set[int]], Mapping[int, JobRecord]],
        counted: Callable[[], Counts],
    ) -> None:
        self._newest, self._read, self._again, self._counted = newest, read, again, counted
        self.lock = threading.RLock()
        self._seq = -1
        self._jobs: dict[int, JobRecord] | None = None
        self._counts: Counter[tuple[int | None, str]] | None = None
        self._stale: set[int] = set()
        self._endings = 0
        self._alone = False

    def alone(self) -> None:
        """No other process writes from now on: what was appended last is known."""
        self._alone = True

    def newest(self) -> int:
        """The number of the last event."""
        with self.lock:
            self._look()
            return self._seq

    @contextmanager
    def committing(self, changes: Changes) -> Iterator[None]:
        """A commit is made within it. One that fails may be stored all the same: its answer was lost."""
        with self.lock:
            try:
                yield
            except BaseException:
                self.forget()
                raise
            self._committed(changes)

    def _committed(self, changes: Changes) -> None:
        self._stale |= changes.jobs
        self._endings += changes.ended
        if self._counts is not None:
            self._counts.update(changes.counts)
        if changes.seq:
            self._seq = changes.seq

    def forget(self) -> None:
        """Reads everything again the next time."""
        with self.lock:
            self._seq = -1
            self._jobs = self._counts = None
            self._stale = set()
            self._endings += 1

    def open_jobs(self) -> list[JobRecord]:
        """All that have not ended, oldest first."""
        with self.lock:
            return list(self._fresh().values())

    def open_job(self, number: int) -> JobRecord | None:
        """One of them."""
        with self.lock:
            return self._fresh().get(number)

    def counts(self) -> Counter[tuple[int | None, str]]:
        """Numbers of jobs by user and state."""
        with self.lock:
            self._look()
            if self._counts is None:
                self._counts = Counter(dict(self._counted()))
            return Counter(self._counts)

    def endings(self) -> int:
        """A number that changes whenever a job ended, or its account was written."""
        with self.lock:
            self._look()
            return self._endings

    def _fresh(self) -> dict[int, JobRecord]:
        self._look()
        if self._jobs is None:
            self._stale = set()
            self._jobs = {job.id: job for job in self._read()}
        elif self._stale:
            self._refresh(self._jobs)
        return self._jobs

    def _refresh(self, jobs: dict[int, JobRecord]) -> None:
        found, new = self._again(self._stale), False
        for number in sorted(self._stale):
            job = found.get(number)
            if job is None or job.state in ENDED:
                jobs.pop(number, None)
            else:
                new |= number not in jobs and bool(jobs) and number < next(reversed(jobs))
                jobs[number] = job
        self._stale = set()
        if new:  # an older job is back, for another try
            self._jobs = dict(sorted(jobs.items()))

    def _look(self) -> None:
        """Forgets everything where another process has written."""
        if self._alone and self._seq >= 0:
            return
        seq = self._newest()
        if seq != self._seq:
            if self._seq >= 0:
                self.forget()
            self._seq = seq
