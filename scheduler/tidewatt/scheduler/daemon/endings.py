"""What becomes of a job when its attempt has ended, or is proved never to have started."""

from dataclasses import replace
from signal import Signals
from typing import Any

import structlog

from tidewatt.backends.backend import AttemptStatus, StopReason
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon.environments import forget
from tidewatt.scheduler.daemon.launching import Launcher, attempt_folder
from tidewatt.scheduler.daemon.marking import in_words
from tidewatt.scheduler.daemon.marking import told as told_by_script
from tidewatt.scheduler.daemon.moving import Moves
from tidewatt.scheduler.daemon.occupancy import ask, fares
from tidewatt.scheduler.daemon.ownership import acting
from tidewatt.scheduler.daemon.predecessors import settle_followers
from tidewatt.scheduler.daemon.progressing import read
from tidewatt.scheduler.daemon.refusing import tell
from tidewatt.scheduler.daemon.resuming import OWNER, after, awake, owner_waits, settled
from tidewatt.scheduler.daemon.retrying import MOST_PREEMPTED, Retry, retry
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.daemon.starting import Starts
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.planning.precedence import dues
from tidewatt.scheduler.planning.speeds import Speeds
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

log = structlog.get_logger()
PREEMPTED = "preempted"  # the kind of event that tells of one
LEAVING = "leaving"  # of an attempt that was stopped because its job is planned elsewhere now


