"""A threshold: run while the grid at home is cleaner than it mostly was, else at the deadline."""

from bisect import insort
from heapq import heappop, heappush

import numpy as np

from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.simulation.grid import Truth
from tidewatt.scheduler.simulation.queues import latest_start_ms
from tidewatt.scheduler.simulation.site import Spot
from tidewatt.scheduler.simulation.world import Standing, World

DAY_MS = 86_400_000
QUANTILE = 0.3
LOOKED_BACK_MS = 7 * DAY_MS
LOOKS_EVERY_MS = 900_000


class Threshold:
    """Starts jobs at home, first in, first out, while the grid is among the cleanest 30 % of its last week.

    What was observed last counts: it needs no forecast. A job whose deadline leaves no more slack starts
    whatever the grid does.
    """

    name = "threshold"

    def __init__(self, truth: Truth, signal: Signal, quantile: float = QUANTILE) -> None:
        self._truth, self._signal, self._quantile = truth, signal, quantile
        self._queues: dict[Spot, list[tuple[int, int]]] = {}
        self._urgent: list[tuple[int, int]] = []
        self._looked: dict[str, tuple[int, bool]] = {}

    def turn(self, world: World) -> None:
        """Starts what must, then what may."""
        for standing in world.new:
            spot = world.site.spots(standing.job.ask)[0]
            insort(self._queues.setdefault(spot, []), (standing.job.submitted_ms, standing.id))
            latest = latest_start_ms(standing, spot.speed)
            if latest is None:  # without a deadline nobody would wait
                latest = world.now_ms
            heappush(self._urgent, (latest, standing.id))
        self._start_urgent(world)
        for spot, queue in self._queues.items():
            if self._clean(spot.region, world.now_ms):
                queue[:] = [each for each in queue if not self._start(world, each[1], spot)]

    def wake_ms(self, world: World) -> int | None:
        """The next look at the grid, or latest start."""
        if not world.waiting:
            return None
        times = [world.now_ms // LOOKS_EVERY_MS * LOOKS_EVERY_MS + LOOKS_EVERY_MS]
        times += [self._urgent[0][0]] if self._urgent and self._urgent[0][0] > world.now_ms else []
        return min(times)

    def _start_urgent(self, world: World) -> None:
        late: list[tuple[int, int]] = []
        while self._urgent and self._urgent[0][0] <= world.now_ms:
            latest, job_id = heappop(self._urgent)
            standing = world.waiting.get(job_id)
            if standing and not self._start(world, job_id, world.site.spots(standing.job.ask)[0]):
                late.append((latest, job_id))
        for each in late:
            heappush(self._urgent, each)

    def _start(self, world: World, job_id: int, spot: Spot) -> bool:
        """True where the job has left the queue, now or before."""
        standing: Standing | None = world.waiting.get(job_id)
        return standing is None or world.start(standing, spot)

    def _clean(self, region: str, now_ms: int) -> bool:
        slot = now_ms // LOOKS_EVERY_MS
        known = self._looked.get(region)
        if known is None or known[0] != slot:
            week = self._truth.observed(region, self._signal, now_ms - LOOKED_BACK_MS, now_ms)
            clean = len(week) > 0 and bool(week[-1] <= np.quantile(week, self._quantile))
            known = self._looked[region] = slot, clean
        return known[1]
