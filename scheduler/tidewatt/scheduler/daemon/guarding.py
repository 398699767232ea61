"""Starts jobs at their latest start, whatever else is broken: its own thread, no planner, no forecast."""

import threading
from datetime import timedelta

import structlog

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.daemon.faults import told
from tidewatt.scheduler.daemon.launching import Launcher, NotFree
from tidewatt.scheduler.daemon.replanning import Queue, queue
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.plan import Ask
from tidewatt.scheduler.planning import guard
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.precedence import dues
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()
PATIENCE_S = (
    10.0  # for the lock; then it starts jobs beside whatever hangs: the store and the leases keep order
)
UNPLANNED_MS = 600_000  # a job that nobody has planned for so long is started first come, first served


class Guardian:
    """What the ticker calls beside the rounds."""

    def __init__(
        self, site: Site, store: Store, service: Service, launcher: Launcher, lock: threading.RLock
    ) -> None:
        self._site, self._store, self._service = site, store, service
        self._launcher, self._lock = launcher, lock

    def turn(self) -> None:
        """Starts what must start now; never raises."""
        held = self._lock.acquire(timeout=PATIENCE_S)
        try:
            self._turn()
        except Exception:
            # the daemon's boundary: the next turn comes in a moment
            log.exception("guard.failed")
        finally:
            if held:
                self._lock.release()

    def _turn(self) -> None:
        now = self._site.clock.now()
        found = queue(self._site, self._store, self._service.foreign, now)
        waiting = {job.id: job for job in found.waiting}
        urgent = guard.due(_deadlines(found), now, self._site.settings.margin)
        for job_id in urgent:
            with told("guard", job=job_id):
                found = self._force(found, waiting[job_id], "its latest start has come", tell=True)
        for job in found.waiting:
            if job.plan is None and time_ms(now) - job.since_ms > UNPLANNED_MS:
                with told("guard", job=job.id):
                    found = self._force(found, job, "nothing has planned it for 10 minutes", tell=False)

    def _force(self, found: Queue, job: JobRecord, reason: str, *, tell: bool) -> Queue:
        """Starts the job wherever there is room; where there is none, the job is shown at risk."""
        reasons = []
        for region in self._regions_for(job):
            for pool in Timeline(region).pools_for(job.need):
                try:
                    attempt = self._launcher.launch(job, region, pool, found, reason)
                except NotFree as error:
                    reasons.append(str(error))
                else:
                    return found.started(job, attempt)
        risk = f"{reason}, but " + ("; ".join(dict.fromkeys(reasons)) or "no region can hold it")
        if tell and risk != job.at_risk:
            with self._store.transaction() as transaction:
                transaction.append(time_ms(found.now), "at risk", job_id=job.id, reason=risk)
                transaction.change_job(job.id, at_risk=risk)
        return found

    def _regions_for(self, job: JobRecord) -> list[Region]:
        """Regions that the job allows: the planned one first, then home, then the others."""
        planned = "" if job.plan is None else job.plan.region
        allowed = [
            region
            for region in self._site.regions
            if (not job.regions or region.name in job.regions) and region.name not in job.exclude_regions
        ]
        return sorted(allowed, key=lambda region: (region.name != planned, region.name != job.frozen["home"]))


def _deadlines(found: Queue) -> list[guard.Deadline]:
    """Of each waiting job, by itself or by those that follow it."""
    asks = {each.job_id: each for each in found.asks}
    ends = dues(list(asks.values()))
    return [_deadline(asks[job.id], ends.get(job.id)) for job in found.waiting if job.id in asks]


def _deadline(asked: Ask, end_ms: int | None) -> guard.Deadline:
    longest = timedelta(days=3650)  # longer ones are no deadline that a date could hold
    ends = [
        each for each in (asked.finish_by, None if end_ms is None else moment(end_ms)) if each is not None
    ]
    return guard.Deadline(
        asked.job_id,
        min(asked.duration, longest),
        min(ends, default=None),
        asked.start_by,
        None if asked.guard_duration is None else min(asked.guard_duration, longest),
    )
