"""The lower bound of many jobs at once: what each costs at least on its own, at given prices.

Jobs alike are a lot (see `minima`). A lot's windows are as long as those of its shortest job; what a longer
one runs besides costs at least the cheapest moment that it can have at that place. The least cost is concave
in the draw per unit, being a least of linear functions: between two draws it is at least the straight line.
"""

from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.timetable.minima import FAR, KEPT, Lot, Lots, Tables
from tidewatt.scheduler.planning.timetable.problem import Amounts, Flags, Ints
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, Ground, Prices

LONGER, HUNGRIER = 1.04, 1.4  # within which factors jobs are priced as alike
PART = 400_000  # pairs of jobs and places that are looked at in one go
NOTHING = 1e-9  # a share that is none


def least_g(ground: Ground, prices: Prices, jobs: Ints) -> Amounts:
    """A lower bound of the priced grams of each job in any window of its own; inf where it has none."""
    lots = Lots(ground, jobs, LONGER, HUNGRIER)
    tables = _Priced(lots, prices)
    found: Amounts = np.full(len(jobs), np.inf)
    for lot in lots.lots:
        low, _, high = lot.kw
        value = _by_draw(lots, tables, lot, low)
        if high > low:
            share = (lots.kw[lot.jobs] - low) / (high - low)
            value = (1 - share) * value + share * _by_draw(lots, tables, lot, high)
        value = value * lots.units[lot.jobs]
        found[lot.jobs] = np.where(value < FAR * NOTHING, value, np.inf)
    return found


class _Priced(Tables):
    """Priced windows, and the least rates of ranges of slots, kept for the draw that was asked last."""

    def __init__(self, lots: Lots, prices: Prices) -> None:
        super().__init__(lots, prices)
        self._kept: dict[tuple[int, float, bytes], Amounts] = {}

    def rates(self, profile: int, kw: float, rows: Ints) -> Amounts:
        """The least cost of a slot over 1, 2, 4 ... slots from each on, (levels, R, T)."""
        key = (profile, kw, rows.tobytes())
        if key not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            ground = self.ground
            _, rate = self.priced(profile, kw)
            self._kept[key] = _ranges(np.where(ground.open[rows], rate[rows, : ground.slots], FAR))
        return self._kept[key]


