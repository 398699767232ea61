"""The exact cleanest start of one job.

With piecewise-constant intensity the emissions of a window of fixed length are a piecewise-linear function of
its start, and so are price and delay. Such a function has its minimum at one of its corners, and those are
the starts at which the window starts or ends at a step's border, and the borders of the free stretches: only
these are searched. Where the job's draw changes while it runs, each change is a border of the window too.
Where a second signal may not get worse, the starts at which it is just as bad are corners too.
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from tidewatt.scheduler.planning.capacity import Stretch
from tidewatt.scheduler.planning.choice import (
    ABSOLUTE,
    TIE,
    Choice,
    Option,
    Scale,
    choice_at,
    earliest,
    inverse,
    most,
)
from tidewatt.scheduler.planning.corners import Corners, corners
from tidewatt.scheduler.planning.draw import corners_of
from tidewatt.scheduler.planning.instants import FAR_MS
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR, Amounts, CostCurve, Times

__all__ = ["TIE", "Choice", "Option", "Scale", "best_start", "choice_at", "earliest"]


def best_start(
    options: Sequence[Option],
    min_wait_ms: int = 0,
    *,
    margin_ms: int = 0,
    scale: Scale = ABSOLUTE,
    within_ms: int = FAR_MS,
) -> Choice | None:
    """The cleanest start within what the options' terms and curves cover, `margin_ms` early; None: no such.

    Windows whose weights differ by less than 1e-9 are equal: then the earliest, then home, then the first.
    A start less than `min_wait_ms` after the option's first one is not considered, but that first one is; nor
    is one more than `within_ms` after it.
    """
    waits = min_wait_ms, within_ms
    priced = []
    for option in options:
        if option.curve is None:
            continue
        starts, weights = _priced(option, option.curve, waits, margin_ms, scale)
        lowest = float(weights.min(initial=np.inf))
        if isfinite(lowest):  # numbers beyond all bounds say nothing
            priced.append((option, starts, weights, lowest))
    if not priced:
        return None
    least = min(lowest for *_, lowest in priced)
    equal = least + abs(least) * TIE + max(_noise(option, scale) for option, *_ in priced)
    ties = [
        choice_at(option, int(starts[weights <= equal].min()))
        for option, starts, weights, lowest in priced
        if lowest <= equal
    ]
    return earliest(ties)


def _priced(
    option: Option, curve: CostCurve, waits: Stretch, margin_ms: int, scale: Scale
) -> tuple[Times, Amounts]:
    """The starts worth pricing, in any order, and what `weight` says of each; inf where not `bearable`."""
    second = option.second if scale.second is not None and option.binds else None
    ranges = _ranges(option, (curve,) if second is None else (curve, second), waits, margin_ms)
    if not ranges:
        return np.empty(0, np.int64), np.empty(0)
    low, high = ranges[0][0], ranges[-1][1]
    borders = [border for each in ranges for border in each]
    borders += _price_changes(option, ranges)
    starts, cost = _corners(option, curve, low, high, borders)
    if option.factor != 1.0 or option.moved_g:
        cost = option.factor * cost + option.moved_g
    other = None
    if second is not None:
        theirs, other = _corners(option, second, low, high, borders)
        other = option.factor * other + option.moved_second_g
        starts, cost, other = _by_both(option, curve, second, (starts, cost), (theirs, other), scale)
    if len(ranges) > 1:
        lows, highs = np.array(ranges, np.int64).T
        within = starts <= highs[lows.searchsorted(starts, "right") - 1]
        starts, cost = starts[within], cost[within]
        other = None if other is None else other[within]
    return starts, _weights(option, starts, cost, other, scale)


def _price_changes(option: Option, ranges: Sequence[Stretch]) -> list[int]:
    """The starts in the ranges at which a run starts or ends where the price of electricity changes."""
    if option.money is None or not option.g_per_price:
        return []
    edges = option.money.edges_ms
    both = np.concatenate((edges, edges - option.duration_ms))
    return [at for low, high in ranges for at in both[(both >= low) & (both <= high)].tolist()]


def _corners(option: Option, curve: CostCurve, low: int, high: int, borders: Sequence[int]) -> Corners:
    if option.steps:
        return corners_of(curve, low, high, option.duration_ms, borders, option.steps)
    return corners(curve, low, high, option.duration_ms, borders)


def _by_both(
    option: Option, curve: CostCurve, second: CostCurve, own: Corners, theirs: Corners, scale: Scale
) -> tuple[Times, Amounts, Amounts]:
    """The corners by both signals, and where each is just as bad as the reference's; grams by each there."""

    def by_own(starts: Times) -> Amounts:
        return option.factor * option.integral(curve, starts) + option.moved_g

    def by_second(starts: Times) -> Amounts:
        return option.factor * option.integral(second, starts) + option.moved_second_g

    starts, cost = own
    if np.array_equal(starts, theirs[0]):
        other = theirs[1]
    else:
        other = np.concatenate((by_second(starts), theirs[1]))
        cost = np.concatenate((cost, by_own(theirs[0])))
        starts = np.concatenate((starts, theirs[0]))
    order = starts.argsort(kind="stable")
    starts, cost, other = starts[order], cost[order], other[order]
    crossed = _crossings(starts, cost - scale.first), _crossings(starts, other - (scale.second or 0.0))
    between = np.concatenate(crossed)
    if not between.size:
        return starts, cost, other
    return (
        np.concatenate((starts, between)),
        np.concatenate((cost, by_own(between))),
        np.concatenate((other, by_second(between))),
    )


