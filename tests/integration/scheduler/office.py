"""A daemon without threads: the real store, verbs, planner and launcher, on a backend in memory."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import time_machine

from tidewatt.backends.clock import Clock
from tidewatt.backends.fake import FakeBackend, Script
from tidewatt.backends.host import Gpu, Host
from tidewatt.forecasting.chain import Chain
from tidewatt.scheduler.daemon.changing import Changes
from tidewatt.scheduler.daemon.launching import Launcher, NotFree
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.replanning import queue, replan
from tidewatt.scheduler.daemon.service import Service
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.daemon.watching import Watcher
from tidewatt.scheduler.paths import Paths
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.region import Pool, Region
from tidewatt.scheduler.request_schema import SubmitReply, SubmitRequest
from tidewatt.scheduler.settings import Settings
from tidewatt.scheduler.store import Store
from tidewatt.scheduler.store.records import JobRecord

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)


class Office:
    """What the daemon does, one round at a time; `shift` lets time pass. `gpus` are names of GPUs."""

    def __init__(
        self, folder: Path, time: time_machine.Traveller, gpus: tuple[str, ...], cpus: int, settings: Any
    ) -> None:
        self._time = time
        self.folder = folder
        self.paths = Paths(folder / "home", folder / "run")
        self.paths.make()
        self.paths.database.write_bytes(empty_store())
        clock = Clock()
        self.backend = FakeBackend(clock.now_ms, Script(runs_s=60))
        cards = tuple(Gpu(f"GPU-{place}", name, place, 300) for place, name in enumerate(gpus))
        pools = tuple(Pool(name, gpus.count(name)) for name in dict.fromkeys(gpus))
        uuids = tuple(card.uuid for card in cards)
        region = Region("local", "local", {"average": "DE"}, pools, cpus, home=True, gpu_uuids=uuids)
        self.site = Site(
            self.paths,
            Settings.model_validate({"zone": "DE", **settings}),
            clock,
            Host(cards, cpus, 64_000, "cpu", 10.0, "assumed", ""),
            (region,),
            PatientChain(Chain()),
            self.backend,
        )
        self.open()

    def open(self) -> None:
        """Begins work on what is stored: as after a restart, when it has been closed before."""
        self.store = Store(self.paths.database)
        self.launcher = Launcher(self.site, self.store)
        self.watcher = Watcher(self.site, self.store, self.launcher)
        self.service = Service(self.site, self.store, self.watcher, threading.RLock())
        self.changes = Changes(self.service)
        self.watcher.recover()

    def submit(self, *argv: str, **asked: Any) -> SubmitReply:
        """Hands a job over that takes a minute."""
        request = {"argv": argv or ("true",), "cwd": str(self.folder), "duration_s": 60.0} | asked
        return self.service.submit(SubmitRequest.model_validate(request))

    def round(self) -> None:
        """Watches, plans, and launches what is due."""
        now = self.site.clock.now()
        causes = "; ".join(self.watcher.look())
        found = queue(self.site, self.store, (), now)
        outlooks = self.site.outlooks(now, found.horizon(None))
        replan(self.store, found, found.situation(self.site, outlooks), plan_queue, causes)
        self.start_due(now)

    def start_due(self, now: datetime) -> None:
        """Launches what is due, each where it is planned, and looks at it."""
        found = queue(self.site, self.store, (), now)
        for job in sorted(found.planned, key=lambda job: -job.priority):
            region = None if job.plan is None else self.site.region(job.plan.region)
            if job.plan is None or region is None or job.plan.window.start > now:
                continue
            try:
                attempt = self.launcher.launch(job, region, job.plan.pool, found, job.plan.reason)
            except NotFree:
                continue
            found = found.started(job, attempt)
        self.watcher.look()

    def shift(self, seconds: float) -> None:
        """Lets time pass, and has a round."""
        self._time.shift(timedelta(seconds=seconds))
        self.round()

    def wait(self, length: timedelta) -> None:
        """Lets time pass, while the rounds stand still."""
        self._time.shift(length)

    def job(self, number: int) -> JobRecord:
        """The job as it is stored."""
        job = self.store.job(number)
        assert job is not None
        return job

    def states(self) -> str:
        """The first letters of all jobs' states, in the order of their numbers."""
        return "".join(job.state[0] for job in self.store.jobs())

    def running(self) -> list[str]:
        """What the jobs that run are called."""
        return [job.key for job in self.store.jobs() if job.state == "running"]


@cache
def empty_store() -> bytes:
    """The file of a store that holds nothing: making its tables anew takes longer than most tests here."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tidewatt.db"
        Store(path).close()
        return path.read_bytes()


@contextmanager
def office(folder: Path, *gpus: str, cpus: int = 8, **settings: Any) -> Iterator[Office]:
    """An office in a folder of its own, on a clock that stands still."""
    with time_machine.travel(NOW, tick=False) as time:
        made = Office(folder, time, gpus, cpus, settings)
        yield made
        made.store.close()
