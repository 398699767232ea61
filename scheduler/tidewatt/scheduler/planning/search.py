"""The exact cleanest start of one job.

With piecewise-constant intensity the emissions of a window of fixed length are a piecewise-linear function
of its start, and so are price and delay. Such a function has its minimum at one of its corners, and those are
the starts at which the window starts or ends at a step's border, and the borders of the free stretches: only
these are searched. Where a second signal may not get worse, the starts at which it is just as bad are corners
too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from tidewatt.scheduler.planning.capacity import Stretch
from tidewatt.scheduler.planning.corners import corners
from tidewatt.scheduler.planning.instants import FAR_MS
from tidewatt.scheduler.planning.intensity import MS_PER_HOUR, Amounts, CostCurve, Times

TIE = 1e-9  # relative: windows that differ by less are equally clean


@dataclass(frozen=True, slots=True)
class Option:
    """One pool of one region in which a job could run, with the stretches in which it is free there.

    `free` is ascending by start, in Unix milliseconds, from the earliest start on. An option that is not
    `allowed` is only what others are compared with. Of `latest_ms`, `last_ms` and `shift_ms` see `Terms`.
    Grams, prices and delays are per kW that the job draws at power 1: `moved_g` (by the signal of `curve`)
    and `moved_second_g` are of bringing its data here, `price` is of electricity and data in the operator's
    currency, `price_g` its weight in grams, `delay_g_per_h` that of an hour. `second` is the other signal
    where it is known, and `binds` where it may not get worse.
    """

    region: str
    pool: str
    curve: CostCurve | None
    pue: float
    free: Sequence[Stretch]
    home: bool = False
    allowed: bool = True
    duration_ms: int = 0
    latest_ms: int | None = None
    last_ms: int | None = None
    shift_ms: int | None = None
    first_ms: int | None = None  # the first instant from which the job could run to its end
    speed: float = 1.0
    power: float = 1.0
    second: CostCurve | None = None
    binds: bool = False
    moved_g: float = 0.0
    moved_second_g: float = 0.0
    price: float = 0.0
    price_g: float = 0.0
    delay_g_per_h: float = 0.0
    delay_from_ms: int = 0  # the same for all options of a job

    @property
    def factor(self) -> float:
        """What the job draws here, PUE included, for each kW at power 1."""
        return self.pue * self.power

    def turned(self) -> "Option":
        """The option with its signals the other way round."""
        return replace(
            self,
            curve=self.second,
            second=self.curve,
            moved_g=self.moved_second_g,
            moved_second_g=self.moved_g,
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A start in an option; grams per kW of draw, PUE and moved data included; None: not known.

    `cost` is by the option's own signal, `second` by the other one. `extra` is what price and delay weigh.
    """

    option: Option
    start_ms: int
    cost: float | None = None
    second: float | None = None
    extra: float = 0.0

    @property
    def end_ms(self) -> int:
        """When the job would be done."""
        return self.start_ms + self.option.duration_ms


@dataclass(frozen=True, slots=True)
class Scale:
    """The reference's grams per kW by each signal, to weigh others by; `second` None: one decides."""

    first: float
    second: float | None


ABSOLUTE = Scale(0.0, None)


def first_start(free: Sequence[Stretch], duration_ms: int) -> int | None:
    """The first instant from which the job could run to its end."""
    return next((start for start, end in free if end - start >= duration_ms), None)


def choice_at(option: Option, start_ms: int, duration_ms: int | None = None) -> Choice:
    """The choice of one given start."""
    end_ms = start_ms + (option.duration_ms if duration_ms is None else duration_ms)
    curve, second = option.curve, option.second
    if curve is None or not curve.covers(start_ms, end_ms):
        return Choice(option, start_ms)
    cost = option.factor * curve.grams_per_kw(start_ms, end_ms) + option.moved_g
    other = None
    if second is not None and second.covers(start_ms, end_ms):
        other = option.factor * second.grams_per_kw(start_ms, end_ms) + option.moved_second_g
    extra = option.price_g + option.delay_g_per_h * (end_ms - option.delay_from_ms) / MS_PER_HOUR
    return Choice(option, start_ms, cost, other, extra)


def earliest(choices: Sequence[Choice]) -> Choice:
    """The first to start of at least one; at the same instant home, then who ends first, then as given."""
    return min(choices, key=lambda choice: (choice.start_ms, not choice.option.home, choice.end_ms))


