"""Which part of the past is judged, and what is refused."""

from datetime import timedelta

import numpy as np
import pytest

from tests.unit.forecasting.backtest.sayings import DAY_H, T0_MS, history, shape
from tidewatt.forecasting.backtest.schedule import DAY_MS, Schedule, schedule
from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.models.forecaster import HOUR_MS, History
from tidewatt.forecasting.series import instant

MONDAY = instant(T0_MS)


def days(count: float) -> History:
    return history(shape(round(count * DAY_H)))


def test_forecasts_are_issued_from_midnight_on_at_even_hours() -> None:
    made = Schedule(T0_MS + 1, T0_MS + DAY_MS, every_h=6, hours=24)
    assert ((made.moments_ms - T0_MS) // HOUR_MS).tolist() == [6, 12, 18]
    assert made.arrivals == (0, 3)
    assert Schedule(T0_MS, T0_MS + 2 * HOUR_MS, 1, 24).moments_ms.tolist() == [T0_MS, T0_MS + HOUR_MS]
    assert Schedule(T0_MS, T0_MS, 1, 24).arrivals == (0,)


def test_the_last_ninety_days_are_judged_and_the_outcome_of_each_is_known() -> None:
    made = schedule(days(200), None, None, every_h=24, hours=96)
    assert made.moments_ms[-1] == T0_MS + 196 * DAY_MS
    assert made.moments_ms[0] == T0_MS + 107 * DAY_MS


def test_of_a_short_past_a_third_is_left_to_learn_from() -> None:
    made = schedule(days(34), None, None, every_h=24, hours=96)
    assert made.start_ms == T0_MS + 10 * DAY_MS
    assert schedule(days(16), None, None, every_h=24, hours=96).start_ms == T0_MS + 7 * DAY_MS


def test_recorded_forecasts_are_judged_from_the_first_to_the_last() -> None:
    issued = [MONDAY + timedelta(days=day) for day in (2, 30, 40)]
    made = schedule(days(300), None, None, every_h=24, hours=96, recorded=issued)
    assert (made.start_ms, made.moments_ms[-1]) == (T0_MS + 7 * DAY_MS, T0_MS + 40 * DAY_MS)


def test_a_past_that_is_too_short_is_told_how_long_it_must_be() -> None:
    with pytest.raises(
        ForecastError, match=r"DE has 11\.5 days of observations, .* needs 12: 7 to learn from"
    ):
        schedule(days(11.5), None, None, every_h=24, hours=96)
    assert len(schedule(days(12), None, None, every_h=24, hours=96).moments_ms) == 2


def test_holes_at_the_ends_are_no_past() -> None:
    values = shape(14 * DAY_H)
    values[: 4 * DAY_H] = np.nan
    with pytest.raises(ForecastError, match=r"10\.0 days"):
        schedule(history(values), None, None, every_h=24, hours=96)
    with pytest.raises(ForecastError, match="no hour"):
        schedule(history(values[:DAY_H]), None, None, every_h=24, hours=96)


@pytest.mark.parametrize(("first", "last"), [(3, 20), (10, 60), (20, 10)])
def test_what_was_not_observed_cannot_be_judged(first: int, last: int) -> None:
    start, end = MONDAY + timedelta(days=first), MONDAY + timedelta(days=last)
    with pytest.raises(ForecastError, match="observations from 2026-03-02 00:00Z to 2026-04-01 00:00Z"):
        schedule(days(30), start, end, every_h=6, hours=24)


def test_a_span_that_was_asked_for_is_kept() -> None:
    start, end = MONDAY + timedelta(days=9), MONDAY + timedelta(days=30)
    made = schedule(days(30), start, end, every_h=12, hours=96)
    assert (made.start_ms, made.end_ms) == (T0_MS + 9 * DAY_MS, T0_MS + 30 * DAY_MS)


@pytest.mark.parametrize(("every_h", "hours"), [(0, 96), (5, 96), (48, 96), (24, 0), (24, 400)])
def test_odd_rhythms_are_refused(every_h: int, hours: int) -> None:
    with pytest.raises(ForecastError, match="every 1, 2, 3, 4, 6, 8, 12 or 24 h"):
        schedule(days(30), None, None, every_h=every_h, hours=hours)
