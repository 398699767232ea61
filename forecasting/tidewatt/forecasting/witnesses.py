"""Who says what of the hours ahead, as deviations from what is usual at those hours.

Usual is the mean of the same hours of the last seven days. Four witnesses tell of each hour by how much it
will deviate: the newest forecast; the mean of the forecasts of the day before it for the same hour, since
noise that is drawn anew with every issue averages out; the newest forecast's first day as a whole; and what
was last seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.hours import HOUR_MS, hourly
from tidewatt.forecasting.series import Forecast, Intensities, Steps, milliseconds

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HOURS: Final = 96  # how far ahead trials look
REACH: Final = 144  # hours kept of each issue: some are used long after they were issued
DAY_H: Final = 24
USUAL_DAYS: Final = 7
LEAST_SEEN: Final = 2  # days on which an hour was seen before it counts as usual
LAST_H: Final = 2
STALE_H: Final = 48  # observations that ended longer ago say too little
EARLIER_H: Final = 24
OLDEST_H: Final = 96  # an older issue is no longer used, as in the chain


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What was observed of a zone, known at one hour. Hours count from 1970.

    `gco2_per_kwh` (n,) begins at `start_h`; NaN in holes. `usual` is (n + 24,), for a day more. `lag_h` is
    how many hours before `now_h` the last one known ended.
    """

    start_h: int
    now_h: int
    gco2_per_kwh: Intensities
    usual: Intensities
    lag_h: int

    def usual_at(self, moments_h: Integers, hours: int = HOURS) -> Floats:
        """What was usual for `hours` from each moment on, as known then: (m, hours)."""
        known_to = moments_h - self.lag_h - self.start_h
        return _at(self.usual, known_to[:, None] + (self.lag_h + np.arange(hours)) % DAY_H)

    def seen_at(self, moments_h: Integers) -> Floats:
        """By how much the last hours known at each moment deviated from what had been usual: (m,)."""
        at = (moments_h - self.lag_h - self.start_h)[:, None] - 1 - np.arange(LAST_H)
        return _mean(_at(self.gco2_per_kwh, at) - _at(self.usual, at), axis=1)

    def came(self, moments_h: Integers, hours: int = HOURS) -> Floats:
        """What was then observed from each moment on: (m, hours), NaN where that is not known yet."""
        return _at(self.gco2_per_kwh, (moments_h - self.start_h)[:, None] + np.arange(hours))


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Forecasts on hours: row i is of the issue of the hour `issued_h[i]` and begins with that hour."""

    issued_h: Integers
    gco2_per_kwh: Floats  # (i, REACH), NaN where it says nothing

    def newest(self, moments_h: Integers, hours: int = HOURS) -> Floats:
        """What the newest forecast of each moment says from there on: (m, hours)."""
        row = np.searchsorted(self.issued_h, moments_h, side="right") - 1
        return self._read(row[:, None], moments_h, hours)[:, 0]

    def earlier(self, moments_h: Integers, hours: int = HOURS) -> Floats:
        """The mean of what the issues of the day before the newest say of the same hours: (m, hours)."""
        row = np.searchsorted(self.issued_h, moments_h, side="right") - 2
        many = min(EARLIER_H, len(self.issued_h))
        rows = row[:, None] - np.arange(many)
        newest = self.issued_h[np.clip(row + 1, 0, None)]
        rows[self.issued_h[np.clip(rows, 0, None)] < newest[:, None] - EARLIER_H] = -1
        return _mean(self._read(rows, moments_h, hours), axis=1)

    def ages(self, moments_h: Integers) -> Integers:
        """How old the newest forecast of each moment was then, in hours, where there was one."""
        row = np.searchsorted(self.issued_h, moments_h, side="right") - 1
        age = (moments_h - self.issued_h[np.clip(row, 0, None)])[row >= 0]
        return np.asarray(age[age < OLDEST_H], np.int64)

    def _read(self, rows: Integers, moments_h: Integers, hours: int) -> Floats:
        """What the issues `rows` (m, k) say: (m, k, hours); nothing for a negative row."""
        safe = np.clip(rows, 0, None)
        late = moments_h[:, None] - self.issued_h[safe]
        column = late[..., None] + np.arange(hours)
        there = (rows >= 0)[..., None] & (late >= 0)[..., None] & (late < OLDEST_H)[..., None]
        value = self.gco2_per_kwh[safe[..., None], np.clip(column, 0, REACH - 1)]
        return np.where(there & (column < REACH), value, np.nan)


def past_of(observed: Steps, since_h: int, now_h: int) -> Past | None:
    """The past on hours from `since_h` to `now_h`; None where an hour of the day is not known to be usual."""
    hours = now_h - since_h
    values = hourly(observed, since_h * HOUR_MS, hours)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known) or hours - 1 - int(known[-1]) > STALE_H:
        return None
    past = Past(since_h, now_h, values, _usual(values), hours - 1 - int(known[-1]))
    here = np.array([now_h])
    return past if np.isfinite(past.usual_at(here, DAY_H)).all() else None


def hours_of(forecast: Forecast) -> Intensities:
    """A forecast on hours from that of its issue on: (REACH,), NaN where it says nothing."""
    return hourly(forecast.steps, milliseconds(forecast.issued_at) // HOUR_MS * HOUR_MS, REACH)


def told_by(hours: Mapping[int, Intensities]) -> Told:
    """Forecasts on hours by the hour of their issue, in its order."""
    ordered = sorted(hours)
    values = np.array([hours[each] for each in ordered]).reshape(len(ordered), REACH)
    return Told(np.array(ordered, np.int64), values)


def witnesses(past: Past, told: Told | None, moments_h: Integers) -> list[Floats]:
    """What each witness says at each moment, deviations (m, hours): three of forecasts, and what was seen.

    Of no forecasts only the last one speaks.
    """
    seen = np.repeat(np.nan_to_num(past.seen_at(moments_h))[:, None], HOURS, axis=1)
    if told is None:
        return [seen]
    usual = past.usual_at(moments_h)
    newest = told.newest(moments_h) - usual
    earlier = told.earlier(moments_h) - usual
    day = np.repeat(_mean(newest[:, :DAY_H], axis=1)[:, None], HOURS, axis=1)
    return [newest, np.where(np.isnan(earlier), newest, earlier), day, seen]


def _usual(values: Intensities) -> Intensities:
    """The mean of the same hours of the seven days before each hour, and of a day more."""
    days = np.full((USUAL_DAYS, len(values) + DAY_H), np.nan)
    for day in range(USUAL_DAYS):
        late = DAY_H * (day + 1)
        days[day, late:] = values[: len(values) + DAY_H - late]
    often = np.isfinite(days).sum(axis=0) >= LEAST_SEEN
    return np.where(often, _mean(days, axis=0), np.nan)


def _at(values: Intensities, place: Integers) -> Floats:
    """The values at these places, NaN outside."""
    inside = (place >= 0) & (place < len(values))
    return np.where(inside, values[np.clip(place, 0, len(values) - 1)], np.nan)


def _mean(values: Floats, axis: int) -> Floats:
    """Mean of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), float)
