"""Prices of congestion: what a unit costs where and when more jobs would like to run than can.

They start as a bath that is filled with the whole demand: places are dear in the hours in which they are
cleaner than the level that the demand reaches. Then jobs choose again and again on their own, and prices
rise where too many do (subgradient steps as of Polyak, Introduction to Optimization, 1987, section 5.3, each
cell's in proportion to its overload, averaged over steps, and shorter whenever the bound did not rise).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.certificate import Minima, capacity, priced_capacity
from tidewatt.scheduler.planning.timetable.minima import Lots
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Ints
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, Ground, Prices, summed

PASSES = 30
FEW_PASSES, FEW, MANY = 20, 150, 3000  # with so many jobs a pass takes long for what it gives
MANY_PASSES = 50  # with more: of a sample
SAMPLE, PART = 7000, 0.12  # jobs that are asked in each pass: so many, or this share of all if that is more
LONGER, HUNGRIER = 1.4, 1.5  # within which factors jobs are priced as alike
MUCH_LONGER = 2.0  # the same where there are many
STEP = 0.1  # of the water level, where a cell is used twice over
OVERLOAD = 2.0  # at which a step is longest
RISE, FALL = 1.25, 0.6  # of the step where the bound rose above all before, or did not
PATIENCE = 3  # passes without a better bound until the best prices are tried again, with shorter steps
LEVELS = 65
POOL_H = 12  # before and after an hour that share one level


def free_of_charge(ground: Ground) -> Prices:
    """No prices at all."""
    return Prices(np.zeros(ground.cost.shape), np.zeros(ground.problem.places.site_kw.shape))


def found_prices(ground: Ground, random: np.random.Generator, stop: Callable[[], bool]) -> Prices:
    """The prices with the best bound that was found in a few passes."""
    jobs = np.flatnonzero(ground.due_ms - ground.release_ms >= ground.shortest_ms)
    if not len(jobs):
        return free_of_charge(ground)
    asked = min(len(jobs), max(SAMPLE, round(PART * len(jobs))))
    share = len(jobs) / asked
    longer = LONGER if len(jobs) <= MANY else MUCH_LONGER
    if asked < len(jobs):
        jobs = np.sort(random.choice(jobs, asked, replace=False))
    market = _Market(ground, Lots(ground, jobs, longer, HUNGRIER), share)
    return market.settle(*filled(ground), stop)


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """What one pass of choosing showed: the bound, and where more or less than the capacity was used."""

    bound: float
    unit: Amounts
    site: Amounts


class _Market:
    """Jobs that choose, and prices that answer."""

    def __init__(self, ground: Ground, lots: Lots, share: float) -> None:
        self.ground, self.lots, self.share = ground, lots, share
        self.units_h, site_kwh = capacity(ground)
        self.limited = np.isfinite(site_kwh)
        self.site_kwh = np.where(self.limited, site_kwh, 0.0)

    def settle(self, prices: Prices, scale: float, stop: Callable[[], bool]) -> Prices:
        """Prices after some passes, the best that there were."""
        best, bound, step, since = prices, -np.inf, STEP, 0
        at_best: _Step | None = None
        unit, site = np.zeros(prices.unit.shape), np.zeros(prices.site.shape)
        per_kwh = scale / max(self._draw(), 1e-9)
        n = len(self.lots.jobs)
        some = PASSES if n <= FEW else FEW_PASSES if n <= MANY else MANY_PASSES
        for turn in range(some):
            found = self._asked(prices)
            since = 0 if found.bound > bound else since + 1
            step *= FALL if since else RISE
            if not since:
                best, bound = prices, found.bound
                at_best = found
            elif since == PATIENCE and at_best is not None:
                prices, found, since = best, at_best, 0
                unit, site = found.unit, found.site
            keep = 0.5 if turn else 0.0
            unit, site = keep * unit + (1 - keep) * found.unit, keep * site + (1 - keep) * found.site
            if stop() or not (
                found.unit.max(initial=0) > 0 or found.site.max(initial=0) > 0 or prices.unit.any()
            ):
                break
            prices = Prices(
                np.maximum(prices.unit + step * scale * unit, 0.0),
                np.maximum(prices.site + step * per_kwh * site, 0.0),
            )
        return best

    def _asked(self, prices: Prices) -> _Step:
        minima = self.lots.cheapest(prices)
        some = np.isfinite(minima.value)
        units, kwh = usage(self.ground, self.lots.jobs, minima)
        bound = self.share * float(minima.value[some].sum()) - priced_capacity(self.ground, prices)
        unit = (self.share * units - self.units_h) / np.maximum(self.units_h, 1e-3)
        site = (self.share * kwh - self.site_kwh) / np.maximum(self.site_kwh, 1e-3) * self.limited
        return _Step(bound, np.clip(unit, -1.0, OVERLOAD), np.clip(site, -1.0, OVERLOAD))

    def _draw(self) -> float:
        """The mean draw of a unit: kW."""
        jobs, which = self.ground.problem.jobs, self.lots.jobs
        return float(jobs.kw[which].sum() / max(float(jobs.units[which].sum()), 1.0))


def filled(ground: Ground) -> tuple[Prices, float]:
    """Prices by the level that the demand reaches if clean hours fill first, and the usual level per unit."""
    jobs = ground.problem.jobs
    units_h, _ = capacity(ground)
    span_h = np.maximum(ground.due_ms - ground.release_ms, ground.shortest_ms) / HOUR_MS
    unit_h = jobs.units * ground.shortest_ms / HOUR_MS
    one = np.zeros(len(span_h), np.int64)
    until = np.maximum(ground.due_ms, ground.release_ms)
    demand = overlap(ground, one, ground.release_ms, until, unit_h / np.maximum(span_h, 1e-9), 1)[0]
    levels = (
        np.quantile(ground.cost[ground.open], np.linspace(0, 1, LEVELS)) if ground.open.any() else np.zeros(1)
    )
    below = np.stack([(units_h * (ground.cost <= level)).sum(axis=0) for level in levels])
    pool = max(1, round(POOL_H * HOUR_MS / ground.slot_ms))
    enough = _pooled(below, pool) >= _pooled(demand[None, :], pool)
    reached = levels[np.where(enough.any(axis=0), enough.argmax(axis=0), len(levels) - 1)]
    kw = float((jobs.kw * jobs.work_ms).sum() / max(float((jobs.units * jobs.work_ms).sum()), 1e-9))
    prices = Prices(kw * np.maximum(reached - ground.cost, 0.0) * ground.open, free_of_charge(ground).site)
    return prices, kw * max(float(np.median(np.abs(reached))), 1e-9)


def _pooled(rows: Amounts, reach: int) -> Amounts:
    """Sums over each column and `reach` columns before and after it."""
    total, columns = summed(rows), np.arange(rows.shape[1])
    after = total[:, np.minimum(columns + reach + 1, rows.shape[1])]
    return np.asarray(after - total[:, np.maximum(columns - reach, 0)])


def usage(ground: Ground, jobs: Ints, minima: Minima) -> tuple[Amounts, Amounts]:
    """Unit hours of each place and kWh of each site, by slot, that windows use together."""
    problem = ground.problem
    some = minima.place != NOWHERE
    jobs, place, start = jobs[some], minima.place[some], minima.start_ms[some]
    end = np.minimum(start + ground.durations_ms(jobs, place), ground.last_ms)
    kw = problem.jobs.kw[jobs] * problem.menus.power[problem.jobs.menu[jobs], place]
    units = overlap(ground, place, start, end, problem.jobs.units[jobs].astype(float), len(ground.cost))
    if not ground.limited.any():
        return units, np.zeros(problem.places.site_kw.shape)
    site = problem.places.site[place]
    return units, overlap(ground, site, start, end, kw, len(problem.places.site_kw))


def overlap(ground: Ground, row: Ints, start: Ints, end: Ints, weight: Amounts, rows: int) -> Amounts:
    """Weighted hours of windows in each slot, (rows, T)."""
    columns = ground.slots + 2
    steps = np.zeros(rows * columns)
    for at, sign in ((start, weight), (end, -weight)):
        slot, past = np.divmod(at - ground.origin_ms, ground.slot_ms)
        share = past / ground.slot_ms
        where = row * columns + slot
        steps += np.bincount(where, sign * (1 - share), len(steps))
        steps += np.bincount(where + 1, sign * share, len(steps))
    hours = ground.slot_ms / HOUR_MS
    return np.asarray(np.cumsum(steps.reshape(rows, columns), axis=1)[:, : ground.slots] * hours)
