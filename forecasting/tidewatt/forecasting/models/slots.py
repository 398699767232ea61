"""A fast signal on slots of a quarter of an hour, and what can be known of a coming slot from before it.

Marginal intensity follows the price of the next plant: it changes every five minutes, is often zero, and its
logarithm says nothing. So all numbers here are differences and ratios to the level of the last week.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models import calendar
from tidewatt.forecasting.series import Intensities, Steps

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SLOT_MS = HOUR_MS // 4
FLOOR_G = 1.0
COVERED = 0.5  # share of a step that must have been seen
WEEK = 7
RECENT_MIN = (15, 60, 180, 360, 24 * 60, 48 * 60)

Integers = NDArray[np.int64]
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Signal:
    """A zone's past on the UTC grid of `step_ms` that begins at `start_ms`, a full slot; NaN in holes."""

    zone: str
    start_ms: int
    step_ms: int
    gco2_per_kwh: Intensities
    timezone: str
    latitude: float
    longitude: float

    @property
    def slot_ms(self) -> int:
        """A quarter of an hour, or the step where that is longer."""
        return max(self.step_ms, SLOT_MS)

    @property
    def per_slot(self) -> int:
        """Steps of a slot."""
        return self.slot_ms // self.step_ms

    @property
    def day(self) -> int:
        """Slots of a day."""
        return DAY_MS // self.slot_ms

    def slots(self) -> Intensities:
        """Mean of each whole slot, of what is known in it."""
        whole = len(self.gco2_per_kwh) // self.per_slot * self.per_slot
        return mean(self.gco2_per_kwh[:whole].reshape(-1, self.per_slot), axis=1)

    def before(self, now_ms: int) -> "Signal":
        """What had ended by `now_ms`."""
        ended = max(0, (now_ms - self.start_ms) // self.step_ms)
        values = self.gco2_per_kwh[:ended]
        place = (self.timezone, self.latitude, self.longitude)
        return Signal(self.zone, self.start_ms, self.step_ms, values, *place)


@dataclass(frozen=True, slots=True)
class Issues:
    """Forecasts as issued. Row i of `gco2_per_kwh` (i, reach) begins with the slot that holds `issued_ms[i]`.

    Ascending; NaN where an issue says nothing.
    """

    issued_ms: Integers
    gco2_per_kwh: Intensities

    def newest(self, moments_ms: Integers, fresh_ms: int) -> Integers:
        """Row of the newest issue at each moment; -1 where that is older than `fresh_ms` or there is none."""
        row = np.searchsorted(self.issued_ms, moments_ms, side="right") - 1
        if not len(self.issued_ms):
            return np.full(len(moments_ms), -1)
        age_ms = moments_ms - self.issued_ms[np.maximum(row, 0)]
        return np.asarray(np.where((row >= 0) & (age_ms < fresh_ms), row, -1), np.int64)


@dataclass(frozen=True, slots=True)
class Columns:
    """Features of coming slots: `x` (n, features), NaN where not known.

    `base` (n,) is the mean of the same slot over the last week, `scale` (n,) the mean of all of that week,
    both in gCO2/kWh.
    """

    names: tuple[str, ...]
    x: Values
    base: Intensities
    scale: Intensities


def signal(steps: Steps, zone: str, timezone: str, latitude: float, longitude: float) -> Signal:
    """Observed steps on the grid of their usual length.

    Raises:
        ForecastError: there are none, or their length does not divide the hour.
    """
    if not len(steps.start_ms):
        raise ForecastError(f"nothing was observed of {zone} yet: there is nothing to learn from")
    step_ms = int(np.median(steps.end_ms - steps.start_ms))
    if HOUR_MS % step_ms or (step_ms < SLOT_MS and SLOT_MS % step_ms):
        raise ForecastError(f"steps of {step_ms / 60_000:g} min of {zone} do not divide the hour evenly")
    start_ms = int(steps.start_ms[0]) // HOUR_MS * HOUR_MS
    count = -(-(int(steps.end_ms[-1]) - start_ms) // step_ms)
    return Signal(
        zone, start_ms, step_ms, resampled(steps, start_ms, step_ms, count), timezone, latitude, longitude
    )


def issues(issued: Sequence[tuple[int, Steps]], slot_ms: int, reach: int) -> Issues:
    """Issues, as moment and steps, on slots; `reach` slots of each are kept."""
    ordered = sorted(issued, key=lambda each: each[0])
    rows = [resampled(steps, at // slot_ms * slot_ms, slot_ms, reach) for at, steps in ordered]
    moments = np.array([at for at, _ in ordered], np.int64)
    return Issues(moments, np.array(rows, float).reshape(len(rows), reach))


def resampled(steps: Steps, start_ms: int, step_ms: int, count: int) -> Intensities:
    """Means by time over `count` steps of `step_ms`; NaN where less than half of one was covered."""
    if not len(steps.start_ms):
        return np.full(count, np.nan)
    edges = np.column_stack([steps.start_ms, steps.end_ms]).ravel()
    width = np.diff(edges)
    width[1::2] = 0  # between two steps nothing is known, or nothing lies
    value = np.repeat(steps.gco2_per_kwh, 2)[:-1]
    grid = start_ms + step_ms * np.arange(count + 1)
    grams = np.diff(np.interp(grid, edges, np.append(0.0, np.cumsum(width * value))))
    covered = np.diff(np.interp(grid, edges, np.append(0.0, np.cumsum(width))))
    known = covered >= COVERED * step_ms
    return np.asarray(np.where(known, grams / np.where(known, covered, 1.0), np.nan), float)


def mean(values: Intensities, axis: int) -> Intensities:
    """Mean of what is known, NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan)


class Past:
    """The slots of a signal, with sums that make the mean of any stretch a subtraction."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self.values = signal.slots()
        known = ~np.isnan(self.values)
        self._sums = np.append(0.0, np.cumsum(np.where(known, self.values, 0.0)))
        self._squares = np.append(0.0, np.cumsum(np.where(known, self.values, 0.0) ** 2))
        self._counts = np.append(0, np.cumsum(known))

    def at(self, index: Integers) -> Intensities:
        """Slots by index, NaN outside of what is known."""
        inside = (index >= 0) & (index < len(self.values))
        return np.where(inside, self.values[np.where(inside, index, 0)], np.nan)

    def mean(self, end: Integers, width: int) -> Intensities:
        """Mean of the `width` slots before each `end`."""
        last = np.clip(end, 0, len(self.values))
        first = np.clip(end - width, 0, len(self.values))
        count = self._counts[last] - self._counts[first]
        total = self._sums[last] - self._sums[first]
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def swing(self, end: Integers) -> Intensities:
        """Standard deviation of the week before each `end`, a gram at least."""
        last = np.clip(end, 0, len(self.values))
        first = np.clip(end - WEEK * self.signal.day, 0, len(self.values))
        count = np.maximum(self._counts[last] - self._counts[first], 1)
        square = (self._squares[last] - self._squares[first]) / count
        variance = square - ((self._sums[last] - self._sums[first]) / count) ** 2
        return np.asarray(np.sqrt(np.maximum(variance, FLOOR_G**2)), float)

    def week(self, end: Integers, width: int) -> Intensities:
        """Mean of the same stretches one to seven days before."""
        day = self.signal.day
        return mean(np.stack([self.mean(end - back * day, width) for back in range(1, WEEK + 1)]), axis=0)

    def same(self, origins: Integers, leads: Integers) -> Intensities:
        """The last seven values of the same slot before each origin, newest first: (7, n)."""
        day = self.signal.day
        newest = origins + leads - (leads // day + 1) * day
        return np.stack([self.at(newest - back * day) for back in range(WEEK)])


def columns(past: Past, issued: Issues, rows: Integers, origins: Integers, leads: Integers) -> Columns:
    """Features of the slots `origins + leads`, from slots before `origins` and from issues `rows` (-1: none).

    All are (n,). Nothing of a slot at or after its origin is used, whatever the past holds.
    """
    scale = np.maximum(past.mean(origins, WEEK * past.signal.day), FLOOR_G)
    same = past.same(origins, leads)
    base = mean(same, axis=0)
    groups = (
        _daily(past, same, base, scale, origins, leads),
        _recent(past, scale, origins),
        _calendar(past.signal, origins, leads),
        _issued(past, issued, rows, base, scale, origins, leads),
    )
    named = [each for group in groups for each in group]
    x = np.column_stack([values for _, values in named]).astype(np.float32)
    return Columns(tuple(name for name, _ in named), x, base, scale)


Named = Iterator[tuple[str, NDArray[np.floating]]]


def _daily(
    past: Past, same: Intensities, base: Intensities, scale: Intensities, origins: Integers, leads: Integers
) -> Named:
    """The slot and the hour around it in the last days, against the level of the week."""
    day = past.signal.day
    yield "same slot, 7 d", base / scale
    yield "same slot, 8 to 14 d", mean(past.same(origins - WEEK * day, leads), axis=0) / scale
    yield "same slot, spread", np.sqrt(mean((same - base) ** 2, axis=0)) / scale
    for back in (1, 2, 7):
        yield f"same slot, {back} d before", same[back - 1] / scale
    yield (
        "same slot, share of days below a gram",
        mean(np.where(np.isnan(same), np.nan, same < FLOOR_G), axis=0),
    )
    yield "same slot, lowest", np.fmin.reduce(same) / scale
    hour = HOUR_MS // past.signal.slot_ms
    newest = origins + leads - (leads // day + 1) * day
    ends = [np.minimum(newest - back * day + hour // 2 + 1, origins) for back in range(WEEK)]
    around = np.stack([past.mean(end, hour + 1) for end in ends])
    yield "hour around, 7 d", mean(around, axis=0) / scale
    yield "hour around, 3 d", mean(around[:3], axis=0) / scale
    yield "hour around, 1 d before", around[0] / scale
    yield "hour around, lowest", np.fmin.reduce(around) / scale
    yield "hour around, highest", np.fmax.reduce(around) / scale
    yield "week against two", scale / np.maximum(past.mean(origins, 2 * WEEK * day), FLOOR_G)


def _recent(past: Past, scale: Intensities, origins: Integers) -> Named:
    """How the last minutes, hours and days were, and how far from the same times of the week."""
    slot_min = past.signal.slot_ms // 60_000
    for minutes in RECENT_MIN:
        width = max(1, minutes // slot_min)
        off = past.mean(origins, width) - past.week(origins, width)
        yield f"last {minutes} min against usual", off / scale
    for minutes in (RECENT_MIN[0], RECENT_MIN[1], RECENT_MIN[4]):
        yield f"last {minutes} min", past.mean(origins, max(1, minutes // slot_min)) / scale


def _calendar(signal: Signal, origins: Integers, leads: Integers) -> Named:
    """Local clock, weekday and sun."""
    slot_ms = signal.slot_ms
    origin_ms, target_ms = signal.start_ms + origins * slot_ms, signal.start_ms + (origins + leads) * slot_ms
    local_ms = calendar.local(target_ms, signal.timezone)
    weekday = (local_ms // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    yield "hours ahead", leads * slot_ms / HOUR_MS
    yield "local hour", local_ms % DAY_MS / HOUR_MS
    yield "weekday", weekday.astype(float)
    yield "weekend", (weekday >= 5).astype(float)
    yield "local hour of the issue", calendar.local(origin_ms, signal.timezone) % DAY_MS / HOUR_MS
    for name, back in (("sun", 0), ("sun an hour before", HOUR_MS)):
        yield name, calendar.sun(signal.latitude, signal.longitude, target_ms - back)


def _issued(
    past: Past,
    issued: Issues,
    rows: Integers,
    base: Intensities,
    scale: Intensities,
    origins: Integers,
    leads: Integers,
) -> Named:
    """What the newest issue says of the slot, of all that it covers, and of its end against what is usual."""
    says = np.full(len(origins), np.nan)
    whole, tail, beyond = says.copy(), says.copy(), says.copy()
    with_issue = np.flatnonzero(rows >= 0)
    if len(with_issue) and issued.gco2_per_kwh.shape[1]:
        row, origin = rows[with_issue], origins[with_issue]
        first = (issued.issued_ms[row] - past.signal.start_ms) // past.signal.slot_ms
        ahead = origin + leads[with_issue] - first
        reach = issued.gco2_per_kwh.shape[1]
        inside = (ahead >= 0) & (ahead < reach)
        says[with_issue] = np.where(inside, issued.gco2_per_kwh[row, np.where(inside, ahead, 0)], np.nan)
        known = ~np.isnan(issued.gco2_per_kwh)
        ends = np.where(known.any(axis=1), reach - np.argmax(known[:, ::-1], axis=1), 0)
        hour = HOUR_MS // past.signal.slot_ms
        back = ends[:, None] - 1 - np.arange(min(hour * 2, reach))
        last = np.where(back >= 0, np.take_along_axis(issued.gco2_per_kwh, np.maximum(back, 0), 1), np.nan)
        whole[with_issue] = mean(issued.gco2_per_kwh, axis=1)[row]
        tail[with_issue] = mean(last, axis=1)[row]
        # the same stretch as the tail, a day and more before, lies in the past for short issues
        end = np.minimum(first + ends[row], origin + past.signal.day)
        beyond[with_issue] = tail[with_issue] - past.week(end, back.shape[1])
    yield "issued", says / scale
    yield "issued against usual", (says - base) / scale
    yield "issued, mean", whole / scale
    yield "issued, end", tail / scale
    yield "issued, end against usual", beyond / scale
