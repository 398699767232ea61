"""Prices of congestion: what a unit costs where and when more jobs would like to run than can."""

from collections.abc import Callable

import numpy as np

from tidewatt.scheduler.planning.timetable.certificate import Minima, Tariff, capacity, priced_capacity
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Ints
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, Ground, Prices


def free_of_charge(ground: Ground) -> Prices:
    """No prices at all."""
    return Prices(np.zeros(ground.cost.shape), np.zeros(ground.problem.places.site_kw.shape))


def usage(ground: Ground, jobs: Ints, minima: Minima) -> tuple[Amounts, Amounts]:
    """Unit hours of each place and kWh of each site, by slot, that windows use together."""
    problem = ground.problem
    some = minima.place != NOWHERE
    jobs, place, start = jobs[some], minima.place[some], minima.start_ms[some]
    end = start + ground.durations_ms(jobs, place)
    kw = problem.jobs.kw[jobs] * problem.menus.power[problem.jobs.menu[jobs], place]
    units = _overlap(ground, place, start, end, problem.jobs.units[jobs].astype(float), len(ground.cost))
    site = problem.places.site[place]
    return units, _overlap(ground, site, start, end, kw, len(problem.places.site_kw))


def _overlap(ground: Ground, row: Ints, start: Ints, end: Ints, weight: Amounts, rows: int) -> Amounts:
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


def found_prices(ground: Ground, stop: Callable[[], bool], passes: int = 60) -> Prices:
    """The prices with the best bound that was found, by Polyak's steps towards a target above it."""
    jobs = np.arange(len(ground.release_ms))
    units_h, site_kwh = capacity(ground)
    priced = np.isfinite(site_kwh)
    site_kwh = np.where(priced, site_kwh, 0.0)
    prices = best = free_of_charge(ground)
    bound, above = -np.inf, 0.05
    for _ in range(passes):
        minima = Tariff(ground, prices).cheapest(jobs.tolist())
        value = float(minima.value[np.isfinite(minima.value)].sum()) - priced_capacity(ground, prices)
        if value > bound:
            best, bound = prices, value
        else:
            above *= 0.85
        units, kwh = usage(ground, jobs, minima)
        up, up_site = units - units_h, (kwh - site_kwh) * priced
        up[(up < 0) & (prices.unit <= 0)] = 0.0
        up_site[(up_site < 0) & (prices.site <= 0)] = 0.0
        steep = float((up**2).sum() + (up_site**2).sum())
        if steep <= 0 or stop():
            break
        step = (bound * (1 + above) - value) / steep
        prices = Prices(
            np.maximum(prices.unit + step * up, 0.0), np.maximum(prices.site + step * up_site, 0.0)
        )
    return best
