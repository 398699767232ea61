"""Errors and bands of small forecasts that can be checked by hand."""

import numpy as np
import pytest

from tidewatt.forecasting.backtest.scores import ahead, band, by_day, clean, errors, mean, median

NAN = float("nan")


def test_errors_are_in_percent_of_what_was_observed_and_in_grams() -> None:
    found = errors(np.array([100.0, 200.0, NAN]), np.array([110.0, 100.0, 5.0]))
    assert found.mape_percent == pytest.approx(30)
    assert (found.mae_g, found.steps) == (55, 2)


def test_an_hour_of_almost_no_carbon_counts_in_grams_alone() -> None:
    found = errors(np.array([0.5, 100.0]), np.array([50.5, 100.0]))
    assert (found.mape_percent, found.mae_g) == (0, 25)
    assert errors(np.array([0.5]), np.array([1.0])).mape_percent is None
    assert errors(np.array([NAN]), np.array([1.0])).mae_g is None


def test_each_day_ahead_has_its_own_error() -> None:
    observed = np.full((2, 30), 100.0)
    predicted = observed + np.repeat([[10.0, 30.0]], [24, 6], axis=1)
    days = by_day(observed, predicted)
    assert [day.mape_percent for day in days] == pytest.approx([10, 30])
    assert [day.steps for day in days] == [48, 12]


def test_what_is_ahead_of_an_issue_ends_where_nothing_is_known() -> None:
    found = ahead(np.array([1.0, 2.0, 3.0]), np.array([0, 2]), 2)
    assert np.array_equal(found, np.array([[1, 2], [3, NAN]]), equal_nan=True)


def test_a_band_is_right_where_eight_in_ten_lie_inside() -> None:
    observed = np.arange(1.0, 11.0)
    found = band(observed, np.full(10, 1.5), np.full(10, 9.5))
    assert found is not None
    assert (found.coverage, found.width_g) == (0.8, 8)


def test_a_quantile_pays_for_the_side_that_it_is_wrong_on() -> None:
    above = band(np.array([12.0]), np.array([0.0]), np.array([10.0]))
    below = band(np.array([8.0]), np.array([0.0]), np.array([10.0]))
    assert above is not None
    assert below is not None
    assert above.pinball_g == pytest.approx((0.1 * 12 + 0.9 * 2) / 2)
    assert below.pinball_g == pytest.approx((0.1 * 8 + 0.1 * 2) / 2)
    assert band(np.array([8.0]), np.array([NAN]), np.array([10.0])) is None


def test_zones_are_summed_up_by_what_is_known_of_them() -> None:
    assert (median([1.0, None, 9.0, 2.0]), mean([1.0, None, 2.0])) == (2, 1.5)
    assert median([None, NAN]) is None
    assert clean(40)
    assert not clean(50)
