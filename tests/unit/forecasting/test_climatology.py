"""The mean of the same hours of the last days."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.climatology import same_hours
from tidewatt.forecasting.series import Steps, integrate, milliseconds

NOW = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def days(count: float, step_min: int, level: float = 0.0) -> Steps:
    """Observations up to NOW: `level` plus the hour of the day plus 100 times the days back."""
    step_ms = step_min * 60_000
    start = milliseconds(NOW) - np.arange(round(count * 86_400_000 / step_ms), 0, -1) * step_ms
    hour = start % 86_400_000 / 3_600_000
    back = (milliseconds(NOW) - 1 - start) // 86_400_000 + 1
    return Steps(start, start + step_ms, level + hour + 100 * back)


@pytest.mark.parametrize("step_min", [5, 15, 30, 60])
def test_each_hour_is_the_mean_of_the_same_hours_at_the_series_own_step(step_min: int) -> None:
    usual = same_hours(days(7, step_min), NOW, NOW + 36 * HOUR)
    assert usual is not None
    assert usual.label == "mean of the same hours, 7 days"
    assert len(usual.steps.start_ms) == 36 * 60 // step_min
    expected = 400 + (usual.steps.start_ms % 86_400_000) / 3_600_000
    assert usual.steps.gco2_per_kwh == pytest.approx(expected)


def test_only_the_last_seven_days_count() -> None:
    usual = same_hours(days(20, 60), NOW, NOW + HOUR)
    assert usual is not None
    assert usual.steps.gco2_per_kwh.tolist() == pytest.approx([400])


def test_holes_are_skipped_and_unseen_hours_lie_between_their_neighbours() -> None:
    whole = days(1, 60)
    kept = np.ones(24, bool)
    kept[3:5] = False
    usual = same_hours(
        Steps(whole.start_ms[kept], whole.end_ms[kept], whole.gco2_per_kwh[kept]), NOW, NOW + 24 * HOUR
    )
    assert usual is not None
    assert usual.label == "mean of the same hours, 1 day"
    assert usual.steps.gco2_per_kwh == pytest.approx(100 + np.arange(24))


def test_less_than_half_a_day_gives_a_level_and_no_shape() -> None:
    usual = same_hours(days(0.25, 60), NOW, NOW + 24 * HOUR)
    assert usual is not None
    assert usual.label == "mean of the 6 h observed, held flat"
    assert usual.steps.gco2_per_kwh.tolist() == pytest.approx([100 + 20.5])


def test_without_recent_observations_there_is_no_climatology() -> None:
    assert same_hours(days(3, 60), NOW + timedelta(days=8), NOW + timedelta(days=9)) is None
    assert same_hours(days(0, 60), NOW, NOW + HOUR) is None


def test_edges_are_cut_to_what_was_asked_for() -> None:
    usual = same_hours(days(2, 60), NOW + HOUR / 2, NOW + 2.25 * HOUR)
    assert usual is not None
    whole = integrate(usual.steps, NOW, NOW + 4 * HOUR)
    assert whole.covered_ms == 1.75 * 3_600_000
