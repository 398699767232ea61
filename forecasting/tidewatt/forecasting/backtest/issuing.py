"""Forecasts issued through the past, each made from what was known at its moment and nothing later."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.hours import hourly
from tidewatt.forecasting.kind import Kind
from tidewatt.forecasting.models.forecaster import (
    HOUR_MS,
    Forecaster,
    History,
    Prediction,
    WeatherIssues,
)
from tidewatt.forecasting.provider import Provider
from tidewatt.forecasting.series import Forecast, Intensities, Steps, instant

DAY_MS = 24 * HOUR_MS
GOOD_FOR = timedelta(hours=96)  # an older recorded issue is no longer used, as in the chain
Train = Callable[[History], Forecaster | None]


@dataclass(frozen=True, slots=True)
class Issues:
    """What one contender predicted at many moments, gCO2/kWh; NaN where it predicted nothing.

    Row i of `predicted` (i, h) begins at `start_ms[i]`, the full hour that contains the moment of issue.
    `p10`, `p90` are (i, h); None where the contender has no band.
    """

    name: str
    start_ms: NDArray[np.int64]
    predicted: Intensities
    p10: Intensities | None = None
    p90: Intensities | None = None


class Retrained:
    """A forecaster that is trained anew every so many days, on what is known then, as the daemon does it."""

    def __init__(self, name: str, train: Train, every_days: float = 28) -> None:
        self.name = name
        self._train = train
        self._every_ms = round(every_days * DAY_MS)
        self._trained_ms: int | None = None
        self._model: Forecaster | None = None

    def predict(self, history: History, hours: int) -> Prediction | None:
        """The next hours; None where the past is too short to train on.

        A model that could not be trained is tried again at the next moment; one of a later moment is dropped.
        """
        trained_ms = self._trained_ms
        stale = trained_ms is None or not 0 <= history.now_ms - trained_ms < self._every_ms
        if stale or self._model is None:
            self._model, self._trained_ms = self._train(history), history.now_ms
        return None if self._model is None else self._model.predict(history, hours)


def cut(history: History, now_ms: int, lag_ms: int = 0) -> History:
    """The history as known at `now_ms`, each hour being published `lag_ms` after its end."""
    hours = max(0, (now_ms - lag_ms - history.start_ms) // HOUR_MS)
    weather = None if history.weather is None else _available(history.weather, now_ms)
    return replace(
        history,
        now_ms=now_ms,
        gco2_per_kwh=history.gco2_per_kwh[:hours],
        mw={fuel: power[:hours] for fuel, power in history.mw.items()},
        weather=weather,
    )


def issue(
    forecaster: Forecaster,
    history: History,
    issue_ms: NDArray[np.integer],
    hours: int,
    *,
    lag_ms: int = 0,
) -> Issues:
    """What the forecaster predicts at each moment of `issue_ms`, in their order, from the past alone."""
    start_ms = np.asarray(issue_ms, np.int64) // HOUR_MS * HOUR_MS
    blank = (len(start_ms), hours)
    predicted, p10, p90 = (np.full(blank, np.nan) for _ in range(3))
    for row, now_ms in enumerate(np.asarray(issue_ms).tolist()):
        made = forecaster.predict(cut(history, now_ms, lag_ms), hours)
        if made is None:
            continue
        place(predicted[row], made.gco2_per_kwh, made.start_ms, int(start_ms[row]))
        if made.p10 is not None and made.p90 is not None:
            place(p10[row], made.p10, made.start_ms, int(start_ms[row]))
            place(p90[row], made.p90, made.start_ms, int(start_ms[row]))
    if np.isnan(p10).all():
        return Issues(forecaster.name, start_ms, predicted)
    return Issues(forecaster.name, start_ms, predicted, p10, p90)


def place(row: Intensities, values: Intensities, values_ms: int, row_ms: int) -> None:
    """Writes hourly values that begin at `values_ms` into a row that begins at `row_ms`, where they fit.

    Raises:
        ForecastError: they do not begin at a full hour.
    """
    late_ms = values_ms - row_ms
    if late_ms % HOUR_MS:
        raise ForecastError(f"a prediction begins {late_ms % HOUR_MS / 60_000:g} min after a full hour")
    late = late_ms // HOUR_MS
    end = min(len(row), late + len(values))
    if end > max(late, 0):
        row[max(late, 0) : end] = values[max(-late, 0) : end - late]


def recorded(
    provider: Provider, zone: str, kind: Kind, issue_ms: NDArray[np.integer], hours: int, name: str = ""
) -> Issues:
    """What a provider had forecast last at each moment, on hours from that one on; NaN where it says nothing.

    `name` is the contender's, else the provider's.
    """
    start_ms = np.asarray(issue_ms, np.int64) // HOUR_MS * HOUR_MS
    predicted, p10, p90 = (np.full((len(start_ms), hours), np.nan) for _ in range(3))
    for row, (now_ms, first_ms) in enumerate(
        zip(np.asarray(issue_ms).tolist(), start_ms.tolist(), strict=True)
    ):
        now = instant(now_ms)
        issued = provider.forecast(zone, kind, now)
        if issued is None or now - issued.issued_at >= GOOD_FOR:
            continue
        predicted[row] = hourly(issued.steps, first_ms, hours)
        if issued.p10 is not None and issued.p90 is not None:
            p10[row] = _quantile(issued, issued.p10, first_ms, hours)
            p90[row] = _quantile(issued, issued.p90, first_ms, hours)
    label = name or provider.name
    if np.isnan(p10).all():
        return Issues(label, start_ms, predicted)
    return Issues(label, start_ms, predicted, p10, p90)


def continued(issues: Issues, by: Issues) -> Intensities:
    """The predictions, what they leave open filled from another contender; where they say nothing stays so.

    As the chain does it: a forecast that ends early is continued by the next source.
    """
    says = ~np.isnan(issues.predicted).all(axis=1, keepdims=True)
    return np.where(np.isnan(issues.predicted) & says, by.predicted, issues.predicted)


def _quantile(issued: Forecast, quantile: Intensities, first_ms: int, hours: int) -> Intensities:
    """A quantile on hours: the mean over the steps of each hour; steps without it are holes."""
    known = ~np.isnan(quantile)
    steps = Steps(issued.steps.start_ms[known], issued.steps.end_ms[known], quantile[known])
    return hourly(steps, first_ms, hours)


def _available(weather: WeatherIssues, now_ms: int) -> WeatherIssues:
    """The weather forecasts that could be used at `now_ms`."""
    known = weather.available_ms <= now_ms
    return WeatherIssues(
        weather.start_ms[known],
        weather.available_ms[known],
        {variable: values[known] for variable, values in weather.values.items()},
    )
