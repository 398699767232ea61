"""Weather as a model sees it: what is forecast for an hour, and how that differs from the last days."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models.forecaster import HOUR_MS, WeatherIssues
from tidewatt.forecasting.series import Intensities
from tidewatt.forecasting.sun import clear_sky_w_m2

DAY_H = 24
WEEK_D = 7
AROUND_H = 12
SUN_W_M2 = 20.0  # below this cloudless irradiance a share of it means nothing
COMFORT_K = (288.0, 293.0)  # heated below, cooled above

T = TypeVar("T")
Integers = NDArray[np.int64]
Named = Iterator[tuple[str, Intensities]]

POWER: dict[str, tuple[str, Callable[[Intensities], Intensities]]] = {
    # Power in the wind goes with the cube of its speed until turbines reach what they are built for.
    "wind power": ("wind_m_s", lambda wind: np.minimum(wind / 8.0, 1.2) ** 3),
    "heating": ("temperature_k", lambda kelvin: np.maximum(COMFORT_K[0] - kelvin, 0.0)),
    "cooling": ("temperature_k", lambda kelvin: np.maximum(kelvin - COMFORT_K[1], 0.0)),
}


class Same(Generic[T]):
    """Stands for one object: equal only to what stands for the very same, so that its results can be kept."""

    def __init__(self, it: T) -> None:
        self.it = it

    def __hash__(self) -> int:
        return id(self.it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.it is other.it


class Sky:
    """Weather issues in the order in which they became available."""

    def __init__(self, weather: WeatherIssues) -> None:
        order = np.argsort(weather.available_ms, kind="stable")
        self.start_ms = weather.start_ms[order]
        self.available_ms = weather.available_ms[order]
        self.values = {name: values[order] for name, values in weather.values.items()}
        self.first_ms = int(self.start_ms.min()) // HOUR_MS * HOUR_MS if len(order) else 0
        self._before: dict[str, Intensities] = {}

    def ahead(self, name: str, moments_ms: Integers, target_ms: Integers, shift_h: int = 0) -> Intensities:
        """What the newest issue at each moment (i,) says of the targets (i, b), `shift_h` hours later."""
        row = np.searchsorted(self.available_ms, moments_ms, side="right") - 1
        return self._said(name, row[:, None], target_ms + shift_h * HOUR_MS)

    def past(self, name: str) -> Intensities:
        """Hourly from `first_ms` on: what the issue that was newest when the hour began said of it.

        It is known before the hour is over, whatever comes later, so that any part of it before a moment
        was known at that moment.
        """
        if name not in self._before:
            hours = int((self.start_ms.max() - self.first_ms) // HOUR_MS) + self.values[name].shape[1]
            time_ms = self.first_ms + HOUR_MS * np.arange(hours)
            row = np.searchsorted(self.available_ms, time_ms, side="right") - 1
            self._before[name] = self._said(name, row, time_ms)
        return self._before[name]

    def at(self, name: str, time_ms: Integers) -> Intensities:
        """The past at these hours; NaN outside of it."""
        return _pick(self.past(name), (time_ms - self.first_ms) // HOUR_MS)

    def _said(self, name: str, row: Integers, time_ms: Integers) -> Intensities:
        values = self.values[name]
        lead = (time_ms - self.start_ms[np.maximum(row, 0)]) // HOUR_MS
        known = (row >= 0) & (lead >= 0) & (lead < values.shape[1])
        said = values[np.where(known, row, 0), np.where(known, lead, 0)]
        return np.where(known, said, np.nan)


def sky(weather: WeatherIssues) -> Sky:
    """The issues in order; the last is kept, as training asks for it again and again."""
    return _sky(Same(weather))


def columns(
    weather: WeatherIssues, moments_ms: Integers, target_ms: Integers, latitude: float, longitude: float
) -> tuple[tuple[str, ...], Intensities]:
    """Names, and features (issues, hours, features) of target hours (issues, hours); NaN where not known.

    Each row uses the newest issue available at its moment (issues,), and of earlier ones what they said of
    hours before that moment.
    """
    if not len(weather.start_ms):
        return (), np.empty((*target_ms.shape, 0))
    there = sky(weather)
    groups = [_variable(there, name, moments_ms, target_ms) for name in there.values]
    groups += [_derived(there, moments_ms, target_ms), _nearby(there, moments_ms, target_ms)]
    if "short_wave_w_m2" in there.values:
        groups.append(_clearness(there, moments_ms, target_ms, latitude, longitude))
    named = [each for group in groups for each in group]
    return tuple(name for name, _ in named), np.stack([values for _, values in named], axis=-1)


def clearness(short_wave_w_m2: Intensities, clear_w_m2: Intensities) -> Intensities:
    """Share of the cloudless irradiance; NaN at night."""
    day = clear_w_m2 > SUN_W_M2
    return np.where(day, short_wave_w_m2 / np.where(day, clear_w_m2, 1.0), np.nan)


def same_hours(moments_ms: Integers, target_ms: Integers) -> Integers:
    """The newest hour before each moment (i,) at the targets' time of day (i, b)."""
    day_ms = DAY_H * HOUR_MS
    back = (target_ms - moments_ms[:, None] // HOUR_MS * HOUR_MS) // day_ms + 1
    return np.asarray(target_ms - back * day_ms, np.int64)


@lru_cache(maxsize=1)
def _sky(weather: Same[WeatherIssues]) -> Sky:
    return Sky(weather.it)


def _variable(sky: Sky, name: str, moments_ms: Integers, target_ms: Integers) -> Named:
    """The level, its mean over a day, and both against what was said of the last days."""
    level = sky.ahead(name, moments_ms, target_ms)
    past = sky.past(name)
    newest = same_hours(moments_ms, target_ms)
    day = _around(sky, name, moments_ms, target_ms)
    week = _mean_before(past, (moments_ms - sky.first_ms) // HOUR_MS, WEEK_D * DAY_H)
    yield name, level
    yield f"{name}, day around", day
    yield f"{name} against the last day", level - sky.at(name, newest)
    yield f"{name} against the last week", level - _week(sky, past, newest)
    yield f"{name}, day around against the last week", day - week[:, None]


def _derived(sky: Sky, moments_ms: Integers, target_ms: Integers) -> Named:
    """What goes with power and demand, against the same hours of the last week."""
    newest = same_hours(moments_ms, target_ms)
    for title, (name, function) in POWER.items():
        if name in sky.values:
            level = function(sky.ahead(name, moments_ms, target_ms))
            yield f"{title} against the last week", level - _week(sky, function(sky.past(name)), newest)


def _nearby(sky: Sky, moments_ms: Integers, target_ms: Integers) -> Named:
    """Hours before and after: fronts come early or late, and plants follow with a delay."""
    for name, shift_h in (("wind_m_s", 3), ("short_wave_w_m2", 2), ("temperature_k", 3)):
        if name in sky.values:
            before = sky.ahead(name, moments_ms, target_ms, -shift_h)
            after = sky.ahead(name, moments_ms, target_ms, shift_h)
            yield f"{name}, {shift_h} h before", before
            yield f"{name}, {shift_h} h after", after
            yield f"{name}, ramp of {2 * shift_h} h", after - before
    for name in ("wind_m_s", "temperature_k"):
        if name in sky.values:
            level = sky.ahead(name, moments_ms, target_ms)
            before = sky.ahead(name, moments_ms, target_ms, -DAY_H)
            seen = sky.at(name, target_ms - DAY_H * HOUR_MS)
            ended = target_ms - DAY_H * HOUR_MS < moments_ms[:, None]
            yield f"{name}, change from the day before", level - np.where(ended, seen, before)


def _clearness(
    sky: Sky, moments_ms: Integers, target_ms: Integers, latitude: float, longitude: float
) -> Named:
    """The share of a cloudless sky's irradiance."""
    clear = clear_sky_w_m2(latitude, longitude, target_ms.ravel() + HOUR_MS // 2).reshape(target_ms.shape)
    yield "share of clear sky", clearness(sky.ahead("short_wave_w_m2", moments_ms, target_ms), clear)


def _around(sky: Sky, name: str, moments_ms: Integers, target_ms: Integers) -> Intensities:
    """Mean of what is known of the 24 hours around each target."""
    shifts = range(-AROUND_H, AROUND_H, 3)
    parts = np.stack([sky.ahead(name, moments_ms, target_ms, shift_h) for shift_h in shifts])
    return _mean(parts)


def _week(sky: Sky, past: Intensities, newest_ms: Integers) -> Intensities:
    """Mean of the same hour of the last seven days of an hourly past."""
    at = (newest_ms - sky.first_ms) // HOUR_MS
    return _mean(np.stack([_pick(past, at - DAY_H * back) for back in range(WEEK_D)]))


def _mean_before(past: Intensities, end: Integers, width: int) -> Intensities:
    """Mean of what is known of the `width` hours before each end."""
    known = ~np.isnan(past)
    sums = np.append(0.0, np.cumsum(np.where(known, past, 0.0)))
    counts = np.append(0, np.cumsum(known))
    last, first = np.clip(end, 0, len(past)), np.clip(end - width, 0, len(past))
    count = counts[last] - counts[first]
    return np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def _mean(parts: Intensities) -> Intensities:
    known = ~np.isnan(parts)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, parts, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _pick(values: Intensities, index: Integers) -> Intensities:
    inside = (index >= 0) & (index < len(values))
    return np.where(inside, values[np.where(inside, index, 0)], np.nan)
