"""Forecasts are issued through the past as in production: nothing later is ever seen."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.unit.forecasting.backtest.sayings import DAY_H, KIND, T0_MS, Repeating, history, shape
from tidewatt.forecasting.backtest.issuing import DAY_MS, Retrained, continued, cut, issue, place, recorded
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.fake import FakeProvider
from tidewatt.forecasting.models.forecaster import HOUR_MS, History, WeatherIssues
from tidewatt.forecasting.series import Forecast, instant, stepped

DAYS_MS = T0_MS + DAY_MS * np.arange(1, 5)


def test_the_future_changes_nothing() -> None:
    values = shape(8 * DAY_H)
    planted = values.copy()
    planted[5 * DAY_H :] = 1e9
    moments = DAYS_MS + 90 * 60_000
    honest, tempted = (issue(Repeating(), history(each), moments, 48) for each in (values, planted))
    assert np.array_equal(honest.predicted, tempted.predicted)
    assert not np.isnan(honest.predicted).any()


def test_what_is_published_late_is_known_late() -> None:
    known = cut(history(shape(100)), T0_MS + 50 * HOUR_MS, lag_ms=2 * HOUR_MS)
    assert (len(known.gco2_per_kwh), len(known.mw["wind"])) == (48, 48)
    assert len(cut(history(shape(100)), T0_MS + 50 * HOUR_MS - 1).gco2_per_kwh) == 49
    assert len(cut(history(shape(100)), T0_MS - DAY_MS).gco2_per_kwh) == 0


def test_weather_is_known_from_when_it_was_available() -> None:
    runs_ms = T0_MS + DAY_MS * np.arange(3)
    weather = WeatherIssues(runs_ms, runs_ms + 5 * HOUR_MS, {"wind_m_s": np.arange(6.0).reshape(3, 2)})
    whole = history(shape(100), weather=weather)
    seen = cut(whole, T0_MS + DAY_MS + 4 * HOUR_MS).weather
    assert seen is not None
    assert seen.values["wind_m_s"].tolist() == [[0, 1]]


def test_each_issue_begins_with_the_hour_of_its_moment() -> None:
    values = shape(8 * DAY_H)
    made = issue(Repeating(band=True), history(values), DAYS_MS + 10 * 60_000, 5)
    assert made.start_ms.tolist() == DAYS_MS.tolist()
    assert np.array_equal(made.predicted[1], values[DAY_H : DAY_H + 5])
    assert made.p10 is not None
    assert np.array_equal(made.p10[1], values[DAY_H : DAY_H + 5] - 10)


def test_where_the_past_is_too_short_nothing_is_predicted() -> None:
    made = issue(Repeating(needs_h=2 * DAY_H), history(shape(200)), DAYS_MS, 24)
    assert np.isnan(made.predicted).all(axis=1).tolist() == [True, False, False, False]
    assert made.p10 is None


def test_a_model_is_trained_anew_every_so_often_on_the_past_alone() -> None:
    lengths = []

    def train(history: History) -> Repeating | None:
        lengths.append(len(history.gco2_per_kwh))
        return Repeating() if lengths[-1] > DAY_H else None

    model = Retrained("trained", train, every_days=2)
    made = issue(model, history(shape(300)), T0_MS + DAY_MS * np.arange(1, 7), 24)
    # on the first day there is too little; the next day it is tried again
    assert lengths == [24, 48, 96, 144]
    assert np.isnan(made.predicted).all(axis=1).tolist() == [True] + 5 * [False]


def test_a_model_of_a_later_moment_is_never_used() -> None:
    moments: list[int] = []

    def train(history: History) -> Repeating:
        moments.append(history.now_ms)
        return Repeating()

    issue(Retrained("trained", train, every_days=28), history(shape(300)), DAYS_MS[::-1], 24)
    assert moments == DAYS_MS[::-1].tolist()


def test_predictions_lie_where_their_hours_are() -> None:
    row = np.full(4, np.nan)
    place(row, np.array([1.0, 2, 3]), T0_MS - HOUR_MS, T0_MS)
    assert np.array_equal(row, [2, 3, np.nan, np.nan], equal_nan=True)
    place(row, np.array([7.0, 8, 9]), T0_MS + 2 * HOUR_MS, T0_MS)
    assert row.tolist() == [2, 3, 7, 8]
    place(row, np.array([5.0]), T0_MS + 9 * HOUR_MS, T0_MS)
    place(row, np.array([5.0]), T0_MS - 9 * HOUR_MS, T0_MS)
    assert row.tolist() == [2, 3, 7, 8]
    with pytest.raises(ForecastError, match="30 min after a full hour"):
        place(row, row, T0_MS + HOUR_MS // 2, T0_MS)


def recorded_forecast(issued: datetime, values: list[float], p10: list[float] | None = None) -> Forecast:
    """Half-hours from the moment of issue on."""
    start_ms = int(issued.timestamp() * 1000) + HOUR_MS // 2 * np.arange(len(values), dtype=np.int64)
    steps = stepped(start_ms, start_ms + HOUR_MS // 2, np.array(values))
    quantiles = None if p10 is None else np.array(p10)
    return Forecast("DE", KIND, "grid", issued, steps, quantiles, quantiles)


def test_recorded_forecasts_are_joined_on_time_on_full_hours() -> None:
    monday = instant(T0_MS)
    first = recorded_forecast(monday, [100.0, 200, 300, 300, 500, 500])
    second = recorded_forecast(monday + timedelta(hours=2), [7.0, 9], [1.0, 3])
    provider = FakeProvider(forecasts=[first, second])
    moments = T0_MS + HOUR_MS * np.array([-1, 0, 1, 2, 3])
    found = recorded(provider, "DE", KIND, moments, 3, "the grid's own")
    expected: list[list[float]] = [
        [np.nan] * 3,
        [150, 300, 500],
        [300, 500, np.nan],
        [8, np.nan, np.nan],
        [np.nan] * 3,
    ]
    assert np.array_equal(found.predicted, expected, equal_nan=True)
    assert found.p10 is not None
    assert found.p10[3][0] == 2
    assert found.name == "the grid's own"


def test_a_forecast_that_is_too_old_says_nothing() -> None:
    week = recorded_forecast(datetime(2026, 3, 2, tzinfo=UTC), [100.0] * 400)
    moments = T0_MS + HOUR_MS * np.array([95, 96])
    found = recorded(FakeProvider(forecasts=[week]), "DE", KIND, moments, 2)
    assert np.isnan(found.predicted).any(axis=1).tolist() == [False, True]


def test_what_a_forecast_leaves_open_is_continued_but_never_made_up() -> None:
    provider = FakeProvider(forecasts=[recorded_forecast(instant(T0_MS), [1.0, 1])])
    moments = T0_MS + HOUR_MS * np.array([-1, 0])
    short = recorded(provider, "DE", KIND, moments, 2)
    other = issue(Repeating(needs_h=0), history(np.full(100, 5.0)), moments + DAY_MS, 2)
    expected = np.array([[np.nan, np.nan], [1, 5]])
    assert np.array_equal(continued(short, other), expected, equal_nan=True)
