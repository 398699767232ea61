"""Bands from errors that were not trained on, and weights of members."""

import numpy as np
import pytest

from tidewatt.forecasting.models.calibration import band, covered, stacked, widening

RANDOM = np.random.default_rng(11)


def test_the_band_covers_four_fifths_at_each_hour_of_the_day() -> None:
    hour = RANDOM.integers(0, 24, 60_000)
    errors = RANDOM.standard_t(4, 60_000) * (1 + hour / 24)
    low, high = band(errors[:30_000], hour[:30_000])
    later, at = errors[30_000:], hour[30_000:]
    assert covered(later, at, low, high) == pytest.approx(0.8, abs=0.015)
    for each in (0, 12, 23):
        assert covered(later[at == each], at[at == each], low, high) == pytest.approx(0.8, abs=0.06)


def test_an_hour_that_was_hardly_seen_takes_the_band_of_all() -> None:
    errors, hour = np.arange(-500.0, 500.0), np.zeros(1000, np.int64)
    hour[0] = 7
    low, high = band(errors, hour)
    everywhere = np.quantile(errors, (0.1, 0.9))
    assert (low[3], high[3]) == pytest.approx(tuple(everywhere))
    assert abs(low[7] - everywhere[0]) < 3


def test_of_two_members_the_one_that_is_right_gets_the_weight() -> None:
    z = RANDOM.normal(size=5000)
    weight = stacked(np.stack([z, RANDOM.normal(size=5000), -z]), z, 0.0)
    assert weight == pytest.approx([1, 0, 0], abs=0.02)


def test_members_that_say_nothing_get_no_weight_and_none_is_trusted_beyond_its_word() -> None:
    z = RANDOM.normal(size=5000)
    assert stacked(RANDOM.normal(size=(3, 5000)), z, 0.0).sum() < 0.05
    assert stacked(np.stack([z / 2, z / 3, z / 4]), z, 0.0).sum() <= 1 + 1e-12
    assert stacked(np.zeros((3, 100)), np.zeros(100), 0.05).sum() <= 1 + 1e-12


def test_a_band_is_widened_to_what_late_errors_ask_for_but_twofold_at_most() -> None:
    off = RANDOM.normal(size=20_000)
    reach = np.full(off.shape, 1.2816)  # of a normal error, what holds four fifths
    assert widening(off, -reach, reach) == pytest.approx(1, abs=0.02)
    assert widening(off, -reach / 1.5, reach / 1.5) == pytest.approx(1.5, abs=0.03)
    assert widening(off, -reach / 9, reach / 9) == widening(off, 0 * reach, 0 * reach) == 2
    assert widening(off, -9 * reach, 9 * reach) == 0.5
    assert widening(np.full(3, np.nan), np.ones(3), np.ones(3)) == 1
