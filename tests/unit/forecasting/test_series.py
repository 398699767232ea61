"""Integrals, cuts and holes of stepped intensity."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.series import Steps, clip, holes, integrate, mean, milliseconds, stepped

T0 = datetime(2026, 3, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


def steps(*rows: tuple[float, float, float]) -> Steps:
    """Steps of (start, end, gCO2/kWh), in hours from T0."""
    table = np.array(rows, float).reshape(-1, 3)
    edges = milliseconds(T0) + (table[:, :2] * 3_600_000).astype(np.int64)
    return stepped(edges[:, 0], edges[:, 1], table[:, 2])


def test_integral_weighs_each_step_by_its_time() -> None:
    both = integrate(steps((0, 1, 100), (1, 3, 400)), T0, T0 + 3 * HOUR)
    assert both.covered_ms == 3 * 3_600_000
    assert both.gms_per_kwh == pytest.approx((100 + 2 * 400) * 3_600_000)
    assert both.mean == pytest.approx(300)


def test_steps_on_the_edges_count_in_part() -> None:
    assert mean(steps((0, 1, 100), (1, 2, 200)), T0 + HOUR / 2, T0 + 1.25 * HOUR) == pytest.approx(400 / 3)


def test_holes_count_neither_as_clean_nor_as_covered() -> None:
    part = integrate(steps((0, 1, 100), (2, 3, 300)), T0, T0 + 3 * HOUR)
    assert part.covered_ms == 2 * 3_600_000
    assert part.mean == 200


def test_mean_of_nothing_is_not_zero() -> None:
    assert mean(steps((0, 1, 100)), T0 + HOUR, T0 + 2 * HOUR) is None
    assert mean(steps(), T0, T0 + HOUR) is None


def test_holes_are_found_before_between_and_after() -> None:
    found = holes(steps((1, 2, 1), (2, 3, 1), (4, 5, 1)), T0, T0 + 6 * HOUR)
    assert [((a - T0) / HOUR, (b - T0) / HOUR) for a, b in found] == [(0, 1), (3, 4), (5, 6)]


def test_clip_shortens_the_steps_on_the_edges() -> None:
    part = clip(steps((0, 1, 100), (1, 2, 200), (2, 3, 300)), T0 + HOUR / 2, T0 + 2 * HOUR)
    assert ((part.end_ms - part.start_ms) / 3_600_000).tolist() == [0.5, 1]
    assert part.gco2_per_kwh.tolist() == [100, 200]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 2, 1), (1, 3, 1)], "overlaps"),
        ([(1, 1, 1)], "must end after"),
        ([(1, 2, 1), (0, 1, 1)], "overlaps"),
    ],
)
def test_steps_that_overlap_or_last_nothing_are_refused(
    rows: list[tuple[float, float, float]], message: str
) -> None:
    with pytest.raises(ForecastError, match=message):
        steps(*rows)


def test_naive_times_are_refused_everywhere() -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001  # what is refused
    for ask in (integrate, mean, clip, holes):
        with pytest.raises(ForecastError, match="has no time zone"):
            ask(steps((0, 1, 100)), naive, T0)
