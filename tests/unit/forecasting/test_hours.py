"""Steps of any length on full hours."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.forecasting.backtest.sayings import T0_MS, quarters
from tidewatt.forecasting.hours import HOUR_MS, hourly
from tidewatt.forecasting.series import empty, instant, mean


def test_an_hour_is_the_mean_of_its_quarters() -> None:
    nan = float("nan")
    steps = quarters([1, 2, 3, 4, 10, 20, nan, nan, nan, nan, nan, 5, 7, 7])
    assert np.array_equal(hourly(steps, T0_MS, 5), [2.5, 15, nan, 7, nan], equal_nan=True)
    assert np.isnan(hourly(empty(), T0_MS, 2)).all()


@given(
    st.lists(st.one_of(st.floats(0, 2000), st.just(float("nan"))), min_size=4, max_size=60), st.integers(0, 7)
)
def test_each_hour_is_the_mean_over_time_of_what_was_observed_in_it(values: list[float], first: int) -> None:
    steps = quarters(values, first)
    hours = hourly(steps, T0_MS, 18)
    for number, value in enumerate(hours.tolist()):
        start = instant(T0_MS + number * HOUR_MS)
        expected = mean(steps, start, start + timedelta(hours=1))
        if not np.isnan(value):
            assert value == pytest.approx(expected, abs=1e-5)
