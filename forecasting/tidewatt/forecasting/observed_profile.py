"""A profile that a zone's own observations take over, the more of them there are."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.profile import MEAN, P10, P90, Calendar, Profile, at, calendar
from tidewatt.forecasting.series import Intensities, Milliseconds, Steps, milliseconds

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LOOKED_BACK_MS = 400 * DAY_MS
YEAR_DAYS = 365.25
FULL_HOUR = 0.5  # share of an hour that must have been seen
FULL_DAY = 18  # hours of a day that must have been seen before its shape counts
TRUST_DAYS = 3.0  # days after which observations count as much: best on the 42 zones, of 0.5 to 30
SEASON_DAYS = 30.0  # a day counts exp(-0.5 (distance / this)^2) for the middle of a month, but never less
FAR = 0.1  # than this
OTHER_DAY = 0.3  # what a day of the weekend counts for working days, and the other way round
LOWEST = 0.05  # of a day's mean: no hour falls below


@dataclass(frozen=True, slots=True)
class Days:
    """Observed days: (d,) and (d, 24); NaN where an hour was not seen."""

    of_year: NDArray[np.float64]  # 0 to 365.25
    weekend: NDArray[np.int64]
    ratio: NDArray[np.float64]  # mean of the day over what the profile expected of the same hours
    excess: Intensities  # deviation from the day's mean beyond the profile's, relative


def blended(profile: Profile, observed: Steps, now: datetime) -> Profile:
    """The profile with what was observed of its zone by `now`; itself where that is less than a day.

    Level, shape and spread of each month move towards the observations by n / (n + 3), where n is the number
    of days seen, of the last 400: a day counts fully near the middle of that month, a tenth in other seasons,
    and 0.3 of that for days of the other kind (working day, weekend). A flat profile thus gets a shape.
    """
    start_ms, value = _hours(observed, milliseconds(now))
    table = _table(profile)
    when = calendar(start_ms, profile.timezone)
    days = _days(value, when, at(table[..., None, MEAN], when)[:, 0])
    if not len(days.ratio):
        return profile
    mean = np.stack([_learned(table[m, :, :, MEAN], days, _weights(days, m)) for m in range(12)])
    distance = _distances(table, value / at(mean[..., None], when)[:, 0] - 1, when)
    new = np.stack([mean, mean * (1 - distance[..., 0]), mean * (1 + distance[..., 1])], -1)
    level = float(mean.mean(axis=(0, 2)) @ np.array([5, 2]) / 7)
    seen = len(days.ratio)
    label = f"{profile.label}, with {seen} day{'s' if seen != 1 else ''} of its own observations"
    return replace(profile, label=label, flat=False, gco2_per_kwh=level, table=new)


def _table(profile: Profile) -> Intensities:
    """The profile's table; that of a flat one has no spread."""
    return np.full((12, 2, 24, 3), profile.gco2_per_kwh) if profile.table is None else profile.table


def _hours(observed: Steps, now_ms: int) -> tuple[Milliseconds, Intensities]:
    """Hours that had ended by `now_ms`, those that were seen: start, and mean intensity."""
    last = now_ms // HOUR_MS * HOUR_MS
    ended = (observed.end_ms <= last) & (observed.end_ms > last - LOOKED_BACK_MS)
    start, end, value = (a[ended] for a in (observed.start_ms, observed.end_ms, observed.gco2_per_kwh))
    if not len(start):
        return np.empty(0, np.int64), np.empty(0)
    grid = np.arange(int(start[0]) // HOUR_MS * HOUR_MS, last + 1, HOUR_MS)
    edges = np.column_stack([start, end]).ravel().astype(np.float64)
    width = np.diff(edges)
    width[1::2] = 0
    grams = np.append(0.0, np.cumsum(width * np.repeat(value, 2)[:-1]))
    covered = np.diff(np.interp(grid, edges, np.append(0.0, np.cumsum(width))))
    summed = np.diff(np.interp(grid, edges, grams))
    seen = covered >= FULL_HOUR * HOUR_MS
    return grid[:-1][seen], summed[seen] / covered[seen]


def _days(value: Intensities, when: Calendar, expected: Intensities) -> Days:
    """Days of which enough was seen, against what the profile expected of the same hours."""
    number, row = np.unique(when.day, return_inverse=True)
    seen, known = (np.full((len(number), 24), np.nan) for _ in range(2))
    seen[row, when.hour], known[row, when.hour] = value, expected
    position, weekend = np.zeros(len(number)), np.zeros(len(number), np.int64)
    position[row], weekend[row] = when.position, when.weekend
    hours = np.isfinite(seen).sum(axis=1)
    level, usual = (np.nansum(part, axis=1) / np.maximum(hours, 1) for part in (seen, known))
    good = (hours >= FULL_DAY) & (level > 0)
    excess = seen[good] / level[good, None] - known[good] / usual[good, None]
    of_year = (position[good] + 0.5) / 12 * YEAR_DAYS
    return Days(of_year, weekend[good], level[good] / usual[good], excess)


def _weights(days: Days, month: int) -> NDArray[np.float64]:
    """What each day counts in a month, (2, d): for working days, and for the weekend."""
    away = np.abs(days.of_year - (month + 0.5) / 12 * YEAR_DAYS) % YEAR_DAYS
    away = np.minimum(away, YEAR_DAYS - away)
    season = np.maximum(np.exp(-0.5 * (away / SEASON_DAYS) ** 2), FAR)
    return np.stack([np.where(days.weekend == kind, season, OTHER_DAY * season) for kind in (0, 1)])


def _learned(mean: Intensities, days: Days, weights: NDArray[np.float64]) -> Intensities:
    """The month's hours (2, 24) moved towards what was observed."""
    usual = mean.mean(axis=1, keepdims=True)
    seen = np.isfinite(days.excess)
    counted = weights @ seen
    excess = weights @ np.nan_to_num(days.excess) / np.maximum(counted, 1e-9)
    shape = mean / usual + counted / (counted + TRUST_DAYS) * excess
    total = weights.sum(axis=1, keepdims=True)
    ratio = weights @ np.log(days.ratio)[:, None] / total
    level = usual * np.exp(total / (total + TRUST_DAYS) * ratio)
    return np.asarray(level * np.maximum(shape, LOWEST), float)


def _distances(table: Intensities, error: Intensities, when: Calendar) -> Intensities:
    """How far p10 lies below and p90 above the mean, relative: (12, 2, 24, 2)."""
    before = np.stack([1 - table[..., P10] / table[..., MEAN], table[..., P90] / table[..., MEAN] - 1], -1)
    order = np.argsort(error)
    moved = np.empty_like(before)
    for month in range(12):
        away = np.abs(when.position - month) % 12
        away = np.minimum(away, 12 - away) * YEAR_DAYS / 12
        weight = np.maximum(np.exp(-0.5 * (away / SEASON_DAYS) ** 2), FAR)
        reached = np.cumsum(weight[order]) / weight.sum()
        low, high = (float(error[order][np.searchsorted(reached, q)]) for q in (0.1, 0.9))
        days = weight.sum() / 24
        seen = np.array([max(-low, 0.0), max(high, 0.0)])
        moved[month] = before[month] + days / (days + TRUST_DAYS) * (seen - before[month])
    return moved
