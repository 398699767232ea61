"""Whatever an hour is worth, the best start stands on the frontier."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.series import Outlook, Rung, Segment, Steps
from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Ask, Booking, Window
from tidewatt.scheduler.planning.frontier import Frontier, frontier
from tidewatt.scheduler.planning.intensity import curve_of
from tidewatt.scheduler.planning.policy import Policy
from tidewatt.scheduler.planning.situation import Situation
from tidewatt.scheduler.region import Region

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.PRODUCTION)
HOUR, HOUR_MS, MINUTE_MS = timedelta(hours=1), 3_600_000, 60_000
HOURS = 12

values = st.lists(st.integers(10, 900), min_size=HOURS, max_size=HOURS)


def outlook(levels: list[int]) -> Outlook:
    start = NOW_MS + HOUR_MS * np.arange(HOURS, dtype=np.int64)
    steps = Steps(start, start + HOUR_MS, np.array(levels, float))
    return Outlook("DE", KIND, steps, (Segment(NOW, NOW + HOURS * HOUR, Rung.LIVE, "test", NOW),))


@settings(max_examples=60, deadline=None)
@given(
    home=values,
    abroad=values,
    minutes=st.integers(20, 300),
    finish_by_h=st.integers(6, HOURS),
    busy_h=st.integers(0, 4),
    worth_g_per_h=st.floats(0, 300),
)
def test_least_of_grams_and_worth_of_delay_is_on_the_frontier(
    home: list[int], abroad: list[int], minutes: int, finish_by_h: int, busy_h: int, worth_g_per_h: float
) -> None:
    length = timedelta(minutes=minutes)
    regions = [Region("home", cpus=1, home=True), Region("abroad", cpus=1, pue=1.4)]
    outlooks = {"home": outlook(home), "abroad": outlook(abroad)}
    busy = Window(NOW + HOUR, NOW + (1 + busy_h) * HOUR)
    bookings = [Booking("home", "", busy, 0, 1)] if busy_h else []
    ask = Ask(
        1, NOW, Need(cpus=1), length, "yours", 1000.0, "given",
        finish_by=NOW + finish_by_h * HOUR, home="home",
    )  # fmt: skip
    found = frontier(ask, Situation(regions, outlooks, bookings, NOW, Policy()))
    assert isinstance(found, Frontier)
    length_ms = minutes * MINUTE_MS
    starts = np.arange(NOW_MS, NOW_MS + finish_by_h * HOUR_MS - length_ms + 1, MINUTE_MS, dtype=np.int64)
    candidates = []
    for region in regions:
        curve = curve_of(outlooks[region.name])
        assert curve is not None
        free = np.ones(len(starts), np.bool_)
        if region.name == "home" and busy_h:
            free = (starts + length_ms <= NOW_MS + HOUR_MS) | (starts >= NOW_MS + (1 + busy_h) * HOUR_MS)
        grams = region.pue * curve.integral(starts, starts + length_ms)
        candidates += [
            (int(start), float(g)) for start, g, fits in zip(starts, grams, free, strict=True) if fits
        ]
    soonest = min(start for start, _ in candidates)
    best = min(g + worth_g_per_h * (start - soonest) / HOUR_MS for start, g in candidates)
    reached = min(p.expected_g + worth_g_per_h * p.later_ms / HOUR_MS for p in found.points)
    assert reached <= best + 1e-6
    chosen = min(
        (p for p in found.points if p.worth_g_per_h is not None),
        key=lambda p: p.expected_g + worth_g_per_h * p.later_ms / HOUR_MS,
    )
    assert chosen.expected_g + worth_g_per_h * chosen.later_ms / HOUR_MS == pytest.approx(reached)
    assert chosen.worth_g_per_h is not None
    assert worth_g_per_h <= chosen.worth_g_per_h + 1e-6
