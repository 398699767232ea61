"""Whatever a service sends, its feed takes values from it or refuses, and never makes any."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.forecasting.feeds import electricitymaps_replies, great_britain, watttime_replies, wire
from tidewatt.forecasting.feeds.feed import FeedError, Fetched
from tidewatt.forecasting.feeds.points import Point, assembled
from tidewatt.forecasting.kind import Basis

T0 = datetime(2026, 3, 1, tzinfo=UTC)
MOMENTS = [f"2026-03-01T{hour:02}:{minute}Z" for hour in range(24) for minute in ("00", "30")]
TIMES = st.sampled_from(MOMENTS)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | TIMES
NAMES = st.sampled_from(["data", "forecast", "history", "meta", "intensity", "zone", "regionid"])
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=9
)
VALUES = st.floats(0, 900) | st.none()


def item(at: int, value: float | None, odd: object) -> dict[str, object]:
    """A point in the shapes of all services at once; `odd` makes some of them wrong."""
    plain: dict[str, object] = {
        "point_time": MOMENTS[at],
        "datetime": MOMENTS[at // 2 * 2],
        "from": MOMENTS[at],
        "to": MOMENTS[(at + 1) % 48],
        "value": value,
        "carbonIntensity": value,
        "intensity": {"forecast": value, "actual": value},
    }
    return plain | (odd if isinstance(odd, dict) else {})


ODD = st.just(None) | st.dictionaries(
    st.sampled_from(["point_time", "datetime", "to", "value"]), LEAVES, max_size=1
)
ITEMS = st.lists(st.builds(item, st.integers(0, 46), VALUES, ODD), max_size=8)
PLAUSIBLE = ITEMS.map(lambda items: {"data": items, "forecast": items})
BODIES = PLAUSIBLE | st.dictionaries(NAMES, JSON, max_size=4)
META = {
    "units": "lbs_co2_per_mwh",
    "signal_type": "co2_moer",
    "region": "R",
    "data_point_period_seconds": 300,
    "generated_at": "2026-03-01T00:00Z",
}
READERS: dict[str, Callable[[wire.Record], Fetched]] = {
    "watttime forecast": lambda body: watttime_replies.parsed_forecast({"meta": META, **body}, "R"),
    "watttime history": lambda body: watttime_replies.parsed_historical(
        {"meta": META, **body}, "R", T0, T0 + timedelta(days=1)
    ),
    "electricitymaps forecast": lambda body: electricitymaps_replies.parsed_forecast(body, "DE", T0),
    "electricitymaps history": lambda body: electricitymaps_replies.parsed_observed(
        body, "DE", Basis.LIFECYCLE, T0, T0 + timedelta(days=1), False
    ),
    "great britain forecast": lambda body: great_britain.parsed_forecast(body, T0),
    "great britain history": lambda body: great_britain.parsed_observed(body, T0, T0 + timedelta(days=1)),
}


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.none() | st.floats(-10, 3000, allow_nan=False)),
        max_size=40,
    )
)
def test_points_are_sorted_and_never_invented(rows: list[tuple[int, float | None]]) -> None:
    points = [Point(3_600_000 * hour, 3_600_000 * (hour + 1), value) for hour, value in rows]
    steps, notes = assembled(points, "x")
    last = dict(rows)
    expected = sorted((3_600_000 * hour, value) for hour, value in last.items() if value is not None)
    assert list(zip(steps.start_ms.tolist(), steps.gco2_per_kwh.tolist(), strict=True)) == expected
    assert bool(notes) == (
        len(rows) > len(last) or rows != sorted(rows, key=lambda row: row[0]) or None in last.values()
    )


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=60)
@given(body=BODIES)
def test_any_body_is_read_or_refused_with_one_sentence(reader: str, body: dict[str, object]) -> None:
    try:
        fetched = READERS[reader](body)
    except FeedError as error:
        refused = str(error)
    else:
        refused = ""
        for steps in (*(o.steps for o in fetched.observed), *(i.steps for i in fetched.issued)):
            assert np.isfinite(steps.gco2_per_kwh).all()
            assert (steps.start_ms < steps.end_ms).all()
            assert (steps.start_ms[1:] >= steps.end_ms[:-1]).all()
    assert refused.isprintable()
