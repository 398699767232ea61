"""How likely waiting is to gain anything."""

from datetime import UTC, datetime, timedelta
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps, milliseconds
from tidewatt.scheduler.plan import Window
from tidewatt.scheduler.planning.chance import chance, correlation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)


def outlook(*hours: float, spread: float | None = 50.0, step_ms: int = HOUR_MS) -> Outlook:
    """Hourly values from NOW on with a band of `spread` to both sides; None for no band."""
    value = np.repeat(np.array(hours), HOUR_MS // step_ms)
    start = milliseconds(NOW) + step_ms * np.arange(len(value))
    segment = Segment(NOW, NOW + len(hours) * HOUR, Rung.LIVE, "test")
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    return Outlook("DE", KIND, Steps(start, start + step_ms, value), (segment,), low, high)


def window(start_h: float, end_h: float) -> Window:
    return Window(NOW + start_h * HOUR, NOW + end_h * HOUR)


def test_a_much_cleaner_window_is_sure_to_gain_and_a_dirtier_one_is_not() -> None:
    ahead = outlook(500, 500, 100, 100)
    assert chance(ahead, window(0, 1), window(2, 3)) == pytest.approx(1.0, abs=1e-4)
    assert chance(ahead, window(2, 3), window(0, 1)) == pytest.approx(0.0, abs=1e-4)


def test_equal_windows_are_an_even_chance() -> None:
    assert chance(outlook(*[300] * 24), window(0, 4), window(10, 14)) == pytest.approx(0.5)


def test_two_far_hours_gain_as_the_normal_distribution_says() -> None:
    ahead = outlook(*[300] + [290] * 23, spread=12.815515655)  # 10 g of deviation each
    rho = float(correlation(np.array([20.0]))[0])
    assert rho == pytest.approx(0.33, abs=0.01)
    assert chance(ahead, window(0, 1), window(20, 21)) == pytest.approx(
        NormalDist(0, 10 * sqrt(2 - 2 * rho)).cdf(10)
    )


def test_neighbouring_hours_err_together_so_that_a_small_gain_is_surer_there() -> None:
    ahead = outlook(300, 290, *[290] * 22)
    near, far = (chance(ahead, window(0, 1), window(h, h + 1)) for h in (1, 20))
    assert near is not None
    assert far is not None
    assert near > far


def test_windows_that_overlap_differ_only_where_they_do_not() -> None:
    ahead = outlook(*[300] * 10, 100, 100)
    assert chance(ahead, window(0, 10), window(2, 12)) == chance(ahead, window(0, 10), window(2, 12), ratio=1)
    assert chance(ahead, window(0, 10), window(0, 10)) == 0.0


def test_without_a_band_nothing_is_said() -> None:
    assert chance(outlook(300, 200, spread=None), window(0, 1), window(1, 2)) is None


def test_a_band_that_ends_early_says_nothing_of_what_lies_behind() -> None:
    ahead = outlook(300, 200, 100)
    assert ahead.p10 is not None
    ahead.p10[2] = np.nan
    assert chance(ahead, window(0, 1), window(1, 2)) is not None
    assert chance(ahead, window(0, 1), window(2, 3)) is None


def test_beyond_the_outlook_nothing_is_said() -> None:
    assert chance(outlook(300, 200), window(0, 1), window(1.5, 2.5)) is None


def test_another_region_is_compared_with_its_own_outlook_and_what_it_draws() -> None:
    here, there = outlook(300, 300), outlook(200, 200)
    assert chance(here, window(0, 1), window(0, 1), chosen_outlook=there) > 0.9  # type: ignore[operator]
    drawn = chance(here, window(0, 1), window(0, 1), chosen_outlook=there, ratio=1.5)
    assert drawn == pytest.approx(0.5)


def test_a_forecast_without_any_doubt_gains_or_does_not() -> None:
    ahead = outlook(300, 200, 200, spread=0.0)
    assert chance(ahead, window(0, 1), window(1, 2)) == 1.0
    assert chance(ahead, window(1, 2), window(2, 3)) == 0.0


def test_short_steps_say_the_same_as_hours() -> None:
    hours = [300, 280, 250, 260, 240, 310]
    coarse = chance(outlook(*hours), window(0, 2), window(3, 5))
    fine = chance(outlook(*hours, step_ms=HOUR_MS // 12), window(0, 2), window(3, 5))
    assert coarse == pytest.approx(fine, abs=0.01)


@given(
    st.lists(st.floats(0, 1000), min_size=48, max_size=48),
    st.floats(0, 500),
    st.floats(0.1, 23.0),
    st.floats(0.0, 20.0),
    st.floats(0.5, 4.0),
)
def test_it_is_a_probability_and_that_of_the_converse_completes_it(
    hours: list[float], spread: float, wait_h: float, start_h: float, length_h: float
) -> None:
    ahead = outlook(*hours, spread=spread)
    first = window(start_h, start_h + length_h)
    chosen = window(start_h + wait_h, start_h + wait_h + length_h)
    there, back = chance(ahead, first, chosen), chance(ahead, chosen, first)
    assert there is not None
    assert back is not None
    assert 0 <= there <= 1
    if 1e-6 < there < 1 - 1e-6:
        assert there + back == pytest.approx(1.0)
