"""The grid by the hour beside the energy used in it."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exports.made import NOON, attempt, receipt
from tidewatt.backends.clock import time_ms
from tidewatt.forecasting.series import Steps
from tidewatt.scheduler.accounting.units import HOUR_MS
from tidewatt.scheduler.daemon.observing import hourly
from tidewatt.scheduler.exports.grid_use import main_zone, other_zones, span, steps

HOUR = timedelta(hours=1)
GRID = [(NOON + hour * HOUR, 100.0 * hour) for hour in range(4)]


def test_energy_is_spread_over_the_time_that_the_job_ran() -> None:
    ran = attempt(started=NOON + HOUR / 2, ended=NOON + 2 * HOUR)
    found = steps(GRID, [receipt(attempts=(ran,)), receipt(2)], "DE", "average")
    assert [step.kwh for step in found] == [
        pytest.approx(3.25 + 3.25 / 3),
        pytest.approx(3.25 * 2 / 3),
        None,
        None,
    ]
    assert [step.gco2_per_kwh for step in found] == [0.0, 100.0, 200.0, 300.0]


def test_energy_of_a_replay_is_all_there_on_the_grids_clock() -> None:
    ran = attempt(started=NOON, ended=NOON + 2 * HOUR, replay_factor=600.0)
    found = steps(GRID, [receipt(attempts=(ran,))], "DE", "average")
    assert [step.kwh for step in found] == [pytest.approx(1.625), pytest.approx(1.625), None, None]


def test_energy_elsewhere_and_energy_that_nobody_knows_are_in_no_hour() -> None:
    elsewhere = receipt(attempts=(attempt(zones={"average": "FR"}),))
    running = receipt(attempts=(attempt(ended=None),))
    assert [step.kwh for step in steps(GRID, [elsewhere, running], "DE", "average")] == [None] * 4


def test_zone_is_that_of_most_energy_and_time_that_of_all_runs() -> None:
    french = [receipt(number, attempts=(attempt(zones={"average": "FR"}),)) for number in (1, 2)]
    late = receipt(3, attempts=(attempt(started=NOON + 5.5 * HOUR, ended=NOON + 7.2 * HOUR),))
    assert main_zone([*french, late], "average") == "FR"
    assert main_zone([], "average") == ""
    assert span([*french, late], timedelta(days=9)) == (NOON, NOON + 8 * HOUR)
    assert span([*french, late], 2 * HOUR) == (NOON + 6 * HOUR, NOON + 8 * HOUR)
    assert span([], HOUR) is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 7), st.integers(0, 900)), min_size=1, max_size=30),
    st.integers(-3, 3),
)
def test_hourly_means_hold_the_integral_of_what_is_known(
    parts: list[tuple[int, int, int]], offset: int
) -> None:
    unit = 10 * 60_000
    at, rows = time_ms(NOON) + offset * unit, []
    for gap, length, value in parts:
        at += gap * unit
        rows.append((at, at + length * unit, float(value)))
        at += length * unit
    starts, ends, values = (np.array(column) for column in zip(*rows, strict=True))
    made = Steps(starts.astype(np.int64), ends.astype(np.int64), values)
    first, last = int(starts[0]) // HOUR_MS * HOUR_MS, int(ends[-1])
    found = dict(hourly(made, first, last))
    for hour in range(first, last, HOUR_MS):
        inside = [
            (max(a, hour), min(b, hour + HOUR_MS), v) for a, b, v in rows if a < hour + HOUR_MS and b > hour
        ]
        if inside:
            mean = sum((b - a) * v for a, b, v in inside) / sum(b - a for a, b, v in inside)
            assert found.pop(hour) == pytest.approx(mean, abs=1e-6)
    assert found == {}


def test_zones_that_are_not_drawn_are_named() -> None:
    here, there = receipt(1), receipt(2, attempts=(attempt(zones={"average": "SE"}),))
    assert other_zones([here, there], "average", "SE") == ["DE"]
    assert other_zones([here], "average", "DE") == []