def _weights(option: Option, starts: Times, cost: Amounts, other: Amounts | None, scale: Scale) -> Amounts:
    own = cost
    if option.g_per_price or option.delay_g_per_h:
        later_ms = starts + (option.duration_ms - option.delay_from_ms)
        money_g = option.g_per_price * option.prices_at(starts) if option.g_per_price else 0.0
        own = own + money_g + option.delay_g_per_h * later_ms / MS_PER_HOUR
    if scale.second is None:
        return own
    fit = cost <= most(scale.first) + _noise(option, ABSOLUTE)
    if other is None:
        return np.where(fit, 2 * own * inverse(scale.first), np.inf)
    noise = 0.0 if option.second is None else option.rough * option.second.noise
    fit &= other <= most(scale.second) + noise
    both = own * inverse(scale.first) + (other + (own - cost)) * inverse(scale.second)
    return np.where(fit, both, np.inf)


def _noise(option: Option, scale: Scale) -> float:
    assert option.curve is not None  # noqa: S101 - only options with a curve are priced
    noise = option.rough * option.curve.noise
    return noise if scale.second is None else 2 * noise * inverse(scale.first)


def _crossings(starts: Times, above: Amounts) -> Times:
    """The whole milliseconds around each start at which what is `above` the limit changes its sign."""
    at = np.flatnonzero((above[:-1] < 0) != (above[1:] < 0))
    left, right = above[at], above[at + 1]
    share = left / np.where(left == right, 1.0, left - right)
    crossing = starts[at] + np.clip(share, 0.0, 1.0) * (starts[at + 1] - starts[at])
    found: Times = np.concatenate((np.floor(crossing), np.ceil(crossing))).astype(np.int64)
    return found


def _ranges(option: Option, curves: Sequence[CostCurve], waits: Stretch, margin_ms: int) -> list[Stretch]:
    """Closed ranges of allowed starts within the free stretches and the curves, disjoint and ascending."""
    first = option.first_ms
    if first is None or option.shift_ms is None:
        return []
    known_from = max(curve.start_ms for curve in curves)
    known_to = min(curve.end_ms for curve in curves) - option.duration_ms
    min_wait_ms, within_ms = waits
    known_to = min(known_to, option.shift_ms - margin_ms, first + within_ms)
    ranges: list[Stretch] = []
    for start, end in option.free:
        low, high = max(start, known_from), min(end - option.duration_ms, known_to)
        if low <= first <= high and min_wait_ms:
            ranges.append((first, first))
        low = max(low, first + min_wait_ms)
        if low <= high:
            ranges.append((low, high))
    return _merged(ranges) if len(ranges) > 1 else ranges


def _merged(ranges: list[Stretch]) -> list[Stretch]:
    """The ranges without overlaps: those of different nodes may have some."""
    merged: list[Stretch] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return merged
