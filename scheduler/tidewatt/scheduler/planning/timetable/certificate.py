"""The proof of how good a timetable is: no valid one can cost less than the bound.

For any prices of congestion that are not negative, the cheapest priced window of each job on its own, all
together, less the price of all capacity, is at most the cost of any timetable that keeps the capacities
(Lagrangian duality: Fisher, Management Science 27(1), 1981, section 2). Windows may start at any moment: the
cost is linear between the moments at which a start or an end meets the edge of a slot, and least at one.
"""

from collections.abc import Callable, Iterable
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


@dataclass(frozen=True, slots=True, eq=False)
class Minima:
    """The cheapest priced window of each job on its own: grams, place and start."""

    value: Amounts
    place: Ints
    start_ms: Ints


Run = Callable[[Amounts], Amounts]


class Tariff:
    """Costs and prices summed up along the slots."""

    def __init__(self, ground: Ground, prices: Prices) -> None:
        self.ground, self.prices = ground, prices
        hours = ground.slot_ms / HOUR_MS
        per_kw: Amounts = ground.cost + prices.site[ground.problem.places.site]
        self.per_kw = _padded(summed(per_kw * hours))
        self.per_unit = _padded(summed(prices.unit * hours))
        self.closed = _padded(summed((~ground.open).astype(float)))

    def cheapest(self, jobs: Iterable[int]) -> Minima:
        """The cheapest windows of some jobs, in their order; inf where a job has no window at all."""
        found = [self._cheapest(job) for job in jobs]
        value, place, start = zip(*found, strict=True) if found else ((), (), ())
        return Minima(np.array(value, float), np.array(place, np.int64), np.array(start, np.int64))

    def in_pieces(self, job: int) -> float:
        """A lower bound for a job with pauses: its work in the cheapest slots, as if pausing cost nothing."""
        ground, asked = self.ground, self.ground.problem.jobs
        menus, menu, slot = ground.problem.menus, int(asked.menu[job]), ground.slot_ms
        rows = np.flatnonzero(menus.allowed[menu])
        low = max(int(asked.release_ms[job]) - ground.origin_ms, 0) // slot
        high = -(-min(int(asked.due_ms[job]) - ground.origin_ms, ground.slots * slot) // slot)
        inside = slice(low, max(high, low))
        speed = menus.speed[menu, rows][:, None]
        kw = float(asked.kw[job]) * menus.power[menu, rows][:, None]
        rate = kw * np.diff(self.per_kw[rows, : ground.slots + 1], axis=1)[:, inside]
        rate = (
            rate
            + float(asked.units[job]) * np.diff(self.per_unit[rows, : ground.slots + 1], axis=1)[:, inside]
        )
        free = rate + min(0.0, float(rate.min(initial=0.0)))  # whatever else it draws where that is a gain
        per_work = np.where(ground.open[rows, inside], free / speed, np.inf)  # per slot of work at speed 1
        if asked.pausing[job].moves:
            per_work, speed = per_work.min(axis=0, keepdims=True), speed.max(axis=0, keepdims=True)
        need = float(asked.work_ms[job]) / slot
        return min(
            (_in_cheapest(row, need, float(fast)) for row, fast in zip(per_work, speed[:, 0], strict=True)),
            default=0.0,
        )

    def _cheapest(self, job: int) -> tuple[float, int, int]:
        ground = self.ground
        jobs = ground.problem.jobs
        low, high = int(ground.release_ms[job]), int(ground.due_ms[job])
        best = (np.inf, NOWHERE, 0)
        for choice in ground.choices[jobs.menu[job]]:
            if not ground.away[job]:
                best = min(best, self._among(job, choice, choice.rows >= 0, low, high))
                continue
            away = ground.moved_away(np.array([job]), choice.rows)
            arrival = max(low, int(jobs.release_ms[job] + jobs.moved_ms[job]))
            there = self._among(job, choice, away, arrival, high)
            moved = (there[0] + float(jobs.moved_g[job]), *there[1:])
            best = min(best, moved, self._among(job, choice, ~away, low, high))
        return best

    def _among(self, job: int, choice: Choice, keep: Flags, low: int, high: int) -> tuple[float, int, int]:
        """The cheapest over some rows of a choice of the windows from `low` to `high`."""
        ground = self.ground
        duration = ground.duration_ms(job, choice.speed)
        if high - low < duration or not keep.any():
            return np.inf, NOWHERE, 0
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
        value = np.concatenate(values, axis=1)
        if delay:
            value += delay * (start - ground.problem.jobs.release_ms[job])
        row, step = divmod(int(value.argmin()), value.shape[1])
        return float(value[row, step]), int(rows[row]), int(start[step])

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
        value[self.closed[rows, after if part else end] > self.closed[rows, at]] = np.inf
        return value

    def _to_edges(self, job: int, rows: Ints, power: Amounts, at: slice, whole: int, part: float) -> Amounts:
        """The same of windows that end on the edges `at`."""
        start = slice(at.start - whole - 1, at.stop - whole - 1)
        after = slice(start.start + 1, start.stop + 1)

        def run(total: Amounts) -> Amounts:
            since = total[rows, after]
            return np.asarray(total[rows, at] - since + part * (since - total[rows, start]))

        value = self._weighed(job, power, run)
        value[self.closed[rows, at] > self.closed[rows, start]] = np.inf
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
        value[self.closed[column, b + (past_b > 0)] > self.closed[column, a]] = np.inf
        return value

    def _weighed(self, job: int, power: Amounts, run: Run) -> Amounts:
        jobs = self.ground.problem.jobs
        value = run(self.per_kw) * (float(jobs.kw[job]) * power)
        if self.prices.unit.any():
            value += float(jobs.units[job]) * run(self.per_unit)
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
    """A lower bound of what the jobs emit in any valid timetable of them."""
    from tidewatt.scheduler.planning.timetable.bound import least_g

    pausing = np.isin(jobs, np.fromiter(ground.problem.jobs.pausing, np.int64))
    whole, tariff = jobs[~pausing], Tariff(ground, prices)
    few = len(whole) <= EACH
    least = tariff.cheapest(whole.tolist()).value if few else least_g(ground, prices, whole)
    pieces = sum(tariff.in_pieces(job) for job in jobs[pausing].tolist())
    return float(least.sum()) + pieces - priced_capacity(ground, prices)


def certify(problem: Problem, timetable: Timetable, prices: Prices | None = None) -> Certificate:
    """How good a timetable of a problem is; any prices that are not negative prove something."""
    from tidewatt.scheduler.planning.timetable.ground import ground_of
    from tidewatt.scheduler.planning.timetable.immediate import at_once

    ground = ground_of(problem)
    return certified(ground, timetable, prices or _none(ground), at_once(ground))


def certified(ground: Ground, timetable: Timetable, prices: Prices, first: Timetable) -> Certificate:
    """The certificate of a timetable; `first` is what starting at once would be."""
    placed = np.flatnonzero(timetable.place != NOWHERE)
    cost = float(spent_g(ground, timetable, placed).sum())
    bound = bound_g(ground, prices, placed)
    if cost < bound <= cost * (1 + 1e-9):
        bound = cost  # a rounding of the last digits
    return Certificate(
        cost_g=cost,
        bound_g=bound,
        immediate_g=float(_immediate_g(ground, first, placed).sum()),
        jobs=len(timetable.place),
        unplaced=len(timetable.place) - len(placed),
    )


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
