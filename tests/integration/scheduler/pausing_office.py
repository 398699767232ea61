"""An office with a known grid and two regions, whose jobs are paused by plan and by their owners."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import time_machine

from tests.integration.scheduler.office import NOW, Office
from tests.integration.scheduler.outpost import Monotonic
from tidewatt.backends.backend import PauseMode
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.daemon.interrupting import Interruptions
from tidewatt.scheduler.daemon.pausing import Pauser
from tidewatt.scheduler.daemon.replanning import queue, replan
from tidewatt.scheduler.pausing_schema import PauseRequest, SignalRequest
from tidewatt.scheduler.plan import Plan
from tidewatt.scheduler.planning import ladder
from tidewatt.scheduler.planning.pausing.living import interrupted
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.queue import plan_queue
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Region

KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
CLEAN, DIRTY = 100.0, 500.0
PAUSABLE: dict[str, Any] = {"checkpoint_s": 60, "restart_s": 120}


class Grid:
    """Hourly intensities by zone from `NOW` on; the last one goes on for ever."""

    def __init__(self, zones: Mapping[str, Sequence[float]]) -> None:
        self.zones = {zone: list(values) for zone, values in zones.items()}

    def outlook(self, zone: str, signal: Signal, now: datetime, until: datetime) -> Outlook | None:
        """The whole of it, if the zone is known."""
        if zone not in self.zones or signal is not Signal.AVERAGE:
            return None
        first = round(NOW.timestamp() * 1000)
        hours = max(1, -int(-(until - NOW) // HOUR))
        known = self.zones[zone]
        values = np.array([known[min(at, len(known) - 1)] for at in range(hours)], float)
        starts = first + HOUR_MS * np.arange(hours, dtype=np.int64)
        segment = Segment(NOW, NOW + hours * HOUR, Rung.LIVE, "a known grid")
        return Outlook(zone, KIND, Steps(starts, starts + HOUR_MS, values), (segment,))

    def latest(self, *_: object) -> None:
        """Nobody asks here."""

    def observations(self, *_: object) -> None:
        """Nobody asks here."""


class PausingOffice(Office):
    """One more step in each round: what is due is paused and resumed."""

    def open(self) -> None:
        super().open()
        self.pauser = Pauser(self.site, self.store, self.launcher.polls)
        self.verbs = Interruptions(self.service, self.changes)

    def round(self) -> None:
        now = self.site.clock.now()
        causes = "; ".join(self.watcher.look())
        found = queue(self.site, self.store, (), now)
        situation = found.situation(self.site, self.site.outlooks(now, now + timedelta(days=3)))
        replan(self.store, found, situation, planned, causes)
        self.pauser.turn()
        self.start_due(now)

    def pause(self, key: str, mode: PauseMode | None = None, for_s: float | None = None) -> Any:
        """`tidewatt pause`."""
        return self.verbs.pause(key, PauseRequest(mode="" if mode is None else mode.value, for_s=for_s))

    def resume(self, key: str) -> Any:
        """`tidewatt resume`."""
        return self.verbs.resume(key)

    def signal(self, key: str, name: str) -> Any:
        """`tidewatt signal`."""
        return self.verbs.signal(key, SignalRequest(name=name))

    def until(self, minutes: float, step: float = 1.0) -> None:
        """Lets so many minutes pass, a round each."""
        for _ in range(round(minutes / step)):
            self.shift(60 * step)

    def kinds(self, number: int) -> list[str]:
        """What happened to a job."""
        return [event["kind"] for event in self.store.events(number)]

    def attempts(self, number: int) -> list[Any]:
        """Its attempts."""
        return self.store.attempts([number])[number]


def planned(situation: Situation) -> dict[int, Plan | Infeasible]:
    """The plans of a round, checked as those are, without a search in another process."""

    def with_pauses(around: Situation) -> tuple[dict[int, Plan | Infeasible], None]:
        return interrupted(around, plan_queue(around)), None

    made = ladder.plan(situation, (("with pauses", with_pauses),))
    assert made.troubles == ()
    return made.plans


@contextmanager
def pausing_office(
    folder: Path, zones: Mapping[str, Sequence[float]], cpus: int = 1, **settings: Any
) -> Iterator[PausingOffice]:
    """An office with a region for each zone, called like it, the first at home.

    The monotonic clock stands still with the other one, so that what is tried again is when time has passed.
    """
    usual = {"margin": "0s", "min_wait": "0s", "min_saving": 0.0}
    with ExitStack() as stack:
        time = stack.enter_context(time_machine.travel(NOW, tick=False))
        for module in ("launching", "watching", "asking"):
            stack.enter_context(patch(f"tidewatt.scheduler.daemon.{module}.time", Monotonic))
        made = PausingOffice(folder, time, (), cpus, usual | settings)
        regions = tuple(
            Region(zone.lower(), "local", {"average": zone}, (), cpus, home=place == 0)
            for place, zone in enumerate(zones)
        )
        made.store.close()
        made.site = replace(made.site, stated_regions=regions, chain=Grid(zones))  # type: ignore[arg-type]
        made.open()
        yield made
        made.store.close()
