"""Plain forecasts that a trained model must beat: yesterday, last week, the same-hour mean, the profile."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.models.forecaster import HOUR_MS, Forecaster, History, Prediction
from tidewatt.forecasting.models.lookback import mean, windows
from tidewatt.forecasting.profile import MEAN, hourly, profile

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAY_H = 24
WEEK_H = 7 * DAY_H


class Baseline(Forecaster, Protocol):
    """A forecaster that needs no training, so that many issues cost no more than one."""

    def issued(self, history: History, origins: Integers, hours: int) -> Floats:
        """What it predicts from each origin, the first hour not known then: (issues, hours), NaN unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Yesterday:
    """The last day again and again."""

    name: str = "yesterday"

    def issued(self, history: History, origins: Integers, hours: int) -> Floats:
        """What was 24 h before, or as many whole days before as it takes; holes take the day before."""
        days = windows(history.gco2_per_kwh, origins, WEEK_H).reshape(len(origins), 7, DAY_H)
        return np.asarray(_newest(days)[:, np.arange(hours) % DAY_H], float)

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours; None where an hour of the day was never seen in the last week."""
        return _prediction(self, history, hours)


@dataclass(frozen=True, slots=True)
class LastWeek:
    """The last week again and again."""

    name: str = "last week"

    def issued(self, history: History, origins: Integers, hours: int) -> Floats:
        """What was 168 h before; holes take the week before."""
        weeks = windows(history.gco2_per_kwh, origins, 2 * WEEK_H).reshape(len(origins), 2, WEEK_H)
        return np.asarray(_newest(weeks)[:, np.arange(hours) % WEEK_H], float)

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours; None where an hour of the week was not seen in the last two."""
        return _prediction(self, history, hours)


@dataclass(frozen=True, slots=True)
class SameHourMean:
    """The mean of the same hours of the last seven days."""

    name: str = "7-day same-hour mean"

    def issued(self, history: History, origins: Integers, hours: int) -> Floats:
        """Means of what was seen."""
        days = windows(history.gco2_per_kwh, origins, WEEK_H).reshape(len(origins), 7, DAY_H)
        return np.asarray(mean(days, axis=1)[:, np.arange(hours) % DAY_H], float)

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours; None where an hour of the day was never seen in the last week."""
        return _prediction(self, history, hours)


@dataclass(frozen=True, slots=True)
class ProfileBaseline:
    """The built-in profile of the zone; it knows nothing of the zone's own past."""

    name: str = "profile"

    def issued(self, history: History, origins: Integers, hours: int) -> Floats:
        """The usual intensity, NaN where the zone has no profile."""
        found = profile(history.zone)
        at = origins[:, None] + np.arange(hours)
        if found is None:
            return np.full(at.shape, np.nan)
        if found.table is None:
            return np.full(at.shape, found.gco2_per_kwh)
        distinct, place = np.unique(at, return_inverse=True)
        values = hourly(found.table, history.start_ms + distinct * HOUR_MS, found.timezone)[:, MEAN]
        return np.asarray(values[place].reshape(at.shape), float)

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours; None where the zone has no profile."""
        return _prediction(self, history, hours)


BASELINES: tuple[Baseline, ...] = (SameHourMean(), Yesterday(), LastWeek(), ProfileBaseline())


def _prediction(baseline: Baseline, history: History, hours: int) -> Prediction | None:
    """From the hour of `now` on; hours that ended but were not yet published count as holes."""
    now = (history.now_ms - history.start_ms) // HOUR_MS
    if now < 0 or hours < 1:
        return None
    values = baseline.issued(history, np.array([now]), hours)[0]
    if np.isnan(values).any():
        return None
    return Prediction(history.start_ms + now * HOUR_MS, values)


def _newest(periods: Floats) -> Floats:
    """The last of the periods (issues, periods, hours), its holes filled from those before it."""
    values = periods[:, -1]
    for back in range(2, periods.shape[1] + 1):
        values = np.where(np.isnan(values), periods[:, -back], values)
    return values
