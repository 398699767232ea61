"""The plans of a long queue as they stand, on which newcomers are placed one after the other.

A board looks at every waiting job again for each newcomer. This one takes their plans as they are, and keeps
what they use as steps in arrays: a newcomer costs the same however many wait.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Plan, Window
from tidewatt.scheduler.planning.capacity import Stretch, Timeline
from tidewatt.scheduler.planning.choice import Option
from tidewatt.scheduler.planning.instants import FAR_MS, ceil_ms, floor_ms, moment
from tidewatt.scheduler.planning.kinds import ALIKE, suitable
from tidewatt.scheduler.planning.options import Ground, ground, options_of
from tidewatt.scheduler.planning.planner import place
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.triage import misses
from tidewatt.scheduler.region import Region

Uses = NDArray[np.int64]
_CPUS, _MEM, _POWER, _POOLS = 0, 1, 2, 3  # rows; GPUs of the pools follow


class Steps(Timeline):
    """What is used of a region, step by step; bookings are added and never taken away."""

    def __init__(self, region: Region, bookings: Iterable[Booking] = ()) -> None:
        self._pools = {pool.name: _POOLS + row for row, pool in enumerate(region.pools)}
        limit_mw = round(region.power_limit_kw * 1e6) or FAR_MS
        sizes = [region.cpus, region.mem_mb or FAR_MS, limit_mw, *(pool.gpus for pool in region.pools)]
        self._sizes = np.array(sizes, dtype=np.int64)
        self._at: Uses = np.array([-FAR_MS], dtype=np.int64)
        self._used: Uses = np.zeros((len(sizes), 1), dtype=np.int64)
        super().__init__(region)
        self.book_all(bookings)

    @staticmethod
    def suits(region: Region) -> bool:
        """Whether the region has no pool of several nodes, which have to be looked at one by one."""
        return all(not 0 < pool.node_gpus < pool.gpus for pool in region.pools)

    def book(self, booking: Booking) -> None:
        """Occupies what the booking says, for good."""
        start, end = floor_ms(booking.window.start), ceil_ms(booking.window.end)
        if end > start:
            first, last = self._step(start), self._step(end)
            self._used[:, first:last] += np.array(self._amounts(booking), dtype=np.int64)[:, None]

    def book_all(self, bookings: Iterable[Booking]) -> None:
        """The same of many at once."""
        some = list(bookings)
        spans = [(floor_ms(each.window.start), ceil_ms(each.window.end)) for each in some]
        kept = [place for place, (start, end) in enumerate(spans) if end > start]
        if not kept:
            return
        amounts = np.array([self._amounts(some[place]) for place in kept], dtype=np.int64).T
        starts, ends = (np.array([spans[place][edge] for place in kept], dtype=np.int64) for edge in (0, 1))
        before = np.diff(self._used, axis=1, prepend=0)
        at = np.concatenate((self._at, starts, ends))
        changes = np.concatenate((before, amounts, -amounts), axis=1)
        self._at, where = np.unique(at, return_inverse=True)
        summed = np.zeros((len(self._at), len(self._sizes)), dtype=np.int64)
        np.add.at(summed, where, changes.T)
        self._used = np.ascontiguousarray(np.cumsum(summed, axis=0).T)

    def free(
        self, need: Need, pool: str, earliest_ms: int, end_ms: int = FAR_MS, power_w: float = 0.0
    ) -> list[Stretch]:
        """As `Timeline.free`."""
        if end_ms <= earliest_ms:
            return []
        first = int(self._at.searchsorted(earliest_ms, "right")) - 1
        last = int(self._at.searchsorted(end_ms, "left"))
        rows, wanted = [_CPUS, _MEM, _POWER], [need.cpus, need.mem_mb, round(power_w * 1000)]
        if pool in self._pools:
            rows, wanted = [*rows, self._pools[pool]], [*wanted, need.gpus]
        elif need.gpus:
            return []
        most = self._sizes[rows] - np.array(wanted)
        fits = (self._used[rows, first:last] <= most[:, None]).all(axis=0)
        edges = np.flatnonzero(np.diff(fits, prepend=False, append=False))
        at = np.append(self._at[first:last], end_ms)
        at[0] = earliest_ms
        bounds = at[edges].tolist()
        return list(zip(bounds[::2], bounds[1::2], strict=True))

    def _step(self, at_ms: int) -> int:
        """The number of the step that begins then, made where there is none."""
        place = int(self._at.searchsorted(at_ms))
        if place == len(self._at) or self._at[place] != at_ms:
            self._at = np.insert(self._at, place, at_ms)
            self._used = np.insert(self._used, place, self._used[:, place - 1], axis=1)
        return place

    def _amounts(self, booking: Booking) -> list[int]:
        found = [0] * len(self._sizes)
        found[:_POOLS] = booking.cpus, booking.mem_mb, round(booking.power_w * 1000)
        if booking.pool in self._pools:
            found[self._pools[booking.pool]] = booking.gpus
        return found


class Standing:
    """A queue's plans as they stand, and the newcomers that were let in since.

    `until` is how far the situation's outlooks go; its bookings are on it, its waiting jobs are not.
    """

    def __init__(self, situation: Situation, until: datetime) -> None:
        self.now, self.policy, self.until = situation.now, situation.policy, until
        self._steps = {region.name: Steps(region) for region in situation.regions}
        self.grounds: Mapping[str, Ground] = {
            region.name: replace(ground(region, situation), timeline=self._steps[region.name])
            for region in situation.regions
        }
        self.put_all(situation.bookings)

    def admit(self, newcomer: Ask, now: datetime) -> Plan | None:
        """Its plan in what the others leave free; None where it cannot be in time there: look at all then."""
        self.now = now
        made = place(replace(newcomer, late=False), self.options(newcomer), now, self.policy)
        return made if isinstance(made, Plan) and not misses(made) else None

    def holds(self, ask: Ask, plan: Plan) -> bool:
        """Whether the others leave free what a plan books."""
        for each in parts_of(ask, plan, self.grounds):
            part = since(each, self.now)
            start, end = floor_ms(part.window.start), ceil_ms(part.window.end)
            free = self._steps[part.region].free(ask.need, part.pool, start, end, part.power_w)
            if free != [(start, end)]:
                return False
        return all(each.region in self.grounds for each in plan.stints or (plan,))

    def put(self, ask: Ask, plan: Plan) -> None:
        """Books a plan."""
        for booking in parts_of(ask, plan, self.grounds):
            self._steps[booking.region].book(booking)

    def put_all(self, bookings: Iterable[Booking]) -> None:
        """Books what runs, or many plans (`parts_of`) at once."""
        by_region: dict[str, list[Booking]] = {}
        for booking in bookings:
            by_region.setdefault(booking.region, []).append(booking)
        for name, some in by_region.items():
            if name in self._steps:  # a region may be gone from the configuration
                self._steps[name].book_all(some)

    def options(self, ask: Ask) -> list[Option]:
        """Where `ask` could run now."""
        return options_of(ask, self.grounds, self.now, self.policy)


def parts_of(ask: Ask, plan: Plan, grounds: Mapping[str, Ground]) -> Sequence[Booking]:
    """What a plan books, part by part; nothing in regions that are gone."""
    parts = [(each.region, each.pool, each.window) for each in plan.stints or (plan,)]
    return [
        Booking(
            region, pool, window, ask.need.gpus, ask.need.cpus, ask.need.mem_mb, "",
            ask.peak_w * _power(ask, pool, grounds[region].timeline),
        )
        for region, pool, window in parts
        if region in grounds
    ]  # fmt: skip


def _power(ask: Ask, pool: str, timeline: Timeline) -> float:
    return dict(suitable(ask, timeline)).get(pool, ALIKE)[1] if ask.need.gpus else 1.0


def since(booking: Booking, now: datetime) -> Booking:
    """A plan's booking as of a later moment: one that is due begins now, and takes as long."""
    window = booking.window
    if window.start >= now:
        return booking
    end_ms = ceil_ms(now) + ceil_ms(window.end) - floor_ms(window.start)
    return replace(booking, window=Window(now, moment(end_ms)))
