"""A daemon without threads whose regions are two clusters in memory, `eu` and `us`, that keep jobs."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import time_machine

from tests.integration.scheduler.office import NOW, Office
from tests.simulated import provider
from tidewatt.backends.clock import Clock
from tidewatt.backends.fake import Script
from tidewatt.backends.fake_cluster import FakeCluster
from tidewatt.backends.fake_engine import FakeEngine, FakeQueue
from tidewatt.forecasting.chain import Chain
from tidewatt.scheduler.daemon.guarding import Guardian
from tidewatt.scheduler.daemon.launching import NotFree
from tidewatt.scheduler.daemon.parking import Parking
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.replanning import queue, replan
from tidewatt.scheduler.daemon.settling import Settler
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.region import Pool, Region

DIRTY_MORNINGS = tuple(400.0 if hour < 10 else 300.0 if hour < 12 else 100.0 for hour in range(24))
DAYS: Mapping[str, Sequence[float]] = {
    "DE": DIRTY_MORNINGS,
    "GB": tuple(each + 20 for each in DIRTY_MORNINGS),
}


class Outpost(Office):
    """The same, with all jobs elsewhere. `days` are grams by hour in the zones of `eu` (DE) and `us` (GB)."""

    def __init__(
        self,
        folder: Path,
        travelled: time_machine.Traveller,
        kind: type[FakeEngine],
        days: Mapping[str, Sequence[float]],
        settings: Any,
        regions: Sequence[str] = ("eu", "us"),
    ) -> None:
        self._days, self._kind = days, kind
        self._regions = regions
        self.cluster = FakeCluster(Clock().now_ms, Script(runs_s=3600))
        self.engine = kind(self.cluster, visible_within_s=30)
        super().__init__(folder, travelled, (), 8, settings)

    def open(self) -> None:
        """Begins work, with engines of a new making."""
        places = {"eu": "DE", "us": "GB"}
        regions = tuple(
            Region(
                name, "fake", {"average": places[name]}, (Pool("a100", 2),), 8, home=name == self._regions[0]
            )
            for name in self._regions
        )
        site, chain = self.site, PatientChain(Chain((provider(self._days),)))
        self.engine = self._kind(
            self.cluster, self.engine.visible_within_s, self.engine.draws_w, self.engine.output
        )
        self.site = Site(
            site.paths,
            site.settings,
            site.clock,
            site.host,
            regions,
            chain,
            self.backend,
            others={"fake": self.engine},
        )
        super().open()
        self.parking = Parking(self.site, self.store, self.launcher)
        self.guardian = Guardian(
            self.site, self.store, self.service, self.launcher, self.service.lock, self.parking
        )
        self.settler = Settler(self.site, self.store)

    def restart(self) -> None:
        """The daemon is killed, and begins again."""
        self.store.close()
        self.open()

    def round(self) -> None:
        """Watches, plans, parks, launches what is due, and guards."""
        causes = "; ".join(self.watcher.look())
        self.plan(causes)
        self.launch()
        self.guardian.turn()
        self.watcher.look()

    def plan(self, causes: str) -> None:
        """Plans the queue again."""
        now = self.site.clock.now()
        self.parking.waits.look()
        found = queue(self.site, self.store, (), now)
        outlooks = self.site.outlooks(now, found.horizon(None))
        replan(self.store, found, found.situation(self.site, outlooks), plan_queue, causes)

    def launch(self) -> None:
        """Moves what is parked, hands over what is planned, and starts what is due."""
        found = queue(self.site, self.store, (), self.site.clock.now())
        self.parking.tend(found)
        found = self.parking.park(found)
        for job in found.planned:
            plan = job.plan
            if plan is None or plan.window.start > found.now or job.id in found.parked:
                continue
            region = self.site.region(plan.region)
            assert region is not None
            try:
                attempt = self.launcher.launch(job, region, plan.pool, found, plan.reason)
            except NotFree:
                continue
            found = found.started(job, attempt, parked=self.site.keeps("fake"))

    def begin(self, attempt_id: str) -> int:
        """The minute of the day at which an attempt may begin, as its cluster has it; -1: it is held."""
        job = next(each for each in self.cluster.jobs.values() if each.launch.attempt_id == attempt_id)
        return -1 if job.begin_ms is None else job.begin_ms // 60_000 % 1440

    def begin_of(self, number: int) -> int:
        """The minute of the day at which a job is planned to begin."""
        plan = self.job(number).plan
        assert plan is not None
        return plan.window.start.hour * 60 + plan.window.start.minute

    def events(self, number: int) -> list[str]:
        """The kinds of events of a job, in order."""
        return [event["kind"] for event in self.store.events(number)]


@contextmanager
def outpost(
    folder: Path | None = None,
    kind: type[FakeEngine] = FakeQueue,
    days: Mapping[str, Sequence[float]] = DAYS,
    regions: Sequence[str] = ("eu", "us"),
    **settings: Any,
) -> Iterator[Outpost]:
    """An outpost in a folder of its own, on a clock that stands still at nine in the morning.

    The monotonic clock stands still with it, so that pauses before another try are over when time has passed.
    """
    with ExitStack() as stack:
        own = stack.enter_context(tempfile.TemporaryDirectory())
        travelled = stack.enter_context(time_machine.travel(NOW, tick=False))
        for module in ("launching", "parking"):
            stack.enter_context(patch(f"tidewatt.scheduler.daemon.{module}.time", Monotonic))
        made = Outpost(folder or Path(own), travelled, kind, days, settings, regions)
        yield made
        made.store.close()


class Monotonic:
    """The one that tests move, in the place of the machine's."""

    @staticmethod
    def monotonic() -> float:
        """Seconds."""
        return time.time()

    @staticmethod
    def time_ns() -> int:
        """Of the wall clock, which is moved, too."""
        return time.time_ns()


def hours(count: float) -> timedelta:
    """So many hours."""
    return timedelta(hours=count)
