"""The exact cleanest start of one job.

With piecewise-constant intensity the emissions of a window of fixed length are a piecewise-linear function of
its start. Such a function has its minimum at one of its corners, and those are the starts at which the window
starts or ends at a step's border, and the borders of the free stretches: only these are searched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.capacity import Stretch
from tidewatt.scheduler.planning.intensity import CostCurve, Times

TIE = 1e-9  # relative: windows that differ by less are equally clean


@dataclass(frozen=True, slots=True)
class Option:
    """One pool of one region in which a job could run, with the stretches in which it is free there.

    `free` is ascending, in Unix milliseconds, from the earliest start on. An option that is not `allowed` is
    only what others are compared with.
    """

    region: str
    pool: str
    curve: CostCurve | None
    pue: float
    free: Sequence[Stretch]
    home: bool = False
    allowed: bool = True

    def first_start(self, duration_ms: int) -> int | None:
        """The first instant from which the job could run to its end."""
        return next((start for start, end in self.free if end - start >= duration_ms), None)


@dataclass(frozen=True, slots=True)
class Choice:
    """A start in an option; `cost` is grams per kW of draw with the region's PUE; None: not known."""

    option: Option
    start_ms: int
    cost: float | None = None


def choice_at(option: Option, start_ms: int, duration_ms: int) -> Choice:
    """The choice of one given start."""
    curve = option.curve
    if curve is None or not curve.covers(start_ms, start_ms + duration_ms):
        return Choice(option, start_ms)
    return Choice(option, start_ms, option.pue * curve.grams_per_kw(start_ms, start_ms + duration_ms))


def earliest(choices: Sequence[Choice]) -> Choice:
    """The earliest of at least one; at the same instant home first, then the first given."""
    return min(choices, key=lambda choice: (choice.start_ms, not choice.option.home))


def best_start(
    options: Sequence[Option], duration_ms: int, latest_ms: int, min_wait_ms: int = 0
) -> Choice | None:
    """The cleanest start at or before `latest_ms`; None where there is none within what the curves cover.

    Windows whose grams differ by less than 1e-9 are equal: then the earliest, then home, then the first.
    A start less than `min_wait_ms` after the option's first one is not considered, but that first one is.
    """
    priced = []
    for option in options:
        if option.curve is not None:
            starts = _candidates(option, option.curve, duration_ms, latest_ms, min_wait_ms)
            if starts.size:
                grams = option.pue * option.curve.integral(starts, starts + duration_ms)
                priced.append((option, starts, grams, float(grams.min())))
    if not priced:
        return None
    least = min(lowest for *_, lowest in priced)
    equal = least * (1 + TIE) + max(option.pue * option.curve.noise for option, *_ in priced if option.curve)
    ties = []
    for option, starts, grams, lowest in priced:
        if lowest <= equal:
            at = int(np.flatnonzero(grams <= equal)[0])  # starts ascend
            ties.append(Choice(option, int(starts[at]), float(grams[at])))
    return earliest(ties)


def _candidates(
    option: Option, curve: CostCurve, duration_ms: int, latest_ms: int, min_wait_ms: int
) -> Times:
    """The starts worth pricing, ascending."""
    ranges = _ranges(option, curve, duration_ms, latest_ms, min_wait_ms)
    if not ranges:
        return np.empty(0, np.int64)
    low, high = ranges[0][0], ranges[-1][1]
    starting, ending = (
        _between(curve.edges_ms, low, high),
        _between(curve.edges_ms, low + duration_ms, high + duration_ms),
    )
    borders = np.array(ranges, np.int64).ravel()
    points = np.concatenate((starting, ending - duration_ms, borders))
    points.sort(kind="stable")
    if len(ranges) == 1:
        return points
    return np.concatenate([_between(points, first, last) for first, last in ranges])


def _between(ascending: Times, low: int, high: int) -> Times:
    return ascending[np.searchsorted(ascending, low, "left") : np.searchsorted(ascending, high, "right")]


def _ranges(
    option: Option, curve: CostCurve, duration_ms: int, latest_ms: int, min_wait_ms: int
) -> list[Stretch]:
    """Closed ranges of allowed starts within the free stretches and the curve."""
    first = option.first_start(duration_ms)
    if first is None:
        return []
    known_from, known_to = curve.start_ms, min(latest_ms, curve.end_ms - duration_ms)
    ranges = []
    for start, end in option.free:
        low, high = max(start, known_from), min(end - duration_ms, known_to)
        if low <= first <= high and min_wait_ms:
            ranges.append((first, first))
        low = max(low, first + min_wait_ms)
        if low <= high:
            ranges.append((low, high))
    return ranges