class Endings:
    """Moves jobs after their attempts."""

    def __init__(self, site: Site, store: Store, launcher: Launcher, moves: Moves, starts: Starts) -> None:
        self._site, self._store = site, store
        self._launcher, self._moves, self._starts = launcher, moves, starts

    def ended(self, job: JobRecord, attempt: AttemptRecord, status: AttemptStatus) -> str:
        """Records the end; returns, in words, what may move the plans of others."""
        now_ms = self._now_ms()
        status = self._as_asked(attempt, status)
        ended_ms = status.ended_ms or now_ms
        state, reason = outcome(job, status)
        told = self._told(attempt)
        again = self._again(job, attempt, status, state, reason, ended_ms, told)
        started_ms = attempt.started_ms or status.started_ms or ended_ms
        marks = told_by_script(self._site.paths, self._site.clock, attempt, started_ms, ended_ms)
        kept = state is JobState.PAUSED or (again is not None and again.preempted and bool(job.pausing))
        with self._store.transaction() as transaction:
            self._starts.record(transaction, job, attempt, status, ended_ms)
            self._moves.record(transaction, attempt, self._moves.new(attempt, status))
            awake(transaction, job, now_ms)
            self._starts.warn(transaction, job, attempt, status)
            if marks:
                ids: dict[str, Any] = {"job_id": job.id, "attempt_id": attempt.id}
                transaction.append(now_ms, "marks", marks, **ids, reason=in_words(marks))
            transaction.move_attempt(
                attempt, AttemptState.ENDED, status.reason, now_ms,
                ended_ms=ended_ms, exit_code=status.exit_code, signal=status.signal,
            )  # fmt: skip
            if again is not None and again.preempted:
                transaction.append(now_ms, PREEMPTED, job_id=job.id, attempt_id=attempt.id, reason=reason)
            over: list[int] = []
            if kept:
                self._kept(transaction, job, attempt, status, marks)
            else:
                over = self._after(transaction, job, state, reason, ended_ms, again)
        self._moves.forget(attempt)
        forget(self._store, self._site.paths, over)
        log.info("job.ended", job=job.id, state=str(state), reason=reason, again=again is not None)
        if state is JobState.PAUSED:
            return f"job {job.key} is paused"
        return f"job {job.key} failed and is tried again" if again is not None else f"job {job.key} ended"

    def poisoned(self, job: JobRecord, attempt: AttemptRecord, reason: str) -> str:
        """Records that the attempt never started and never will."""
        refused = self._launcher.refused.pop(attempt.id, "")
        reason = refused or reason
        leaving = LEAVING in self._told(attempt)
        if not leaving:
            self._launcher.came_to_nothing(attempt.job_id)
        now_ms, over = self._now_ms(), list[int]()
        with self._store.transaction() as transaction:
            transaction.move_attempt(attempt, AttemptState.POISONED, reason, now_ms)
            if refused and not job.stopping and not leaving:
                refusal = self._site.refusals.refused(job, attempt.region, refused)
                tell(transaction, job, attempt.id, refusal, now_ms)
            if job.stopping:
                transaction.move_job(
                    job.id, JobState.CANCELLED, "cancelled before it started", now_ms,
                    keeps_env=False, ended_ms=self._ran_until_ms(job),
                )  # fmt: skip
                ended = {job.id: (job.key, JobState.CANCELLED)}
                over = [job.id, *settle_followers(transaction, self._store, ended, now_ms)]
            elif job.state is JobState.RUNNING:
                transaction.move_job(job.id, JobState.WAITING, f"not started: {reason}", now_ms)
            else:  # it was parked, and waits or is held as before
                transaction.append(now_ms, "not started", job_id=job.id, attempt_id=attempt.id, reason=reason)
        forget(self._store, self._site.paths, over)
        log.warning("attempt.poisoned", attempt=attempt.id, reason=reason)
        return f"job {job.key} did not start"

    def _told(self, attempt: AttemptRecord) -> dict[str, int]:
        """How often each kind of event tells of its job what counts here."""
        found: dict[str, int] = {}
        for event in self._store.events(attempt.job_id):
            kind = event["kind"]
            if kind == PREEMPTED or (kind == LEAVING and event["attempt_id"] == attempt.id):
                found[kind] = found.get(kind, 0) + 1
        return found

    def _as_asked(self, attempt: AttemptRecord, status: AttemptStatus) -> AttemptStatus:
        """An end by the signal that somebody had sent says so: for the backend it came from anywhere."""
        if status.stopped is not None or status.signal not in list(Signals):
            return status
        sent = Signals(status.signal).name
        for event in self._store.events(attempt.job_id):
            asked = event["kind"] == "signalled" and event["attempt_id"] == attempt.id
            if asked and (event["reason"] or "").startswith(f"{sent},"):
                return replace(status, reason=f"ended by {event['reason']}")
        return status

    def _again(
        self,
        job: JobRecord,
        attempt: AttemptRecord,
        status: AttemptStatus,
        state: JobState,
        reason: str,
        ended_ms: int,
        told: dict[str, int],
    ) -> Retry | None:
        """The next try, None where there is none."""
        if state is not JobState.FAILED or job.stopping:
            return None
        if LEAVING in told and status.stopped is StopReason.CANCELLED:
            return Retry(
                ended_ms, "it began before it could be moved: it starts anew elsewhere", counts=False
            )
        if status.stopped is StopReason.PREEMPTED and told.get(PREEMPTED, 0) < MOST_PREEMPTED:
            times = told.get(PREEMPTED, 0) + 1
            words = f"its place was taken away ({reason}): tried again, {times} of {MOST_PREEMPTED}"
            return Retry(ended_ms, words, counts=False, preempted=True)
        margin_ms = round(1000 * self._site.settings.margin.total_seconds())
        due_ms = self._due_ms(job) if job.retried < job.retries else None
        return retry(job, attempt, state, reason, status, ended_ms, margin_ms, due_ms)

    def _kept(
        self,
        transaction: Transaction,
        job: JobRecord,
        attempt: AttemptRecord,
        status: AttemptStatus,
        marks: dict[str, Any],
    ) -> None:
        """The job waits for its next attempt, or for its owner; what this one did is kept."""
        speed, _ = fares(job, attempt, self._site)
        folder = attempt_folder(self._site.paths, attempt)
        with acting(self._site.paths.job(job.id), self._site.paths):
            left = read(folder)
        after(transaction, job, attempt, status, marks, left, speed=speed, now_ms=self._now_ms())

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
            stays = owner_waits(job)
            until_ms = (job.pausing or {}).get("until_ms")
            until = {"until_ms": until_ms} if stays and until_ms is not None else {}
            transaction.move_job(
                job.id, JobState.PAUSED if stays else JobState.WAITING, again.reason, now_ms,
                plan=None, at_risk="", retried=job.retried + again.counts, not_before_ms=again.not_before_ms,
                paused=OWNER if stays else "", pausing={**(settled(job.pausing) or {}), **until} or None,
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

    def _ran_until_ms(self, job: JobRecord) -> int | None:
        """When the last attempt ended that had started: it is accounted for; None without any."""
        ends = [
            each.ended_ms for each in self._store.attempts([job.id])[job.id] if each.started_ms is not None
        ]
        return max((end for end in ends if end is not None), default=None)

    def _now_ms(self) -> int:
        return time_ms(self._site.clock.now())


def outcome(job: JobRecord, status: AttemptStatus) -> tuple[JobState, str]:
    """The job's state after its attempt; one that ended well before a stop reached it is done."""
    if status.exit_code == 0 and status.stopped is None:
        return JobState.DONE, status.reason
    if job.stopping and status.stopped is not None and status.stopped is not StopReason.TIME_LIMIT:
        return JobState.CANCELLED, status.reason or "cancelled while it ran"
    if status.stopped is StopReason.PAUSED:
        return JobState.PAUSED, status.reason
    if status.reason:
        return JobState.FAILED, status.reason
    if status.signal is not None:
        return JobState.FAILED, f"ended by signal {status.signal}"
    return JobState.FAILED, f"exit code {status.exit_code}"
