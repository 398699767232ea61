"""A regression on weather that forgets: how this zone answers to wind, sun and cold these months.

Recursive least squares with exponential forgetting (Haykin, Adaptive Filter Theory, 5th ed. 2014, chapter
10), once a day: plants are built, and fuels change places, faster than trees can learn from two years.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models import calendar
from tidewatt.forecasting.models.forecaster import HOUR_MS, History, WeatherIssues
from tidewatt.forecasting.models.weather import Same, clearness, same_hours, sky
from tidewatt.forecasting.series import Intensities
from tidewatt.forecasting.sun import clear_sky_w_m2

DAY_H = 24
DAY_MS = DAY_H * HOUR_MS
WEEK_D = 7
HALF_LIFE_D = 60.0
FEWEST_D = 7
SHRINKAGE = 3.0
RECENT_H = (6, 24, 72)
AT_ONCE = 128  # issues
FLOOR_G = 1.0

WIND_M_S = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
WARM_K = (273.0, 283.0, 293.0, 300.0)
HARMONICS = 4
ORDINARY_CLEARNESS = 0.6

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Track:
    """Hourly values that are explained by weather, and what they are called."""

    name: str
    values: Intensities


def columns(
    history: History, origins: Integers, hours: Integers, moments_ms: Integers, log_base: Intensities
) -> tuple[tuple[str, ...], Intensities]:
    """Names, and features (issues, hours, features) of hours `origins[i] + hours[j]`; NaN where not known.

    Coefficients are of whole UTC days before hour `origins[i]`; nothing of that hour or later is used.
    `log_base` (issues, hours) is what the logarithm of intensity is given against.
    """
    if history.weather is None or not len(history.weather.start_ms):
        return (), np.empty((len(origins), len(hours), 0))
    zone = _zone(Same(history))
    known = zone.coefficients(origins)
    parts = []
    names: tuple[str, ...] = ()
    for at in range(0, len(origins), AT_ONCE):
        few = slice(at, at + AT_ONCE)
        named = list(zone.columns(origins[few], hours, moments_ms[few], log_base[few], known[few]))
        names = tuple(name for name, _ in named)
        parts.append(np.stack([values for _, values in named], axis=-1))
    return names, np.concatenate(parts) if parts else np.empty((0, len(hours), 0))


def forgetting(
    x: Intensities, y: Intensities, days: Integers, half_life_d: float = HALF_LIFE_D
) -> Intensities:
    """Ridge coefficients (len(days), terms, tracks) of `y` (d, 24, tracks) on `x` (d, 24, terms).

    Those for a day use what lies before it, each day older by a half-life half as much; NaN where that is
    less than a week. Hours with a hole do not count.
    """
    known = ~np.isnan(np.concatenate([x, y], axis=-1)).any(axis=-1, keepdims=True)
    x, y = np.where(known, x, 0.0), np.where(known, y, 0.0)
    width = x.shape[-1]
    keep = 0.5 ** (1 / half_life_d)
    penalty = SHRINKAGE * np.eye(width)
    penalty[0, 0] = 1e-6  # the level is free
    square: Intensities = np.zeros((width, width))
    product: Intensities = np.zeros((width, y.shape[-1]))
    wanted: dict[int, Intensities] = {}
    before = 0
    for day in sorted({int(day) for day in days}):
        new_x, new_y = x[before:day].reshape(-1, width), y[before:day].reshape(-1, y.shape[-1])
        age_d = day - 1 - np.arange(before, min(day, len(x)))
        weighed = new_x * np.repeat(keep**age_d, DAY_H)[:, None]
        square = keep ** (day - before) * square + weighed.T @ new_x
        product = keep ** (day - before) * product + weighed.T @ new_y
        enough = known[:day].sum() >= FEWEST_D * DAY_H
        solved = np.linalg.solve(square + penalty, product)
        wanted[day] = np.asarray(solved, float) if enough else np.full_like(product, np.nan)
        before = day
    return np.stack([wanted[int(day)] for day in days])


class _Zone:
    """One zone's weather, tracks and coefficients by day."""

    def __init__(self, history: History, weather: WeatherIssues) -> None:
        self.history = history
        self.sky = sky(weather)
        self.tracks = [
            Track("intensity", np.log(np.maximum(history.gco2_per_kwh, FLOOR_G))),
            *_mix(history.mw),
        ]
        self.first_day = -(-history.start_ms // DAY_MS)
        days = max(0, history.start_ms // HOUR_MS + len(history.gco2_per_kwh)) // DAY_H - self.first_day
        time_ms = self.first_day * DAY_MS + HOUR_MS * np.arange(max(0, days) * DAY_H)
        x = terms(self._past(time_ms), time_ms, history)
        self.x = x.reshape(-1, DAY_H, x.shape[-1])
        self.y = [self._track(track, time_ms).reshape(-1, DAY_H, 1) for track in self.tracks]

    def coefficients(self, origins: Integers) -> Intensities:
        """As known at the start of each origin's day: (issues, terms, tracks)."""
        origin_ms = self.history.start_ms + origins * HOUR_MS
        days = np.maximum(origin_ms // DAY_MS - self.first_day, 0)
        # Intensity apart from the mix: a mix that fails must not take it along.
        own = forgetting(self.x, self.y[0], days)
        mix = [forgetting(self.x, np.concatenate(self.y[1:], axis=-1), days)] if len(self.y) > 1 else []
        return np.concatenate([own, *mix], axis=-1)

    def columns(
        self,
        origins: Integers,
        hours: Integers,
        moments_ms: Integers,
        log_base: Intensities,
        coefficients: Intensities,
    ) -> Iterator[tuple[str, Intensities]]:
        """Features of some issues."""
        history = self.history
        origin_ms = history.start_ms + origins * HOUR_MS
        target_ms = origin_ms[:, None] + hours * HOUR_MS
        ahead = {name: self.sky.ahead(name, moments_ms, target_ms) for name in self.sky.values}
        said = np.einsum("ihp,ipk->ihk", terms(ahead, target_ms, history), coefficients)
        yield "adaptive", said[..., 0] - log_base
        recent_ms = origin_ms[:, None] - HOUR_MS * np.arange(1, max(RECENT_H) + 1)
        was = np.einsum("ihp,ip->ih", terms(self._past(recent_ms), recent_ms, history), coefficients[..., 0])
        off = self._track(self.tracks[0], recent_ms) - was
        for span in RECENT_H:
            yield (
                f"adaptive, error of the last {span} h",
                np.broadcast_to(_mean(off[:, :span]), log_base.shape),
            )
        newest = same_hours(origin_ms, target_ms)
        for k, track in enumerate(self.tracks[1:], 1):
            week = [self._track(track, newest - back * DAY_MS)[..., None] for back in range(WEEK_D)]
            against = said[..., k] - _mean(np.concatenate(week, axis=-1))[..., 0]
            yield f"adaptive {track.name} against the last week", against
            if track.name != "generation":
                yield f"adaptive {track.name}", said[..., k]

    def _past(self, time_ms: Integers) -> dict[str, Intensities]:
        return {name: self.sky.at(name, time_ms) for name in self.sky.values}

    def _track(self, track: Track, time_ms: Integers) -> Intensities:
        at = (time_ms - self.history.start_ms) // HOUR_MS
        inside = (at >= 0) & (at < len(track.values))
        return np.where(inside, track.values[np.where(inside, at, 0)], np.nan)


def terms(sky: Mapping[str, Intensities], time_ms: Integers, history: History) -> Intensities:
    """What intensity is regressed on: (..., terms) for hours (...) under this weather, each about 1 in size.

    Hinges of wind and temperature, sun as share of what a cloudless sky sends, and their course over the
    local day. A variable that the weather has not is left out.
    """
    local_ms = calendar.local(time_ms, history.timezone)
    angle = 2 * np.pi * (local_ms % DAY_MS) / DAY_MS
    waves = [wave(k * angle) for k in range(1, HARMONICS + 1) for wave in (np.sin, np.cos)]
    weekend = ((local_ms // DAY_MS + 3) % 7 >= 5).astype(float)
    parts = [np.ones(time_ms.shape), *waves, weekend, *(weekend * wave for wave in waves[:4])]
    if "wind_m_s" in sky:
        wind = sky["wind_m_s"]
        parts += [wind / 5, *((np.maximum(wind - knot, 0) / 5) for knot in WIND_M_S)]
        parts += [wind / 5 * wave for wave in waves[:2]]
    warm = (sky["temperature_k"] - 288) / 10 if "temperature_k" in sky else np.zeros(time_ms.shape)
    if "temperature_k" in sky:
        parts += [warm, *(np.maximum(sky["temperature_k"] - knot, 0) / 10 for knot in WARM_K)]
        parts += [warm * wave for wave in waves[:4]]
    if "short_wave_w_m2" in sky:
        clear = clear_sky_w_m2(history.latitude, history.longitude, time_ms.ravel() + HOUR_MS // 2)
        sun = sky["short_wave_w_m2"] / 500
        cloud = clearness(sky["short_wave_w_m2"], clear.reshape(time_ms.shape)) - ORDINARY_CLEARNESS
        night = np.isnan(cloud) & ~np.isnan(sun)
        parts += [sun, sun**2, sun * warm, np.where(night, 0.0, cloud), *(sun * wave for wave in waves[:2])]
    if "dew_point_k" in sky and "temperature_k" in sky:
        parts.append((sky["dew_point_k"] - sky["temperature_k"]) / 10)
    if "precipitation_mm" in sky:
        parts.append(sky["precipitation_mm"] / 2)
    return np.stack(parts, axis=-1)


@lru_cache(maxsize=1)  # training asks for one past again and again
def _zone(history: Same[History]) -> _Zone:
    weather = history.it.weather
    if weather is None:
        raise ForecastError(f"there is no weather for {history.it.zone} to regress on")
    return _Zone(history.it, weather)


def _mix(mw: Mapping[str, Intensities]) -> Iterator[Track]:
    """Shares of wind and sun, and the logarithm of all generation."""
    powers = [power for fuel, power in mw.items() if fuel not in ("demand", "imports")]
    if not powers:
        return
    total = np.where(np.isnan(powers).all(axis=0), np.nan, np.nansum(powers, axis=0))
    total = np.where(total > 0, total, np.nan)
    for fuel in ("wind", "solar"):
        if fuel in mw:
            yield Track(f"share of {fuel}", mw[fuel] / total)
    yield Track("generation", np.log(total))


def _mean(values: Intensities) -> Intensities:
    """Mean over the last axis of what is known, kept as an axis of one."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1, keepdims=True)
    total = np.where(known, values, 0.0).sum(axis=-1, keepdims=True)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
