"""A daemon without threads whose regions, rules and operators' decisions come from a configuration file."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import time_machine

from tests.integration.scheduler.office import NOW, Office
from tests.simulated import provider
from tidewatt.backends.engines import Setting
from tidewatt.forecasting.chain import Chain
from tidewatt.scheduler.config import load, regions
from tidewatt.scheduler.daemon.drains import Drains
from tidewatt.scheduler.daemon.engines import others
from tidewatt.scheduler.daemon.patience import PatientChain
from tidewatt.scheduler.daemon.policy_views import Policies
from tidewatt.scheduler.daemon.region_views import Places
from tidewatt.scheduler.daemon.rehearsing import Rehearsals
from tidewatt.scheduler.daemon.replanning import queue, replan
from tidewatt.scheduler.daemon.site import Site
from tidewatt.scheduler.paths import mark
from tidewatt.scheduler.plan_schema import PlanView
from tidewatt.scheduler.planning import ladder

DAYS: Mapping[str, Sequence[float]] = {
    "DE": [400.0] * 24,
    "FR": [300.0] * 24,
    "GB": [100.0] * 24,
}
THREE = """
zone = "DE"
signal = "average"
[[region]]
name = "home"
zone = "DE"
cpus = 4
home = true
[[region]]
name = "south"
zone = "FR"
cpus = 4
[[region]]
name = "west"
zone = "GB"
cpus = 4
"""


class Precinct(Office):
    """Three regions on this host, the cleanest last, or those of `config`: the text of a file, or one."""

    def __init__(
        self, folder: Path, time: time_machine.Traveller, config: str | Path, gpus: tuple[str, ...]
    ) -> None:
        self.file = config if isinstance(config, Path) else folder / "config.toml"
        if isinstance(config, str):
            self.file.write_text(config, encoding="utf-8")
        super().__init__(folder, time, gpus, 8, {})

    def open(self) -> None:
        """Begins work by what the file says."""
        read = partial(load, self.file, {}, {})
        loaded, site = read(), self.site
        self.site = Site(
            site.paths,
            loaded.settings,
            site.clock,
            site.host,
            regions(loaded.settings, site.host),
            PatientChain(Chain((provider(DAYS),))),
            self.backend,
            others=others(loaded.settings.regions, Setting(site.paths.home, site.clock, mark(site.paths))),
            rules=loaded.rules,
            reload=read,
        )
        super().open()
        self.drains, self.policies = Drains(self.service), Policies(self.service)
        self.places, self.rehearsals = Places(self.service), Rehearsals(self.service)

    def sent(self, **asked: Any) -> PlanView:
        """The plan of a job that is handed over."""
        plan = self.submit(**asked).job.plan
        assert plan is not None
        return plan

    def restart(self) -> None:
        """The daemon ends, and begins again."""
        self.store.close()
        self.open()

    def round(self) -> None:
        """Watches, plans, and launches what is due, each where it is planned."""
        now = self.site.clock.now()
        self.watcher.look()
        found = queue(self.site, self.store, (), now)
        situation = found.situation(self.site, self.site.outlooks(now, found.horizon(None)))
        replan(self.store, found, situation, lambda asked: ladder.plan(asked).plans, "a round")
        self.start_due(now)

    def place(self, number: int) -> str:
        """Where a job is planned, or runs."""
        attempts = self.store.attempts([number])[number]
        plan = self.job(number).plan
        return attempts[-1].region if attempts else "" if plan is None else plan.region


@contextmanager
def precinct(config: str | Path = THREE, gpus: tuple[str, ...] = ()) -> Iterator[Precinct]:
    """A precinct on a clock that stands still, in a folder of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="tw-") as folder,
        time_machine.travel(NOW, tick=False) as time,
    ):
        made = Precinct(Path(folder), time, config, gpus)
        try:
            yield made
        finally:
            made.store.close()
