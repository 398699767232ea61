"""First come, first served, as soon as it fits: no forecast, no arrays, no other planner's code.

What is left when every better planner has failed. Plans made before are carried out as they are, where they
still can be: whoever waited for cleaner hours did so with a deadline in view.
"""

from collections.abc import Collection, Iterable, Sequence
from heapq import heapify, heappop, heappush

from tidewatt.scheduler.plan import Ask, Booking, Plan, Why, Window
from tidewatt.scheduler.planning.barring import barred, first_start
from tidewatt.scheduler.planning.capacity import names
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, moment
from tidewatt.scheduler.planning.kinds import ratios
from tidewatt.scheduler.planning.planner import Infeasible
from tidewatt.scheduler.planning.room import EVERYTHING, Amounts, Room
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.terms import ASSUMED, allowed
from tidewatt.scheduler.planning.transfer import transfer_of
from tidewatt.scheduler.region import Region

REASON = "as soon as it fits, first come, first served: no better plan could be made"
TOO_LATE = "cannot keep its deadline: the earliest finish is {finish}"
NOWHERE = "no region that the job may use has room for it, now or later: ask for less, or allow more regions"
DUE_FOR_MS = 300_000  # a plan not carried out for so long after its start was slept through
Spot = tuple[int, str, str, int]  # start (ms), region, pool, end (ms)
Fitting = dict[tuple[int, str], list[tuple[str, int, Amounts]]]  # of a job in a region: pool, length, needs


def plan_first_come(situation: Situation) -> dict[int, Plan | Infeasible]:
    """A plan for each waiting job, by id.

    In the order of priority and submission; where that misses deadlines, the most urgent first; and without
    the plans made before, where more jobs are in time so. The first of these that misses the fewest, counted
    by priority.
    """
    orders = (_by_arrival, _by_urgency)
    tried: list[tuple[list[int], dict[int, Spot]]] = []
    fitting: Fitting = {}
    for keeping in (True, False):
        for order in orders:
            spots = _Hall(situation, fitting).placed(sorted(situation.asks, key=order), keeping)
            late = [a.job_id for a in situation.asks if _is_late(a, spots.get(a.job_id))]
            tried.append((late_by_priority(situation.asks, late), spots))
            if not late:
                break
    _, spots = min(tried, key=lambda each: each[0])
    return {ask.job_id: _planned(ask, spots.get(ask.job_id), situation) for ask in situation.asks}


def late_by_priority(asks: Sequence[Ask], late: Collection[int]) -> list[int]:
    """How many of the jobs `late`, given by id, there are of each priority, the highest first."""
    ids = set(late)
    levels = sorted({ask.priority for ask in asks}, reverse=True)
    return [sum(ask.job_id in ids for ask in asks if ask.priority == level) for level in levels]


def last_start_ms(ask: Ask, duration_ms: int) -> int | None:
    """The last start that keeps the job's deadline, in Unix milliseconds; None where it has none.

    An assumed duration that never fitted before `finish_by` says nothing: such a job has to start before it.
    """
    limits = []
    if ask.finish_by is not None:
        vague = ask.duration_source == ASSUMED and ask.submitted + ask.duration > ask.finish_by
        limits.append(floor_ms(ask.finish_by) - (1 if vague else duration_ms))
    if ask.start_by is not None:
        limits.append(floor_ms(ask.start_by))
    return min(limits, default=None)


