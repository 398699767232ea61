"""Each job its own window: what client-side tools do, one job at a time and blind to the others."""

from heapq import heappop, heappush

import numpy as np

from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of
from tidewatt.scheduler.simulation.grid import Foresight
from tidewatt.scheduler.simulation.queues import Queues, latest_start_ms
from tidewatt.scheduler.simulation.site import Spot
from tidewatt.scheduler.simulation.world import Standing, World


class OwnWindow:
    """At its arrival each job takes the window and region that are cleanest for it, and queues there then."""

    name = "own window"

    def __init__(self, foresight: Foresight, signal: Signal, regions_pue: dict[str, float]) -> None:
        self._foresight, self._signal, self._pue = foresight, signal, regions_pue
        self._starts: list[tuple[int, int, Spot]] = []
        self._queues = Queues()

    def turn(self, world: World) -> None:
        """Lets those whose window begins queue, first come, first served."""
        for standing in world.new:
            start_ms, spot = self._window(standing, world)
            heappush(self._starts, (start_ms, standing.id, spot))
        while self._starts and self._starts[0][0] <= world.now_ms:
            _, job_id, spot = heappop(self._starts)
            self._queues.put(world.waiting[job_id], spot)
        self._queues.turn(world)

    def wake_ms(self, world: World) -> int | None:
        """The next window."""
        return self._starts[0][0] if self._starts else None

    def _window(self, standing: Standing, world: World) -> tuple[int, Spot]:
        """The cleanest start and spot by forecast; at once at home where nothing can be said."""
        spots = world.site.spots(standing.job.ask)
        now_ms = world.now_ms
        best: tuple[float, int, int] | None = None
        outlooks = self._foresight.outlooks(now_ms, self._signal)
        for number, spot in enumerate(spots):
            curve = curve_of(outlooks.get(spot.region))
            latest = latest_start_ms(standing, spot.speed)
            if curve is None or latest is None or latest < now_ms:
                continue
            found = cleanest(curve, now_ms, latest, round(standing.estimate_ms / spot.speed))
            if found is not None:
                cost = found[0] * spot.power * self._pue[spot.region]
                if best is None or cost < best[0]:
                    best = cost, found[1], number
        return (now_ms, spots[0]) if best is None else (best[1], spots[best[2]])


def cleanest(curve: CostCurve, first_ms: int, latest_ms: int, length_ms: int) -> tuple[float, int] | None:
    """Grams per kW and start of the cleanest window that begins in `[first_ms, latest_ms]`; None beyond it.

    A best window starts or ends where a step does, or at an end of the range (sliding-window minimum of a
    piecewise-constant function).
    """
    latest_ms = min(latest_ms, curve.end_ms - length_ms)
    if latest_ms < first_ms or first_ms < curve.start_ms:
        return None
    edges = curve.edges_ms
    starts = edges[np.searchsorted(edges, first_ms) : np.searchsorted(edges, latest_ms, "right")]
    ends = edges[
        np.searchsorted(edges, first_ms + length_ms) : np.searchsorted(edges, latest_ms + length_ms, "right")
    ]
    tried = np.concatenate([[first_ms], starts, ends - length_ms, [latest_ms]]).astype(np.int64)
    grams = curve.integral(tried, tried + length_ms)
    best = int(np.argmin(grams))
    earliest = int(tried[grams <= grams[best] * (1 + 1e-12)].min())
    return float(grams[best]), earliest
