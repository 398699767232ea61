"""What a trained model sees: numbers of the past as of each issue, for all hours ahead at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models import adaptive, calendar, generation, weather
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.models.lookback import mean, windows
from tidewatt.forecasting.series import Intensities

DAY_H = 24
WEEK_H = 7 * DAY_H
SEEN_H = 4 * WEEK_H
YEAR_H = 52 * WEEK_H  # whole weeks, so that weekdays fall on weekdays
AROUND_H = 10 * DAY_H
FLOOR_G = 1.0  # below a gram per kWh differences mean nothing, and logarithms much
LOG_LIMIT = 4.0  # a ratio beyond this is dirt
RECENT_H = (1, 3, 6, 12, 24, 48)
FADING = ((1, 4.0), (6, 12.0), (24, 36.0))  # hours that are looked at, hours in which their say fades

Integers = NDArray[np.int64]
Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Columns:
    """Features of issues and hours ahead: `x` is (issues, hours, features), NaN where not known.

    `log_base` (issues, hours) is the logarithm of the mean over the same hours of the last week, to which
    targets are ratios; NaN where no such hour was seen. `swing` (issues,) is how far the last four weeks
    were from what the same hours of a day before would have let expect: a mean absolute log-ratio.
    """

    names: tuple[str, ...]
    x: Values
    log_base: Intensities
    swing: Intensities


def columns(
    history: History, origins: Integers, hours: Integers, moments_ms: Integers | None = None
) -> Columns:
    """Features for hours `origins[i] + hours[j]` of the history's grid, seen from before hour `origins[i]`.

    Nothing of hour `origins[i]` or later is used, whatever the history holds; `hours` are below 168.
    `moments_ms` (issues,) are the moments up to which weather had to be available: by default the start of
    each issue's first hour.
    """
    seen = windows(logs(history.gco2_per_kwh), origins, SEEN_H)
    week = seen[:, -WEEK_H:].reshape(-1, 7, DAY_H)
    slot = hours % DAY_H
    same = log_mean(week, axis=1)
    target_ms = history.start_ms + (origins[:, None] + hours) * HOUR_MS
    names: list[str] = []
    parts: list[NDArray[np.floating]] = []
    groups = (
        _daily(seen, week, same, slot),
        _weekly(seen, same, hours),
        _recent(seen, same, hours),
        _last_year(history, origins, hours),
        calendar.columns(history, target_ms, hours),
        generation.columns(history.mw, origins, hours),
    )
    for group in groups:
        for name, values in group:
            names.append(name)
            parts.append(np.broadcast_to(values, target_ms.shape))
    x = np.stack(parts, axis=-1).astype(np.float32)
    if history.weather is not None:
        moments = history.start_ms + origins * HOUR_MS if moments_ms is None else moments_ms
        more, sky = weather.columns(history.weather, moments, target_ms, history.latitude, history.longitude)
        again, answer = adaptive.columns(history, origins, hours, moments, same[:, slot])
        names = [*names, *more, *again]
        x = np.concatenate([x, sky.astype(np.float32), answer.astype(np.float32)], axis=-1)
    return Columns(tuple(names), x, same[:, slot], _swing(seen))


def logs(gco2_per_kwh: Intensities) -> Intensities:
    """Logarithms of intensities, floored; NaN stays."""
    return np.asarray(np.log(np.maximum(gco2_per_kwh, FLOOR_G)), float)


def targets(history: History, origins: Integers, hours: Integers, log_base: Intensities) -> Intensities:
    """What is to be predicted: log-ratios of what came to the base (issues, hours), NaN where not known."""
    at = origins[:, None] + hours
    known = at < len(history.gco2_per_kwh)
    values = logs(history.gco2_per_kwh)[np.where(known, at, 0)]
    ratio = np.where(known, values, np.nan) - log_base
    return np.clip(ratio, -LOG_LIMIT, LOG_LIMIT)


def log_mean(values: Intensities, axis: int) -> Intensities:
    """Logarithm of the arithmetic mean of what these are the logarithms of."""
    return np.asarray(np.log(mean(np.exp(values), axis)), float)


Named = Iterator[tuple[str, NDArray[np.floating]]]


def _daily(seen: Intensities, week: Intensities, same: Intensities, slot: Integers) -> Named:
    """The same hour of each of the last seven days, and of the last four weeks, against their mean."""
    for day in range(1, 8):
        yield f"same hour, {day} d before", (week[:, -day] - same)[:, slot]
    yield "same hour, spread of 7 d", np.sqrt(mean((week - same[:, None]) ** 2, axis=1))[:, slot]
    month = log_mean(seen.reshape(len(seen), -1, DAY_H), axis=1)
    yield "same hour, 28 d", (month - same)[:, slot]
    yield "shape of the day", (same - mean(same, axis=1)[:, None])[:, slot]
    beside = (np.roll(same, -2, axis=1) - np.roll(same, 2, axis=1))[:, slot]
    yield "slope of the day", beside


def _weekly(seen: Intensities, same: Intensities, hours: Integers) -> Named:
    """The same hour of the same weekday, one to four weeks before."""
    base = same[:, hours % DAY_H]
    lags = [seen[:, SEEN_H - WEEK_H * back + hours] - base for back in range(1, 5)]
    yield "same hour, 7 d before its own", lags[0]
    yield "same hour, 14 d before its own", lags[1]
    yield "same weekday and hour, 4 weeks", mean(np.stack(lags), axis=0)


def _recent(seen: Intensities, same: Intensities, hours: Integers) -> Named:
    """How the last hours were against the same hours of the week, and levels against each other."""
    usual = np.tile(same, (1, 7))
    off = seen[:, -WEEK_H:] - usual
    for span in RECENT_H:
        yield f"last {span} h against usual", mean(off[:, -span:], axis=1)[:, None]
    for span, fades_h in FADING:
        fading = np.exp(-hours / fades_h)[None, :]
        yield f"last {span} h against usual, fading", mean(off[:, -span:], axis=1)[:, None] * fading
    yield "ramp of 3 h", (mean(off[:, -3:], axis=1) - mean(off[:, -6:-3], axis=1))[:, None]
    yield "day before against usual", mean(off[:, -48:-24], axis=1)[:, None]
    level = mean(seen[:, -WEEK_H:], axis=1)
    yield "week against 4 weeks", (level - mean(seen, axis=1))[:, None]
    yield "spread of the week", np.sqrt(mean(off**2, axis=1))[:, None]
    yield "level", level[:, None]


def _last_year(history: History, origins: Integers, hours: Integers) -> Named:
    """What the same days did a year ago: their shape, and where their level went from then on."""
    values = logs(history.gco2_per_kwh)
    reach = AROUND_H + WEEK_H
    around = windows(values, origins - YEAR_H + reach, 2 * reach)  # ends long before the issue
    level = mean(around[:, reach - WEEK_H : reach], axis=1)
    same = mean(around[:, reach - AROUND_H : reach + AROUND_H].reshape(len(origins), -1, DAY_H), axis=1)
    yield "shape of the day a year ago", (same - mean(same, axis=1)[:, None])[:, hours % DAY_H]
    yield "year ago, change of level", (mean(around[:, reach:], axis=1) - level)[:, None]


def _swing(seen: Intensities) -> Intensities:
    """Mean absolute log-ratio of the last four weeks to the same hours one to seven days before each."""
    days = seen.reshape(len(seen), -1, DAY_H)
    off = [
        np.abs(days[:, day] - mean(days[:, max(0, day - 7) : day], axis=1)) for day in range(1, days.shape[1])
    ]
    return mean(np.concatenate(off, axis=1), axis=1)