class _Hall:
    """All regions at one moment, on which jobs are put one by one."""

    def __init__(self, situation: Situation, fitting: Fitting) -> None:
        self._situation, self._fitting = situation, fitting
        self._now = ceil_ms(situation.now)
        self._regions = {region.name: region for region in situation.regions}
        self._rooms = {region.name: _room(region, self._now) for region in situation.regions}
        limits = {ask.array: ask.array_limit for ask in situation.asks if ask.array and ask.array_limit}
        self._arrays = {array: Room({"": 0}, limit, 0, 0, self._now) for array, limit in limits.items()}
        self._ends = {job_id: ceil_ms(end) for job_id, end in situation.ends.items()}
        self._waiting = {ask.job_id for ask in situation.asks}
        for booking in situation.bookings:
            if booking.region in self._rooms:
                start, end = floor_ms(booking.window.start), ceil_ms(booking.window.end)
                self._rooms[booking.region].book(booking.pool, start, end, _amounts(booking))
            if booking.array in self._arrays:
                window = floor_ms(booking.window.start), ceil_ms(booking.window.end)
                self._arrays[booking.array].book("", *window, (0, 1, 0, 0))

    def placed(self, asks: Sequence[Ask], keeping: bool) -> dict[int, Spot]:
        """A spot for each job in this order, none before those after which it runs; kept plans first."""
        spots: dict[int, Spot] = {}
        if keeping:
            keep = self._situation.keep
            for ask in sorted(asks, key=lambda ask: _start_of(keep.get(ask.job_id))):
                spot = self._kept(ask, keep.get(ask.job_id), spots)
                if spot is not None:
                    self._put(ask, spot, spots)
        left = {ask.job_id: (rank, ask) for rank, ask in enumerate(asks) if ask.job_id not in spots}
        missing = {i: {j for j in ask.after if j in left} for i, (_, ask) in left.items()}
        behind: dict[int, list[int]] = {}
        for job_id, others in missing.items():
            for other in others:
                behind.setdefault(other, []).append(job_id)
        ready = [left[i][0] for i, others in missing.items() if not others]
        heapify(ready)
        while ready:
            ask = asks[heappop(ready)]
            soonest = min(
                self._spots(ask, spots),
                key=lambda spot: (spot[3] + self._wait(ask, spot[1]), spot[1] != ask.home),
                default=None,
            )
            if soonest is None:
                continue
            self._put(ask, soonest, spots)
            for job_id in behind.get(ask.job_id, ()):
                missing[job_id].discard(ask.job_id)
                if not missing[job_id]:
                    heappush(ready, left[job_id][0])
        return spots

    def _spots(self, ask: Ask, spots: dict[int, Spot]) -> Iterable[Spot]:
        """The first start in each pool."""
        for region in self._situation.regions:
            for pool, length, amounts in self._pools(ask, region):
                start = self._first(
                    ask, region.name, pool, amounts, self._earliest(ask, region, spots), length
                )
                if start is not None:
                    yield start, region.name, pool, start + length

    def _kept(self, ask: Ask, plan: Plan | None, spots: dict[int, Spot]) -> Spot | None:
        """The spot of a plan made before, where it still can be carried out, in time."""
        if plan is None or plan.stints or not all(i in spots for i in ask.after if i in self._waiting):
            return None
        region = self._regions.get(plan.region)
        start = floor_ms(plan.window.start)
        if region is None or start + DUE_FOR_MS < self._now:
            return None
        begin = max(start, self._now)
        for pool, length, amounts in self._pools(ask, region):
            last = last_start_ms(ask, length)
            if pool != plan.pool or begin < self._earliest(ask, region, spots):
                continue
            turns = self._arrays.get(ask.array)
            if (
                (last is None or begin <= last)
                and self._rooms[region.name].is_free(pool, amounts, begin, length)
                and not barred(ask, region, begin, begin + length)
                and (turns is None or turns.is_free("", (0, 1, 0, 0), begin, length))
            ):
                return begin, region.name, pool, begin + length
        return None

    def _first(
        self, ask: Ask, region: str, pool: str, amounts: Amounts, earliest_ms: int, length_ms: int
    ) -> int | None:
        """The first start for which there is room in the region and a turn in the array."""
        turns = self._arrays.get(ask.array)
        at: int | None = earliest_ms
        while at is not None:
            at = self._rooms[region].first(pool, amounts, at, length_ms)
            later = None if at is None else first_start(ask, self._regions[region], at, length_ms)
            if later != at:
                at = later
                continue
            if at is None or turns is None:
                return at
            turn = turns.first("", (0, 1, 0, 0), at, length_ms)
            if turn == at:
                return at
            at = turn
        return None

    def _earliest(self, ask: Ask, region: Region, spots: dict[int, Spot]) -> int:
        """When the job may start there: released, those before it ended, its data moved."""
        ends = [spots[i][3] if i in spots else self._ends.get(i, 0) for i in ask.after]
        release = 0 if ask.release is None else ceil_ms(ask.release)
        moving = 0
        if ask.data_gb > 0 and region.name != ask.home:
            moving = transfer_of(ask, region.name, self._situation.policy.link).ms
        return max([self._now, release, *ends]) + moving

    def _wait(self, ask: Ask, region: str) -> int:
        """How long the job may lie in the queue there, where it has a deadline."""
        urgent = ask.finish_by is not None or ask.start_by is not None
        return self._regions[region].queue_wait_ms if urgent else 0

    def _put(self, ask: Ask, spot: Spot, spots: dict[int, Spot]) -> None:
        start, name, pool, end = spot
        amounts = next(each[2] for each in self._pools(ask, self._regions[name]) if each[0] == pool)
        self._rooms[name].book(pool, start, end, amounts)
        if ask.array in self._arrays:
            self._arrays[ask.array].book("", start, end, (0, 1, 0, 0))
        spots[ask.job_id] = spot

    def _pools(self, ask: Ask, region: Region) -> list[tuple[str, int, Amounts]]:
        key = ask.job_id, region.name
        if key not in self._fitting:
            self._fitting[key] = _pools(ask, region)
        return self._fitting[key]


