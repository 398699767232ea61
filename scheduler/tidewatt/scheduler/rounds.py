"""The daemon's rounds: watch what runs, plan what waits, launch what is due; and settle what has ended.

Each step stands alone: whatever fails in one of them, the guard still starts the jobs whose time has come.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.backends.host import GpuHost
from tidewatt.backends.meters.client import MeterClient
from tidewatt.scheduler import guard
from tidewatt.scheduler.capacity import Timeline
from tidewatt.scheduler.launching import Launcher, NotFree
from tidewatt.scheduler.occupancy import ask
from tidewatt.scheduler.records import JobRecord
from tidewatt.scheduler.region import Region
from tidewatt.scheduler.replanning import Queue, queue, replan
from tidewatt.scheduler.service import Service
from tidewatt.scheduler.settling import Settler
from tidewatt.scheduler.site import Site, seen
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.watching import Watcher

log = structlog.get_logger()
METER_EVERY_S = 30.0  # real seconds between two greetings of the meter
METER_RETRY_S = 30.0  # after it could not be started
FOREIGN_EVERY_S = 5.0  # real seconds between two looks at who uses our GPUs
PLAN_EVERY_MS = 60_000  # of the job's clock: forecasts and foreign processes may have changed
SETTLE_EVERY_S = 60.0  # of the job's clock, between two looks at the same open account


class Rounds:
    """What the ticker calls; `lock` is shared with the clients' verbs."""

    def __init__(
        self,
        site: Site,
        store: Store,
        service: Service,
        watcher: Watcher,
        launcher: Launcher,
        gpus: GpuHost,
        lock: threading.RLock,
    ) -> None:
        self._site, self._store, self._service = site, store, service
        self._watcher, self._launcher, self._gpus = watcher, launcher, gpus
        self._settler = Settler(site, store)
        self._lock = lock
        self._causes: list[str] = ["the daemon started"]
        self._planned_ms = 0
        self._foreign_at = self._meter_at = self._meter_retry_at = float("-inf")
        paths, settings = site.paths, site.settings
        self._meter = MeterClient(paths.readings, settings.meter_interval_s, site.clock, (paths.lock,))

    def because(self, cause: str) -> None:
        """Has the next round plan again, for this reason."""
        self._causes.append(cause)

    def turn(self) -> None:
        """One round; never raises."""
        with self._lock:
            self._step("foreign", self._look_around)
            self._step("watch", lambda: self._causes.extend(self._watcher.look()))
            self._step("plan", self._plan)
            self._step("launch", self._launch)
            self._step("guard", self._guard)
        self._step("meter", self._keep_meter)

    def settle(self) -> None:
        """Looks at open accounts, apart from the rounds, since long readings take time; never raises."""
        pace_s = max(SETTLE_EVERY_S / self._site.clock.factor, 0.5)
        self._step("settle", lambda: self._settler.look(pace_s))

    def _step(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:
            # the daemon's boundary: a fault in one step is told, and must not keep the others from work
            log.exception("round.failed", step=name)

    def _keep_meter(self) -> None:
        """Starts the meter where none runs, and tells it now and then that we are here."""
        now = time.monotonic()
        if now < self._meter_at and (self._meter.alive() or now < self._meter_retry_at):
            return
        self._meter_at = now + METER_EVERY_S
        if not self._meter.ensure():
            self._meter_retry_at = time.monotonic() + METER_RETRY_S

    def _look_around(self) -> None:
        uuids = tuple(uuid for region in self._site.regions for uuid in region.gpu_uuids)
        if not uuids or time.monotonic() - self._foreign_at < FOREIGN_EVERY_S:
            return
        self._foreign_at = time.monotonic()
        ours = self._watcher.processes()
        now = self._site.clock.now()
        before = self._service.foreign
        self._service.foreign = seen(self._gpus.foreign(uuids, ours), before, now)
        if {str(each) for each in before} != {str(each) for each in self._service.foreign}:
            self.because("; ".join(map(str, self._service.foreign)) or "no GPU is used by others any more")

    def _plan(self) -> None:
        now = self._site.clock.now()
        stale = time_ms(now) - self._planned_ms >= PLAN_EVERY_MS
        if not self._causes and not stale:
            return
        found = self._queue(now)
        outlooks = self._site.outlooks(now, found.horizon(self._site.settings.default_slack))
        causes, self._causes = self._causes, []
        self._planned_ms = time_ms(now)
        replan(self._site, self._store, found, outlooks, "; ".join(causes) or "a look at the newest forecast")

    def _launch(self) -> None:
        """Starts what is planned to have started by now."""
        now = self._site.clock.now()
        found = self._queue(now)
        due = [job for job in found.waiting if job.plan is not None and job.plan.window.start <= now]
        for job in sorted(due, key=lambda each: (each.plan and each.plan.window.start, each.id)):
            plan = job.plan
            region = None if plan is None else self._site.region(plan.region)
            if plan is None or region is None:
                self.because(f"job {job.id} was planned for a region that is gone")
                continue
            try:
                found = self._started(found, job, region, plan.pool, f"as planned: {plan.reason}")
            except NotFree as error:
                self.because(f"job {job.id} could not start: {error}")

    def _guard(self) -> None:
        """Starts jobs at their latest start, wherever their GPUs are free, whatever the plans say."""
        now = self._site.clock.now()
        found = self._queue(now)
        waiting = {job.id: job for job in found.waiting}
        for job_id in guard.due([_deadline(job) for job in found.waiting], now, self._site.settings.margin):
            found = self._force(found, waiting[job_id])

    def _force(self, found: Queue, job: JobRecord) -> Queue:
        reasons = []
        for region in self._regions_for(job):
            for pool in Timeline(region).pools_for(job.need):
                try:
                    return self._started(found, job, region, pool, "its latest start has come")
                except NotFree as error:
                    reasons.append(str(error))
        risk = "its latest start has come, but " + (
            "; ".join(dict.fromkeys(reasons)) or "no region can hold it"
        )
        if risk != job.at_risk:
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

    def _started(self, found: Queue, job: JobRecord, region: Region, pool: str, reason: str) -> Queue:
        """The queue after the job's start."""
        attempt = self._launcher.launch(job, region, pool, found.live, found.jobs, found.foreign, reason)
        log.info("job.launched", job=job.id, attempt=attempt.id, region=region.name, reason=reason)
        return replace(
            found,
            waiting=tuple(each for each in found.waiting if each.id != job.id),
            live=(*found.live, attempt),
            jobs={**found.jobs, job.id: job},
        )

    def _queue(self, now: datetime) -> Queue:
        return queue(self._site, self._store, self._service.foreign, now)


def _deadline(job: JobRecord) -> guard.Deadline:
    asked = ask(job)
    return guard.Deadline(job.id, asked.duration, asked.finish_by, asked.start_by)
