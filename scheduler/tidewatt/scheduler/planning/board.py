"""All regions with what is booked in them, on which waiting jobs are placed and moved."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Pausing, Plan, Why, Window
from tidewatt.scheduler.planning import capacity, reasons
from tidewatt.scheduler.planning.barring import barred
from tidewatt.scheduler.planning.capacity import Stretch, Timeline, holds
from tidewatt.scheduler.planning.choice import Choice, Option, choice_at
from tidewatt.scheduler.planning.instants import ceil_ms, floor_ms, length_ms, moment
from tidewatt.scheduler.planning.intensity import CostCurve
from tidewatt.scheduler.planning.kinds import ALIKE, Ratios, suitable
from tidewatt.scheduler.planning.options import ground, option_of, options_of
from tidewatt.scheduler.planning.planner import Infeasible, place, planned_at
from tidewatt.scheduler.planning.precedence import dues, followers, in_order, turns
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.planning.speeds import Speeds
from tidewatt.scheduler.planning.terms import FREE, Bounds, allowed, duration_ms, latest_start_ms
from tidewatt.scheduler.region import Region

ROUNDING_MS = 1  # lengths on faster GPUs are rounded by whoever made a plan
Saved = tuple[dict[int, tuple[int, int]], list[tuple[Timeline, capacity.Saved]]]
DUE_FOR_MS = 300_000  # a plan not carried out for so long after its start was slept through


class Board:
    """The regions at one moment. Bookings of what runs or is foreign stay; plans are put on and taken off.

    `newcomers` are jobs beside those of the situation. A job starts when all those after which it runs have
    ended: they have to be on the board before it.
    """

    def __init__(self, situation: Situation, newcomers: Sequence[Ask] = ()) -> None:
        self.looked_at = 0  # options so far: a measure of effort that no clock disturbs
        self.now = situation.now
        self.now_ms = ceil_ms(situation.now)
        self.policy = situation.policy
        self._situation = situation
        self._grounds = {region.name: ground(region, situation) for region in situation.regions}
        new = {ask.job_id for ask in newcomers}
        asks = [*(ask for ask in situation.asks if ask.job_id not in new), *newcomers]
        self._waiting = {ask.job_id for ask in asks}
        self._followers = followers(asks)
        fastest = Speeds(situation.regions).fastest
        self._dues = dues(asks, fastest)
        self.turns = turns(asks, situation.shares, fastest)
        self._placed: dict[int, tuple[int, int]] = {}  # job id: start, end
        self._suitable: dict[tuple[int, str], dict[str, Ratios]] = {}
        self._arrays = _arrays(asks)
        for booking in situation.bookings:
            if booking.region in self._grounds:  # a region may be gone from the configuration
                self._grounds[booking.region].timeline.book(booking)
            self._count(booking)

    def in_turn(self, asks: Iterable[Ask]) -> list[Ask]:
        """The jobs in the order in which they are placed."""
        return in_order(list(asks), lambda ask: self.turns[ask.job_id])

    def in_order(self, asks: Sequence[Ask]) -> list[Ask]:
        """The jobs as given, but none before those after which it runs."""
        return in_order(asks) if self._followers else list(asks)

    def is_ready(self, ask: Ask) -> bool:
        """True where all that the job waits for is on the board, runs or has ended."""
        return all(job_id in self._placed for job_id in ask.after if job_id in self._waiting)

    def options(self, ask: Ask, bounds: Bounds | None = None) -> list[Option]:
        """Where `ask` could run now."""
        bounds = self.bounds(ask) if bounds is None else bounds
        found = options_of(ask, self._grounds, self.now, self.policy, bounds, self._within(ask, bounds))
        self.looked_at += len(found) + 1
        return found

    def bounds(self, ask: Ask, *, firm: bool = True) -> Bounds:
        """What the rest of the queue says about the job's times; not `firm`: followers may be moved."""
        kept = None
        limit = self.policy.max_postponed
        if limit is not None and ask.postponed >= limit:
            kept = self._situation.keep.get(ask.job_id)
        if not ask.after and kept is None and ask.job_id not in self._followers:
            return FREE
        after = self._followers.get(ask.job_id, ())
        placed = [self._placed[each.job_id][0] for each in after if each.job_id in self._placed]
        return Bounds(
            release_ms=max((self._end(job_id) for job_id in ask.after), default=0),
            end_ms=min(placed, default=None) if firm else None,
            due_ms=self._dues.get(ask.job_id),
            not_after_ms=None if kept is None else floor_ms(kept.window.start),
        )

    def place(self, ask: Ask, *, firm: bool = True) -> Plan | Infeasible:
        """The best plan in what is free; it is not put on the board."""
        if not self.is_ready(ask):
            blocking = next(i for i in ask.after if i in self._waiting and i not in self._placed)
            return Infeasible(ask.job_id, reasons.behind(blocking), None)
        bounds = self.bounds(ask, firm=firm)
        return place(ask, self.options(ask, bounds), self.now, self.policy, bounds)

    def plan_at(self, ask: Ask, region: str, pool: str, start_ms: int) -> Plan:
        """The plan of a start that was chosen elsewhere, with what it saves against starting at once."""
        return planned_at(ask, self.options(ask), self.now, self.policy, region, pool, start_ms)

    def put(self, ask: Ask, plan: Plan) -> None:
        """Books the window or the stints of a plan; one that is due begins now."""
        if plan.stints:
            parts = [(s.region, s.pool, floor_ms(s.window.start), ceil_ms(s.window.end)) for s in plan.stints]
            self._book(ask, [part for part in parts if part[3] > self.now_ms])
            return
        start, end = floor_ms(plan.window.start), floor_ms(plan.window.end)
        begin = max(start, self.now_ms)
        self._book(ask, [(plan.region, plan.pool, begin, begin + end - start)])

    def put_at(self, ask: Ask, region: str, pool: str, start_ms: int) -> None:
        """Books the time that the job takes from `start_ms`."""
        speed, _ = self._fares(ask, region, pool)
        self._book(ask, [(region, pool, start_ms, start_ms + duration_ms(ask, speed))])

    def take(self, job_id: int) -> None:
        """Frees what a waiting job had booked."""
        if self._placed.pop(job_id, None) is not None:
            for each in self._grounds.values():
                each.timeline.release(_holder(job_id))
            for counted in self._arrays.values():
                counted.release(_holder(job_id))

    def saved(self) -> Saved:
        """What is on the board, to come back to: put anew, plans may go to other nodes, where less fits."""
        timelines = [*(each.timeline for each in self._grounds.values()), *self._arrays.values()]
        return dict(self._placed), [(timeline, timeline.saved()) for timeline in timelines]

    def restore(self, saved: Saved) -> None:
        """Makes the board what it was when it was `saved`."""
        placed, timelines = saved
        self._placed = dict(placed)
        for timeline, booked in timelines:
            timeline.restore(booked)

    def still_holds(self, ask: Ask, plan: Plan) -> bool:
        """True where a plan made earlier can still be carried out as it is, in time."""
        start = floor_ms(plan.window.start)
        if start + DUE_FOR_MS < self.now_ms or not self._suits(ask, plan) or not self.is_ready(ask):
            return False
        begin = max(start, self.now_ms)
        if begin < max((self._end(job_id) for job_id in ask.after), default=0):
            return False
        if ask.release is not None and begin < ceil_ms(ask.release):
            return False
        return self._in_time(ask, plan, begin) and self._has_room(ask, plan, begin)

    def cost(self, ask: Ask, plan: Plan) -> Choice:
        """The plan's window, priced by what is known now."""
        option = self._option(ask, plan.region, plan.pool)
        start = max(floor_ms(plan.window.start), self.now_ms)
        return choice_at(option, start, ceil_ms(plan.window.end) - floor_ms(plan.window.start))

    def curve(self, region: str) -> CostCurve | None:
        """What is known of the region's grid."""
        return self._grounds[region].curve

    def _option(self, ask: Ask, region: str, pool: str) -> Option:
        """The option to price a start by, whatever is free there."""
        fares = self._fares(ask, region, pool)
        return option_of(ask, self._grounds, region, pool, fares, self.now, self.policy)

    def _end(self, job_id: int) -> int:
        """When a job after which another runs is expected to end; one that nobody knows has ended."""
        if job_id in self._placed:
            return self._placed[job_id][1]
        end = self._situation.ends.get(job_id)
        return 0 if end is None else ceil_ms(end)

    def _fares(self, ask: Ask, region: str, pool: str) -> Ratios:
        return self._pools(ask, region).get(pool, ALIKE)

    def _pools(self, ask: Ask, region: str) -> dict[str, Ratios]:
        """The pools of a region that suit a job, and how it fares in each."""
        key = ask.job_id, region
        if key not in self._suitable:
            self._suitable[key] = dict(suitable(ask, self._grounds[region].timeline))
        return self._suitable[key]

    def _book(self, ask: Ask, parts: Sequence[tuple[str, str, int, int]]) -> None:
        need, holder = ask.need, _holder(ask.job_id)
        for region, pool, start, end in parts:
            power_w = ask.peak_w * self._fares(ask, region, pool)[1]
            booking = Booking(
                region, pool, Window(moment(start), moment(end)), need.gpus, need.cpus, need.mem_mb, holder,
                power_w, ask.array,
            )  # fmt: skip
            self._grounds[region].timeline.book(booking)
            self._count(booking)
        if parts:
            self._placed[ask.job_id] = parts[0][2], parts[-1][3]

    def _count(self, booking: Booking) -> None:
        if booking.array in self._arrays:
            counted = replace(booking, region=booking.array, pool="", gpus=0, cpus=1, mem_mb=0, power_w=0.0)
            self._arrays[booking.array].book(counted)

    def _within(self, ask: Ask, bounds: Bounds) -> list[Stretch] | None:
        """When another job of the array may run; None where any number may."""
        counted = self._arrays.get(ask.array) if ask.array_limit else None
        if counted is None:
            return None
        kept_back = counted.region.cpus - ask.array_limit
        return counted.free(Need(cpus=1 + kept_back), "", max(self.now_ms, bounds.release_ms))

    def _suits(self, ask: Ask, plan: Plan) -> bool:
        parts = plan.stints or (plan,)
        for part in parts:
            if part.region not in self._grounds or not allowed(ask, part.region):
                return False
            if part.pool not in self._pools(ask, part.region):
                return False
        if plan.stints:
            return ask.pausing is not None and self._does_the_work(ask, ask.pausing, plan)
        length = floor_ms(plan.window.end) - floor_ms(plan.window.start)
        return abs(length - duration_ms(ask, self._fares(ask, plan.region, plan.pool)[0])) <= ROUNDING_MS

    def _does_the_work(self, ask: Ask, pausing: Pausing, plan: Plan) -> bool:
        """Whether its stints are long enough: one that is over may have done too little."""
        done = 0.0
        for number, stint in enumerate(plan.stints):
            works = stint.window.end - stint.window.start - pausing.restart * (number > 0)
            works -= pausing.checkpoint * (number < len(plan.stints) - 1)
            done += length_ms(works) * self._fares(ask, stint.region, stint.pool)[0]
        return done >= length_ms(ask.duration) - ROUNDING_MS * (2 + len(plan.stints))

    def _in_time(self, ask: Ask, plan: Plan, begin_ms: int) -> bool:
        if ask.late:
            return True
        if plan.stints:
            return ask.finish_by is None or plan.window.end <= ask.finish_by
        speed, _ = self._fares(ask, plan.region, plan.pool)
        last = latest_start_ms(ask, speed, sure=False)
        if last is not None and begin_ms > last:
            return False
        sure = latest_start_ms(ask, speed, wait_ms=self._grounds[plan.region].region.queue_wait_ms)
        # a longer guard duration, learnt since, calls for an earlier start; one that is due stays due
        return sure is None or begin_ms <= max(sure, self.now_ms) or plan.why is Why.GUARD

    def _has_room(self, ask: Ask, plan: Plan, begin_ms: int) -> bool:
        if plan.stints:
            parts = [(s.region, s.pool, floor_ms(s.window.start), ceil_ms(s.window.end)) for s in plan.stints]
        else:
            length = floor_ms(plan.window.end) - floor_ms(plan.window.start)
            parts = [(plan.region, plan.pool, begin_ms, begin_ms + length)]
        counted = self._within(ask, FREE)
        for region, pool, start, end in parts:
            start = max(start, self.now_ms)
            if end <= start:
                continue
            power_w = ask.peak_w * self._fares(ask, region, pool)[1]
            if barred(ask, self._grounds[region].region, start, end):
                return False
            free = self._grounds[region].timeline.free(ask.need, pool, start, end, power_w)
            if not holds(free, start, end) or (counted is not None and not holds(counted, start, end)):
                return False
        return True


def _arrays(asks: Iterable[Ask]) -> dict[str, Timeline]:
    """Of each limited array a count of how many of its jobs run when."""
    limits: dict[str, int] = {}
    for ask in asks:
        if ask.array and ask.array_limit:
            limits[ask.array] = max(limits.get(ask.array, 0), ask.array_limit)
    return {array: Timeline(Region(array, cpus=limit)) for array, limit in limits.items()}


def _holder(job_id: int) -> str:
    return f"plan of job {job_id}"
