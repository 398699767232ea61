"""Plain forecasts, from what was known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.forecasting.models.pasts import DAY_H, START_MS, past
from tidewatt.forecasting.backtest.issuing import cut
from tidewatt.forecasting.models.baselines import (
    BASELINES,
    Baseline,
    LastWeek,
    ProfileBaseline,
    SameHourMean,
    Yesterday,
)
from tidewatt.forecasting.models.forecaster import HOUR_MS
from tidewatt.forecasting.profile import profile

WHOLE = past(20 * DAY_H)
NOW = 15 * DAY_H + 7


@pytest.mark.parametrize(
    ("baseline", "lags"),
    [(Yesterday(), [24]), (LastWeek(), [168]), (SameHourMean(), [24 * day for day in range(1, 8)])],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_next_hours_are_those_of_before(baseline: Baseline, lags: list[int]) -> None:
    made = baseline.predict(cut(WHOLE, START_MS + NOW * HOUR_MS + 1), 12)
    assert made is not None
    assert made.start_ms == START_MS + NOW * HOUR_MS
    expected = np.mean([WHOLE.gco2_per_kwh[NOW - lag : NOW - lag + 12] for lag in lags], axis=0)
    assert np.allclose(made.gco2_per_kwh, expected)


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_one_issue_of_many_is_the_one_from_what_was_known_then(baseline: Baseline) -> None:
    many = baseline.issued(WHOLE, np.array([NOW, NOW + 30]), 100)
    for row, origin in enumerate((NOW, NOW + 30)):
        made = baseline.predict(cut(WHOLE, START_MS + origin * HOUR_MS), 100)
        assert made is not None
        assert np.array_equal(made.gco2_per_kwh, many[row])


def test_a_hole_takes_the_day_before() -> None:
    values = WHOLE.gco2_per_kwh.copy()
    values[NOW - DAY_H] = np.nan
    made = Yesterday().predict(cut(replace(WHOLE, gco2_per_kwh=values), START_MS + NOW * HOUR_MS), 2)
    assert made is not None
    assert made.gco2_per_kwh.tolist() == WHOLE.gco2_per_kwh[[NOW - 2 * DAY_H, NOW - DAY_H + 1]].tolist()


@pytest.mark.parametrize("baseline", [Yesterday(), LastWeek(), SameHourMean()], ids=lambda each: each.name)
def test_too_short_a_past_says_nothing(baseline: Baseline) -> None:
    assert baseline.predict(cut(WHOLE, START_MS + 20 * HOUR_MS), 24) is None


def test_the_profile_is_the_built_in_one_and_absent_where_there_is_none() -> None:
    made = ProfileBaseline().predict(WHOLE, 24)
    usual = profile(WHOLE.zone)
    assert made is not None
    assert usual is not None
    assert 0.3 < made.gco2_per_kwh.mean() / usual.gco2_per_kwh < 3
    assert ProfileBaseline().predict(replace(WHOLE, zone="WT:NOWHERE"), 24) is None
