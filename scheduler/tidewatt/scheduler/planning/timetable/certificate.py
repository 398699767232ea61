"""The proof of how good a timetable is: no valid one can cost less than the bound.

For any prices of congestion that are not negative, the cheapest priced window of each job on its own, all
together, less the price of all capacity, is at most the cost of any timetable that keeps the capacities
(Lagrangian duality: Fisher, Management Science 27(1), 1981, section 2). Windows may start at any moment: the
cost is linear between the moments at which a start or an end meets the edge of a slot, and least at one.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.interrupted import stints_grams
from tidewatt.scheduler.planning.timetable.problem import (
    NOWHERE,
    Amounts,
    Certificate,
    Flags,
    Ints,
    Problem,
    Timetable,
)
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, Choice, Ground, Prices, summed

EACH = 1500  # up to so many jobs are looked at one by one, which is exact
ROUNDING = 1e-9
UNPROVED = -1e18  # grams: a bound that says nothing
SOME = 4000  # up to so many what they cost without any prices is looked at too


@dataclass(frozen=True, slots=True, eq=False)
class Minima:
    """The cheapest priced window of each job on its own: grams, place and start."""

    value: Amounts
    place: Ints
    start_ms: Ints


Run = Callable[[Amounts], Amounts]
_Least = tuple[float, int, int, float]  # priced grams, place and start, and the least grams without prices
NO_WINDOW: _Least = (np.inf, NOWHERE, 0, np.inf)


class Tariff:
    """Costs and prices summed up along the slots.

    What is priced has two layers where there are prices: the cost with them, and the cost alone.
    """

    def __init__(self, ground: Ground, prices: Prices) -> None:
        self.ground, self.prices = ground, prices
        hours = ground.slot_ms / HOUR_MS
        site: Amounts = prices.site[ground.problem.places.site]
        self.per_kw = _padded(summed(ground.cost * hours))
        self.per_kwh = _padded(summed(site * hours)) if site.any() else None
        self.priced = bool(prices.unit.any() or site.any())
        self.per_unit = _padded(summed(prices.unit * hours))
        self.closed = _padded(summed((~ground.open).astype(float)))

    def cheapest(self, jobs: Iterable[int]) -> Minima:
        """The cheapest windows of some jobs, in their order; inf where a job has no window at all."""
        return self.with_and_without(jobs)[0]

    def with_and_without(self, jobs: Iterable[int]) -> tuple[Minima, Amounts]:
        """The cheapest windows of some jobs, and what each would cost at least if there were no prices."""
        known: dict[Hashable, _Least] = {}
        found = []
        for job in jobs:
            kind = self._kind(job)
            if kind not in known:
                known[kind] = self._cheapest(job)
            found.append(known[kind])
        value, place, start, alone = zip(*found, strict=True) if found else ((), (), (), ())
        minima = Minima(np.array(value, float), np.array(place, np.int64), np.array(start, np.int64))
        return minima, np.array(alone, float)

    def _kind(self, job: int) -> Hashable:
        """What is the same for jobs that have the same windows at the same costs."""
        ground, asked = self.ground, self.ground.problem.jobs
        when = (ground.release_ms[job], ground.due_ms[job], asked.release_ms[job], asked.work_ms[job])
        what = (asked.menu[job], asked.units[job], asked.kw[job], asked.delay_g_per_h[job])
        moved = (asked.home[job], asked.moved_g[job], asked.moved_ms[job]) if ground.away[job] else ()
        return (*when, *what, *moved)

    def in_pieces(self, job: int) -> float:
        """A lower bound for a job with pauses: its work in the cheapest slots, as if pausing cost nothing.

        -inf where a slot has a negative cost: whatever is drawn besides the work may earn there.
        """
        ground, asked = self.ground, self.ground.problem.jobs
        menus, menu, slot = ground.problem.menus, int(asked.menu[job]), ground.slot_ms
        rows = np.flatnonzero(menus.allowed[menu])
        low = max(int(asked.release_ms[job]) - ground.origin_ms, 0) // slot
        high = -(-min(int(asked.due_ms[job]) - ground.origin_ms, ground.slots * slot) // slot)
        inside = slice(low, max(high, low))
        speed = menus.speed[menu, rows][:, None]
        kw = float(asked.kw[job]) * menus.power[menu, rows][:, None]
        total = self.per_kw if self.per_kwh is None else self.per_kw + self.per_kwh
        rate = kw * np.diff(total[rows, : ground.slots + 1], axis=1)[:, inside]
        rate = (
            rate
            + float(asked.units[job]) * np.diff(self.per_unit[rows, : ground.slots + 1], axis=1)[:, inside]
        )
        if (rate[ground.open[rows, inside]] < 0).any():
            return -np.inf
        per_work = np.where(ground.open[rows, inside], rate / speed, np.inf)  # per slot of work at speed 1
        if asked.pausing[job].moves:
            per_work, speed = per_work.min(axis=0, keepdims=True), speed.max(axis=0, keepdims=True)
        need = float(asked.work_ms[job]) / slot
        return min(
            (_in_cheapest(row, need, float(fast)) for row, fast in zip(per_work, speed[:, 0], strict=True)),
            default=0.0,
        )

    def _cheapest(self, job: int) -> _Least:
        ground = self.ground
        jobs = ground.problem.jobs
        low, high = int(ground.release_ms[job]), int(ground.due_ms[job])
        found: list[_Least] = [NO_WINDOW]
        for choice in ground.choices[jobs.menu[job]]:
            if not ground.away[job]:
                found.append(self._among(job, choice, choice.rows >= 0, low, high))
                continue
            away = ground.moved_away(np.array([job]), choice.rows)
            arrival = max(low, int(jobs.release_ms[job] + jobs.moved_ms[job]))
            value, place, start, alone = self._among(job, choice, away, arrival, high)
            moved_g = float(jobs.moved_g[job])
            found.append((value + moved_g, place, start, alone + moved_g))
            found.append(self._among(job, choice, ~away, low, high))
        return (*min(found)[:3], min(each[3] for each in found))

    def _among(self, job: int, choice: Choice, keep: Flags, low: int, high: int) -> _Least:
        """The cheapest over some rows of a choice of the windows from `low` to `high`."""
        ground = self.ground
        duration = ground.duration_ms(job, choice.speed)
        if high - low < duration or not keep.any():
            return NO_WINDOW
        rows, power = (choice.rows, choice.power) if keep.all() else (choice.rows[keep], choice.power[keep])
        slot, origin = ground.slot_ms, ground.origin_ms
        whole, part_ms = divmod(duration, slot)
        starts = [np.array([low, high - duration], np.int64)]
        values = [self._at(job, rows, power, starts[0], duration)]
        first, last = -((origin - low) // slot), (high - duration - origin) // slot
        if last >= first:
            starts.append(origin + slot * np.arange(first, last + 1))
            values.append(self._from_edges(job, rows, power, slice(first, last + 1), whole, part_ms / slot))
        first, last = -((origin - low - duration) // slot), (high - origin) // slot
        if last >= first and part_ms:
            starts.append(origin + slot * np.arange(first, last + 1) - duration)
            values.append(self._to_edges(job, rows, power, slice(first, last + 1), whole, part_ms / slot))
        start = np.concatenate(starts)
        delay = float(ground.problem.jobs.delay_g_per_h[job]) / HOUR_MS
        value = np.concatenate(values, axis=2)
        if delay:
            value += delay * (start - ground.problem.jobs.release_ms[job])
        row, step = divmod(int(value[0].argmin()), value.shape[2])
        return float(value[0, row, step]), int(rows[row]), int(start[step]), float(value[-1].min())

    def _from_edges(
        self, job: int, rows: Ints, power: Amounts, at: slice, whole: int, part: float
    ) -> Amounts:
        """Priced grams of windows that start on the edges `at` and last `whole` and a `part` of slots."""
        end = slice(at.start + whole, at.stop + whole)
        after = slice(end.start + 1, end.stop + 1)

        def run(total: Amounts) -> Amounts:
            until = total[rows, end]
            return np.asarray(until + part * (total[rows, after] - until) - total[rows, at])

        value = self._weighed(job, power, run)
        value[:, self.closed[rows, after if part else end] > self.closed[rows, at]] = np.inf
        return value

    def _to_edges(self, job: int, rows: Ints, power: Amounts, at: slice, whole: int, part: float) -> Amounts:
        """The same of windows that end on the edges `at`."""
        start = slice(at.start - whole - 1, at.stop - whole - 1)
        after = slice(start.start + 1, start.stop + 1)

        def run(total: Amounts) -> Amounts:
            since = total[rows, after]
            return np.asarray(total[rows, at] - since + part * (since - total[rows, start]))

        value = self._weighed(job, power, run)
        value[:, self.closed[rows, at] > self.closed[rows, start]] = np.inf
        return value

    def _at(self, job: int, rows: Ints, power: Amounts, start_ms: Ints, duration: int) -> Amounts:
        """The same of windows that start at any moments."""
        ground = self.ground
        a, past_a = np.divmod(start_ms - ground.origin_ms, ground.slot_ms)
        b, past_b = np.divmod(start_ms + duration - ground.origin_ms, ground.slot_ms)
        column = rows[:, None]

        def run(total: Amounts) -> Amounts:
            low, high = total[column, a], total[column, b]
            low = low + past_a / ground.slot_ms * (total[column, a + 1] - low)
            return np.asarray(high + past_b / ground.slot_ms * (total[column, b + 1] - high) - low)

        value = self._weighed(job, power, run)
        value[:, self.closed[column, b + (past_b > 0)] > self.closed[column, a]] = np.inf
        return value

    def _weighed(self, job: int, power: Amounts, run: Run) -> Amounts:
        """Grams of windows, (layers, R, windows)."""
        jobs = self.ground.problem.jobs
        draw = float(jobs.kw[job]) * power
        alone = run(self.per_kw) * draw
        if not self.priced:
            return alone[None]
        value = np.stack((alone, alone))
        value[0] += float(jobs.units[job]) * run(self.per_unit)
        if self.per_kwh is not None:
            value[0] += draw * run(self.per_kwh)
        return value


def _in_cheapest(per_work: Amounts, need: float, speed: float) -> float:
    """What `need` slots of work cost where a slot takes `speed` of it; all of them if that is less."""
    order = np.sort(per_work[np.isfinite(per_work)])
    share = np.clip(need - speed * np.arange(len(order)), 0.0, speed)
    return float((share * order).sum())


def capacity(ground: Ground) -> tuple[Amounts, Amounts]:
    """Unit hours of each place (P, T), and kWh of each site (S, T), inf where its power is not limited."""
    places = ground.problem.places
    hours = np.diff(places.edges_ms) / HOUR_MS
    return np.where(ground.open, np.maximum(places.units, 0), 0.0) * hours, places.site_kw * hours


def priced_capacity(ground: Ground, prices: Prices) -> float:
    """What all capacity costs at these prices: grams."""
    units_h, site_kwh = capacity(ground)
    limited = np.isfinite(site_kwh)
    return float((prices.unit * units_h).sum() + (prices.site[limited] * site_kwh[limited]).sum())


def _padded(total: Amounts) -> Amounts:
    """The same with its last column once more, so that a start at the very end has a slot after it."""
    return np.concatenate([total, total[:, -1:]], axis=1)


def bound_g(ground: Ground, prices: Prices, jobs: Ints) -> float:
    """A lower bound of what the jobs emit in any valid timetable of them, by these prices or by none."""
    from tidewatt.scheduler.planning.timetable.bound import least_g

    pausing = np.isin(jobs, np.fromiter(ground.problem.jobs.pausing, np.int64))
    whole, tariff, nothing = jobs[~pausing], Tariff(ground, prices), Tariff(ground, _none(ground))
    if len(whole) <= EACH:
        minima, alone = tariff.with_and_without(whole.tolist())
        least, free = minima.value, float(alone.sum())
    else:
        least = least_g(ground, prices, whole)
        free = float(least_g(ground, nothing.prices, whole).sum()) if len(whole) <= SOME else -np.inf
    pieces = [sum(each.in_pieces(job) for job in jobs[pausing].tolist()) for each in (tariff, nothing)]
    return max(float(least.sum()) + pieces[0] - priced_capacity(ground, prices), free + pieces[1])


def certify(problem: Problem, timetable: Timetable, prices: Prices | None = None) -> Certificate:
    """How good a timetable of a problem is; any prices that are not negative prove something."""
    from tidewatt.scheduler.planning.timetable.ground import ground_of
    from tidewatt.scheduler.planning.timetable.immediate import at_once

    ground = ground_of(problem)
    return certified(ground, timetable, prices or _none(ground), at_once(ground))


def certified(ground: Ground, timetable: Timetable, prices: Prices, first: Timetable) -> Certificate:
    """The certificate of a timetable; `first` is what starting at once would be."""
    from tidewatt.scheduler.planning.timetable.sharpening import sharpened

    placed = _in_their_hours(ground, timetable)
    cost = float(spent_g(ground, timetable, placed).sum())
    bound = bound_g(ground, sharpened(ground, prices, placed, cost), placed)
    if cost < bound <= cost + ROUNDING * abs(cost):
        bound = cost
    if not UNPROVED < bound <= cost:
        bound = UNPROVED  # a timetable that does not keep what its problem asks for
    return Certificate(
        cost_g=cost,
        bound_g=bound,
        immediate_g=float(_immediate_g(ground, first, placed).sum()),
        jobs=len(timetable.place),
        unplaced=len(timetable.place) - len(placed),
    )


def _in_their_hours(ground: Ground, timetable: Timetable) -> Ints:
    """The jobs that run between their release and their due, so that a bound holds for them."""
    jobs = np.flatnonzero(timetable.place != NOWHERE)
    place, start = timetable.place[jobs], timetable.start_ms[jobs]
    end = start + ground.durations_ms(jobs, place)
    for index in np.flatnonzero(np.isin(jobs, np.fromiter(timetable.stints, np.int64))).tolist():
        end[index] = timetable.stints[int(jobs[index])][-1][2]
    kept: Ints = jobs[(start >= ground.release_ms[jobs]) & (end <= ground.due_ms[jobs])]
    return kept


def spent_g(ground: Ground, timetable: Timetable, jobs: Ints) -> Amounts:
    """What placed jobs emit, in grams."""
    spent = ground.costs_g(jobs, timetable.place[jobs], timetable.start_ms[jobs])
    for index in np.flatnonzero(np.isin(jobs, np.fromiter(timetable.stints, np.int64))).tolist():
        job = int(jobs[index])
        delay = float(ground.problem.jobs.delay_g_per_h[job])
        waited_h = (int(timetable.start_ms[job]) - int(ground.problem.jobs.release_ms[job])) / HOUR_MS
        spent[index] = stints_grams(ground.problem, job, timetable.stints[job]) + delay * waited_h
    return spent


def _immediate_g(ground: Ground, first: Timetable, jobs: Ints) -> Amounts:
    """What jobs emit when they start at once; by home's mean if that is after the hours that are planned."""
    problem = ground.problem
    asked, menus = problem.jobs, problem.menus
    known = first.place[jobs] != NOWHERE
    found = np.zeros(len(jobs))
    found[known] = spent_g(ground, first, jobs[known])
    for index in np.flatnonzero(~known).tolist():
        job = int(jobs[index])
        menu, home = int(asked.menu[job]), int(asked.home[job])
        at = home if home != NOWHERE else int(np.flatnonzero(menus.allowed[menu])[0])
        usable = ground.open[at]
        mean = float(ground.cost[at][usable].mean()) if usable.any() else 0.0
        hours = ground.duration_ms(job, float(menus.speed[menu, at])) / HOUR_MS
        found[index] = mean * hours * float(asked.kw[job] * menus.power[menu, at])
    return found


def _none(ground: Ground) -> Prices:
    return Prices(np.zeros(ground.cost.shape), np.zeros(ground.problem.places.site_kw.shape))