def _by_draw(lots: Lots, tables: _Priced, lot: Lot, kw: float) -> Amounts:
    """The least grams per unit of a lot's jobs, as if each drew `kw` per unit."""
    least: Amounts = np.full(len(lot.jobs), FAR)
    profile = lots.profiles[lot.profile]
    allowed = lots.allowed[:, lots.menu[lot.jobs]].any(axis=1)
    for speed in np.unique(profile.speed[allowed]).tolist():
        rows = np.flatnonzero(allowed & (profile.speed == speed))
        if lot.length_ms / speed > lots.ground.slots * lots.ground.slot_ms:
            continue
        windows = _windows(tables, lot, kw, rows, speed)
        size = max(1, PART // len(rows))
        for since in range(0, len(lot.jobs), size):
            part = slice(since, since + size)
            least[part] = np.minimum(least[part], _least(lots, windows, lot, lot.jobs[part]))
    return least


@dataclass(frozen=True, slots=True, eq=False)
class _Windows:
    """All windows of one length at some places: by the slot of their start, and the least of ranges."""

    rows: Ints
    speed: float
    whole: int  # slots
    part: float  # of a slot
    aligned: Amounts  # (R, L+1) that start on an edge
    inner: Amounts  # (R, L+1) that end on one, in the slot of their start
    ranges: Amounts  # (levels, R, L) the least of either over 1, 2, 4 ... slots
    rates: Amounts  # (levels, R, T) the same of the cost of one slot


def _windows(tables: _Priced, lot: Lot, kw: float, rows: Ints, speed: float) -> _Windows:
    ground = tables.ground
    total, rate = tables.priced(lot.profile, kw)
    length = lot.length_ms / speed / ground.slot_ms
    whole = int(length)
    part = length - whole
    aligned, inner = tables.of_length(rows, total, rate, whole, part)
    if lot.delay:
        starts = lot.delay * tables.hours * np.arange(aligned.shape[1])
        aligned, inner = aligned + starts, inner + starts + lot.delay * tables.hours * (1 - part)
    ranges = _ranges(np.minimum(aligned, inner)[:, : ground.slots - whole])
    return _Windows(rows, speed, whole, part, aligned, inner, ranges, tables.rates(lot.profile, kw, rows))


def _least(lots: Lots, windows: _Windows, lot: Lot, jobs: Ints) -> Amounts:
    """The least over places of what each job costs per unit."""
    ground = lots.ground
    slot = ground.slot_ms
    length = lots.length[jobs] / windows.speed
    first, last = lots.low[jobs] / slot, (lots.high[jobs] - length) / slot
    touched = _over(windows.rates, lots.low[jobs] // slot, -(-lots.high[jobs] // slot) - 1)
    run = np.minimum(_starting(windows, first, last), FAR)
    run += np.maximum(lots.length[jobs] - lot.length_ms, 0) / windows.speed / slot * touched
    short = lots.length[jobs] < lot.length_ms  # shorter than a slot: at least its share of the cheapest one
    run[:, short] = touched[:, short] * (length[short] / slot)
    run -= lot.delay * lots.low[jobs] / HOUR_MS * ~short
    run += _moved(lots, windows.rows, jobs)
    never = ~lots.allowed[windows.rows][:, lots.menu[jobs]] | (last < first - NOTHING)
    run[never] = FAR
    return np.asarray(run.min(axis=0))


def _starting(windows: _Windows, first: Amounts, last: Amounts) -> Amounts:
    """The least of the windows that start from `first` to `last` (in slots), (R, jobs)."""
    columns = windows.ranges.shape[2] - 1
    low = np.clip(np.floor(first).astype(np.int64), 0, columns)
    high = np.clip(np.floor(last).astype(np.int64), low, columns)
    after, until = first - low, last - high
    corner = 1 - windows.part  # where in a slot the windows start that end on an edge
    best = np.minimum(_at(windows, low, after), _at(windows, high, until))
    ends_in = windows.inner[:, low] + _unless((after <= corner) & ((high > low) | (corner <= until)))
    np.minimum(best, ends_in, out=best)
    later = high > low
    np.minimum(best, windows.aligned[:, high] + _unless(later), out=best)
    np.minimum(best, windows.inner[:, high] + _unless(later & (corner <= until)), out=best)
    return np.minimum(best, _over(windows.ranges, low + 1, high - 1))


def _at(windows: _Windows, slot: Ints, past: Amounts) -> Amounts:
    """Windows that start `past` the edge of a slot: linear up to that which ends on an edge, and after it."""
    corner = 1 - windows.part
    inner = windows.inner[:, slot]
    before = past <= corner
    share = np.where(before, past / corner, 1.0)
    value = windows.aligned[:, slot]
    value += share * (inner - value)
    beyond = np.where(before, 0.0, (past - corner) / max(windows.part, NOTHING))
    beyond[beyond < NOTHING] = 0.0
    some = beyond > 0
    if some.any():
        there = inner[:, some]
        value[:, some] = there + beyond[some] * (windows.aligned[:, slot[some] + 1] - there)
    return value


def _moved(lots: Lots, rows: Ints, jobs: Ints) -> Amounts | float:
    """What being in another region than home's costs per unit, (R, jobs)."""
    ground, which = lots.ground, lots.jobs[jobs]
    moved = ground.problem.jobs.moved_g[which]
    if not moved.any():
        return 0.0
    away = ground.moved_away(which[None, :], rows[:, None])
    return np.asarray(away * (moved / lots.units[jobs]))


def _unless(had: Flags) -> Amounts:
    return np.where(had, 0.0, FAR)


def _ranges(values: Amounts) -> Amounts:
    """The least of 1, 2, 4 ... columns from each on, (levels, R, columns)."""
    count = max(1, int(values.shape[1]).bit_length())
    levels = np.empty((count, *values.shape))
    levels[0] = values
    for level in range(1, count):
        step = 1 << (level - 1)
        np.minimum(levels[level - 1][:, :-step], levels[level - 1][:, step:], out=levels[level][:, :-step])
        levels[level][:, -step:] = levels[level - 1][:, -step:]
    return levels


def _over(levels: Amounts, low: Ints, high: Ints) -> Amounts:
    """The least over the columns from `low` to `high`, (R, ranges); `FAR` where there is none."""
    most = levels.shape[2] - 1
    high = np.minimum(high, most)
    level = np.frexp(np.maximum(high - low + 1, 1).astype(float))[1] - 1
    rows = np.arange(levels.shape[1])[:, None]
    left, right = np.clip(low, 0, most), np.clip(high - (1 << level) + 1, 0, most)
    found = np.minimum(levels[level, rows, left], levels[level, rows, right])
    found[:, high < low] = FAR
    return np.asarray(found)