def soonest(choices: Sequence[Choice]) -> Choice:
    """The first to end of at least one; at the same instant the first to start, then home."""
    return min(choices, key=lambda choice: (choice.end_ms, choice.start_ms, not choice.option.home))


def weight(choice: Choice, scale: Scale) -> float:
    """What is least for the best choice: grams per kW, or costs relative to the reference by both signals."""
    assert choice.cost is not None  # noqa: S101 - only choices whose costs are known are compared
    own = choice.cost + choice.extra
    if scale.second is None:
        return own
    if choice.second is None or not choice.option.binds:
        return 2 * own * _inverse(scale.first)
    return own * _inverse(scale.first) + (choice.second + choice.extra) * _inverse(scale.second)


def bearable(choice: Choice, scale: Scale) -> bool:
    """True where neither signal is worse than the reference's, or only one decides."""
    if scale.second is None:
        return True
    assert choice.cost is not None  # noqa: S101 - as above
    worse = choice.option.binds and choice.second is not None and choice.second > _most(scale.second)
    return choice.cost <= _most(scale.first) and not worse


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
    curves = (curve,) if second is None else (curve, second)
    ranges = _ranges(option, curves, waits, margin_ms)
    if not ranges:
        return np.empty(0, np.int64), np.empty(0)
    low, high = ranges[0][0], ranges[-1][1]
    borders = [border for each in ranges for border in each]
    starts, cost = corners(curve, low, high, option.duration_ms, borders)
    if second is not None:
        points = np.concatenate((starts, corners(second, low, high, option.duration_ms)[0]))
        points.sort()
        starts = np.concatenate((points, _crossings(option, curves, points, scale)))
        cost = curve.integral(starts, starts + option.duration_ms)
    if len(ranges) > 1:
        lows, highs = np.array(ranges, np.int64).T
        within = starts <= highs[lows.searchsorted(starts, "right") - 1]
        starts, cost = starts[within], cost[within]
    if option.factor != 1.0 or option.moved_g:
        cost = option.factor * cost + option.moved_g
    return starts, _weights(option, second, starts, cost, scale)


def _weights(option: Option, second: CostCurve | None, starts: Times, cost: Amounts, scale: Scale) -> Amounts:
    ends = starts + option.duration_ms
    own = cost
    if option.price_g or option.delay_g_per_h:
        own = own + option.price_g + option.delay_g_per_h * (ends - option.delay_from_ms) / MS_PER_HOUR
    if scale.second is None:
        return own
    fit = cost <= _most(scale.first) + _noise(option, ABSOLUTE)
    if second is None:
        return np.where(fit, 2 * own * _inverse(scale.first), np.inf)
    other = option.factor * second.integral(starts, ends) + option.moved_second_g
    fit &= other <= _most(scale.second) + option.factor * second.noise
    both = own * _inverse(scale.first) + (other + (own - cost)) * _inverse(scale.second)
    return np.where(fit, both, np.inf)


def _inverse(reference: float) -> float:
    """What makes grams relative to the reference's; without any there, the signal only binds."""
    return 1 / abs(reference) if reference else 0.0


def _most(reference: float) -> float:
    return reference + abs(reference) * TIE


def _noise(option: Option, scale: Scale) -> float:
    assert option.curve is not None  # noqa: S101 - only options with a curve are priced
    noise = option.factor * option.curve.noise
    return noise if scale.second is None else 2 * noise * _inverse(scale.first)


def _crossings(option: Option, curves: Sequence[CostCurve], points: Times, scale: Scale) -> Times:
    """The whole milliseconds around each start at which a signal is just as bad as the reference's."""
    found = []
    limits = ((scale.first, option.moved_g), (scale.second or 0.0, option.moved_second_g))
    for curve, (limit, moved_g) in zip(curves, limits, strict=False):
        above = option.factor * curve.integral(points, points + option.duration_ms) + moved_g - limit
        at = np.flatnonzero((above[:-1] < 0) != (above[1:] < 0))
        left, right = above[at], above[at + 1]
        share = left / np.where(left == right, 1.0, left - right)
        crossing = points[at] + np.clip(share, 0.0, 1.0) * (points[at + 1] - points[at])
        found += [np.floor(crossing).astype(np.int64), np.ceil(crossing).astype(np.int64)]
    return np.concatenate(found)


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
