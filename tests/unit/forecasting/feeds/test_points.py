"""Single points become steps, whatever order and state they come in."""

from datetime import UTC, datetime, timedelta

import pytest

from tidewatt.forecasting.feeds.feed import FeedError
from tidewatt.forecasting.feeds.points import Point, assembled, point, within
from tidewatt.forecasting.series import milliseconds

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(*values: float | None) -> list[Point]:
    return [point(T0 + i * HOUR, 3600, value) for i, value in enumerate(values)]


def test_points_in_order_need_no_words() -> None:
    steps, notes = assembled(hours(1.0, 2.0), "history")
    assert steps.gco2_per_kwh.tolist() == [1.0, 2.0]
    assert (steps.end_ms - steps.start_ms).tolist() == [3_600_000] * 2
    assert notes == ()


def test_nothing_becomes_nothing() -> None:
    steps, notes = assembled([], "history")
    assert (len(steps.start_ms), notes) == (0, ())


def test_null_is_a_hole_even_where_an_earlier_copy_had_a_value() -> None:
    steps, notes = assembled([*hours(1.0, 2.0), point(T0, 3600, None)], "history")
    assert steps.gco2_per_kwh.tolist() == [2.0]
    assert notes == (
        "history: 1 repeated, the last of each counts",
        "history: out of order, sorted",
        "history: 1 without a value, left open",
    )


def test_two_values_for_one_time_are_refused() -> None:
    with pytest.raises(FeedError, match="history: two values for 2026-03-01 00:30:00"):
        assembled([point(T0, 3600, 1.0), point(T0 + HOUR / 2, 1800, 2.0)], "history")


def test_within_keeps_whole_steps_only() -> None:
    steps, _ = assembled(hours(1.0, 2.0, 3.0, 4.0), "history")
    inside = within(steps, T0 + HOUR / 2, T0 + 3 * HOUR)
    assert inside.start_ms.tolist() == [milliseconds(T0 + HOUR), milliseconds(T0 + 2 * HOUR)]
    assert inside.gco2_per_kwh.tolist() == [2.0, 3.0]
