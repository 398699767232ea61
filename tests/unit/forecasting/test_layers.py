"""Layers of sources: the first that has a value wins, seams are kept, kinds never mix."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidewatt.forecasting.errors import ForecastError
from tidewatt.forecasting.kind import Basis, Boundary, Kind, Signal
from tidewatt.forecasting.layers import Layer, clipped, compose
from tidewatt.forecasting.series import Rung, Steps, mean, milliseconds

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KIND = Kind(Signal.AVERAGE, Basis.LIFECYCLE, Boundary.CONSUMPTION)


def hourly(start_h: int, *values: float) -> Steps:
    start = milliseconds(T0) + (start_h + np.arange(len(values))) * 3_600_000
    return Steps(start, start + 3_600_000, np.array(values, float))


def layer(steps: Steps, rung: Rung = Rung.LIVE, kind: Kind = KIND) -> Layer:
    return Layer(kind, rung, f"a {rung} source", steps)


def test_first_layer_wins_and_the_next_continues_it_with_the_seam_kept() -> None:
    laid = compose(
        "DE", [layer(hourly(0, 100, 200)), layer(hourly(0, 7, 8, 300, 400), Rung.OWN)], T0, T0 + 4 * HOUR
    )
    assert laid.steps.gco2_per_kwh.tolist() == [100, 200, 300, 400]
    assert [(s.rung, s.start, s.end) for s in laid.segments] == [
        (Rung.LIVE, T0, T0 + 2 * HOUR),
        (Rung.OWN, T0 + 2 * HOUR, T0 + 4 * HOUR),
    ]


def test_a_hole_in_the_first_layer_is_filled_from_the_next() -> None:
    whole = hourly(0, 1, 2, 3)
    first = Steps(whole.start_ms[::2], whole.end_ms[::2], whole.gco2_per_kwh[::2])
    laid = compose("DE", [layer(first), layer(hourly(0, 9, 9, 9), Rung.OWN)], T0, T0 + 3 * HOUR)
    assert laid.steps.gco2_per_kwh.tolist() == [1, 9, 3]
    assert [s.rung for s in laid.segments] == [Rung.LIVE, Rung.OWN, Rung.LIVE]


@pytest.mark.parametrize(
    "other",
    [
        replace(KIND, signal=Signal.MARGINAL),
        replace(KIND, basis=Basis.DIRECT),
        replace(KIND, gas="CO2"),
    ],
)
def test_other_signals_bases_and_gases_never_continue(other: Kind) -> None:
    with pytest.raises(ForecastError, match="kinds are never mixed"):
        compose("DE", [layer(hourly(0, 1)), layer(hourly(1, 1), kind=other)], T0, T0 + 2 * HOUR)


def test_another_boundary_continues_at_the_level_of_the_first() -> None:
    production = replace(KIND, boundary=Boundary.PRODUCTION)
    laid = compose(
        "DE",
        [layer(hourly(0, 200, 200)), layer(hourly(0, 100, 100, 150), Rung.OWN, production)],
        T0,
        T0 + 3 * HOUR,
    )
    assert laid.steps.gco2_per_kwh.tolist() == [200, 200, 300]
    assert "scaled by 2.00" in laid.segments[-1].source


def test_another_boundary_that_shares_no_time_is_left_out() -> None:
    production = replace(KIND, boundary=Boundary.PRODUCTION)
    laid = compose(
        "DE", [layer(hourly(0, 200)), layer(hourly(1, 999), Rung.OWN, production)], T0, T0 + 2 * HOUR
    )
    assert laid.steps.gco2_per_kwh.tolist() == [200, 200]
    assert laid.segments[-1].source == "mean of what is known, held flat"


def test_what_nobody_knows_is_held_at_the_mean_and_said() -> None:
    laid = compose("DE", [layer(hourly(1, 100, 300))], T0, T0 + 6 * HOUR)
    assert mean(laid.steps, T0, T0 + HOUR) == 200
    assert mean(laid.steps, T0 + 3 * HOUR, T0 + 6 * HOUR) == 200
    assert "held flat" in laid.segments[0].source
    assert "held flat" in laid.segments[-1].source


def test_quantiles_are_unknown_where_a_layer_has_none() -> None:
    first = replace(layer(hourly(0, 100)), p10=np.array([90.0]), p90=np.array([110.0]))
    laid = compose("DE", [first, layer(hourly(1, 200), Rung.OWN)], T0, T0 + 2 * HOUR)
    assert laid.p10 is not None
    assert laid.p10[0] == 90
    assert np.isnan(laid.p10[1])
    assert compose("DE", [layer(hourly(0, 1))], T0, T0 + HOUR).p90 is None


def test_clipped_outlook_keeps_only_its_segments() -> None:
    laid = compose("DE", [layer(hourly(0, 1, 2)), layer(hourly(2, 3, 4), Rung.OWN)], T0, T0 + 4 * HOUR)
    part = clipped(laid, T0 + 2.5 * HOUR, T0 + 3.5 * HOUR)
    assert part.steps.gco2_per_kwh.tolist() == [3, 4]
    assert [(s.start, s.end) for s in part.segments] == [(T0 + 2.5 * HOUR, T0 + 3.5 * HOUR)]
