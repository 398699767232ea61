"""Follows the live attempts: what their backend says of them becomes moves of the store."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog

from tidewatt.backends.backend import AttemptStatus, Phase, StopReason, Withdraw
from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.daemon.endings import LEAVING, Endings
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.launching import Launcher, real_ms
from tidewatt.scheduler.daemon.moving import STATES, Moves, ran_ms
from tidewatt.scheduler.daemon.occupancy import fares
from tidewatt.scheduler.daemon.polling import EngineHealth, Polls, attempt_folder
from tidewatt.scheduler.daemon.resuming import follow, rest_ms
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.daemon.starting import RESCHEDULED, Starts
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
A_DAY_MS = 86_400_000
FAR_MS = 2**62
LAUNCH_TIMEOUT_S = 60.0  # real seconds in which a launched attempt has to come up


class Watcher:
    """Knows how each live attempt fares."""

    def __init__(self, site: Site, store: Store, launcher: Launcher) -> None:
        self._site = site
        self._store = store
        self._launcher = launcher
        self._moves = Moves(store)
        self._starts = Starts(site, store)
        self._endings = Endings(site, store, launcher, self._moves, self._starts)
        self._launching_since: dict[str, float] = {}  # real monotonic seconds
        self._overran: set[str] = set()
        self._stopped: set[str] = set()  # attempts that were asked to end by this daemon
        self._reasons: dict[str, str] = {}  # why attempts elsewhere wait, as it was told last
        self._recorded: dict[str, tuple[AttemptStatus, int]] = {}  # that change nothing until a time
        self._jobs: Mapping[int, JobRecord] = {}  # while many are recorded together: read at once
        self._stored: list[Callable[[], None]] = []  # what to remember of them once that is durable
        self._live: tuple[int, list[AttemptRecord]] = -1, []

    def recover(self) -> None:
        """After a restart: what had not started here by now never will, and can safely be launched again.

        Engines elsewhere get what they were to be given: those that have it know that by its token.
        """
        for attempt in self._store.live_attempts():
            with told("recover", attempt=attempt.id):
                self._recover(attempt)

    def look(self) -> list[str]:
        """Records what changed; returns, in words, what may move the plans of others."""
        live = self._live_attempts()
        here = [attempt for attempt in live if attempt.backend == HOST]
        statuses: dict[str, AttemptStatus] = {}
        with told("poll", backend=HOST):
            found = self._site.backend.status([self._folder(attempt) for attempt in here])
            statuses |= {attempt.id: found[self._folder(attempt)] for attempt in here}
        kinds = dict.fromkeys(attempt.backend for attempt in live if attempt.backend != HOST)
        with told("poll"):
            statuses |= self._launcher.polls.news(kinds)
        known = [attempt for attempt in live if attempt.id in statuses]
        going = [each for each in known if self._goes_on(each, statuses[each.id])]
        causes = []
        with told("watch", attempts=len(going)):
            causes += self._record_together(going, statuses)
        together = {attempt.id for attempt in going}
        for attempt in known:
            if attempt.id not in together:
                with told("watch", attempt=attempt.id):
                    cause = self._record(attempt, statuses[attempt.id])
                    causes += [cause] if cause else []
        return causes

    def _goes_on(self, attempt: AttemptRecord, status: AttemptStatus) -> bool:
        """Whether something elsewhere has changed by which nothing ends: that concerns its own job alone."""
        over = status.phase in (Phase.ENDED, Phase.POISONED)
        return attempt.backend != HOST and not over and not self._is_recorded(attempt, status)

    def _record_together(
        self, attempts: Sequence[AttemptRecord], statuses: Mapping[str, AttemptStatus]
    ) -> list[str]:
        """Records what polls brought in one transaction: a thousand starts wait for the disk once."""
        if not attempts:
            return []
        causes = []
        try:
            self._jobs = self._store.numbered(attempt.job_id for attempt in attempts)
            with self._store.together():
                for attempt in attempts:
                    with told("watch", attempt=attempt.id):
                        cause = self._record(attempt, statuses[attempt.id])
                        causes += [cause] if cause else []
            for remember in self._stored:
                remember()
        finally:
            self._jobs, self._stored = {}, []
        return causes

    def _live_attempts(self) -> list[AttemptRecord]:
        """They are read again when an event has come since: each of their moves is one."""
        seq = self._store.newest()
        if seq != self._live[0]:
            self._live = seq, self._store.live_attempts()
        return self._live[1]

    @property
    def polls(self) -> Polls:
        """The lines to engines elsewhere."""
        return self._launcher.polls

    def health(self) -> dict[str, EngineHealth]:
        """How the engines elsewhere answer, by region; of those that have attempts."""
        return self._launcher.polls.health()

    def processes(self) -> frozenset[int]:
        """Pids of all jobs that run now."""
        here = [attempt for attempt in self._store.live_attempts() if attempt.backend == HOST]
        folders = [self._folder(attempt) for attempt in here]
        return frozenset().union(*(self._site.backend.processes(folder) for folder in folders))

    def stop(self, job: JobRecord) -> None:
        """Asks a job's live attempt to end; should that fail, the next rounds ask again."""
        for attempt in self._store.live_attempts():
            if attempt.job_id == job.id:
                self._stop(attempt)

    def _recover(self, attempt: AttemptRecord) -> None:
        if any(event["kind"] == "overrun" for event in self._store.events(attempt.job_id)):
            self._overran.add(attempt.id)
        if attempt.state is not AttemptState.LAUNCHING:
            return
        if self._withdrawn(attempt):
            self._endings.poisoned(self._job(attempt), attempt, "the daemon was restarted before it came up")
        elif attempt.backend != HOST:
            self._submit_again(attempt)

    def _submit_again(self, attempt: AttemptRecord) -> None:
        """What was sent is found by its token; what was not is sent now."""
        job, begin_ms = self._job(attempt), attempt.factors.get("begin_ms")
        theirs = [each for each in self._store.events(attempt.job_id) if each["attempt_id"] == attempt.id]
        if job.stopping or any(event["kind"] == LEAVING for event in theirs):
            self._stop(attempt)  # what was not sent yet never is, and what was is withdrawn
            return
        for event in theirs:
            if event["kind"] == RESCHEDULED:
                begin_ms = event["payload"].get("begin_ms", begin_ms)
        begin = None if begin_ms is None else real_ms(self._site.clock, moment(begin_ms))
        if job.state is JobState.HELD:  # it is held there, too, as soon as the engine has it
            begin = time.time_ns() // 1_000_000 + A_DAY_MS
        self._launcher.submit(job, attempt, begin)

    def _stop(self, attempt: AttemptRecord) -> None:
        folder, backend = self._folder(attempt), self._site.backend_of(attempt.backend)
        if attempt.backend == HOST:
            backend.stop(folder, StopReason.CANCELLED)
            self._stopped.add(attempt.id)
            return
        self._stopped.add(attempt.id)

        def failed(_error: Exception) -> None:
            self._stopped.discard(attempt.id)
            self._recorded.pop(attempt.id, None)

        self._recorded.pop(attempt.id, None)
        stop = partial(backend.stop, folder, StopReason.CANCELLED)
        self._launcher.polls.tell(attempt.backend, stop, failed)

    def _withdrawn(self, attempt: AttemptRecord) -> bool:
        """Makes sure that an attempt which has not started never will, where that can be told at once."""
        backend = self._site.backend_of(attempt.backend)
        return (
            attempt.backend == HOST
            and isinstance(backend, Withdraw)
            and backend.poison(self._folder(attempt))
        )

    def _record(self, attempt: AttemptRecord, status: AttemptStatus) -> str:
        if self._is_recorded(attempt, status):
            return ""
        match status.phase:
            case Phase.LAUNCHING:
                return self._launching(attempt, status)
            case Phase.RUNNING | Phase.PAUSING | Phase.SUSPENDED | Phase.RESUMING:
                return self._running(attempt, status)
            case Phase.ENDED:
                self._recorded.pop(attempt.id, None)
                return self._endings.ended(self._job(attempt), attempt, status)
            case Phase.POISONED:
                self._launching_since.pop(attempt.id, None)
                self._reasons.pop(attempt.id, None)
                reason = status.reason or "it never started"
                if attempt.started_ms is not None:  # it is not started again on such a word
                    lost = f"exit status lost: it ran, and its engine says now that it never did: {reason}"
                    ended = AttemptStatus(Phase.ENDED, started_ms=attempt.started_ms, reason=lost)
                    return self._endings.ended(self._job(attempt), attempt, ended)
                return self._endings.poisoned(self._job(attempt), attempt, reason)
            case Phase.UNKNOWN:
                return self._unseen(attempt, status)

    def _is_recorded(self, attempt: AttemptRecord, status: AttemptStatus) -> bool:
        before, until_ms = self._recorded.get(attempt.id, (None, 0))
        return status == before and self._now_ms() < until_ms

    def _when_stored(self, attempt: AttemptRecord, remember: Callable[[], None]) -> None:
        """Has it remembered once what it goes by is durable."""
        if attempt.job_id in self._jobs:
            self._stored.append(remember)
        else:
            remember()

    def _unseen(self, attempt: AttemptRecord, status: AttemptStatus) -> str:
        self._recorded.pop(attempt.id, None)
        if attempt.backend != HOST and attempt.state is AttemptState.LAUNCHING:
            self._waits(attempt, f"cannot be seen: {status.reason}")
            return ""
        if attempt.state is AttemptState.UNKNOWN:
            return ""
        with self._store.transaction() as transaction:
            transaction.move_attempt(attempt, AttemptState.UNKNOWN, status.reason, self._now_ms())
        return f"job {attempt.job_id} cannot be seen"

    def _launching(self, attempt: AttemptRecord, status: AttemptStatus) -> str:
        if attempt.backend != HOST:
            self._waits(attempt, status.reason)
            job = self._job(attempt)
            if job.stopping and attempt.id not in self._stopped:
                self._stop(attempt)
            elif self._launcher.unsent(attempt):
                self._submit_again(attempt)
            return ""
        since = self._launching_since.setdefault(attempt.id, time.monotonic())
        if self._launcher.unsent(attempt):
            self._submit_again(attempt)
        if time.monotonic() - since < LAUNCH_TIMEOUT_S or not self._withdrawn(attempt):
            return ""
        self._launching_since.pop(attempt.id, None)
        reason = f"it did not come up within {LAUNCH_TIMEOUT_S:.0f} s"
        return self._endings.poisoned(self._job(attempt), attempt, reason)

    def _waits(self, attempt: AttemptRecord, reason: str) -> None:
        """Tells why an attempt waits elsewhere, once for each reason."""
        if reason == self._reasons.get(attempt.id, attempt.reason):
            return
        with self._store.transaction() as transaction:
            transaction.tell_attempt(attempt, reason, self._now_ms())
        self._when_stored(attempt, partial(self._reasons.__setitem__, attempt.id, reason))

    def _running(self, attempt: AttemptRecord, status: AttemptStatus) -> str:
        job = self._job(attempt)
        new = self._moves.new(attempt, status)
        starting = attempt.started_ms is None
        if starting or new or attempt.state is not STATES[status.phase]:
            self._launcher.came_up(attempt)
            self._launching_since.pop(attempt.id, None)
            self._reasons.pop(attempt.id, None)
            with self._store.transaction() as transaction:
                self._starts.record(transaction, job, attempt, status, self._now_ms())
                self._moves.record(transaction, attempt, new)
                follow(transaction, job, STATES[status.phase], self._now_ms())
                if not starting and not new:
                    self._seen_again(transaction, attempt, status)
                self._starts.warn(transaction, job, attempt, status)
            self._when_stored(attempt, partial(self._moves.recorded, attempt, new))
            return ""
        if job.stopping and attempt.id not in self._stopped:
            self._stop(attempt)  # the one who was asked to may have been killed before it did
        elif attempt.backend != HOST:
            self._recorded[attempt.id] = status, self._overruns_ms(job, attempt)
        return self._overrun(job, attempt, status)

    def _overruns_ms(self, job: JobRecord, attempt: AttemptRecord) -> int:
        """When an attempt may overrun at the earliest; far off once it has."""
        if attempt.id in self._overran or attempt.started_ms is None:
            return FAR_MS
        speed, _ = fares(job, attempt, self._site)
        return attempt.started_ms + round(rest_ms(job) / speed)

    def _seen_again(self, transaction: Transaction, attempt: AttemptRecord, status: AttemptStatus) -> None:
        """Back in the phase in which it was when it could no longer be seen."""
        state, started_ms = STATES[status.phase], attempt.started_ms
        again = {"started_ms": started_ms} if state is AttemptState.RUNNING else {}
        transaction.move_attempt(attempt, state, status.reason, self._now_ms(), **again)

    def _overrun(self, job: JobRecord, attempt: AttemptRecord, status: AttemptStatus) -> str:
        if attempt.id in self._overran or attempt.started_ms is None:
            return ""
        speed, _ = fares(job, attempt, self._site)
        if ran_ms(status, attempt.started_ms, self._now_ms()) <= rest_ms(job) / speed:
            return ""
        self._overran.add(attempt.id)
        sentence = f"job {job.key} runs longer than its estimate ({job.duration_source})"
        with self._store.transaction() as transaction:
            transaction.append(
                self._now_ms(), "overrun", job_id=job.id, attempt_id=attempt.id, reason=sentence
            )
        return sentence

    def _job(self, attempt: AttemptRecord) -> JobRecord:
        job = self._jobs.get(attempt.job_id) or self._store.job(attempt.job_id)
        assert job is not None  # noqa: S101 - a foreign key says so
        return job

    def _folder(self, attempt: AttemptRecord) -> Path:
        return attempt_folder(self._site.paths, attempt)

    def _now_ms(self) -> int:
        return time_ms(self._site.clock.now())
