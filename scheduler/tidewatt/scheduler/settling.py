"""Settles ended jobs: gathers what their account needs, and stores it whenever it says something new."""

import time
from datetime import timedelta

import structlog

from tidewatt.backends.clock import moment, time_ms
from tidewatt.backends.meters.energy import usage
from tidewatt.backends.meters.reading import Usage
from tidewatt.scheduler.baseline import ReplayJob, first_feasible, predecessors_ended
from tidewatt.scheduler.frozen import MICRO, Frozen
from tidewatt.scheduler.jobs import JobState, SettlementState
from tidewatt.scheduler.receipt import Settlement
from tidewatt.scheduler.records import AttemptRecord, JobRecord
from tidewatt.scheduler.settlement import AttemptRun, settle
from tidewatt.scheduler.site import Site
from tidewatt.scheduler.store import Store

log = structlog.get_logger()
REPLAYED_MS = 7 * 86_400_000  # the queue is replayed from so long before a job was submitted
REMEMBERED = 64  # accounts of energy kept in memory


class Settler:
    """Works through the ended jobs whose account is open."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self._usages: dict[str, Usage] = {}
        self._looked: dict[int, float] = {}  # job -> real monotonic seconds of the last look

    def look(self, again_after_s: float) -> None:
        """Settles what can be settled; a job that was looked at is left alone for a while."""
        # the reading after a job's end belongs to its account: wait for it
        interval_ms = 1500 * self._site.settings.meter_interval_s * self._site.clock.factor
        for job in self._store.unsettled():
            looked = self._looked.get(job.id)
            if looked is not None and time.monotonic() - looked < again_after_s:
                continue
            if job.ended_ms is None or job.ended_ms > time_ms(self._site.clock.now()) - interval_ms:
                continue
            self._looked[job.id] = time.monotonic()
            self._settle(job)

    def _settle(self, job: JobRecord) -> None:
        started = [each for each in self._store.attempts([job.id])[job.id] if each.started_ms is not None]
        frozen = Frozen.restored(job.frozen)
        home = self._site.region(frozen.home)
        queue = self._replay(frozen.home, job.submitted_ms - REPLAYED_MS)
        starts = first_feasible(queue, home) if home is not None else {}
        settlement = settle(
            frozen,
            [self._run(each, last=each is started[-1]) for each in started],
            starts.get(job.id),
            lambda zone, signal, start, end: self._site.observations(zone, signal, start, end),
            self._site.clock.now(),
            predecessors_ended=predecessors_ended(queue, job.id),
            final_after=self._site.settings.final_after,
            unverified_after=self._site.settings.unverified_after,
        )
        if job.settlement is not None and not settlement.restates(Settlement.restored(job.settlement)):
            return
        with self._store.transaction() as transaction:
            transaction.set_settlement(
                job.id, settlement.state, settlement.record(), time_ms(settlement.settled_at)
            )
        if settlement.state is not job.settlement_state:
            log.info("job.settled", job=job.id, state=str(settlement.state))
        if settlement.state in (SettlementState.FINAL, SettlementState.UNVERIFIED):
            self._looked.pop(job.id, None)

    def _run(self, attempt: AttemptRecord, *, last: bool) -> AttemptRun:
        """What an attempt used; of several, only the last one's work was kept."""
        factors = attempt.factors
        return AttemptRun(
            attempt.id,
            attempt.region,
            factors["zones"],
            factors["pue_micro"] / MICRO,
            factors["pue_source"],
            self._usage(attempt),
            productive=last,
        )

    def _usage(self, attempt: AttemptRecord) -> Usage:
        if attempt.id not in self._usages:
            assert attempt.started_ms is not None  # noqa: S101 - only started attempts come here
            assert attempt.ended_ms is not None  # noqa: S101 - and only those of ended jobs
            while len(self._usages) >= REMEMBERED:
                del self._usages[next(iter(self._usages))]
            self._usages[attempt.id] = usage(
                self._site.paths.readings, attempt.id, attempt.gpu_uuids, attempt.started_ms, attempt.ended_ms
            )
        return self._usages[attempt.id]

    def _replay(self, home: str, since_ms: int) -> list[ReplayJob]:
        """The queue of that home region, as it would be replayed first in, first out."""
        jobs = [
            job
            for job in self._store.submitted_since(since_ms)
            if job.frozen["home"] == home and job.state is not JobState.HELD
        ]
        attempts = self._store.attempts([job.id for job in jobs])
        return [
            self._replayed(job, attempts[job.id])
            for job in jobs
            if job.state is not JobState.CANCELLED or any(each.started_ms for each in attempts[job.id])
        ]

    def _replayed(self, job: JobRecord, attempts: list[AttemptRecord]) -> ReplayJob:
        started = [each for each in attempts if each.started_ms is not None]
        duration_ms = job.duration_ms
        if started:
            start_ms = started[-1].started_ms or 0
            end_ms = started[-1].ended_ms
            ran_ms = (end_ms or time_ms(self._site.clock.now())) - start_ms
            duration_ms = ran_ms if end_ms is not None else max(ran_ms, duration_ms)
        ended = job.ended_ms is not None
        return ReplayJob(
            job.id, moment(job.submitted_ms), timedelta(milliseconds=duration_ms), job.need, ended
        )
