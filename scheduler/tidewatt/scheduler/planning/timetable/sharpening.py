"""Prices of few jobs, made better for the proof by exact cheapest windows, and steps towards the cost."""

import numpy as np

from tidewatt.scheduler.planning.timetable.certificate import Tariff, capacity, priced_capacity
from tidewatt.scheduler.planning.timetable.prices import usage
from tidewatt.scheduler.planning.timetable.problem import Amounts, Ints
from tidewatt.scheduler.planning.timetable.windows import Ground, Prices

LOOKS = 400  # at jobs, in all passes together
PASSES = 50  # at most
FEWEST = 12  # passes that are worth the time
NEAR = 1e-4  # a share of the cost that is proof enough
PATIENCE = 4  # passes without a better bound until steps are halved


def sharpened(ground: Ground, prices: Prices, jobs: Ints, cost_g: float) -> Prices:
    """Prices with a bound that is no lower, for few jobs; else those given.

    Steps of Polyak's length (Introduction to Optimization, 1987, section 5.3) to the cost of a timetable.
    """
    passes = min(PASSES, LOOKS // max(len(jobs), 1))
    if passes < FEWEST or not len(jobs) or np.isin(jobs, list(ground.problem.jobs.pausing)).any():
        return prices
    limits = capacity(ground)
    limited = (ground.open, np.isfinite(limits[1]))
    best, bound, length, since = prices, -np.inf, 1.0, 0
    nothing = Prices(np.zeros(prices.unit.shape), np.zeros(prices.site.shape))
    heading: list[Amounts] = [nothing.unit, nothing.site]
    for turn in range(passes):
        minima, alone = Tariff(ground, prices).with_and_without(jobs.tolist())
        if not np.isfinite(minima.value).all():
            return best
        found = float(minima.value.sum()) - priced_capacity(ground, prices)
        if turn == 0 and float(alone.sum()) > found:
            prices = best = nothing
            bound = float(alone.sum())
            if bound >= cost_g * (1 - NEAR):
                break
            continue
        since = 0 if found > bound else since + 1
        if not since:
            best, bound = prices, found
        if bound >= cost_g * (1 - NEAR):
            break
        if since == PATIENCE:
            length, since = length / 2, 0
        over = [
            np.where(known, used - np.where(known, limit, 0.0), 0.0)
            for used, limit, known in zip(usage(ground, jobs, minima), limits, limited, strict=True)
        ]
        heading = [0.5 * old + 0.5 * new if turn else new for old, new in zip(heading, over, strict=True)]
        prices = _stepped(prices, heading, length * (cost_g - found))
    return best


def _stepped(prices: Prices, heading: list[Amounts], missing_g: float) -> Prices:
    """A step that would gain so many grams if the bound went on as it begins; no price falls below 0."""
    old = (prices.unit, prices.site)
    ways = [np.where((price <= 0) & (way < 0), 0.0, way) for price, way in zip(old, heading, strict=True)]
    square = sum(float((way**2).sum()) for way in ways)
    step = missing_g / square if square > 0 else 0.0
    unit, site = (np.maximum(price + step * way, 0.0) for price, way in zip(old, ways, strict=True))
    return Prices(unit, site)
