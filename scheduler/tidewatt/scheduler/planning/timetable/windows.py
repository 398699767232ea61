"""The ground that jobs are placed on: time cut into fine cells, costs summed up along it, choices by menu."""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Flags, Ints, Problem

HOUR_MS = 3_600_000
CELL_MS = 300_000  # how finely the use of places is kept, where slots are longer
FINE_MS = 60_000  # the same for small queues
TIE = 1e-9  # differences that are none
SMALL = 150  # up to so many jobs are a small queue


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Places of one menu where the work takes equally long; `power` is (R, 1), one row a place."""

    rows: Ints
    speed: float
    power: Amounts
    plain: bool  # power is 1 everywhere


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """What congestion costs: grams per unit and hour of a place, and per kWh of a site, both by slot."""

    unit: Amounts  # (P, T)
    site: Amounts  # (S, T)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Running totals over cells that windows are priced with: per kW (P, N+1), and per unit or None."""

    per_kw: Amounts
    per_unit: Amounts | None


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A problem digested for placing.

    Cells are `cell_ms` long and counted from `origin_ms`; the first one may begin before `first_ms`, when
    time begins. `per_slot` cells make a slot. Releases and dues are tightened along `before`.
    """

    problem: Problem
    origin_ms: int
    cell_ms: int
    cells: int
    per_slot: int
    first_ms: int
    last_ms: int
    cost: Amounts  # (P, T) grams per kWh, 0 where not known
    open: Flags  # (P, T) the cost is known and there is at least a unit
    total: Amounts  # (P, N+1) gram-hours per kWh summed up to the edge of each cell
    choices: tuple[tuple[Choice, ...], ...]  # by menu
    regions: Ints  # (P,) a number for each region
    release_ms: Ints
    due_ms: Ints
    shortest_ms: Ints  # (n,) the duration where it is fastest
    rank: Ints  # (n,) how many steps along `before` come earlier
    away: Flags  # (n,) whether being in another region than home's makes a difference
    limited: Flags  # (S,) whether a site's power is limited anywhere
    reference_g: Amounts  # (n,) by the second signal, of starting at home as soon as it fits; inf: not bound
    second: Amounts | None  # (P, N+1) running totals of the second signal, 0 where not known
    dark: Ints  # (P, N+1) how many cells so far lack the second signal

    @property
    def slots(self) -> int:
        return int(self.cost.shape[1])

    @property
    def slot_ms(self) -> int:
        return self.cell_ms * self.per_slot

    def duration_ms(self, job: int, speed: float) -> int:
        """How long the job runs where the work goes `speed` times as fast."""
        work = int(self.problem.jobs.work_ms[job])
        return work if speed == 1.0 else max(1, int(np.ceil(work / speed - 1e-6)))

    def edge_ms(self, cell: int) -> int:
        """When a cell begins."""
        return self.origin_ms + cell * self.cell_ms

    def open_throughout(self, place: int, start: int, end: int) -> bool:
        """Whether a place can be used in all of the cells from `start` to `end`."""
        return bool(self.open[place, start // self.per_slot : -(-end // self.per_slot)].all())

    def no_worse(self, job: int, place: int, start_ms: int) -> bool:
        """Whether a window is not worse by the second signal than the reference, where both are known."""
        if self.second is None or not np.isfinite(self.reference_g[job]):
            return True
        which, at, start = np.array([job]), np.array([place]), np.array([start_ms])
        end = start + self.durations_ms(which, at)
        a = (int(start[0]) - self.origin_ms) // self.cell_ms
        b = -((self.origin_ms - int(end[0])) // self.cell_ms)
        if self.dark[place, b] > self.dark[place, a]:
            return True
        jobs, menus = self.problem.jobs, self.problem.menus
        kw = float(jobs.kw[job] * menus.power[jobs.menu[job], place])
        return float(self.integral(self.second, at, start, end)[0]) * kw <= self.allowed_g(job)

    def allowed_g(self, job: int) -> float:
        """What a job may at most emit by the second signal."""
        return float(self.reference_g[job]) * (1 + TIE) + TIE

    def running_total(self, values: Amounts) -> Amounts:
        """Sums up (rows, T) values per hour along the cells: (rows, N+1)."""
        return summed(np.repeat(values, self.per_slot, axis=1) * (self.cell_ms / HOUR_MS))

    def sheet(self, prices: Prices | None) -> Sheet:
        """The totals to price windows with; without prices the costs themselves."""
        if prices is None:
            return Sheet(self.total, None)
        per_kw = self.total
        if self.limited.any() and prices.site.any():
            per_kw = per_kw + self.running_total(prices.site)[self.problem.places.site]
        return Sheet(per_kw, self.running_total(prices.unit) if prices.unit.any() else None)

    def between(self, total: Amounts, place: int, start_ms: int, end_ms: int) -> float:
        """The integral over one window, as `integral` does it for many."""
        row = total[place]
        a, past_a = divmod(start_ms - self.origin_ms, self.cell_ms)
        b, past_b = divmod(end_ms - self.origin_ms, self.cell_ms)
        low, high = float(row[a]), float(row[b])
        if past_a:
            low += past_a / self.cell_ms * (float(row[a + 1]) - low)
        if past_b:
            high += past_b / self.cell_ms * (float(row[b + 1]) - high)
        return high - low

    def integral(self, total: Amounts, place: Ints, start_ms: Ints, end_ms: Ints) -> Amounts:
        """Integrals over windows, exact within cells; `total` as of `running_total`."""
        return self._at(total, place, end_ms) - self._at(total, place, start_ms)

    def _at(self, total: Amounts, place: Ints, at_ms: Ints) -> Amounts:
        x = (at_ms - self.origin_ms) / self.cell_ms
        cell = np.clip(np.floor(x).astype(np.int64), 0, self.cells - 1)
        low = total[place, cell]
        return np.asarray(low + (x - cell) * (total[place, cell + 1] - low))

    def costs_g(self, jobs: Ints, place: Ints, start_ms: Ints) -> Amounts:
        """Grams of running jobs in one piece: carbon, transfer and delay."""
        asked, menus = self.problem.jobs, self.problem.menus
        menu = asked.menu[jobs]
        end_ms = start_ms + self.durations_ms(jobs, place)
        run = self.integral(self.total, place, start_ms, end_ms) * asked.kw[jobs] * menus.power[menu, place]
        late_h = (start_ms - asked.release_ms[jobs]) / HOUR_MS
        return np.asarray(
            run + self.moved_away(jobs, place) * asked.moved_g[jobs] + asked.delay_g_per_h[jobs] * late_h
        )

    def durations_ms(self, jobs: Ints, place: Ints) -> Ints:
        """How long jobs run at places."""
        speed = self.problem.menus.speed[self.problem.jobs.menu[jobs], place]
        return np.maximum(np.ceil(self.problem.jobs.work_ms[jobs] / speed - 1e-6), 1).astype(np.int64)

    def moved_away(self, jobs: Ints, place: Ints) -> Flags:
        """Whether a place is in another region than the job's home."""
        home = self.problem.jobs.home[jobs]
        return np.asarray((home != NOWHERE) & (self.regions[place] != self.regions[home]))


def summed(values: Amounts) -> Amounts:
    """Running totals along rows, from 0 on: one column more."""
    total = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=total[:, 1:])
    return total
