"""The daemon's work without a daemon, one step at a time: for users of a cluster who may keep none running.

State lies in the user's own folder, as a daemon's would; while one serves that folder this refuses to.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from tidewatt.backends.backend import Reschedule
from tidewatt.backends.clock import Clock
from tidewatt.backends.engines import Setting
from tidewatt.backends.host import GpuHost
from tidewatt.backends.local import LocalBackend
from tidewatt.forecasting.refresh import Refresher
from tidewatt.forecasting.shrinkage import Shrinker
from tidewatt.scheduler import config
from tidewatt.scheduler.daemon.engines import others
from tidewatt.scheduler.daemon.launching import Launcher, attempt_folder
from tidewatt.scheduler.daemon.lifetime import lifelong, remembered
from tidewatt.scheduler.daemon.parking import Parking
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.replanning import queue
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.settling import Settler
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.daemon.watching import Watcher
from tidewatt.scheduler.errors import BadInput, Refused
from tidewatt.scheduler.jobs import ENDED
from tidewatt.scheduler.paths import Paths, mark
from tidewatt.scheduler.request_schema import SubmitReply, SubmitRequest
from tidewatt.scheduler.settings import RegionTable, Settings
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.address import settled
from tidewatt.scheduler.store.records import AttemptRecord, JobRecord

ASKED_WITHIN_S = 10.0  # what services may take for all zones before the next rung answers
KIND = "slurm"


class Alone:
    """What can be asked while nobody serves the state folder."""

    def __init__(self, site: Site, store: Store) -> None:
        self.site, self.store = site, store
        self._launcher = Launcher(site, store)
        self._watcher = Watcher(site, store, self._launcher)
        self._service = Service(site, store, self._watcher, threading.RLock())
        self._parking = Parking(site, store, self._launcher)
        self._service.begin = self._parking.begin
        self._settler = Settler(site, store)

    def submit(self, request: SubmitRequest) -> tuple[SubmitReply, AttemptRecord]:
        """Plans a job and hands it to its cluster, once.

        Raises:
            Refused: The cluster did not take it, or did not answer: the text says which.
        """
        reply = self._service.submit(request)
        job = self.store.job(reply.job.id)
        assert job is not None  # noqa: S101 - it was stored just now
        found = queue(self.site, self.store, (), self.site.clock.now())
        if job.plan is None:
            raise Refused(f"job {job.key} could not be planned: {job.reason or 'there is no room for it'}")
        region = self.site.region(job.plan.region)
        if region is None:
            raise Refused(f"job {job.key} was planned for {job.plan.region}, which is gone")
        begin = max(self._parking.begin(job.plan), self.site.clock.now())
        attempt = self._launcher.launch(job, region, job.plan.pool, found, "as planned", begin)
        if why := self._launcher.refused.get(attempt.id):
            self.look()
            raise Refused(f"{attempt.region} refuses the job: {why}")
        return reply, attempt

    def look(self) -> None:
        """Sees what became of all jobs."""
        self._watcher.look()

    def settle(self) -> None:
        """Fills the accounts of what has ended, as far as readings and observations are there."""
        self.look()
        self._settler.collect()
        self._settler.look()

    def jobs(self) -> list[JobRecord]:
        """All that were submitted from here, the newest last."""
        return sorted(self.store.jobs(), key=lambda job: job.id)

    def open_jobs(self) -> list[JobRecord]:
        """Those that have not ended."""
        return [job for job in self.jobs() if job.state not in ENDED]

    def folder(self, attempt: AttemptRecord) -> Path:
        """The attempt's folder, where its cluster's number for it is kept."""
        return attempt_folder(self.site.paths, attempt)


@contextmanager
def alone(place: Paths, settings: Settings, chosen: list[str]) -> Iterator[Alone]:
    """What a daemon of this state folder would know; `chosen` are the regions or clusters to be used.

    Raises:
        Refused: A daemon serves the folder.
        BadInput: No region is on Slurm, or none of that name.
    """
    place.make()
    with lifelong(place), place.log.open("a", encoding="utf-8") as told:
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(told))
        clock = remembered(place, Clock())
        gpus = GpuHost()
        known = config.grid(settings, place, hindsight=False)
        store = Store(settled(place, settings.database))
        try:
            _refresh(known, settings)
            yield Alone(_site(place, _narrowed(settings, chosen), clock, gpus, known), store)
        finally:
            store.close()
            gpus.close()
            known.archive.close()


def _site(place: Paths, settings: Settings, clock: Clock, gpus: GpuHost, known: config.Grid) -> Site:
    host = gpus.inventory()
    backends = others(settings.regions, Setting(place.home, clock, mark(place), settings.meter_interval_s))
    if not all(isinstance(each, Reschedule) for each in backends.values()):
        raise BadInput("without a daemon jobs need an engine that keeps them until their time: Slurm")
    return Site(
        paths=place,
        settings=settings,
        clock=clock,
        host=host,
        stated_regions=config.regions(settings, host),
        chain=PatientChain(Shrinker(known.chain)),
        backend=LocalBackend(),
        hindsight=any(source.hindsight for source in settings.sources),
        others=backends,
    )


def _narrowed(settings: Settings, chosen: list[str]) -> Settings:
    """Only regions on Slurm, and of those the chosen ones, by their names or their clusters' names."""
    there = [table for table in settings.regions if table.backend == KIND]
    if not there:
        raise BadInput(
            'no region is on Slurm: add a [[region]] with backend = "slurm", its zone, its cpus and'
            " options = { cluster = NAME } to your configuration (`tidewatt config` says where it is)"
        )
    kept = [table for table in there if not chosen or table.name in chosen or _cluster(table) in chosen]
    known = {table.name for table in kept} | {_cluster(table) for table in kept}
    if missing := [name for name in chosen if name not in known]:
        raise BadInput(f"no region on Slurm is called {missing[0]}: there are {_names(there)}")
    return settings.model_copy(update={"regions": tuple(kept)})


def _cluster(table: RegionTable) -> str:
    return str(table.options.get("cluster", ""))


def _names(tables: list[RegionTable]) -> str:
    return ", ".join(table.name for table in tables)


def _refresh(known: config.Grid, settings: Settings) -> None:
    """Asks services for what is due, as nobody else does while no daemon runs."""
    if not known.feeds:
        return
    zones = config.zones_of(settings)
    refresher = Refresher(known.feeds, known.archive, lambda: zones, seed=str(settings.zone))
    ends = time.monotonic() + ASKED_WITHIN_S
    for zone in zones:
        refresher.refresh_once(Clock().now(), zone, max(0.0, ends - time.monotonic()))