def _room(region: Region, now_ms: int) -> Room:
    room = Room(
        {"": 0, **{pool.name: pool.gpus for pool in region.pools}},
        region.cpus,
        region.mem_mb,
        round(region.power_limit_kw * 1e6),
        now_ms,
    )
    for window in region.closed:
        room.book("", floor_ms(window.start), ceil_ms(window.end), (0, EVERYTHING, 0, 0))
    return room


def _pools(ask: Ask, region: Region) -> list[tuple[str, int, Amounts]]:
    """Where in a region the job could ever run, for how long (ms), and what it occupies."""
    need = ask.need
    if not allowed(ask, region.name) or need.cpus > region.cpus or 0 < region.mem_mb < need.mem_mb:
        return []
    power_mw = round(ask.peak_w * 1000)
    if not need.gpus:
        return [("", length_ms(ask.duration), (0, need.cpus, need.mem_mb, power_mw))]
    found = []
    for pool in region.pools:
        fares = ratios(ask, pool)
        on_a_node = min(pool.gpus, pool.node_gpus or pool.gpus)
        if fares is not None and need.gpus <= on_a_node and names(need.gpu_kind, pool.name):
            length = -int(-length_ms(ask.duration) // fares[0])
            drawn = round(ask.peak_w * 1000 * fares[1])
            found.append((pool.name, length, (need.gpus, need.cpus, need.mem_mb, drawn)))
    return found


def _amounts(booking: Booking) -> Amounts:
    return booking.gpus, booking.cpus, booking.mem_mb, round(booking.power_w * 1000)


def _start_of(plan: Plan | None) -> float:
    return float("inf") if plan is None else plan.window.start.timestamp()


def _by_arrival(ask: Ask) -> tuple[float, ...]:
    return -ask.priority, ask.submitted.timestamp(), ask.job_id


def _by_urgency(ask: Ask) -> tuple[float, ...]:
    last = last_start_ms(ask, length_ms(ask.duration))
    return -ask.priority, float("inf") if last is None else last, ask.job_id


def _is_late(ask: Ask, spot: Spot | None) -> bool:
    if spot is None:
        return True
    last = last_start_ms(ask, spot[3] - spot[0])
    return last is not None and spot[0] > last


def _planned(ask: Ask, spot: Spot | None, situation: Situation) -> Plan | Infeasible:
    """The plan of a spot: the one made before where it is the same."""
    if spot is None:
        return Infeasible(ask.job_id, NOWHERE, None)
    start, region, pool, end = spot
    kept = situation.keep.get(ask.job_id)
    if kept is not None and (kept.region, kept.pool) == (region, pool) and not _is_late(ask, spot):
        begins = max(floor_ms(kept.window.start), ceil_ms(situation.now))
        if begins == start and ceil_ms(kept.window.end) - floor_ms(kept.window.start) == end - start:
            return kept
    why = Why.NO_DEADLINE if ask.finish_by is None and ask.start_by is None else Why.NO_SIGNAL
    plan = Plan(ask.job_id, region, pool, Window(moment(start), moment(end)), why, REASON)
    if not _is_late(ask, spot):
        return plan
    too_late = TOO_LATE.format(finish=f"{plan.window.end:%Y-%m-%d %H:%M} UTC")
    late = Plan(ask.job_id, region, pool, plan.window, Why.LATE, too_late)
    return late if ask.late else Infeasible(ask.job_id, too_late, late)
