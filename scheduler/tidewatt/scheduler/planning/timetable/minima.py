"""The cheapest windows of many jobs at once: jobs alike are a lot, and each lot has a table of range minima.

Windows of one length and one draw per unit are priced for every start in one go, and a sparse table
(Bender and Farach-Colton, LATIN 2000, section 3) answers the least over any range of starts by two look-ups.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.scheduler.planning.timetable.certificate import Minima
from tidewatt.scheduler.planning.timetable.problem import NOWHERE, Amounts, Flags, Ints
from tidewatt.scheduler.planning.timetable.windows import HOUR_MS, Ground, Prices, summed

Packed = NDArray[np.int32]  # a number's bits as float32, the last of them replaced by a start
FAR = 1e30  # the cost of a window that cannot be had
NEVER = np.int32(np.float32(1e29).view(np.int32))  # what is above it, packed, cannot be had
TINY = 1e-30
KEPT = 8  # draws for which totals are kept
BLUR = 0.02  # within which prices are near enough to be ties
MOST = 20_000  # starts in a table; where there are more, neighbours share a column


@dataclass(frozen=True, slots=True, eq=False)
class Lot:
    """Jobs that are priced together: of one profile, about equally long and of about equal draw per unit.

    `kw` and `delay` are per unit, the least, the mean and the most.
    """

    jobs: Ints  # positions among the jobs that were sorted
    profile: int
    length_ms: int  # of the shortest of them at speed 1, a slot at least
    kw: tuple[float, float, float]
    delay: float  # grams per hour and unit, the least


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """How menus fare at places: speed and power, one number each a place."""

    speed: Amounts
    power: Amounts


class Lots:
    """Jobs sorted into lots; a lot's lengths and draws per unit differ by the factors given at most."""

    def __init__(self, ground: Ground, jobs: Ints, longer: float, hungrier: float) -> None:
        problem = ground.problem
        self.ground, self.jobs = ground, jobs
        self.profiles, profile_of = _profiles(ground)
        self.profile = profile_of[problem.jobs.menu[jobs]]
        self.units = np.maximum(problem.jobs.units[jobs], 1).astype(float)
        self.kw = problem.jobs.kw[jobs] / self.units
        self.delay = problem.jobs.delay_g_per_h[jobs] / self.units
        self.length = problem.jobs.work_ms[jobs]
        self.allowed = problem.menus.allowed.T
        self.menu = problem.jobs.menu[jobs]
        self.low = ground.release_ms[jobs] - ground.origin_ms
        self.high = ground.due_ms[jobs] - ground.origin_ms
        self.lots = list(self._sorted(longer, hungrier))
        self.group = max(1, ground.cost.size // MOST)

    def _sorted(self, longer: float, hungrier: float) -> Iterator[Lot]:
        length = np.maximum(self.length, self.ground.slot_ms)
        draw = _clusters(np.maximum(self.kw, TINY), hungrier)
        key = self.profile.copy()
        for cluster in (draw, _clusters(np.maximum(self.delay, TINY), hungrier), _clusters(length, longer)):
            key = key * (int(cluster.max(initial=0)) + 1) + cluster
        order = np.argsort(key, kind="stable")
        draws = [self._draws(draw == number) for number in range(int(draw.max(initial=0)) + 1)]
        for members in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
            if len(members):
                yield Lot(
                    members,
                    int(self.profile[members[0]]),
                    int(length[members].min()),
                    draws[draw[members[0]]],
                    float(self.delay[members].min()),
                )

    def _draws(self, chosen: Flags) -> tuple[float, float, float]:
        """The least, the mean and the most draw per unit of some jobs: the same for all lengths."""
        kw = self.kw[chosen]
        return (float(kw.min()), float(kw.mean()), float(kw.max())) if len(kw) else (0.0, 0.0, 0.0)

    def cheapest(
        self, prices: Prices, shut: Flags | None = None, random: np.random.Generator | None = None
    ) -> Minima:
        """About the cheapest window of each job: its priced grams, place and start.

        In slots that are `shut` nobody runs; `random` breaks near ties differently for each job.
        """
        tables = Tables(self, prices, shut, random)
        n = len(self.jobs)
        value, place, start = np.full(n, np.inf), np.full(n, NOWHERE, np.int64), np.zeros(n, np.int64)
        for lot in self.lots:
            members = lot.jobs
            found, offset = tables.least(lot, lot.kw[1])
            best = found.argmin(axis=0)
            packed = found[best, np.arange(len(members))]
            some = packed < NEVER
            grams, slot = tables.unpacked(packed)
            scale = self.units[members] * (self.length[members] / lot.length_ms)
            grams += offset - lot.delay * self.low[members] / HOUR_MS
            value[members] = np.where(some, grams * scale, np.inf)
            place[members] = np.where(some, best, NOWHERE)
            start[members] = self.ground.origin_ms + slot * self.ground.slot_ms
        late = self.ground.release_ms[self.jobs]
        return Minima(value, place, np.maximum(start, late))


class Tables:
    """The windows of lots, priced."""

    def __init__(
        self,
        lots: Lots,
        prices: Prices,
        shut: Flags | None = None,
        random: np.random.Generator | None = None,
    ) -> None:
        self.lots, self.ground, self.prices, self.random = lots, lots.ground, prices, random
        barred = ~lots.ground.open if shut is None else ~lots.ground.open | shut
        self.closed = summed(barred.astype(float)) if barred.any() else None
        ground = lots.ground
        self.hours = ground.slot_ms / HOUR_MS
        self.rate = ground.cost + prices.site[ground.problem.places.site]
        self.bits = max(1, int(ground.slots - 1).bit_length())
        self.mask = np.int32((1 << self.bits) - 1)
        self.slot = np.arange(ground.slots, dtype=np.int32)
        self._rates: dict[tuple[int, float], tuple[Amounts, Amounts]] = {}

    def unpacked(self, packed: Packed) -> tuple[Amounts, Ints]:
        """Numbers, rounded down, and starts."""
        return (packed & ~self.mask).view(np.float32).astype(float), (packed & self.mask).astype(np.int64)

    def least(self, lot: Lot, kw: float) -> tuple[Packed, float]:
        """The cheapest window per unit of each job (columns) at each place (rows), and what to add to it."""
        lots, members = self.lots, lot.jobs
        window, offset = self._windows(lot, kw)
        low, high = self._starts(lot, window.shape[1])
        levels = _levels(window, int((high - low).max(initial=0)) + 1)
        level = np.frexp(np.maximum(high - low + 1, 1).astype(float))[1] - 1
        places = np.arange(len(window))[:, None]
        right = np.maximum(high - (1 << level) + 1, 0)
        found: Packed = np.minimum(levels[level, places, low], levels[level, places, right])
        if self.random is not None:
            found += self._jitter(found.shape)
        found[~lots.allowed[:, lots.menu[members]]] = NEVER
        found[:, high < low] = NEVER
        return found, offset

    def _jitter(self, shape: tuple[int, ...]) -> Packed:
        """What makes packed numbers up to about `BLUR` greater, as a share, and leaves their starts alone."""
        most = int(BLUR * (1 << 23)) >> self.bits
        random = self.random or np.random.default_rng(0)
        return (random.integers(0, most + 1, shape, dtype=np.int32) << self.bits).astype(np.int32)

    def _starts(self, lot: Lot, columns: int) -> tuple[Ints, Ints]:
        """The first and the last column in which each job of a lot may start."""
        lots, members = self.lots, lot.jobs
        column_ms = self.ground.slot_ms * lots.group
        fastest = float(lots.profiles[lot.profile].speed.max())
        length = np.where(lots.length[members] < lot.length_ms, 1, lots.length[members] / fastest)
        last = (lots.high[members] - np.floor(length).astype(np.int64)) // column_ms
        return np.minimum(lots.low[members] // column_ms, columns - 1), np.minimum(last, columns - 1)

    def _windows(self, lot: Lot, kw: float) -> tuple[Packed, float]:
        """Every window of the lot's length per unit, (P, columns): the least of those that start there."""
        ground, lots = self.ground, self.lots
        total, rate = self.priced(lot.profile, kw)
        value: Amounts = np.full(ground.cost.shape, FAR)
        speed = lots.profiles[lot.profile].speed
        for each in np.unique(speed[speed > 0]).tolist():
            rows: Ints | slice = slice(None) if (speed == each).all() else np.flatnonzero(speed == each)
            length = lot.length_ms / each / ground.slot_ms
            whole = int(length)
            if length > ground.slots:
                continue
            aligned, inner = self.of_length(rows, total, rate, whole, length - whole)
            starts = slice(0, ground.slots - whole)
            value[rows, starts] = (np.minimum(aligned, inner) if length > whole else aligned)[:, starts]
        if lot.delay:
            value += lot.delay * self.hours * self.slot
        offset = min(0.0, float(value.min(initial=0.0)))
        if offset:
            value -= offset
        packed: Packed = value.astype(np.float32).view(np.int32)
        packed &= ~self.mask
        packed |= self.slot
        if self.random is not None:
            packed += self._jitter(packed.shape)
        return _grouped(packed, lots.group), offset

    def of_length(
        self, rows: Ints | slice, total: Amounts, rate: Amounts, whole: int, part: float
    ) -> tuple[Amounts, Amounts]:
        """Windows of `whole` and a `part` of slots, by the slot of the start, and one column more.

        Those that start on an edge, and those that end on one; `FAR` where a slot is closed.
        """
        slots = self.ground.slots - whole
        total, rate = total[rows], rate[rows]
        aligned = np.empty((len(total), slots + 1))
        inner = np.empty((len(total), slots + 1))
        aligned[:, :slots] = total[:, whole : whole + slots] - total[:, :slots]
        if part:
            inner[:, :slots] = aligned[:, :slots] - (1 - part) * rate[:, :slots]
            inner[:, :slots] += rate[:, whole : whole + slots]
            aligned[:, :slots] += part * rate[:, whole : whole + slots]
            aligned[:, slots] = aligned[:, slots - 1]
        else:
            aligned[:, slots] = total[:, whole + slots] - total[:, slots]
            inner[:, :slots] = aligned[:, 1:]
        inner[:, slots] = inner[:, slots - 1]
        self._bar(rows, aligned, inner, whole, part)
        return aligned, inner

    def _bar(self, rows: Ints | slice, aligned: Amounts, inner: Amounts, whole: int, part: float) -> None:
        """Puts windows out of reach that touch a closed slot."""
        if self.closed is None:
            return
        closed = self.closed[rows]
        touched = whole + (part > 0)
        columns = closed.shape[1] - touched
        blocked = closed[:, touched:] > closed[:, :columns]
        aligned[:, :columns][blocked] = FAR
        if part:
            inner[:, :columns][blocked] = FAR
        else:
            inner[:, :-1] = aligned[:, 1:]

    def priced(self, profile: int, kw: float) -> tuple[Amounts, Amounts]:
        """Grams per unit: summed up to the edges of slots (P, T+1), and in each slot (P, T+1)."""
        key = (profile, kw)
        if key not in self._rates:
            rate = self.rate * (kw * self.lots.profiles[profile].power[:, None]) + self.prices.unit
            rate *= self.hours
            if len(self._rates) >= KEPT:
                self._rates.clear()
            self._rates[key] = (summed(rate), np.concatenate([rate, rate[:, -1:]], axis=1))
        return self._rates[key]


def _levels(window: Packed, longest: int) -> Packed:
    """The least of 1, 2, 4 ... columns from each on, (levels, P, columns)."""
    count = max(1, int(longest).bit_length())
    levels = np.empty((count, *window.shape), np.int32)
    levels[0] = window
    for level in range(1, count):
        step = 1 << (level - 1)
        np.minimum(levels[level - 1][:, :-step], levels[level - 1][:, step:], out=levels[level][:, :-step])
        levels[level][:, -step:] = levels[level - 1][:, -step:]
    return levels


def _grouped(packed: Packed, group: int) -> Packed:
    """The least of each `group` of columns."""
    if group == 1:
        return packed
    return np.minimum.reduceat(packed, np.arange(0, packed.shape[1], group), axis=1)


def _clusters(values: Amounts | Ints, factor: float) -> Ints:
    """A number for each value, the same for values within a factor from the least of them on."""
    distinct, inverse = np.unique(values, return_inverse=True)
    number = np.zeros(len(distinct), np.int64)
    since = 0
    while since < len(distinct):
        until = int(np.searchsorted(distinct, distinct[since] * factor, side="right"))
        number[until:] += 1
        since = max(until, since + 1)
    return np.asarray(number[inverse.reshape(-1)])


def _profiles(ground: Ground) -> tuple[list[Profile], Ints]:
    """The different ways in which menus fare at places, and which is each menu's."""
    menus = ground.problem.menus
    both = np.concatenate([menus.speed, menus.power], axis=1)
    distinct, inverse = np.unique(both, axis=0, return_inverse=True)
    places = menus.speed.shape[1]
    return [Profile(row[:places], row[places:]) for row in distinct], np.asarray(inverse.reshape(-1))
