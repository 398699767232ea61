"""Attempts that have come up: their start and their warnings, as they are recorded."""

from tidewatt.backends.backend import AttemptStatus
from tidewatt.backends.clock import time_ms
from tidewatt.scheduler.daemon import waits
from tidewatt.scheduler.daemon.site import HOST, Site
from tidewatt.scheduler.jobs import AttemptState, JobState
from tidewatt.scheduler.store import Store, Transaction
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

RESCHEDULED = "rescheduled"  # the kind of event that tells of a moved start


class Starts:
    """Records them."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site, self._store = site, store

    def record(
        self,
        transaction: Transaction,
        job: JobRecord,
        attempt: AttemptRecord,
        status: AttemptStatus,
        otherwise_ms: int,
    ) -> None:
        """Its start, where it is not recorded yet: a job that was parked runs from now on.

        Where its engine does not say when it started it is `otherwise_ms`.
        """
        if attempt.started_ms is not None:
            return
        now_ms = time_ms(self._site.clock.now())
        if status.started_ms is not None or job.state in (JobState.WAITING, JobState.HELD):
            started_ms = status.started_ms or otherwise_ms
            given = {"gpu_uuids": list(status.gpu_uuids)} if status.gpu_uuids else {}
            transaction.move_attempt(
                attempt, AttemptState.RUNNING, status.reason, now_ms, started_ms=started_ms, **given
            )
            if attempt.backend != HOST:
                waits.tell(transaction, attempt, self._begin_ms(attempt, started_ms), started_ms)
        if job.state is JobState.HELD:
            words = "it began before the hold reached its engine"
            transaction.move_job(job.id, JobState.WAITING, words, now_ms)
        if job.state in (JobState.WAITING, JobState.HELD):
            why = "" if job.plan is None else f"as planned: {job.plan.reason}"
            words = why or "its engine began it"
            transaction.move_job(job.id, JobState.RUNNING, words, now_ms, at_risk="", paused="")

    def warn(
        self, transaction: Transaction, job: JobRecord, attempt: AttemptRecord, status: AttemptStatus
    ) -> None:
        """Records the warnings that are new."""
        new = [warning for warning in status.warnings if warning not in job.warnings]
        now_ms = time_ms(self._site.clock.now())
        for warning in new:
            transaction.append(now_ms, "warning", job_id=job.id, attempt_id=attempt.id, reason=warning)
        if new:
            transaction.change_job(job.id, warnings=(*job.warnings, *new))

    def _begin_ms(self, attempt: AttemptRecord, started_ms: int) -> int:
        """From when on it was allowed to begin, as it was told last before its start."""
        begin_ms = attempt.factors.get("begin_ms", attempt.launched_ms)
        for event in self._store.events(attempt.job_id):
            if event["kind"] == RESCHEDULED and event["attempt_id"] == attempt.id:
                begin_ms = event["payload"].get("begin_ms", started_ms)
        return int(min(begin_ms, started_ms))
