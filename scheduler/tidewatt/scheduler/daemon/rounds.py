"""The daemon's rounds: watch what runs, plan what waits, launch what is due; and settle what has ended.

The guard stands apart (`guarding`): whatever goes wrong here, jobs whose time has come are started.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import structlog

from tidewatt.backends.clock import time_ms
from tidewatt.backends.host import GpuHost
from tidewatt.backends.meters.client import MeterClient
from tidewatt.scheduler.daemon.faults import Lasting, told
from tidewatt.scheduler.daemon.glancing import Glance
from tidewatt.scheduler.daemon.launching import Launcher, NotFree
from tidewatt.scheduler.daemon.own_use import OwnUse
from tidewatt.scheduler.daemon.pacing import Pace
from tidewatt.scheduler.daemon.parking import LONGEST_S, Parking
from tidewatt.scheduler.daemon.pausing import Pauser
from tidewatt.scheduler.daemon.polishing import SEARCH_S, QueuePlanner
from tidewatt.scheduler.daemon.replanning import Queue, queue, store_plans
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.settling import Settler
from tidewatt.scheduler.daemon.site import Site, seen
from tidewatt.scheduler.daemon.vacancy import leaves_room
from tidewatt.scheduler.daemon.watching import Watcher
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.store import Store, StoreError
from tidewatt.scheduler.store.records import JobRecord

log = structlog.get_logger()
_LASTING = Lasting()
LONGEST_GLANCE = timedelta(hours=1)
METER_EVERY_S = 30.0  # real seconds between two greetings of the meter
METER_RETRY_S = 30.0  # after it could not be started
PLAN_EVERY_MS = 60_000  # of the job's clock: forecasts and foreign processes may have changed
LARGE = 300  # waiting jobs: from there on they are planned while others may submit


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
        self._pauser = Pauser(site, store, launcher.polls)
        self.parking = Parking(site, store, launcher)
        self._glance = Glance(store)
        self._own_use = OwnUse(site, store)
        self.turned_at = time.monotonic()  # of the last round, whatever the wall clock does
        self._lock = lock
        self._causes: list[str] = ["the daemon started"]
        self._read: tuple[Queue, str] | None = None  # a long queue that is to be planned, and why
        self._planned_ms = 0
        self._pace = Pace()
        self._planner = QueuePlanner(self.later, SEARCH_S / site.clock.factor)
        self._meter_at = self._meter_retry_at = float("-inf")
        paths, settings = site.paths, site.settings
        self._meter = MeterClient(paths.readings, settings.meter_interval_s, site.clock, (paths.lock,))

    def because(self, cause: str) -> None:
        """Has the next round plan again, for this reason."""
        self._causes.append(cause)

    def later(self, cause: str) -> None:
        """The same where nothing depends on it, once no more such causes come."""
        self._pace.put_off(cause)

    @property
    def glance(self) -> Glance:
        """What the last look for what is due has seen."""
        return self._glance

    def turn(self) -> None:
        """One round; never raises."""
        _step("search", self._planner.look)
        with self._lock:
            _step("watch", lambda: self._causes.extend(self._watcher.look()))
            _step("plan", self._plan)
        _step("replan", self._plan_outside)
        with self._lock:
            _step("pause", self._pause)
            _step("launch", self._launch)
        _step("meter", self._keep_meter)
        self.turned_at = time.monotonic()

    def look_around(self) -> None:
        """Sees whose processes are on our GPUs; apart, since a sick driver may hang. Never raises."""
        _step("foreign", self._look_around)

    def collect(self) -> None:
        """Brings readings from engines elsewhere; apart, since they may hang. Never raises."""
        _step("collect", self._settler.collect)

    def settle(self) -> None:
        """Looks at open accounts; apart, since long readings take their time. Never raises."""
        _step("settle", self._settler.look)
        _step("own", self._own_use.look)

    def stop(self) -> None:
        """Has a long settlement or search end early."""
        self._settler.stopping = True
        self._planner.stop()

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
        if not uuids:
            return
        uses = self._gpus.foreign(uuids, self._watcher.processes())
        if uses:  # a process of ours may have been born since its pids were read
            ours = self._watcher.processes()
            uses = tuple(use for use in uses if use.pid not in ours)
        before, now = self._service.foreign, seen(uses, self._service.foreign, self._site.clock.now())
        self._service.foreign = now
        if {str(each) for each in before} != {str(each) for each in now}:
            self.because("; ".join(map(str, now)) or "no GPU is used by others any more")

    def _plan(self) -> None:
        """Plans a short queue; a long one is only read, to be planned when others need not wait for it."""
        self._read = None
        now = self._site.clock.now()
        fresh = 0 <= time_ms(now) - self._planned_ms < PLAN_EVERY_MS
        if not self._pace.due(urgent=bool(self._causes), stale=not fresh):
            return
        causes, self._causes = [*self._causes, *self._pace.taken()], []
        try:
            self.parking.waits.look()
            found = queue(self._site, self._store, self._service.foreign, now)
            why = "; ".join(dict.fromkeys(causes)) or "a look at the newest forecast"
            if len(found.waiting) >= LARGE and not self._pace.hurried:
                self._read = found, why
            else:
                self._store_plans(found, self._planned(found), why)
        except BaseException:
            self._causes = [*causes, *self._causes]
            raise

    def _plan_outside(self) -> None:
        """Plans the queue that was read; the plans may not stand in the way of jobs that came meanwhile."""
        if self._read is None:
            return
        found, why = self._read
        plans = self._planned(found)
        with self._lock:
            now = queue(self._site, self._store, self._service.foreign, self._site.clock.now())
            newcomers = [job for number, job in now.not_ended.items() if number not in found.not_ended]
            if newcomers and not leaves_room(self._site, now, plans, newcomers):
                self._pace.spoilt()
                self.because(why)
                return
            known = now.not_ended
            same = tuple(job for job in found.waiting if known.get(job.id) is found.not_ended[job.id])
            self._store_plans(replace(found, waiting=same), plans, why)

    def _planned(self, found: Queue) -> Mapping[int, Plan | Infeasible]:
        with self._pace:
            until = found.horizon(self._site.settings.default_slack)
            outlooks, beside = self._site.outlooks(found.now, until), self._site.beside(found.now, until)
            situation = found.situation(self._site, outlooks, beside)
            return self._planner.plan(situation) if found.planned else {}

    def _store_plans(self, found: Queue, plans: Mapping[int, Plan | Infeasible], why: str) -> None:
        store_plans(self._store, found, plans, why)
        self._pace.done()
        self._service.certificate = self._planner.certificate if found.planned else None
        self._planned_ms = time_ms(found.now)

    def _pause(self) -> None:
        if self._store.may_pause():
            self._causes.extend(self._pauser.turn())

    def _launch(self) -> None:
        """Starts what is planned to have started by now; engines that keep jobs get theirs before."""
        now = self._site.clock.now()
        if self._glance.idle(now) and not self.parking.owes:
            return
        found = queue(self._site, self._store, self._service.foreign, now)
        self.parking.tend(found)
        found = self.parking.park(found)
        due = [
            job
            for job in found.planned
            if job.plan is not None and job.plan.window.start <= now and job.id not in found.parked
        ]
        began = time.monotonic()
        for job in sorted(
            due, key=lambda each: (-each.priority, each.plan and each.plan.window.start, each.id)
        ):
            if time.monotonic() - began > LONGEST_S:
                break  # what was launched is news: the next round looks again
            with told("launch", job=job.id):
                found = self._started(found, job)
        starts = [
            job.plan.window.start
            for job in found.planned
            if job.plan is not None and job.id not in found.parked
        ]
        self._glance.looked(now, min([now + LONGEST_GLANCE, *starts]))

    def _started(self, found: Queue, job: JobRecord) -> Queue:
        plan = job.plan
        region = None if plan is None else self._site.region(plan.region)
        if plan is None or region is None:
            self.because(f"job {job.id} was planned for a region that is gone")
            with self._store.transaction() as transaction:
                transaction.change_job(job.id, plan=None)
            return found
        try:
            attempt = self._launcher.launch(job, region, plan.pool, found, f"as planned: {plan.reason}")
        except NotFree as error:
            self.because(f"job {job.id} could not start: {error}")
            return found
        return found.started(job, attempt, parked=self._site.keeps(region.backend))


def _step(name: str, step: Callable[[], None]) -> None:
    """The daemon's boundary: a fault in one step is told, and must not keep the others from their work."""
    try:
        step()
    except StoreError as error:
        _LASTING.tell("round.failed", error, name)
    except Exception:
        log.exception("round.failed", step=name)
