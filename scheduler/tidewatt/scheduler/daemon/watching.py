"""Follows the live attempts: what their backend says of them becomes moves of the store."""

import time
from pathlib import Path
from typing import Any

import structlog

from tidewatt.backends.backend import AttemptStatus, Phase, StopReason, Withdraw
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.environments import forget
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.launching import Launcher, attempt_folder
from tidewatt.scheduler.daemon.marking import in_words
from tidewatt.scheduler.daemon.marking import told as told_by_script
from tidewatt.scheduler.daemon.moving import STATES, Moves, ran_ms
from tidewatt.scheduler.daemon.occupancy import ask, fares
from tidewatt.scheduler.daemon.predecessors import settle_followers
from tidewatt.scheduler.daemon.resuming import after, awake, follow, rest_ms
from tidewatt.scheduler.daemon.retrying import Retry, retry
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.planning.precedence import dues
from tidewatt.scheduler.planning.speeds import Speeds
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
LAUNCH_TIMEOUT_S = 60.0  # real seconds in which a launched attempt has to come up


class Watcher:
    """Knows how each live attempt fares."""

    def __init__(self, site: Site, store: Store, launcher: Launcher) -> None:
        self._site = site
        self._store = store
        self._launcher = launcher
        self._moves = Moves(store)
        self._launching_since: dict[str, float] = {}  # real monotonic seconds
        self._overran: set[str] = set()
        self._stopped: set[str] = set()  # attempts that were asked to end by this daemon

    def recover(self) -> None:
        """After a restart: what had not started by now never will, and can safely be launched again."""
        for attempt in self._store.live_attempts():
            with told("recover", attempt=attempt.id):
                self._recover(attempt)

    def look(self) -> list[str]:
        """Records what changed; returns, in words, what may move the plans of others."""
        live = self._store.live_attempts()
        folders = {attempt.id: self._folder(attempt) for attempt in live}
        causes = []
        for kind in dict.fromkeys(attempt.backend for attempt in live):
            theirs = [attempt for attempt in live if attempt.backend == kind]
            with told("poll", backend=kind):
                statuses = self._site.backend_of(kind).status([folders[each.id] for each in theirs])
                for attempt in theirs:
                    with told("watch", attempt=attempt.id):
                        cause = self._record(attempt, statuses[folders[attempt.id]])
                        causes += [cause] if cause else []
        return causes

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
        if attempt.state is AttemptState.LAUNCHING and self._withdrawn(attempt):
            self._poisoned(attempt, "the daemon was restarted before it came up")

    def _stop(self, attempt: AttemptRecord) -> None:
        self._site.backend_of(attempt.backend).stop(self._folder(attempt), StopReason.CANCELLED)
        self._stopped.add(attempt.id)

    def _withdrawn(self, attempt: AttemptRecord) -> bool:
        """Makes sure that an attempt which has not started never will, where that can be told at once."""
        backend = self._site.backend_of(attempt.backend)
        return isinstance(backend, Withdraw) and backend.poison(self._folder(attempt))

    def _record(self, attempt: AttemptRecord, status: AttemptStatus) -> str:
        match status.phase:
            case Phase.LAUNCHING:
                return self._launching(attempt)
            case Phase.RUNNING | Phase.PAUSING | Phase.SUSPENDED | Phase.RESUMING:
                return self._running(attempt, status)
            case Phase.ENDED:
                return self._ended(attempt, status)
            case Phase.POISONED:
                return self._poisoned(attempt, status.reason or "it never started")
            case Phase.UNKNOWN:
                if attempt.state is not AttemptState.UNKNOWN:
                    with self._store.transaction() as transaction:
                        transaction.move_attempt(attempt, AttemptState.UNKNOWN, status.reason, self._now_ms())
                    return f"job {attempt.job_id} cannot be seen"
                return ""

    def _launching(self, attempt: AttemptRecord) -> str:
        since = self._launching_since.setdefault(attempt.id, time.monotonic())
        if time.monotonic() - since < LAUNCH_TIMEOUT_S or not self._withdrawn(attempt):
            return ""
        return self._poisoned(attempt, f"it did not come up within {LAUNCH_TIMEOUT_S:.0f} s")

    def _running(self, attempt: AttemptRecord, status: AttemptStatus) -> str:
        job = self._job(attempt)
        new = self._moves.new(attempt, status)
        starting = attempt.started_ms is None
        if starting or new or attempt.state is not STATES[status.phase]:
            self._launcher.came_up(attempt.job_id)
            self._launching_since.pop(attempt.id, None)
            with self._store.transaction() as transaction:
                if starting:
                    self._started(transaction, attempt, status)
                self._moves.record(transaction, attempt, new)
                follow(transaction, job, STATES[status.phase], self._now_ms())
                if not starting and not new:
                    self._seen_again(transaction, attempt, status)
                self._warned(transaction, job, attempt, status)
            self._moves.recorded(attempt, new)
            return ""
        if job.stopping and attempt.id not in self._stopped:
            self._stop(attempt)  # the one who was asked to may have been killed before it did
        return self._overrun(job, attempt, status)

    def _started(self, transaction: Transaction, attempt: AttemptRecord, status: AttemptStatus) -> None:
        now_ms = self._now_ms()
        started_ms = status.started_ms or now_ms
        transaction.move_attempt(attempt, AttemptState.RUNNING, status.reason, now_ms, started_ms=started_ms)

    def _seen_again(self, transaction: Transaction, attempt: AttemptRecord, status: AttemptStatus) -> None:
        """Back in the phase in which it was when it could no longer be seen."""
        state, started_ms = STATES[status.phase], attempt.started_ms
        again = {"started_ms": started_ms} if state is AttemptState.RUNNING else {}
        transaction.move_attempt(attempt, state, status.reason, self._now_ms(), **again)

    def _warned(
        self, transaction: Transaction, job: JobRecord, attempt: AttemptRecord, status: AttemptStatus
    ) -> None:
        """Records the warnings that are new."""
        new = [warning for warning in status.warnings if warning not in job.warnings]
        for warning in new:
            transaction.append(
                self._now_ms(), "warning", job_id=job.id, attempt_id=attempt.id, reason=warning
            )
        if new:
            transaction.change_job(job.id, warnings=(*job.warnings, *new))

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

    def _ended(self, attempt: AttemptRecord, status: AttemptStatus) -> str:
        job = self._job(attempt)
        ended_ms = status.ended_ms or self._now_ms()
        state, reason = _outcome(job, status)
        margin_ms = round(1000 * self._site.settings.margin.total_seconds())
        due_ms = self._due_ms(job) if state is JobState.FAILED and job.retried < job.retries else None
        again = retry(job, state, reason, status, ended_ms, margin_ms, due_ms)
        started_ms = attempt.started_ms or status.started_ms or ended_ms
        marks = told_by_script(self._site.paths, self._site.clock, attempt, started_ms, ended_ms)
        with self._store.transaction() as transaction:
            if attempt.started_ms is None and status.started_ms is not None:
                self._started(transaction, attempt, status)
            self._moves.record(transaction, attempt, self._moves.new(attempt, status))
            awake(transaction, job, self._now_ms())
            self._warned(transaction, job, attempt, status)
            if marks:
                words = in_words(marks)
                transaction.append(
                    self._now_ms(), "marks", marks, job_id=job.id, attempt_id=attempt.id, reason=words
                )
            transaction.move_attempt(
                attempt,
                AttemptState.ENDED,
                status.reason,
                self._now_ms(),
                ended_ms=ended_ms,
                exit_code=status.exit_code,
                signal=status.signal,
            )
            if state is JobState.PAUSED:
                self._paused(transaction, job, attempt, status, marks)
                over = []
            else:
                over = self._after(transaction, job, state, reason, ended_ms, again)
        self._moves.forget(attempt)
        forget(self._store, self._site.paths, over)
        log.info("job.ended", job=job.id, state=str(state), reason=reason, again=again is not None)
        if state is JobState.PAUSED:
            return f"job {job.key} is paused"
        return f"job {job.key} failed and is tried again" if again is not None else f"job {job.key} ended"

    def _paused(
        self,
        transaction: Transaction,
        job: JobRecord,
        attempt: AttemptRecord,
        status: AttemptStatus,
        marks: dict[str, Any],
    ) -> None:
        """The job waits for its next attempt, or for its owner; what this one did is kept."""
        speed, _ = fares(job, attempt, self._site)
        folder = self._folder(attempt)
        after(transaction, job, attempt, status, marks, folder, speed=speed, now_ms=self._now_ms())

    def _after(
        self,
        transaction: Transaction,
        job: JobRecord,
        state: JobState,
        reason: str,
        ended_ms: int,
        again: Retry | None,
    ) -> list[int]:
        """Moves the job after its attempt; returns the jobs that are over with it."""
        now_ms = self._now_ms()
        if again is not None:
            transaction.move_job(
                job.id, JobState.WAITING, again.reason, now_ms,
                plan=None, at_risk="", retried=job.retried + 1, not_before_ms=again.not_before_ms,
            )  # fmt: skip
            return []
        transaction.move_job(job.id, state, reason, now_ms, ended_ms=ended_ms, keeps_env=False, at_risk="")
        ended = {job.id: (job.key, state)}
        return [job.id, *settle_followers(transaction, self._store, ended, now_ms)]

    def _due_ms(self, job: JobRecord) -> int | None:
        """When the job has to end for what follows to be in time; None where nothing of that has to be."""
        moving = self._store.jobs([JobState.WAITING, JobState.HELD, JobState.RUNNING, JobState.PAUSED])
        numbers = {each.id for each in moving}
        asks = [ask(each, numbers) for each in moving]
        return dues(asks, Speeds(self._site.regions).fastest).get(job.id)

    def _poisoned(self, attempt: AttemptRecord, reason: str) -> str:
        self._launcher.came_to_nothing(attempt.job_id)
        self._launching_since.pop(attempt.id, None)
        job, over = self._job(attempt), list[int]()
        with self._store.transaction() as transaction:
            transaction.move_attempt(attempt, AttemptState.POISONED, reason, self._now_ms())
            if job.stopping:
                transaction.move_job(
                    job.id, JobState.CANCELLED, "cancelled before it started", self._now_ms(),
                    keeps_env=False, ended_ms=self._ran_until_ms(job),
                )  # fmt: skip
                ended = {job.id: (job.key, JobState.CANCELLED)}
                over = [job.id, *settle_followers(transaction, self._store, ended, self._now_ms())]
            else:
                transaction.move_job(job.id, JobState.WAITING, f"not started: {reason}", self._now_ms())
        forget(self._store, self._site.paths, over)
        log.warning("attempt.poisoned", attempt=attempt.id, reason=reason)
        return f"job {job.key} did not start"

    def _ran_until_ms(self, job: JobRecord) -> int | None:
        """When the last attempt ended that had started: it is accounted for; None without any."""
        ends = [
            each.ended_ms for each in self._store.attempts([job.id])[job.id] if each.started_ms is not None
        ]
        return max((end for end in ends if end is not None), default=None)

    def _job(self, attempt: AttemptRecord) -> JobRecord:
        job = self._store.job(attempt.job_id)
        assert job is not None  # noqa: S101 - a foreign key says so
        return job

    def _folder(self, attempt: AttemptRecord) -> Path:
        return attempt_folder(self._site.paths, attempt)

    def _now_ms(self) -> int:
        return time_ms(self._site.clock.now())


def _outcome(job: JobRecord, status: AttemptStatus) -> tuple[JobState, str]:
    """The job's state after its attempt; one that ended well before a stop reached it is done."""
    if status.exit_code == 0 and status.stopped is None:
        return JobState.DONE, status.reason
    if job.stopping and status.stopped in (StopReason.CANCELLED, StopReason.SIGNALLED, StopReason.PAUSED):
        return JobState.CANCELLED, status.reason or "cancelled while it ran"
    if status.stopped is StopReason.PAUSED:
        return JobState.PAUSED, status.reason
    if status.reason:
        return JobState.FAILED, status.reason
    if status.signal is not None:
        return JobState.FAILED, f"ended by signal {status.signal}"
    return JobState.FAILED, f"exit code {status.exit_code}"
