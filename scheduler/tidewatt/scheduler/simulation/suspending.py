"""Suspend and resume at home: each job runs in its cheapest slots before the deadline, blind to the others.

The rule of Wiesner et al., "Let's Wait Awhile", Middleware 2021, for interruptible jobs: the k cheapest slots
by forecast, as if pauses cost nothing. What they do cost is charged all the same.
"""

from heapq import heappop, heappush

import numpy as np

from tidewatt.forecasting.kind import Signal
from tidewatt.scheduler.planning.intensity import CostCurve, curve_of
from tidewatt.scheduler.simulation.grid import Foresight
from tidewatt.scheduler.simulation.queues import latest_start_ms
from tidewatt.scheduler.simulation.site import Spot
from tidewatt.scheduler.simulation.world import Standing, World

Intervals = list[tuple[int, int]]


class Suspending:
    """Runs each job in the slots that were cheapest at its arrival, what is not done then at the deadline."""

    name = "suspend-resume"

    def __init__(self, foresight: Foresight, signal: Signal) -> None:
        self._foresight, self._signal = foresight, signal
        self._intervals: dict[int, Intervals] = {}
        self._starts: list[tuple[int, int]] = []
        self._wanting: dict[Spot, dict[int, None]] = {}  # in the order in which they came to want

    def turn(self, world: World) -> None:
        """Lets those run that want to, as far as there is room."""
        for standing in world.new:
            self._intervals[standing.id] = self._chosen(standing, world)
            self._next(standing, world)
        for standing in world.ended:
            if standing.ended_ms is None:
                self._next(standing, world)
        while self._starts and self._starts[0][0] <= world.now_ms:
            _, job_id = heappop(self._starts)
            if job_id in world.waiting:
                spot = world.site.spots(world.waiting[job_id].job.ask)[0]
                self._wanting.setdefault(spot, {}).setdefault(job_id)
        for spot, wanting in self._wanting.items():
            if not world.site.full(spot):
                self._let_run(list(wanting), spot, wanting, world)

    def wake_ms(self, world: World) -> int | None:
        """The next slot that somebody wants."""
        return self._starts[0][0] if self._starts else None

    def _let_run(self, job_ids: list[int], spot: Spot, wanting: dict[int, None], world: World) -> None:
        """Lets those run that there is room for, first come, first served."""
        for job_id in job_ids:
            if world.site.full(spot):
                return
            self._run(world.waiting[job_id], spot, wanting, world)

    def _run(self, standing: Standing, spot: Spot, wanting: dict[int, None], world: World) -> None:
        """Starts a job until its slots end; one whose slots have passed by waits for the next ones."""
        if not world.ready(standing):
            return
        latest = latest_start_ms(standing, spot.speed)
        must = latest is None or latest <= world.now_ms
        intervals = self._intervals[standing.id]
        while intervals and intervals[0][1] <= world.now_ms:
            intervals.pop(0)
        if not must and (not intervals or intervals[0][0] > world.now_ms):
            del wanting[standing.id]
            self._next(standing, world)
            return
        until = None if must or len(intervals) == 1 else intervals[0][1]  # what its last slots lack runs on
        if world.start(standing, spot, until):
            del wanting[standing.id]

    def _next(self, standing: Standing, world: World) -> None:
        """Notes when the job wants to run next: in its next slot, else when its slack is used up."""
        speed = world.site.spots(standing.job.ask)[0].speed
        intervals = self._intervals[standing.id]
        while intervals and intervals[0][1] <= world.now_ms:
            intervals.pop(0)
        latest = latest_start_ms(standing, speed)
        wishes = [intervals[0][0]] if intervals else []
        wishes += [world.now_ms if latest is None else latest]
        heappush(self._starts, (max(min(wishes), world.now_ms), standing.id))

    def _chosen(self, standing: Standing, world: World) -> Intervals:
        """The cheapest slots until the deadline that hold the job; none where nothing can be said."""
        spot = world.site.spots(standing.job.ask)[0]
        curve = curve_of(self._foresight.outlooks(world.now_ms, self._signal).get(spot.region))
        due = standing.job.due_ms
        if curve is None or due is None:
            return []
        return cheapest(curve, world.now_ms, due, round(standing.estimate_ms / spot.speed))


def cheapest(curve: CostCurve, first_ms: int, due_ms: int, length_ms: int) -> Intervals:
    """The cheapest slots of `[first_ms, due_ms)` that together hold `length_ms`, neighbours joined."""
    edges = np.concatenate([[first_ms], curve.edges_ms, [min(due_ms, curve.end_ms)]])
    edges = np.unique(np.clip(edges, first_ms, max(min(due_ms, curve.end_ms), first_ms)))
    if len(edges) < 2 or first_ms < curve.start_ms:
        return []
    width = np.diff(edges)
    mean = curve.integral(edges[:-1], edges[1:]) / width
    order = np.argsort(mean, kind="stable")
    needed = int(np.searchsorted(np.cumsum(width[order]), length_ms)) + 1
    joined: Intervals = []
    for slot in sorted(order[:needed].tolist()):
        start, end = int(edges[slot]), int(edges[slot + 1])
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
