"""Starts jobs at their latest start, whatever else is broken: its own thread, no planner, no forecast."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from tidewatt.backends.clock import moment, time_ms
from tidewatt.scheduler.daemon.faults import Lasting, told
from tidewatt.scheduler.daemon.glancing import Glance
from tidewatt.scheduler.daemon.latest_starts import LatestStarts
from tidewatt.scheduler.daemon.launching import Launcher, NotFree
from tidewatt.scheduler.daemon.occupancy import ask
from tidewatt.scheduler.daemon.parking import Parking
from tidewatt.scheduler.daemon.replanning import Queue, queue
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.planning.capacity import Timeline
from tidewatt.scheduler.planning.kinds import suitable
from tidewatt.scheduler.planning.terms import allowed
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.store import Store, StoreError
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()
PATIENCE_S = (
    10.0  # for the lock; then it starts jobs beside whatever hangs: the store and the leases keep order
)
LARGE = 300  # waiting jobs: from there on others need not wait for a look at them
REST_S = 0.02  # now and then during such a look
LONGEST_GLANCE = timedelta(hours=1)
UNPLANNED_MS = 600_000  # a job that nobody has planned for so long is started first come, first served


class Guardian:
    """What the ticker calls beside the rounds."""

    def __init__(
        self,
        site: Site,
        store: Store,
        service: Service,
        launcher: Launcher,
        lock: threading.RLock,
        parking: Parking | None = None,
    ) -> None:
        self._site, self._store, self._service = site, store, service
        self._launcher, self._lock = launcher, lock
        self._parking = parking or Parking(site, store, launcher)
        self._glance = Glance(store)
        self._large = False  # the queue at the last look
        self._latest = LatestStarts(site)
        self._lasting = Lasting()

    @property
    def glance(self) -> Glance:
        """What the last look has seen."""
        return self._glance

    def turn(self) -> None:
        """Starts what must start now; never raises."""
        if self._spared():
            return
        held = self._lock.acquire(timeout=PATIENCE_S)
        try:
            self._turn()
        except StoreError as error:
            self._lasting.tell("guard.failed", error, "guard")
        except Exception:
            # the daemon's boundary: the next turn comes in a moment
            log.exception("guard.failed")
        finally:
            if held:
                self._lock.release()

    def _turn(self) -> None:
        now = self._site.clock.now()
        if self._glance.idle(now):
            return
        found, urgent, until = self._look(now)
        waiting = {job.id: job for job in found.waiting}
        for job_id in urgent:
            with told("guard", job=job_id):
                found = self._force(found, waiting[job_id], "its latest start has come", tell=True)
        for job in _unplanned(found):
            with told("guard", job=job.id):
                found = self._force(found, job, "nothing has planned it for 10 minutes", tell=False)
        self._large = len(waiting) >= LARGE
        self._glance.looked(now, until)

    def _spared(self) -> bool:
        """Whether a look at a long queue, for which nobody waits, finds nothing to start."""
        if not self._large:
            return False
        now = self._site.clock.now()
        try:
            if self._glance.idle(now):
                return True
            found, urgent, until = self._look(now, lambda: time.sleep(REST_S))
        except Exception:  # it may have changed while it was read: then it is looked at under the lock
            return False
        if urgent or _unplanned(found):
            return False
        self._glance.looked(now, until)
        return True

    def _look(
        self, now: datetime, rest: Callable[[], None] = lambda: None
    ) -> tuple[Queue, Sequence[int], datetime]:
        """The queue, jobs whose latest start has come, and until when there is no other."""
        found = queue(self._site, self._store, self._service.foreign, now)
        latest = self._latest.of(found, self._waits(), rest)
        unplanned_until = [moment(job.since_ms + UNPLANNED_MS) for job in found.waiting if job.plan is None]
        until = [now + LONGEST_GLANCE, *(each for each in latest.values() if each is not None)]
        urgent = sorted((at, number) for number, at in latest.items() if at is not None and at <= now)
        return found, [number for _, number in urgent], min([*until, *unplanned_until])

    def _waits(self) -> dict[str, timedelta]:
        """How long engines may let jobs wait, by region; "": the longest of all."""
        waits = self._parking.waits
        return {region.name: waits.of(region.name) for region in self._site.regions} | {"": waits.longest()}

    def _force(self, found: Queue, job: JobRecord, reason: str, *, tell: bool) -> Queue:
        """Starts the job wherever there is room; where there is none, the job is shown at risk.

        One that is parked is let begin where it lies.
        """
        if job.id in found.parked:
            risk = f"{reason}, but {self._parking.hurry(job, found.parked[job.id], found.now)}"
            self._tell_risk(job, risk, found, tell=tell and not job.at_risk)
            return found
        reasons = []
        for region, pool in self._places_for(job, found.now):
            try:
                attempt = self._launcher.launch(job, region, pool, found, reason, urgent=True)
            except NotFree as error:
                reasons.append(str(error))
            else:
                return found.started(job, attempt, parked=self._site.keeps(region.backend))
        risk = f"{reason}, but " + ("; ".join(dict.fromkeys(reasons)) or "no region can hold it")
        self._tell_risk(job, risk, found, tell=tell)
        return found

    def _tell_risk(self, job: JobRecord, risk: str, found: Queue, *, tell: bool) -> None:
        if tell and risk != job.at_risk:
            with self._store.transaction() as transaction:
                transaction.append(time_ms(found.now), "at risk", job_id=job.id, reason=risk)
                transaction.change_job(job.id, at_risk=risk)

    def _places_for(self, job: JobRecord, now: datetime) -> list[tuple[Region, str]]:
        """Where the job may run: first where it is in time, then as planned, then home, then the others.

        Where its engine has refused it comes last.
        """
        asked, planned = ask(job), job.plan
        limit = asked.finish_by

        def rank(place: tuple[Region, str, float]) -> tuple[int, ...]:
            region, pool, speed = place
            late = limit is not None and asked.duration / speed > limit - now
            here = planned is not None and region.name == planned.region
            there = here and planned is not None and pool == planned.pool
            refused = self._site.refusals.count(job.id, region.name)  # others have not been tried as often
            return refused, late, not there, not here, region.name != asked.home

        places = [
            (region, pool, speed)
            for region in self._site.regions
            if allowed(asked, region.name)
            for pool, (speed, _) in suitable(asked, Timeline(region))
        ]
        return [(region, pool) for region, pool, _ in sorted(places, key=rank)]


def _unplanned(found: Queue) -> list[JobRecord]:
    """Jobs that nobody has planned for long."""
    waiting = (job for job in found.waiting if job.plan is None and job.id not in found.parked)
    return [job for job in waiting if time_ms(found.now) - job.since_ms > UNPLANNED_MS]
